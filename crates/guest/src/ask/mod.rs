//! How others are asked. Whether something is well: HTTP, plain or by TLS whose certificate is not checked, which PID 1's
//! probes and the balancers' checks share. What an instance is, and what the region says: [`imds`], [`client`].

pub mod client;
mod http;
pub mod imds;
mod tls;

pub use http::{Head, request};
pub use tls::unchecked_tls;
