//! What an operation answers when it does not do what was asked.

mod common;

pub use common::{Common, Spelling};

use crate::schema::{Member, Protocol, Schema, Struct, Structure, Value};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// An error that a service's model declares: `shapes::eks::RESOURCE_NOT_FOUND_EXCEPTION`.
#[derive(Debug)]
pub struct ErrorShape {
    /// The shape's name: the code of the JSON and REST protocols.
    pub name: &'static str,
    /// The code of the query protocols, which often differs: `NoSuchEntity`.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Whether the caller is to blame.
    pub sender: bool,
    /// Its members; one of them is the message.
    pub schema: &'static Schema,
}

/// What went wrong, by name: an error of the service's model, or one that every service may answer.
#[derive(Clone, Copy, Debug)]
pub enum Code {
    /// The model's.
    Modelled(&'static ErrorShape),
    /// Every service's.
    Common(Common),
}

/// An operation's refusal or failure. Callers see code, message and members; the cause is for the log.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What went wrong.
    pub code: Code,
    /// What the caller reads.
    pub message: String,
    /// More that the model lets an error carry, by the model's names.
    pub members: Struct,
    /// Why, for the log. Never sent.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The members of an error that has only a message.
static PLAIN: Schema = Schema::structure("Error", &Structure::new(&[Member::new("message", &TEXT)]));
static TEXT: Schema = Schema::string("String");

impl ErrorShape {
    /// An error of the caller's that a service documents and its model does not declare, as all of EC2's.
    pub const fn plain(code: &'static str, status: u16) -> ErrorShape {
        ErrorShape { name: code, code, status, sender: true, schema: &PLAIN }
    }

    /// This error with a message.
    pub fn fault(&'static self, message: impl Into<String>) -> Fault {
        Fault::new(self, message)
    }
}

impl Common {
    /// This error with a message.
    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault::new(self, message)
    }
}

impl Code {
    /// This error with a message.
    pub fn fault(self, message: impl Into<String>) -> Fault {
        Fault::new(self, message)
    }

    /// As that protocol spells it.
    pub fn name(self, protocol: Protocol) -> &'static str {
        match self {
            Code::Modelled(error) if protocol.is_xml() => error.code,
            Code::Modelled(error) => error.name,
            Code::Common(common) => common.spelling(protocol).code,
        }
    }

    /// Its HTTP status on that protocol.
    pub fn status(self, protocol: Protocol) -> u16 {
        match self {
            Code::Modelled(error) => error.status,
            Code::Common(common) => common.spelling(protocol).status,
        }
    }

    /// Whether the caller is to blame.
    pub fn is_senders(self, protocol: Protocol) -> bool {
        match self {
            Code::Modelled(error) => error.sender || error.status < 500,
            Code::Common(_) => self.status(protocol) < 500,
        }
    }

    /// Whether it is that modelled error.
    pub fn is(self, error: &'static ErrorShape) -> bool {
        matches!(self, Code::Modelled(own) if std::ptr::eq(own, error))
    }
}

impl Fault {
    /// An error with a message.
    pub fn new(code: impl Into<Code>, message: impl Into<String>) -> Fault {
        Fault { code: code.into(), message: message.into(), members: Struct::new(), cause: None }
    }

    /// A failure of ours: the caller learns only that it happened.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        Common::InternalFailure
            .fault("The request processing has failed because of an unknown error, exception or failure.")
            .because(cause)
    }

    /// The members that it may carry.
    pub fn schema(&self) -> &'static Schema {
        match self.code {
            Code::Modelled(error) => error.schema,
            Code::Common(_) => &PLAIN,
        }
    }

    /// With a member that the error's model has: `.with("clusterName", name)`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Fault {
        self.members.put(name, value);
        self
    }

    /// With its cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        self.cause = Some(Arc::from(cause.into()));
        self
    }
}

/// A fault as the caller sees it, spelled as the JSON protocols do.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(Protocol::RestJson1), self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<&'static ErrorShape> for Code {
    fn from(error: &'static ErrorShape) -> Code {
        Code::Modelled(error)
    }
}

impl From<Common> for Code {
    fn from(common: Common) -> Code {
        Code::Common(common)
    }
}
