//! How the registry refuses: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes>

use crate::{Body, json};
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Empty};
use roadstead_wire::fault::{Code as Faulty, Common, Fault};
use serde_json::json;
use std::io;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Unsupported,
    /// The part does not begin where the one before ended, or the range is none of the blob.
    Range,
    Unavailable,
    Unknown,
}

impl Code {
    /// Its name and its status.
    fn spelled(self) -> (&'static str, u16) {
        match self {
            Code::BlobUnknown => ("BLOB_UNKNOWN", 404),
            Code::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", 400),
            Code::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", 404),
            Code::Denied => ("DENIED", 403),
            Code::DigestInvalid => ("DIGEST_INVALID", 400),
            Code::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", 400),
            Code::ManifestInvalid => ("MANIFEST_INVALID", 400),
            Code::ManifestUnknown => ("MANIFEST_UNKNOWN", 404),
            Code::NameInvalid => ("NAME_INVALID", 400),
            Code::NameUnknown => ("NAME_UNKNOWN", 404),
            Code::SizeInvalid => ("SIZE_INVALID", 413),
            Code::TagInvalid => ("TAG_INVALID", 400),
            Code::Unauthorized => ("UNAUTHORIZED", 401),
            Code::Unsupported => ("UNSUPPORTED", 405),
            Code::Range => ("BLOB_UPLOAD_INVALID", 416),
            Code::Unavailable => ("UNAVAILABLE", 503),
            Code::Unknown => ("UNKNOWN", 500),
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong.
    pub code: Code,
    message: String,
}

impl Refusal {
    /// A refusal, in words for people.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// As clients read it; to a HEAD the status alone.
    pub fn respond(self, head: bool, request_id: &str) -> Response<Body> {
        let (code, status) = self.code.spelled();
        tracing::info!(request_id, "{code}: {}", self.message);
        let mut response = json(status, &json!({"errors": [{"code": code, "message": self.message}]}));
        if self.code == Code::Unauthorized {
            let challenge = HeaderValue::from_static(r#"Basic realm="roadstead",service="ecr.amazonaws.com""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        match head {
            true => response.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync()),
            false => response,
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Refusal {
        let code = match fault.code {
            Faulty::Common(Common::AccessDenied) => Code::Denied,
            Faulty::Common(Common::ServiceUnavailable) => Code::Unavailable,
            Faulty::Common(_) => Code::Unknown,
            Faulty::Modelled(error) => match error.name {
                "RepositoryNotFoundException" => Code::NameUnknown,
                "ImageNotFoundException" => Code::ManifestUnknown,
                "ImageTagAlreadyExistsException" => Code::TagInvalid,
                "ImageDigestDoesNotMatchException" => Code::DigestInvalid,
                "LayersNotFoundException" | "ReferencedImagesNotFoundException" => Code::ManifestBlobUnknown,
                "InvalidParameterException" if fault.message.contains("ImageManifest") => Code::ManifestInvalid,
                "InvalidParameterException" if fault.message.contains("imageTag") => Code::TagInvalid,
                "InvalidParameterException" => Code::NameInvalid,
                "LimitExceededException" => Code::Denied,
                _ => Code::Unknown,
            },
        };
        if let Some(cause) = &fault.cause {
            tracing::error!("{fault}: {cause}");
        }
        Refusal::new(code, fault.message)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        tracing::error!("the registry's files: {error}");
        Refusal::new(Code::Unknown, "the registry can't use its files: its operator sees why in its log")
    }
}
