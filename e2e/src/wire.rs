//! HTTP requests that no client would send: signed by botocore, then changed.

use serde_json::{Value, json};

/// A request to the region.
#[derive(Clone, Debug)]
pub struct Request(Value);

/// What a request got.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u64,
    /// The body.
    pub body: String,
    /// Headers, by lower-case name.
    pub headers: Value,
}

impl Request {
    /// A request to a service, signed in a header.
    pub fn new(service: &str, method: &str, path: &str) -> Request {
        Request(json!({ "service": service, "method": method, "path": path, "sign": "header" }))
    }

    /// A form to a query service.
    pub fn form(service: &str, body: impl Into<String>) -> Request {
        Request::new(service, "POST", "/")
            .body(body)
            .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<String>) -> Request {
        self.set("body", body.into())
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.0["headers"][name] = value.into();
        self
    }

    /// With a body that is sent in pieces, by `Transfer-Encoding: chunked`.
    #[must_use]
    pub fn in_pieces(self) -> Request {
        self.set("pieces", true)
    }

    /// Not signed.
    #[must_use]
    pub fn unsigned(self) -> Request {
        self.set("sign", "no")
    }

    /// Signed in its query, good for so many seconds.
    #[must_use]
    pub fn presigned(self, seconds: u32) -> Request {
        self.set("sign", "query").set("expires", seconds)
    }

    /// Signed by somebody whose clock is off by so many seconds.
    #[must_use]
    pub fn with_clock_off_by(self, seconds: i64) -> Request {
        self.set("clock", seconds)
    }

    /// After it was signed, `from` became `to` in its path, headers and body.
    #[must_use]
    pub fn tampered(self, from: &str, to: &str) -> Request {
        self.set("tamper", json!([from, to]))
    }

    fn set(mut self, name: &str, value: impl Into<Value>) -> Request {
        self.0[name] = value.into();
        self
    }

    pub(crate) fn into_json(self) -> Value {
        self.0
    }
}

impl Reply {
    /// The error's code: a header of the JSON protocols, an element of the XML ones.
    pub fn code(&self) -> String {
        match self.headers["x-amzn-errortype"].as_str() {
            Some(kind) => kind.to_owned(),
            None => self.element("Code"),
        }
    }

    /// The error's text.
    pub fn message(&self) -> String {
        match serde_json::from_str::<Value>(&self.body) {
            Ok(body) => body["message"].as_str().unwrap_or_default().to_owned(),
            Err(_) => self.element("Message"),
        }
    }

    fn element(&self, name: &str) -> String {
        let inside =
            self.body.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
        inside.map_or_else(String::new, |(text, _)| text.to_owned())
    }
}

#[track_caller]
pub(crate) fn replies(value: Value) -> Vec<Reply> {
    let Value::Array(replies) = value else { panic!("wire.py printed {value}") };
    let reply = |reply: Value| Reply {
        status: reply["status"].as_u64().unwrap_or_default(),
        body: reply["body"].as_str().unwrap_or_default().to_owned(),
        headers: reply["headers"].clone(),
    };
    replies.into_iter().map(reply).collect()
}
