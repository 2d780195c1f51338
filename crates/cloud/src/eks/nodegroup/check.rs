//! What EKS refuses of a node group, in its words (reference: EKS API §2).

use super::model::{Repair, RepairOverride, Scaling, Share, UpdateConfig, UserTemplate};
use super::user_data;
use crate::ec2::image::{self, Ami};
use crate::ec2::instance_type;
use crate::ec2::launch_template::{self, Data, LaunchTemplate};
use crate::ec2::subnet::Subnet;
use crate::eks::cluster::{self, Cluster, minor};
use crate::eks::node::Taint;
use crate::iam::role::Role;
use crate::settings::Settings;
use roadstead_shapes::eks::{self as api, CapacityTypes, INVALID_PARAMETER_EXCEPTION, INVALID_REQUEST_EXCEPTION};
use roadstead_store::Read;
use roadstead_types::{Arn, Millis};
use roadstead_wire::fault::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// The type of a node where nobody says another (API reference, CreateNodegroup, instanceTypes).
pub const INSTANCE_TYPE: &str = "t3.medium";
/// The only images that this region has.
pub const AMI_TYPE: api::AMITypes = api::AMITypes::Al2023X8664Standard;
/// EKS quota "nodes per managed node group".
const NODES_MAX: u32 = 450;
/// The principal that a node role must trust.
const EC2_PRINCIPAL: &str = "ec2.amazonaws.com";
/// Types that a group may name (API reference).
const INSTANCE_TYPES_MAX: usize = 20;
/// Taints that a group may have (EKS user guide, "Node taints").
const TAINTS_MAX: usize = 50;
/// Exceptions to how nodes are repaired (API reference: a list without a limit; a group has few conditions).
const OVERRIDES_MAX: usize = 50;
/// What labels may not begin with.
const RESERVED: [&str; 3] = ["kubernetes.io/", "k8s.io/", "eks.amazonaws.com/"];

pub fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// The cluster must serve.
pub fn active(cluster: &Cluster) -> Result<(), Fault> {
    if cluster.is_active() {
        return Ok(());
    }
    let name = cluster.spec.name.as_str();
    Err(INVALID_REQUEST_EXCEPTION.fault(format!("Cluster '{name}' is not in ACTIVE status")).with("clusterName", name))
}

/// A letter or digit, then those, `-` and `_`: 63 at most (EKS user guide, "Create a managed node group").
pub fn name(name: &str) -> Result<(), Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let fine = name.len() <= 63 && name.bytes().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match fine {
        true => Ok(()),
        false => Err(invalid(format!(
            "The nodegroup name '{name}' is not valid: it must begin with a letter or a digit, and have 1 to 63 letters, digits, hyphens and underscores"
        ))),
    }
}

/// What this region does not do yet is refused, never ignored.
pub fn unsupported(input: &api::CreateNodegroupRequest) -> Result<(), Fault> {
    if input.launch_template.is_some() && input.remote_access.is_some() {
        return Err(invalid("Remote access configuration cannot be specified with a launch template."));
    }
    let asked = [
        (input.remote_access.is_some(), "remoteAccess"),
        (warms(input.warm_pool_config.as_ref()), "warmPoolConfig"),
        (input.capacity_type == Some(CapacityTypes::CapacityBlock), "capacityType CAPACITY_BLOCK"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, member)) => Err(invalid(format!("{member} is not available in this region yet: leave it out"))),
        None => Ok(()),
    }
}

/// Whether a warm pool is asked for.
pub fn warms(config: Option<&api::WarmPoolConfig>) -> bool {
    config.is_some_and(|config| config.enabled != Some(false))
}

