//! Drivers: the only code that reaches outside. Each makes the outside look like its records and writes back what it
//! saw; none decides anything.

pub mod host;
mod keys;
mod kube;
mod run;

pub use keys::make as make_key;
pub use run::{Drivers, start};
