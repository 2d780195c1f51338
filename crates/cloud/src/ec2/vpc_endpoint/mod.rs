//! VPC endpoints: addresses in a VPC's subnets at which the region's API is spoken to, guarded by security groups.
//! [`crate::fabric`] makes them real.
//!
//! Machines and pods reach the API at a link-local address, too, whatever their subnets' routes say.

mod model;
pub mod ops;
mod policy;
mod service;
mod view;

pub use model::{Place, State, VpcEndpoint};
