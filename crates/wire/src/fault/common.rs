use crate::schema::Protocol;

/// An error that any operation may answer and no model declares. Each family of protocols spells it in its own way.
///
/// Sources: "Common Errors" of the API references of EKS, IAM and EC2; for what is wrong with bodies "Error responses" of S3,
/// the only service that documents it: the JSON protocols have its codes with the ending of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Common {
    /// The caller may not do this.
    AccessDenied,
    /// The access key is unknown or inactive, or its session token is wrong.
    UnknownClient,
    /// The signature does not match.
    InvalidSignature,
    /// The signature lacks a part or has a malformed one.
    IncompleteSignature,
    /// No signature at all.
    MissingAuthenticationToken,
    /// The session that signed has ended.
    ExpiredToken,
    /// The signature is too old, too new, or a presigned URL is over.
    RequestExpired,
    /// The input breaks a constraint of the model.
    Validation,
    /// A required parameter is missing.
    MissingParameter,
    /// A parameter has a value that it can't have.
    InvalidParameterValue,
    /// Parameters that don't go together.
    InvalidParameterCombination,
    /// An idempotency token that another request had already, with other parameters.
    IdempotentParameterMismatch,
    /// No such operation.
    UnknownOperation,
    /// No operation is named.
    MissingAction,
    /// The body can't be read.
    Serialization,
    /// The request is longer than we read.
    RequestTooLarge,
    /// The body is not as long as it says.
    IncompleteBody,
    /// A chunk of the body is too small.
    InvalidChunkSize,
    /// What follows a body in chunks is not what was announced.
    MalformedTrailer,
    /// A checksum that is none.
    InvalidDigest,
    /// A checksum of another body.
    BadDigest,
    /// Headers that don't go together.
    InvalidRequest,
    /// Not now, too many.
    Throttling,
    /// Would have succeeded, but only a dry run was asked for.
    DryRun,
    /// The service is not ready.
    ServiceUnavailable,
    /// Our fault.
    InternalFailure,
}

/// How a protocol writes a common error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// The code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
}

const fn is(code: &'static str, status: u16) -> Spelling {
    Spelling { code, status }
}

impl Common {
    /// As a protocol writes it.
    pub const fn spelling(self, protocol: Protocol) -> Spelling {
        match protocol {
            Protocol::RestJson1 => self.rest(),
            Protocol::AwsJson1_0 | Protocol::AwsJson1_1 | Protocol::RpcV2Cbor => self.rpc(),
            Protocol::AwsQuery | Protocol::RestXml => self.query(),
            Protocol::Ec2Query => self.ec2(),
        }
    }

    const fn rest(self) -> Spelling {
        match self {
            Common::AccessDenied => is("AccessDeniedException", 403),
            Common::UnknownClient => is("UnrecognizedClientException", 403),
            Common::InvalidSignature => is("InvalidSignatureException", 403),
            Common::IncompleteSignature => is("IncompleteSignatureException", 400),
            Common::MissingAuthenticationToken => is("MissingAuthenticationTokenException", 403),
            Common::ExpiredToken => is("ExpiredTokenException", 403),
            Common::RequestExpired => is("InvalidSignatureException", 403),
            Common::Validation
            | Common::MissingParameter
            | Common::InvalidParameterValue
            | Common::InvalidParameterCombination
            | Common::IdempotentParameterMismatch => is("ValidationException", 400),
            Common::UnknownOperation | Common::MissingAction => is("UnknownOperationException", 404),
            Common::Serialization => is("SerializationException", 400),
            Common::RequestTooLarge => is("RequestEntityTooLargeException", 413),
            Common::IncompleteBody => is("IncompleteBodyException", 400),
            Common::InvalidChunkSize => is("InvalidChunkSizeException", 400),
            Common::MalformedTrailer => is("MalformedTrailerException", 400),
            Common::InvalidDigest => is("InvalidDigestException", 400),
            Common::BadDigest => is("BadDigestException", 400),
            Common::InvalidRequest => is("InvalidRequestException", 400),
            Common::Throttling => is("ThrottlingException", 429),
            Common::DryRun => is("DryRunOperationException", 400),
            Common::ServiceUnavailable => is("ServiceUnavailableException", 503),
            Common::InternalFailure => is("InternalFailure", 500),
        }
    }

    /// The same codes as REST's; blame on the caller is always 400.
    const fn rpc(self) -> Spelling {
        let Spelling { code, status } = self.rest();
        match status {
            413 | 500.. => is(code, status),
            _ => is(code, 400),
        }
    }

    const fn query(self) -> Spelling {
        match self {
            Common::AccessDenied => is("AccessDenied", 403),
            Common::UnknownClient => is("InvalidClientTokenId", 403),
            Common::InvalidSignature => is("SignatureDoesNotMatch", 403),
            Common::IncompleteSignature => is("IncompleteSignature", 400),
            Common::MissingAuthenticationToken => is("MissingAuthenticationToken", 403),
            Common::ExpiredToken => is("ExpiredToken", 403),
            Common::RequestExpired => is("SignatureDoesNotMatch", 403),
            Common::Validation => is("ValidationError", 400),
            Common::MissingParameter => is("MissingParameter", 400),
            Common::InvalidParameterValue => is("InvalidParameterValue", 400),
            Common::InvalidParameterCombination => is("InvalidParameterCombination", 400),
            Common::IdempotentParameterMismatch => is("IdempotentParameterMismatch", 400),
            Common::UnknownOperation => is("InvalidAction", 400),
            Common::MissingAction => is("MissingAction", 400),
            Common::Serialization => is("MalformedInput", 400),
            Common::RequestTooLarge => is("RequestEntityTooLarge", 413),
            Common::IncompleteBody => is("IncompleteBody", 400),
            Common::InvalidChunkSize => is("InvalidChunkSizeError", 400),
            Common::MalformedTrailer => is("MalformedTrailerError", 400),
            Common::InvalidDigest => is("InvalidDigest", 400),
            Common::BadDigest => is("BadDigest", 400),
            Common::InvalidRequest => is("InvalidRequest", 400),
            Common::Throttling => is("Throttling", 400),
            Common::DryRun => is("DryRunOperation", 412),
            Common::ServiceUnavailable => is("ServiceUnavailable", 503),
            Common::InternalFailure => is("InternalFailure", 500),
        }
    }

    /// EC2's own; what is not listed is as the other query services have it.
    const fn ec2(self) -> Spelling {
        match self {
            Common::AccessDenied => is("UnauthorizedOperation", 403),
            Common::UnknownClient | Common::InvalidSignature => is("AuthFailure", 401),
            Common::ExpiredToken | Common::RequestExpired => is("RequestExpired", 400),
            Common::Validation => is("InvalidParameterValue", 400),
            Common::Serialization => is("MalformedQueryString", 400),
            Common::Throttling => is("RequestLimitExceeded", 503),
            Common::ServiceUnavailable => is("Unavailable", 503),
            Common::InternalFailure => is("InternalError", 500),
            other => other.query(),
        }
    }
}
