//! Requests that ask for more than is offered are refused, and say what: what was asked for and silently left out would
//! be missed much later.

use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{Shape, Value};

/// Refuses what is left of a request once everything that is offered was taken out of it.
pub fn nothing_left<T: Shape + Default + PartialEq>(rest: &T, of: &str) -> Result<(), Fault> {
    if *rest == T::default() {
        return Ok(());
    }
    let Value::Struct(members) = rest.clone().into_value() else { return Ok(()) };
    let Value::Struct(empty) = T::default().into_value() else { return Ok(()) };
    let names = members.iter().filter(|(name, value)| empty.get(name) != Some(value)).map(|(name, _)| name);
    let names: Vec<&str> = names.collect();
    Err(unsupported(format!("{of} can't have {}: leave it out.", names.join(", "))))
}

/// The fault for what is not offered.
pub fn unsupported(why: impl Into<String>) -> Fault {
    api::UNSUPPORTED.fault(why)
}

/// User data: base64 of text.
pub fn user_data(encoded: &str) -> Result<String, Fault> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let bytes = STANDARD.decode(encoded.trim());
    let bytes = bytes.map_err(|_| api::INVALID_USER_DATA_MALFORMED.fault("Invalid BASE64 encoding of user data."))?;
    String::from_utf8(bytes).map_err(|_| {
        api::INVALID_USER_DATA_MALFORMED
            .fault("User data must be UTF-8 text here: compressed user data is not offered.")
    })
}

/// As [`user_data`] takes it.
pub fn encoded(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The name of an instance profile, given so or by its ARN.
pub fn profile_name(name: Option<String>, arn: Option<String>) -> Result<Option<String>, Fault> {
    match (name, arn) {
        (Some(_), Some(_)) => {
            let why = "Specify either the name or the ARN of an instance profile, not both.";
            Err(Common::InvalidParameterCombination.fault(why))
        }
        (Some(name), None) => Ok(Some(name)),
        (None, Some(arn)) => match arn.split_once(":instance-profile/") {
            Some((_, path)) => Ok(Some(path.rsplit('/').next().unwrap_or(path).to_owned())),
            None => {
                let why = format!("Value ({arn}) for parameter iamInstanceProfile.arn is invalid.");
                Err(Common::InvalidParameterValue.fault(why))
            }
        },
        (None, None) => Ok(None),
    }
}