/// The sizes: all or none of them for a new group, any of them later.
pub fn scaling(asked: Option<api::NodegroupScalingConfig>, before: Option<Scaling>) -> Result<Scaling, Fault> {
    let Some(asked) = asked else { return Ok(before.unwrap_or(Scaling { min: 2, max: 2, desired: 2 })) };
    let number = |name: &str, asked: Option<i32>, before: Option<u32>| match (asked, before) {
        (Some(number), _) => u32::try_from(number).map_err(|_| invalid(format!("{name} must not be negative"))),
        (None, Some(before)) => Ok(before),
        (None, None) => Err(invalid("minSize, maxSize and desiredSize must be specified together")),
    };
    let (min, max) = (
        number("minSize", asked.min_size, before.map(|b| b.min))?,
        number("maxSize", asked.max_size, before.map(|b| b.max))?,
    );
    let desired = number("desiredSize", asked.desired_size, before.map(|b| b.desired))?;
    if max == 0 {
        return Err(invalid("maxSize must be at least 1"));
    }
    if min > max {
        return Err(invalid(format!("Minimum capacity {min} can't be greater than max size {max}")));
    }
    if desired > max {
        return Err(invalid(format!("desired capacity {desired} can't be greater than max size {max}")));
    }
    if desired < min {
        return Err(invalid(format!("Minimum capacity {min} can't be greater than desired size {desired}")));
    }
    if max > NODES_MAX {
        let why = format!("A node group may have no more than {NODES_MAX} nodes");
        return Err(api::RESOURCE_LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    Ok(Scaling { min, max, desired })
}

/// How the group is updated: one node at a time unless said otherwise.
pub fn update_config(
    asked: Option<api::NodegroupUpdateConfig>,
    before: Option<UpdateConfig>,
) -> Result<UpdateConfig, Fault> {
    let before = before.unwrap_or(UpdateConfig { max_unavailable: Share::Count(1), minimal: false });
    let Some(asked) = asked else { return Ok(before) };
    let max_unavailable = match (asked.max_unavailable, asked.max_unavailable_percentage) {
        (Some(_), Some(_)) => {
            return Err(invalid("Only one of maxUnavailable and maxUnavailablePercentage may be specified"));
        }
        (Some(number), None) => match positive(number) {
            Some(number @ 1..=100) => Share::Count(number),
            _ => return Err(invalid("maxUnavailable must be between 1 and 100")),
        },
        (None, Some(percent)) => Share::Percent(positive(percent).unwrap_or(1)),
        (None, None) => before.max_unavailable,
    };
    let minimal = asked.update_strategy.map_or(before.minimal, |s| s == api::NodegroupUpdateStrategies::Minimal);
    Ok(UpdateConfig { max_unavailable, minimal })
}

fn positive(number: i32) -> Option<u32> {
    u32::try_from(number).ok().filter(|number| *number > 0)
}

/// Which nodes are repaired.
pub fn repair(asked: Option<api::NodeRepairConfig>, before: Repair) -> Result<Repair, Fault> {
    let Some(asked) = asked else { return Ok(before) };
    let share = |name: &str, count: Option<i32>, percent: Option<i32>, before: Option<Share>| match (count, percent) {
        (Some(_), Some(_)) => Err(invalid(format!("Only one of {name}Count and {name}Percentage may be specified"))),
        (Some(count), None) => Ok(positive(count).map(Share::Count)),
        (None, Some(percent)) => Ok(positive(percent).map(Share::Percent)),
        (None, None) => Ok(before),
    };
    let (count, percent) = (asked.max_unhealthy_node_threshold_count, asked.max_unhealthy_node_threshold_percentage);
    let threshold = share("maxUnhealthyNodeThreshold", count, percent, before.threshold)?;
    let (count, percent) = (asked.max_parallel_nodes_repaired_count, asked.max_parallel_nodes_repaired_percentage);
    let parallel = share("maxParallelNodesRepaired", count, percent, before.parallel)?;
    let overrides = match asked.node_repair_config_overrides {
        None => before.overrides,
        Some(all) if all.len() > OVERRIDES_MAX => {
            return Err(invalid(format!("No more than {OVERRIDES_MAX} nodeRepairConfigOverrides may be specified")));
        }
        Some(all) => all.into_iter().map(repair_override).collect::<Result<_, _>>()?,
    };
    Ok(Repair { enabled: asked.enabled.unwrap_or(before.enabled), threshold, parallel, overrides })
}

fn repair_override(asked: api::NodeRepairConfigOverrides) -> Result<RepairOverride, Fault> {
    let all = (
        asked.node_monitoring_condition,
        asked.node_unhealthy_reason,
        asked.min_repair_wait_time_mins.and_then(positive),
        asked.repair_action,
    );
    let (Some(condition), Some(reason), Some(mins), Some(action)) = all else {
        return Err(invalid(
            "nodeMonitoringCondition, nodeUnhealthyReason, minRepairWaitTimeMins and repairAction must all be specified in nodeRepairConfigOverrides",
        ));
    };
    let replace = match action {
        api::RepairAction::Replace => true,
        api::RepairAction::NoAction => false,
        api::RepairAction::Reboot => {
            return Err(invalid("repairAction Reboot is not available in this region yet: use Replace or NoAction"));
        }
    };
    Ok(RepairOverride { condition, reason, wait: Millis::mins(u64::from(mins)), replace })
}

/// The node role: there, and EC2 may assume it.
pub fn role(read: &impl Read, account: &str, arn: &str) -> Result<(), Fault> {
    let parsed: Arn =
        arn.parse().map_err(|_| invalid(format!("The role ARN '{arn}' is invalid. Error in role params")))?;
    let missing = || invalid(format!("The role with name {} cannot be found.", parsed.name()));
    if parsed.service != "iam" || !parsed.resource.starts_with("role/") || parsed.account != account {
        return Err(missing());
    }
    let role = read.get(&Role::key(account, parsed.name())).filter(|r| r.body.arn() == parsed).ok_or_else(missing)?;
    if !cluster::trusts(&role.body.trust_policy, EC2_PRINCIPAL) {
        return Err(invalid(format!(
            "Following required service principals [{EC2_PRINCIPAL}] were not found in the trust relationships of nodeRole {arn}"
        )));
    }
    Ok(())
}

/// The subnets: there, and in the cluster's VPC.
pub fn subnets(read: &impl Read, cluster: &Cluster, ids: &[String]) -> Result<Vec<String>, Fault> {
    if ids.is_empty() {
        return Err(invalid("Subnets cannot be empty"));
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let subnet = read.shared(&Subnet::key(&cluster.spec.account, id));
        let subnet = subnet.ok_or_else(|| invalid(format!("The subnet ID '{id}' does not exist")))?;
        if subnet.body.vpc != cluster.spec.vpc.vpc {
            let why = format!("The subnet '{id}' is not in the VPC {} of the cluster", cluster.spec.vpc.vpc);
            return Err(invalid(why));
        }
        if !seen.insert(id) {
            return Err(invalid(format!("The subnet ID '{id}' is specified twice")));
        }
    }
    Ok(ids.to_vec())
}

/// The types: on offer, not too many.
pub fn instance_types(named: Option<Vec<String>>) -> Result<Vec<String>, Fault> {
    let named = named.unwrap_or_default();
    if named.len() > INSTANCE_TYPES_MAX {
        return Err(invalid(format!("No more than {INSTANCE_TYPES_MAX} instance types may be specified")));
    }
    let unknown: Vec<&str> =
        named.iter().filter(|name| instance_type::find(name).is_none()).map(String::as_str).collect();
    match unknown.is_empty() {
        true => Ok(named),
        false => Err(invalid(format!("The following supplied instance types do not exist: [{}]", unknown.join(", ")))),
    }
}

/// Labels: in Kubernetes' form, and not of its own or of EKS's.
pub fn labels(labels: &BTreeMap<String, String>) -> Result<(), Fault> {
    for (key, value) in labels {
        let reserved = |prefix: &str| {
            key.split('/').next().is_some_and(|domain| {
                let prefix = prefix.trim_end_matches('/');
                key.contains('/') && (domain == prefix || domain.ends_with(&format!(".{prefix}")))
            })
        };
        if RESERVED.iter().any(|prefix| reserved(prefix)) {
            return Err(invalid(format!("Label cannot contain reserved prefixes [{}]", RESERVED.join(", "))));
        }
        if !is_key(key) || !is_value(value) {
            return Err(invalid(format!(
                "The label {key}={value} is not valid: keys and values have 1 to 63 letters, digits, '-', '_' and '.', and begin and end with a letter or digit"
            )));
        }
    }
    Ok(())
}

/// `name` or `domain/name` (Kubernetes, "Labels and Selectors").
fn is_key(key: &str) -> bool {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let is_domain = |domain: &str| {
        domain.len() <= 253
            && domain.split('.').all(|label| !label.is_empty() && is_value(label) && !label.contains('_'))
    };
    !name.is_empty() && is_value(name) && domain.is_none_or(is_domain)
}

/// Empty, or letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_value(value: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    value.len() <= 63 && value.chars().all(plain) && ends(value.chars().next()) && ends(value.chars().last())
}

/// Taints, as Kubernetes has them.
pub fn taints(asked: Vec<api::Taint>) -> Result<Vec<Taint>, Fault> {
    if asked.len() > TAINTS_MAX {
        return Err(invalid(format!("No more than {TAINTS_MAX} taints may be specified")));
    }
    let taints: Vec<Taint> = asked.into_iter().map(taint).collect::<Result<_, _>>()?;
    let places: BTreeSet<(&str, &str)> = taints.iter().map(|t| (t.key.as_str(), t.effect.as_str())).collect();
    match places.len() == taints.len() {
        true => Ok(taints),
        false => Err(invalid("Taints must be unique by key and effect")),
    }
}

fn taint(asked: api::Taint) -> Result<Taint, Fault> {
    let key = asked.key.ok_or_else(|| invalid("A taint must have a key"))?;
    let effect = match asked.effect.ok_or_else(|| invalid("A taint must have an effect"))? {
        api::TaintEffect::NoSchedule => "NoSchedule",
        api::TaintEffect::NoExecute => "NoExecute",
        api::TaintEffect::PreferNoSchedule => "PreferNoSchedule",
    };
    let value = asked.value.unwrap_or_default();
    if !is_key(&key) || !is_value(&value) {
        return Err(invalid(format!(
            "The taint {key}={value}:{effect} is not valid: its key and value must be those of a label"
        )));
    }
    Ok(Taint { key, value, effect: effect.into() })
}

/// The user's launch template, and what it says. `before`: the one of the group, which stays.
pub fn template(
    read: &impl Read,
    account: &str,
    asked: api::LaunchTemplateSpecification,
    before: Option<&UserTemplate>,
) -> Result<(UserTemplate, Data), Fault> {
    let found = match (&asked.id, &asked.name) {
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid("Either provide launch template ID or launch template name in the request."));
        }
        (Some(id), None) => read.get(&LaunchTemplate::key(account, id)).map(|record| record.body),
        (None, Some(name)) => launch_template::named(read, account, name),
    };
    let named = asked.id.or(asked.name).unwrap_or_default();
    let found =
        found.ok_or_else(|| invalid(format!("Launch template with ID or name '{named}' could not be found.")))?;
    if let Some(before) = before.filter(|before| before.id != found.id) {
        let why = format!(
            "A node group keeps its launch template: it is {} ({}). Only its version may change.",
            before.id, before.name
        );
        return Err(invalid(why));
    }
    let version = match asked.version.as_deref() {
        None | Some("$Default") => found.default,
        Some("$Latest") => found.latest,
        Some(number) => {
            number.parse().map_err(|_| invalid(format!("The launch template version '{number}' is not valid")))?
        }
    };
    let data = found.versions.get(&version).map(|version| version.data.clone());
    let data =
        data.ok_or_else(|| invalid(format!("Version {version} of the launch template {} does not exist.", found.id)))?;
    Ok((UserTemplate { id: found.id, name: found.name, version }, data))
}

