//! NAT gateways: by which many instances go out under one elastic address. [`crate::fabric`] makes them real.

mod model;
pub mod ops;

pub use model::{Failure, NatGateway, State};
