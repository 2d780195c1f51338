//! The product, pure: AWS services as operations and planners over records.
//!
//! A folder per service, in it one per noun. Services form a line: `eks → autoscaling → ec2 → sts → iam`, `elb → ec2`, `ecr → iam`, `kms → iam`,
//! and `fabric`, above `ec2` and `elb`, composes what hosts must look like; never back. Above all is `authorize`. A service uses another only
//! through the public functions of its nouns.

pub mod account;
mod assembly;
pub mod authorize;
pub mod autoscaling;
pub mod ec2;
pub mod ecr;
pub mod eks;
pub mod elb;
pub mod fabric;
pub mod iam;
pub mod keys;
pub mod kms;
pub mod logs;
pub mod settings;
pub mod ssm;
pub mod sts;
mod uuid;
mod vacancy;

pub use assembly::{planners, registry, services};
