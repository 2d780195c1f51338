//! What a request must name, and what it names in vain, in the words that EC2 has for it everywhere.

use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::{Common, Fault};

/// A member that the model lets be absent, and the operation does not. `name` is as EC2's error has it.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Common::MissingParameter.fault(format!("The request must contain the parameter {name}")))
}

/// No association of the kind that was meant has this id.
pub fn no_association(id: &str) -> Fault {
    api::INVALID_ASSOCIATION_ID_NOT_FOUND.fault(format!("The association ID '{id}' does not exist"))
}
