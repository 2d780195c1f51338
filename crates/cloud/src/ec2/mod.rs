//! EC2: networks, interfaces, volumes, instances.

pub mod availability_zone;
pub mod faults;
pub mod instance;
pub mod network_interface;
pub mod security_group;
pub mod subnet;
pub mod volume;
pub mod vpc;
