//! Where metrics come from that only the process can measure, and where they are scraped: the page is on the admin
//! socket, and with `--metrics-listen` on a loopback port.

mod http;
mod journal;

pub use http::serve;
pub use journal::Timed;
