//! Names in policies: of statements, of actions, of resources.

use super::{Malformed, malformed};

/// A statement's id.
pub(super) fn check_sid(sid: &str) -> Result<(), Malformed> {
    match sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(malformed(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        )),
    }
}

/// `*`, or a service and a pattern: `eks:Describe*`.
pub(super) fn check_action(action: &str) -> Result<(), Malformed> {
    if action == "*" {
        return Ok(());
    }
    let Some((vendor, name)) = action.split_once(':') else {
        return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."));
    };
    if name.contains(':') {
        return Err(malformed("Actions/Condition can contain only one colon."));
    }
    if vendor != "*" && !vendor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
        return Err(malformed(format!("Vendor {vendor} is not valid")));
    }
    Ok(())
}

/// `*`, or a pattern of ARNs.
pub(super) fn check_resource(resource: &str) -> Result<(), Malformed> {
    if resource == "*" {
        return Ok(());
    }
    let mut parts = resource.splitn(6, ':');
    let (_, Some(partition)) = (parts.next(), parts.next()) else {
        return Err(malformed(format!("Resource {resource} must be in ARN format or \"*\".")));
    };
    if partition != "aws" && partition != "*" {
        return Err(malformed(format!("Partition \"{partition}\" is not valid for resource \"{resource}\".")));
    }
    let Some(service) = parts.next() else {
        return Err(malformed("Resource vendor must be fully qualified and cannot contain regexes."));
    };
    let (Some(region), Some(_account), Some(_rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed("The policy failed legacy parsing"));
    };
    if service == "iam" && !region.is_empty() {
        return Err(malformed(format!("IAM resource {resource} cannot contain region information.")));
    }
    Ok(())
}
