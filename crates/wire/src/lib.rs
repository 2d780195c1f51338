//! AWS over HTTP. This crate knows every protocol and no service.
//!
//! ```text
//! request ──Router──▶ Call ──decode──▶ Value ──validate──▶ I::from_value ──▶ handler
//!                  (operation,     (document tree,                              │
//!                   protocol)     guided by Schema)                 Result<O, Fault>
//! response ◀──respond, refuse── Value ◀── O::into_value ◀─────────────────────────┘
//! ```
//!
//! A shape is described once, by a static [`Schema`](schema::Schema). Codecs turn bytes into
//! [`Value`](schema::Value)s and back, guided by the schema; generated structs turn values into fields and back
//! ([`Shape`](schema::Shape)). So there are *shapes + codecs*, never *shapes × codecs*: a protocol is one file here,
//! a struct is one block in `roadstead-shapes`, and neither knows the other.
//!
//! # What decisions see: [`schema`] and [`fault`]
//!
//! ```text
//! trait Data: Sized    { fn into_value(self) -> Value; fn from_value(Value) -> Result<Self, Mismatch>; }
//! trait Shape: Data + Clone + Debug + PartialEq + Send + Sync + 'static { const SCHEMA: &'static Schema; }
//!
//! struct Operation<I, O>                   // shapes::eks::CREATE_CLUSTER; derefs to AnyOperation
//! struct AnyOperation { service, name, method, uri, status, input, output, action, open, resources, pass_role,
//!                       errors, invalid, readonly, idempotency_token, pagination, waiter, unsigned }
//! AnyOperation::validate(&self, &Value) -> Result<(), Fault>                 // required, length, range, pattern, enum
//! AnyOperation::targets(&self, &Value, &AccountId, &Region) -> Vec<String>   // the ARNs it touches
//!
//! canonical::write(&Schema, &Value, Sensitive) -> String  canonical::read(&Schema, &str) -> Result<Value, ReadError>
//!
//! eks::RESOURCE_NOT_FOUND_EXCEPTION.fault("No cluster found for name: x.").with("clusterName", "x")
//! Common::AccessDenied.fault("User: .. is not authorized to perform: ..")
//! Fault::internal(error)                                                     // the cause is logged, never sent
//! ```
//!
//! # What a server sees: [`Router`], [`Call`], [`sigv4`]
//!
//! ```text
//! Router::new(operations)                                          // any iterator of &'static AnyOperation
//! Router::route(&self, &http::Request<Bytes>) -> Result<Call, Unrouted>
//! Router::refuse(&self, &http::request::Parts, Fault) -> Unrouted  // before a body was read: too long, cut off
//!
//! Call::operation(&self) -> &'static AnyOperation                  // its service's signing name is what must be signed
//! Call::decode(&self, &http::Request<Bytes>) -> Result<Value, Fault>           // verify the signature first; the body
//!                                                                              // may be gzip or aws-chunked, or summed
//! Call::respond(&self, &Value, request_id) -> http::Response<Bytes>
//! Call::refuse(&self, &Fault, request_id) -> http::Response<Bytes>             // spelled as the protocol does
//! Unrouted::respond(&self, request_id) -> http::Response<Bytes>
//! Reply::to(&self, request_id) -> http::Response<Bytes>                        // an answer given again
//! ```
//!
//! [`AnyOperation`](schema::AnyOperation) is the type-erased description: a router holds `&'static AnyOperation`s,
//! and the kernel keeps a handler of `Operation<I, O>` under its address or `(service.name, name)`.

pub mod fault;
pub mod schema;
pub mod sigv4;

mod body;
mod call;
mod json;
mod protocol;
mod reply;
mod request;
mod router;
mod template;
mod text;
mod timestamp;

pub use body::Error as BodyError;
pub use call::{Call, Unrouted};
pub use json::ReadError;
pub use protocol::MAX_BODY;
pub use reply::Reply;
pub use request::{gist, is_waiter, request_id, user_agent};
pub use router::Router;
#[doc(hidden)]
pub use serde;
