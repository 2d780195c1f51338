//! Calls by boto3, many in one process.

use crate::Refusal;
use serde_json::{Value, json};

/// A call of a boto3 client.
#[derive(Clone, Debug)]
pub struct Call(Value);

/// What a call got.
#[derive(Clone, Debug)]
pub struct Answer(Value);

/// `call("eks", "list_clusters", json!({}))`. Its input is not checked by boto3 but by the API.
pub fn call(service: &str, operation: &str, input: Value) -> Call {
    Call(json!({ "service": service, "operation": operation, "input": input }))
}

/// An input with more members.
///
/// # Panics
/// It is no object.
#[track_caller]
pub fn merged(mut input: Value, more: &Value) -> Value {
    input.as_object_mut().expect("it is an object").extend(more.as_object().cloned().unwrap_or_default());
    input
}

/// A member that is a text.
///
/// # Panics
/// It is not there, or no text.
#[track_caller]
pub fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

impl Call {
    /// All pages of at most that many items; the answer is a list.
    #[must_use]
    pub fn in_pages_of(self, items: u32) -> Call {
        self.and("pages", json!(items))
    }

    /// By so many threads at the same moment. The answer is a list of answers: [`Answer::each`].
    #[must_use]
    pub fn at_once(self, threads: u32) -> Call {
        self.and("at_once", json!(threads))
    }

    /// Made by a machine whose clock is off by so many seconds.
    #[must_use]
    pub fn with_clock_off_by(self, seconds: i64) -> Call {
        self.and("clock", json!(seconds))
    }

    fn and(mut self, name: &str, value: Value) -> Call {
        self.0[name] = value;
        self
    }

    pub(crate) fn into_json(self) -> Value {
        self.0
    }

    /// `eks list_clusters`.
    pub(crate) fn name(&self) -> String {
        let part = |name: &str| self.0[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}", part("service"), part("operation"))
    }
}

impl Answer {
    /// The output of a call that must have succeeded.
    #[track_caller]
    pub fn value(self) -> Value {
        assert!(self.0["error"].is_null(), "refused: {}", self.0["error"]);
        self.0["output"].clone()
    }

    /// The answers to a call that was made several times at once.
    #[track_caller]
    pub fn each(self) -> Vec<Answer> {
        answers(self.value())
    }

    /// Whether the call was refused.
    pub fn is_refusal(&self) -> bool {
        !self.0["error"].is_null()
    }

    /// `OK`, or the code of the refusal.
    pub fn code(&self) -> &str {
        self.0["error"]["code"].as_str().unwrap_or("OK")
    }

    /// How a call was refused that must have been.
    #[track_caller]
    pub fn refusal(&self) -> Refusal {
        let error = &self.0["error"];
        assert!(!error.is_null(), "should have been refused, and got {}", self.0["output"]);
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Refusal { code: text("code"), message: text("message") }
    }

    /// The HTTP status of a refusal, and what its body holds beside code and message.
    pub fn members(&self) -> (u64, &Value) {
        (self.0["error"]["status"].as_u64().unwrap_or_default(), &self.0["error"]["members"])
    }
}

#[track_caller]
pub(crate) fn answers(value: Value) -> Vec<Answer> {
    match value {
        Value::Array(answers) => answers.into_iter().map(Answer).collect(),
        other => panic!("calls.py printed {other}"),
    }
}
