//! What Auto Scaling refuses of a group, in its words.

use super::launch;
use super::model::{Spec, Template};
use super::ops::invalid;
use crate::ec2::instance_type;
use crate::ec2::launch_template::{self, LaunchTemplate};
use crate::ec2::subnet::Subnet;
use roadstead_shapes::autoscaling as api;
use roadstead_store::Read;
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// The policies that this region knows.
const POLICIES: [&str; 7] = [
    "Default",
    "AllocationStrategy",
    "OldestLaunchTemplate",
    "OldestLaunchConfiguration",
    "ClosestToNextInstanceHour",
    "NewestInstance",
    "OldestInstance",
];
/// Seconds after which the health of an instance counts, unless said otherwise (API reference, CreateAutoScalingGroup).
const GRACE_SECONDS: i32 = 0;
/// Seconds between two activities of a policy, unless said otherwise.
const COOLDOWN_SECONDS: i32 = 300;

/// What a create or an update asks for, where both ask alike.
#[derive(Default)]
pub struct Asked {
    pub launch_template: Option<api::LaunchTemplateSpecification>,
    pub mixed: Option<api::MixedInstancesPolicy>,
    pub min: Option<i32>,
    pub max: Option<i32>,
    pub desired: Option<i32>,
    pub cooldown: Option<i32>,
    pub subnets: Option<String>,
    pub zones: Option<Vec<String>>,
    pub health_check_type: Option<String>,
    pub grace: Option<i32>,
    pub termination_policies: Option<Vec<String>>,
    pub protect_new: Option<bool>,
    pub capacity_rebalance: Option<bool>,
}

/// What this region does not do is refused, never ignored.
pub fn unsupported(asked: &[(bool, &str)]) -> Result<(), Fault> {
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, member)) => Err(invalid(format!("{member} is not available in this region yet: leave it out"))),
        None => Ok(()),
    }
}

/// Changes `spec` as asked; nothing but `spec` has changed if it is refused.
pub fn apply(read: &impl Read, spec: &mut Spec, asked: Asked) -> Result<(), Fault> {
    templates(read, spec, &asked)?;
    sizes(spec, &asked)?;
    places(read, spec, &asked)?;
    if let Some(kind) = asked.health_check_type {
        if let Some(unknown) =
            kind.split(',').map(str::trim).find(|kind| !["EC2", "ELB", "VPC_LATTICE", "EBS"].contains(kind))
        {
            return Err(invalid(format!("Invalid health check type: {unknown}")));
        }
        spec.health_check_type = kind;
    }
    if let Some(policies) = asked.termination_policies {
        if let Some(unknown) = policies.iter().find(|policy| !POLICIES.contains(&policy.as_str())) {
            return Err(invalid(format!(
                "The termination policy {unknown} is not valid: use one of {}",
                POLICIES.join(", ")
            )));
        }
        spec.termination_policies = policies;
    }
    if let Some(seconds) = asked.grace {
        spec.grace = Millis::secs(u64::from(count("HealthCheckGracePeriod", seconds)?));
    }
    if let Some(seconds) = asked.cooldown {
        spec.cooldown_seconds = count("DefaultCooldown", seconds)?;
    }
    spec.protect_new = asked.protect_new.unwrap_or(spec.protect_new);
    spec.capacity_rebalance = asked.capacity_rebalance.unwrap_or(spec.capacity_rebalance);
    Ok(())
}

/// A group of which nothing is said yet.
pub fn blank(name: String, id: String, account: String, region: String) -> Spec {
    Spec {
        name,
        id,
        account,
        region,
        template: Template { id: String::new(), name: String::new(), version: String::new() },
        instance_types: vec![],
        min: 0,
        max: 0,
        desired: 0,
        surge: 0,
        terminate_first: false,
        subnets: vec![],
        grace: Millis::secs(u64::from(GRACE_SECONDS.unsigned_abs())),
        cooldown_seconds: COOLDOWN_SECONDS.unsigned_abs(),
        health_check_type: "EC2".into(),
        termination_policies: vec![],
        protect_new: false,
        capacity_rebalance: false,
    }
}

fn count(what: &str, number: i32) -> Result<u32, Fault> {
    u32::try_from(number).map_err(|_| invalid(format!("{what} must not be negative")))
}

