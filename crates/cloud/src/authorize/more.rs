//! What a call needs beside its own action on its own resources (Service Authorization Reference, "Dependent actions").

use super::given;
use crate::ec2::launch_template;
use crate::ec2::offered::profile_name;
use crate::iam::instance_profile::InstanceProfile;
use crate::iam::role::Role;
use roadstead_kernel::{Call, Caller};
use roadstead_shapes::ec2::LaunchTemplateSpecification;
use roadstead_store::Read;
use roadstead_types::Arn;
use roadstead_wire::schema::Value;

const PASS_ROLE: &str = "iam:PassRole";

/// Actions on ARNs.
pub(super) fn needs(read: &impl Read, caller: &Caller, call: Call<'_>) -> Vec<(&'static str, String)> {
    let account = &caller.identity.account;
    let role = match (call.operation.service.name, call.operation.name) {
        ("iam", "AddRoleToInstanceProfile") => text(call.input, "RoleName").map(|name| own_role(read, account, &name)),
        ("ec2", "RunInstances") => launched(call.input).and_then(|launch| role_of(read, account, &launch)),
        ("autoscaling", "CreateAutoScalingGroup" | "UpdateAutoScalingGroup") => {
            scaled(call.input).and_then(|launch| role_of(read, account, &launch))
        }
        _ => None,
    };
    let mut needs: Vec<_> = role.into_iter().map(|role| (PASS_ROLE, role)).collect();
    // EC2 user guide, "Grant permission to tag Amazon EC2 resources during creation".
    if call.operation.service.name == "ec2" {
        let arn = |kind: &str| Arn::new("ec2", &caller.region, account, format!("{kind}/*")).to_string();
        needs.extend(given::kinds(call).into_iter().map(|kind| ("ec2:CreateTags", arn(kind))));
    }
    needs
}

/// What says which instance profile an instance gets: the request itself, or else its launch template.
struct Launch<'a> {
    profile: Option<&'a Value>,
    template: Option<&'a Value>,
}

fn launched(input: &Value) -> Option<Launch<'_>> {
    Some(Launch { profile: input.at("IamInstanceProfile"), template: input.at("LaunchTemplate") })
}

fn scaled(input: &Value) -> Option<Launch<'_>> {
    let mixed = || input.at("MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification");
    let template = input.at("LaunchTemplate").or_else(mixed)?;
    Some(Launch { profile: None, template: Some(template) })
}

/// The role of the instance profile. What is not there the operation says in its own words.
fn role_of(read: &impl Read, account: &str, launch: &Launch<'_>) -> Option<String> {
    let named = launch.profile.and_then(|profile| profile_name(text(profile, "Name"), text(profile, "Arn")).ok()?);
    let name = named.or_else(|| in_template(read, account, launch.template?))?;
    read.shared(&InstanceProfile::key(account, &name))?.body.role.clone()
}

fn in_template(read: &impl Read, account: &str, template: &Value) -> Option<String> {
    let specification = LaunchTemplateSpecification {
        launch_template_id: text(template, "LaunchTemplateId"),
        launch_template_name: text(template, "LaunchTemplateName"),
        version: text(template, "Version"),
    };
    let (_, _, data) = launch_template::ops::resolve(read, account, specification).ok()?;
    data.instance_profile
}

fn own_role(read: &impl Read, account: &str, name: &str) -> String {
    let known = read.shared(&Role::key(account, name)).map(|record| record.body.arn());
    known.unwrap_or_else(|| Arn::new("iam", "", account, format!("role/{name}"))).to_string()
}

fn text(value: &Value, member: &str) -> Option<String> {
    value.at(member).and_then(Value::as_str).map(str::to_owned)
}
