//! EKS: clusters and what belongs to them.

pub mod cluster;
pub mod kube;