fn templates(read: &impl Read, spec: &mut Spec, asked: &Asked) -> Result<(), Fault> {
    let (named, types) = match (&asked.launch_template, &asked.mixed) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "Only one of launchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy may be specified.",
            ));
        }
        (Some(named), None) => (Some(named.clone()), vec![]),
        (None, Some(mixed)) => {
            let policy = mixed.launch_template.clone().unwrap_or_default();
            (policy.launch_template_specification, overrides(policy.overrides.unwrap_or_default())?)
        }
        (None, None) if spec.template.id.is_empty() => (None, vec![]),
        (None, None) => return Ok(()),
    };
    let named = named.ok_or_else(|| {
        invalid("Valid requests must contain either launchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.")
    })?;
    spec.template = template(read, &spec.account, named)?;
    let resolved = launch::resolve(read, &spec.account, &spec.template);
    let (_, data) = resolved
        .map_err(|fault| invalid(format!("You must use a valid fully-formed launch template. {}", fault.message)))?;
    if data.image.is_none() {
        return Err(invalid(
            "You must use a valid fully-formed launch template. The request must contain the parameter ImageId",
        ));
    }
    spec.instance_types = types;
    Ok(())
}

/// The types of a mixed instances policy, in its order.
fn overrides(overrides: Vec<api::LaunchTemplateOverrides>) -> Result<Vec<String>, Fault> {
    let one = |o: api::LaunchTemplateOverrides| {
        unsupported(&[
            (o.weighted_capacity.is_some(), "WeightedCapacity"),
            (o.instance_requirements.is_some(), "InstanceRequirements"),
            (o.launch_template_specification.is_some(), "LaunchTemplateSpecification of an override"),
            (o.image_id.is_some(), "ImageId of an override"),
        ])?;
        let name = o.instance_type.ok_or_else(|| invalid("An override must name an instance type."))?;
        match instance_type::find(&name) {
            Some(_) => Ok(name),
            None => Err(invalid(format!("The instance type '{name}' does not exist"))),
        }
    };
    overrides.into_iter().map(one).collect()
}

fn template(read: &impl Read, account: &str, named: api::LaunchTemplateSpecification) -> Result<Template, Fault> {
    let found = match (&named.launch_template_id, &named.launch_template_name) {
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName"));
        }
        (Some(id), None) => read.get(&LaunchTemplate::key(account, id)).map(|record| record.body),
        (None, Some(name)) => launch_template::named(read, account, name),
    };
    let missing = "You must use a valid fully-formed launch template. The specified launch template does not exist.";
    let found = found.ok_or_else(|| invalid(missing))?;
    Ok(Template { id: found.id, name: found.name, version: named.version.unwrap_or_else(|| "$Default".into()) })
}

fn sizes(spec: &mut Spec, asked: &Asked) -> Result<(), Fault> {
    let min = asked.min.map_or(Ok(spec.min), |n| count("MinSize", n))?;
    let max = asked.max.map_or(Ok(spec.max), |n| count("MaxSize", n))?;
    if min > max {
        return Err(invalid(format!("Max bound, {max}, must be greater than or equal to min bound, {min}")));
    }
    let desired = match asked.desired {
        Some(desired) => count("DesiredCapacity", desired)?,
        // A group that is made larger or smaller takes the size along that it had.
        None => spec.desired.clamp(min, max),
    };
    if !(min..=max).contains(&desired) {
        let why = format!("Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}");
        return Err(invalid(why));
    }
    (spec.min, spec.max, spec.desired) = (min, max, desired);
    Ok(())
}

/// Subnets by name, or the default subnets of zones.
fn places(read: &impl Read, spec: &mut Spec, asked: &Asked) -> Result<(), Fault> {
    let named: Vec<String> =
        asked.subnets.iter().flat_map(|text| text.split(',')).map(|id| id.trim().to_owned()).collect();
    let zones = asked.zones.clone().unwrap_or_default();
    let find = |id: &String| {
        let found = read.get(&Subnet::key(&spec.account, id)).map(|record| record.body);
        found.ok_or_else(|| invalid(format!("The subnet ID '{id}' does not exist")))
    };
    if !named.is_empty() {
        let subnets: Vec<Subnet> = named.iter().map(find).collect::<Result<_, _>>()?;
        if let Some(other) = subnets.iter().find(|subnet| subnet.vpc != subnets[0].vpc) {
            return Err(invalid(format!("The subnets {} and {} are not in the same VPC", subnets[0].id, other.id)));
        }
        if let Some(zone) = zones.iter().find(|zone| subnets.iter().all(|subnet| subnet.zone != **zone)) {
            return Err(invalid(format!(
                "The availability zone {zone} and the subnets of VPCZoneIdentifier do not match"
            )));
        }
        spec.subnets = named;
    } else if !zones.is_empty() {
        let all = read.list(roadstead_store::Index::<Subnet>::prefix(format!("{}/", spec.account)));
        let default = |zone: &String| {
            let found = all.iter().find(|record| record.body.default_for_zone && record.body.zone == *zone);
            let found = found.map(|record| record.body.id.clone());
            found.ok_or_else(|| invalid(format!("No default subnet for availability zone: '{zone}'")))
        };
        spec.subnets = zones.iter().map(default).collect::<Result<_, _>>()?;
    }
    if spec.subnets.is_empty() {
        return Err(invalid("At least one Availability Zone or VPC Subnet is required."));
    }
    Ok(())
}
