//! Launches an instance of a group where the group has fewest.

use super::activity;
use super::model::{ActivityState, AutoScalingGroup, Lifecycle, Member, Template, Trouble};
use crate::ec2::instance::{self, Run};
use crate::ec2::launch_template::{self, Data, LaunchTemplate};
use crate::ec2::subnet::Subnet;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Key, Read, Tx};
use roadstead_types::{Millis, Tags};
use roadstead_wire::fault::{Common, ErrorShape, Fault};
use roadstead_wire::schema::Protocol;
use std::collections::BTreeMap;

/// The first pause after a launch that failed; twice as long after each one that follows.
const PAUSE: Millis = Millis::secs(15);
/// It doubles so often: eight minutes.
const DOUBLINGS: u32 = 5;
/// IMDS is reached over so many hops by default (EC2: one; containers with a network of their own need two).
const HOP_LIMIT: u8 = 2;

/// What EC2 says of a launch template that is not there.
static NO_TEMPLATE: ErrorShape = ErrorShape::plain("InvalidLaunchTemplateId.NotFound", 400);
/// And of a version.
static NO_VERSION: ErrorShape = ErrorShape::plain("InvalidLaunchTemplateId.VersionNotFound", 400);

/// Launches one, in one of these zones, or notes why that can't be done. True if it is on its way.
pub fn launch(
    tx: &mut Tx,
    key: &Key<AutoScalingGroup>,
    group: &mut AutoScalingGroup,
    zone: Option<&str>,
    cause: &str,
) -> bool {
    let candidates = candidates(tx, group, zone);
    let mut first: Option<(Subnet, Fault)> = None;
    for subnet in &candidates {
        match attempt(tx, key, group, subnet) {
            Ok((id, mut member)) => {
                let description = format!("Launching a new EC2 instance: {id}");
                let at = (subnet.id.as_str(), subnet.zone.as_str());
                member.activity = activity::begin(tx, key, group, description, cause, at);
                member.balances = zone.is_some();
                group.instances.insert(id, member);
                group.status.trouble = None;
                return true;
            }
            Err(fault) => {
                first.get_or_insert((subnet.clone(), fault));
            }
        }
    }
    if zone.is_none() {
        let (subnet, fault) = match first {
            Some((subnet, fault)) => ((subnet.id, subnet.zone), fault),
            None => {
                let named = group.spec.subnets.first().cloned().unwrap_or_default();
                let why = format!("The subnet ID '{named}' does not exist");
                ((named, String::new()), api::INVALID_SUBNET_ID_NOT_FOUND.fault(why))
            }
        };
        note(tx, key, group, subnet, &fault, cause);
    }
    false
}

/// The subnets that are there: those of the emptiest zone first, in it the emptiest.
fn candidates(tx: &Tx, group: &AutoScalingGroup, zone: Option<&str>) -> Vec<Subnet> {
    let count = |matches: &dyn Fn(&Member) -> bool| {
        group.instances.values().filter(|member| !member.state.ends() && matches(member)).count()
    };
    let find = |id: &String| tx.get(&Subnet::key(&group.spec.account, id)).map(|record| record.body);
    let mut subnets: Vec<Subnet> = group.spec.subnets.iter().filter_map(find).collect();
    subnets.retain(|subnet| zone.is_none_or(|zone| subnet.zone == zone));
    subnets.sort_by_cached_key(|subnet| (count(&|m| m.zone == subnet.zone), count(&|m| m.subnet == subnet.id)));
    subnets
}