/// What a launch template of a node group may not say, and what may not be said beside it.
pub fn template_data(read: &impl Read, data: &Data, asked: &Beside<'_>) -> Result<(), Fault> {
    if data.subnet.is_some() {
        return Err(invalid("Launch template must not specify a subnet: the node group names its subnets."));
    }
    if data.instance_profile.is_some() {
        return Err(invalid(
            "Launch template must not specify an IAM instance profile: the node group has a node role.",
        ));
    }
    if asked.disk {
        return Err(invalid("Disk size must be specified within the launch template."));
    }
    if data.instance_type.is_some() && !asked.types.is_empty() {
        return Err(invalid("Cannot specify instance types in launch template and API request"));
    }
    if let Some(unknown) = data.instance_type.as_ref().filter(|name| instance_type::find(name).is_none()) {
        return Err(invalid(format!("The following supplied instance types do not exist: [{unknown}]")));
    }
    match &data.image {
        Some(_) if asked.release => Err(invalid(
            "You cannot specify an image id within the launch template and an amiType, a version or a releaseVersion in the request.",
        )),
        Some(image) if image::find(read, image).is_none() => {
            Err(invalid(format!("The image '{image}' of the launch template does not exist")))
        }
        None if data.user_data.as_ref().is_some_and(|text| !user_data::is_multipart(text)) => {
            Err(invalid("User data was not in the MIME multipart format."))
        }
        _ => Ok(()),
    }
}

