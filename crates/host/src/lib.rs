//! The root agent: records of the host, made real on Linux.

mod config;

pub use config::Config;
