//! Answers that can be given again.

use bytes::Bytes;
use http::{HeaderValue, Response};
use memchr::memmem;

/// An answer, and where it names the request that it was made for.
#[derive(Clone, Debug)]
pub struct Reply {
    response: Response<Bytes>,
    request_id: String,
    /// Where the id begins in the body, in bytes: JSON has it in a header only.
    place: Option<usize>,
}

impl Reply {
    /// The answer to the request of this id, a UUID, so that nothing else reads like it.
    pub fn new(response: Response<Bytes>, request_id: &str) -> Reply {
        let place = memmem::find(response.body(), request_id.as_bytes());
        Reply { response, request_id: request_id.to_owned(), place }
    }

    /// The answer to the first request.
    pub fn into_response(self) -> Response<Bytes> {
        self.response
    }

    /// The same answer to another request, whose id is as long.
    pub fn to(&self, request_id: &str) -> Response<Bytes> {
        let mut response = self.response.clone();
        for value in response.headers_mut().values_mut().filter(|value| **value == *self.request_id) {
            if let Ok(id) = HeaderValue::from_str(request_id) {
                *value = id;
            }
        }
        if let Some(place) = self.place {
            let (before, after) =
                (&self.response.body()[..place], &self.response.body()[place + self.request_id.len()..]);
            *response.body_mut() = [before, request_id.as_bytes(), after].concat().into();
        }
        response
    }

    /// What it takes, in bytes, about.
    pub fn size(&self) -> usize {
        // Of the headers there are a handful, all short.
        self.response.body().len() + 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id;

    #[test]
    fn an_answer_given_again_names_the_request_that_it_is_given_to() {
        let answer = |id: &str, body: String| {
            Response::builder().header("x-amzn-requestid", id).header("age", "1").body(Bytes::from(body)).unwrap()
        };
        let (first, second) = (request_id(), request_id());
        for body in [|id: &str| format!("<requestId>{id}</requestId><set/>"), |_: &str| r#"{"set":[]}"#.to_owned()] {
            let again = Reply::new(answer(&first, body(&first)), &first).to(&second);
            assert_eq!(again.body(), &body(&second));
            assert_eq!(again.headers(), answer(&second, body(&second)).headers());
        }
    }
}