/// What a request says beside a launch template.
pub struct Beside<'a> {
    /// A disk size.
    pub disk: bool,
    /// Instance types.
    pub types: &'a [String],
    /// An image type, a version or a release.
    pub release: bool,
}

/// The image of EKS: of the cluster's minor for a new group, of that or an older one for an update.
pub fn release(settings: &Settings, cluster: &Cluster, version: &str, asked: Option<&str>) -> Result<Ami, Fault> {
    let newer = minor(version) > minor(&cluster.spec.version);
    let missing = || invalid(format!("Requested Nodegroup version {version} is not supported in this region"));
    if newer {
        let why = format!(
            "Nodegroup Kubernetes version {version} must not be greater than Cluster Kubernetes version {}",
            cluster.spec.version
        );
        return Err(invalid(why));
    }
    let ami = image::eks_optimized(settings, version).ok_or_else(missing)?;
    match asked.filter(|asked| *asked != ami.release_version) {
        None => Ok(ami),
        Some(other) => {
            Err(invalid(format!("Requested release version {other} is not valid for kubernetes version {version}.")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_eks() {
        for fine in ["a", "9-b_C", &"x".repeat(63)] {
            assert!(name(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "-a", "_a", "a.b", "a b", "ü", &"x".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_of_kubernetes_and_eks_are_reserved() {
        let one = |key: &str, value: &str| labels(&BTreeMap::from([(key.to_owned(), value.to_owned())]));
        for fine in ["team", "example.com/team", "a-b.c_d"] {
            assert!(one(fine, "x").is_ok(), "{fine}");
        }
        for reserved in ["kubernetes.io/x", "node.kubernetes.io/x", "k8s.io/x", "eks.amazonaws.com/nodegroup"] {
            let why = one(reserved, "x").unwrap_err().message;
            assert_eq!(why, "Label cannot contain reserved prefixes [kubernetes.io/, k8s.io/, eks.amazonaws.com/]");
        }
        for (key, value) in [("-a", "x"), ("a/", "x"), ("/a", "x"), ("a", "-x"), ("a", "x y"), ("a/b/c", "x")] {
            assert!(one(key, value).is_err(), "{key}={value}");
        }
    }
}
