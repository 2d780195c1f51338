//! How something is asked whether it is well: HTTP, plain or by TLS whose certificate is not checked. What PID 1's
//! probes and the balancers' checks share.

mod http;
mod tls;

pub use http::{Head, request};
pub use tls::unchecked_tls;