fn attempt(
    tx: &mut Tx,
    key: &Key<AutoScalingGroup>,
    group: &AutoScalingGroup,
    subnet: &Subnet,
) -> Result<(String, Member), Fault> {
    let account = &group.spec.account;
    let (version, data) = resolve(tx, account, &group.spec.template)?;
    let image = data.image.clone().ok_or_else(|| {
        Common::MissingParameter.fault("The request must contain the parameter ImageId: name it in the launch template")
    })?;
    let types = match (&group.spec.instance_types, &data.instance_type) {
        (types, _) if !types.is_empty() => types.clone(),
        (_, Some(of_template)) => vec![of_template.clone()],
        _ => vec!["m1.small".to_owned()],
    };
    let template = (group.spec.template.id.clone(), version);
    let run = |instance_type: &str| Run {
        account: account.clone(),
        image: image.clone(),
        instance_type: instance_type.to_owned(),
        subnet: subnet.id.clone(),
        groups: data.groups.clone(),
        instance_profile: data.instance_profile.clone(),
        user_data: data.user_data.clone(),
        tags: tags(group, &data),
        launch_template: Some(template.clone()),
        root_bytes: data.root_bytes,
        hop_limit: data.hop_limit.unwrap_or(HOP_LIMIT),
        public: data.public,
        key_name: data.key_name.clone(),
        monitoring: data.monitoring.unwrap_or(false),
        volume_tags: data.volume_tags.clone(),
        interface_tags: data.interface_tags.clone(),
    };
    let mut refused = None;
    for instance_type in types {
        match instance::run(tx, Some(&key.any()), run(&instance_type)) {
            Ok(id) => {
                let member = Member {
                    subnet: subnet.id.clone(),
                    zone: subnet.zone.clone(),
                    instance_type,
                    image,
                    template,
                    state: Lifecycle::Pending,
                    since: tx.now(),
                    waits: BTreeMap::new(),
                    activity: 0,
                    protected: group.spec.protect_new,
                    unhealthy: None,
                    balances: false,
                };
                return Ok((id, member));
            }
            Err(fault) => drop(refused.get_or_insert(fault)),
        }
    }
    Err(refused.unwrap_or_else(|| Common::InternalFailure.fault("there is no instance type to launch")))
}

/// Which version of the template is meant, and what it says.
pub fn resolve(read: &impl Read, account: &str, template: &Template) -> Result<(u64, Data), Fault> {
    let missing = |code: &'static ErrorShape, what: String| {
        code.fault(format!("The specified launch template, with {what}, does not exist."))
    };
    let found = read.shared(&LaunchTemplate::key(account, &template.id));
    let found = found.ok_or_else(|| missing(&NO_TEMPLATE, format!("template ID {}", template.id)))?;
    let no_version = || missing(&NO_VERSION, format!("template ID {}, and version {}", template.id, template.version));
    let version = match template.version.as_str() {
        "$Latest" => found.body.latest,
        "$Default" | "" => found.body.default,
        number => number.parse().map_err(|_| no_version())?,
    };
    let data = launch_template::data(read, account, &template.id, version);
    Ok((version, data.ok_or_else(no_version)?))
}

/// The template's, those that the group passes on, and the group's own mark.
fn tags(group: &AutoScalingGroup, data: &Data) -> Tags {
    let passed = group.tags.iter().filter(|(_, tag)| tag.propagate).map(|(key, tag)| (key.clone(), tag.value.clone()));
    let mark = ("aws:autoscaling:groupName".to_owned(), group.spec.name.clone());
    data.tags.clone().into_iter().chain(passed).chain([mark]).collect()
}

/// A launch failed: an activity says so, and the next attempt waits.
fn note(
    tx: &mut Tx,
    key: &Key<AutoScalingGroup>,
    group: &mut AutoScalingGroup,
    (subnet, zone): (String, String),
    fault: &Fault,
    cause: &str,
) {
    let number = activity::begin(tx, key, group, "Launching a new EC2 instance".into(), cause, (&subnet, &zone));
    let message = format!("{}. Launching EC2 instance failed.", fault.message.trim_end_matches('.'));
    activity::set(tx, key, number, ActivityState::Failed, Some(message));
    let before = group.status.trouble.take();
    let failures = before.as_ref().map_or(0, |before| before.failures);
    let pause = Millis(PAUSE.0 << failures.min(DOUBLINGS));
    group.status.trouble = Some(Trouble {
        code: fault.code.name(Protocol::Ec2Query).to_owned(),
        message: fault.message.clone(),
        subnet,
        failures: failures.saturating_add(1),
        since: before.map_or_else(|| tx.now(), |before| before.since),
        next: tx.now() + pause,
    });
}
