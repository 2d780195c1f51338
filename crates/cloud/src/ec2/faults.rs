//! EC2's faults.
