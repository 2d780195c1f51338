use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoScalingGroup {
    /// What it must be.
    pub spec: Spec,
    /// Its tags by key.
    pub tags: BTreeMap<String, Tag>,
    /// Its lifecycle hooks by name.
    pub hooks: BTreeMap<String, Hook>,
    /// Processes that do nothing, and why, for people.
    pub suspended: BTreeMap<Process, String>,
    /// Its instances by id.
    pub instances: BTreeMap<String, Member>,
    /// How it does.
    pub status: Status,
}

/// What a group must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Unique in its account and region.
    pub name: String,
    /// A UUID: the part of its ARN that no other group has, whatever its name.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its region.
    pub region: String,
    /// What its instances are launched from.
    pub template: Template,
    /// Types in the order in which they are tried; empty: the template's.
    pub instance_types: Vec<String>,
    /// How small it may be made.
    pub min: u32,
    /// How large.
    pub max: u32,
    /// How many instances it has to have.
    pub desired: u32,
    /// How many more its owner wants for a while, beyond `max` too. Shown as part of `desired` and `max`.
    pub surge: u32,
    /// An instance is launched only when the one it replaces is gone.
    pub terminate_first: bool,
    /// Where its instances are launched, evenly over the zones.
    pub subnets: Vec<String>,
    /// How long after it came into service an instance's health is not looked at.
    pub grace: Millis,
    /// Seconds between two scaling activities of a policy.
    pub cooldown_seconds: u32,
    /// `EC2`, or what else was asked for.
    pub health_check_type: String,
    /// In the order in which they decide.
    pub termination_policies: Vec<String>,
    /// New instances are protected from scale-in.
    pub protect_new: bool,
    /// Replace Spot instances that are at risk. Recorded: this region takes no Spot instance back.
    pub capacity_rebalance: bool,
}

/// A launch template, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// `lt-…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A number, `$Latest` or `$Default`.
    pub version: String,
}

/// A tag of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its value.
    pub value: String,
    /// Instances that are launched from now on have it, too.
    pub propagate: bool,
}

/// When a lifecycle hook holds an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transition {
    /// Before it comes into service.
    Launching,
    /// Before it is terminated.
    Terminating,
}

/// How a lifecycle action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The instance goes on its way.
    Continue,
    /// A launching instance is terminated; a terminating one waits for no other hook.
    Abandon,
}

/// A lifecycle hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When it holds an instance.
    pub transition: Transition,
    /// How long, until somebody says how it ended or asks for as long again.
    pub heartbeat: Millis,
    /// How it ended when nobody says so.
    pub default: Outcome,
    /// Recorded.
    pub metadata: Option<String>,
    /// Recorded.
    pub notification_target: Option<String>,
    /// Recorded.
    pub role: Option<String>,
}

/// An instance of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its subnet.
    pub subnet: String,
    /// The subnet's zone.
    pub zone: String,
    /// E.g. `t3.medium`.
    pub instance_type: String,
    /// `ami-…`.
    pub image: String,
    /// The launch template's id and version that it was launched from.
    pub template: (String, u64),
    /// Where it is between launch and termination.
    pub state: Lifecycle,
    /// Since when.
    pub since: Millis,
    /// The hooks that hold it, by name.
    pub waits: BTreeMap<String, Wait>,
    /// Its last scaling activity.
    pub activity: u64,
    /// Scale-in leaves it alone.
    pub protected: bool,
    /// Why it is to be replaced, for people.
    pub unhealthy: Option<String>,
    /// It was launched beyond the group's size, to bring zones into balance, and is not in service yet.
    pub balances: bool,
}

/// Where an instance is between launch and termination.
///
/// ```text
/// Pending ─it runs─▶ PendingWait ─hooks continue─▶ InService ─scale-in, unhealthy, asked for─▶ Terminating
///    │                   │ a hook abandons                                                      │
///    └───────────────────┴──────────────────▶ Terminating ─▶ TerminatingWait ─hooks end─▶ TerminatingProceed ─it is gone─▶ ∅
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// Launched; does not run yet.
    Pending,
    /// Runs; a hook holds it.
    PendingWait,
    /// Counts.
    InService,
    /// Is to go.
    Terminating,
    /// A hook holds it.
    TerminatingWait,
    /// Is being terminated.
    TerminatingProceed,
}

/// A hook that holds an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// A UUID that names this action.
    pub token: String,
    /// Since when.
    pub since: Millis,
    /// Until when, unless somebody asks for more time.
    pub deadline: Millis,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

/// How a group does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How many activities it has begun.
    pub activities: u64,
    /// Why it can't launch instances.
    pub trouble: Option<Trouble>,
    /// Zones are not balanced before: the last attempt found no place in the zone that has too few.
    pub balances_after: Millis,
}

/// Why a group can't launch instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// EC2's error code.
    pub code: String,
    /// EC2's words.
    pub message: String,
    /// The subnet of the first attempt.
    pub subnet: String,
    /// How often in a row.
    pub failures: u32,
    /// Since when.
    pub since: Millis,
    /// The next attempt.
    pub next: Millis,
}

/// What a group does of itself, as SuspendProcesses names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Process {
    /// Launches instances.
    Launch,
    /// Terminates instances.
    Terminate,
    /// Connects instances with load balancers.
    AddToLoadBalancer,
    /// Lets alarms change the size.
    AlarmNotification,
    /// Brings zones into balance.
    #[serde(rename = "AZRebalance")]
    AzRebalance,
    /// Looks at the health of instances.
    HealthCheck,
    /// Replaces instances in one go.
    InstanceRefresh,
    /// Replaces those that are not healthy.
    ReplaceUnhealthy,
    /// Changes the size by the calendar.
    ScheduledActions,
}

/// A scaling activity: something that a group did, or tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// A UUID.
    pub id: String,
    /// What was done, for people.
    pub description: String,
    /// Why, for people.
    pub cause: String,
    /// When it began.
    pub start: Millis,
    /// When it ended.
    pub end: Option<Millis>,
    /// How it stands.
    pub state: ActivityState,
    /// What went wrong, for people.
    pub message: Option<String>,
    /// JSON: subnet and zone.
    pub details: String,
}

/// How a scaling activity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivityState {
    /// Under way.
    InProgress,
    /// A hook holds the instance.
    MidLifecycleAction,
    /// Done.
    Successful,
    /// Not done: see its message.
    Failed,
    /// Overtaken by another.
    Cancelled,
}

impl Object for AutoScalingGroup {
    const KIND: &'static str = "autoscaling/auto-scaling-group";

    fn index(&self) -> Vec<(&'static str, String)> {
        self.instances.keys().map(|id| ("instance", id.clone())).collect()
    }
}

impl Object for Activity {
    const KIND: &'static str = "autoscaling/activity";
}

impl AutoScalingGroup {
    /// The key of an account's group.
    pub fn key(account: &str, name: &str) -> Key<AutoScalingGroup> {
        Key::new(format!("{account}/{name}"))
    }

    /// How many instances it has to have now.
    pub fn size(&self) -> u32 {
        self.spec.desired.saturating_add(self.spec.surge)
    }
}

impl Spec {
    /// Its ARN.
    pub fn arn(&self) -> Arn {
        let resource = format!("autoScalingGroup:{}:autoScalingGroupName/{}", self.id, self.name);
        Arn::new("autoscaling", &self.region, &self.account, resource)
    }
}

impl Activity {
    /// The key of a group's activity, by its number.
    pub fn key(group: &Key<AutoScalingGroup>, number: u64) -> Key<Activity> {
        Key::new(format!("{}/{number:012}", group.name()))
    }
}

impl Lifecycle {
    /// It is on its way out.
    pub fn ends(self) -> bool {
        matches!(self, Lifecycle::Terminating | Lifecycle::TerminatingWait | Lifecycle::TerminatingProceed)
    }
}

impl Process {
    /// Every process.
    pub const ALL: [Process; 9] = [
        Process::Launch,
        Process::Terminate,
        Process::AddToLoadBalancer,
        Process::AlarmNotification,
        Process::AzRebalance,
        Process::HealthCheck,
        Process::InstanceRefresh,
        Process::ReplaceUnhealthy,
        Process::ScheduledActions,
    ];

    /// As it travels.
    pub fn as_str(self) -> &'static str {
        match self {
            Process::Launch => "Launch",
            Process::Terminate => "Terminate",
            Process::AddToLoadBalancer => "AddToLoadBalancer",
            Process::AlarmNotification => "AlarmNotification",
            Process::AzRebalance => "AZRebalance",
            Process::HealthCheck => "HealthCheck",
            Process::InstanceRefresh => "InstanceRefresh",
            Process::ReplaceUnhealthy => "ReplaceUnhealthy",
            Process::ScheduledActions => "ScheduledActions",
        }
    }
}

impl Transition {
    /// As it travels.
    pub fn as_str(self) -> &'static str {
        match self {
            Transition::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Transition::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }

    /// From how it travels.
    pub fn parse(text: &str) -> Option<Transition> {
        [Transition::Launching, Transition::Terminating].into_iter().find(|t| t.as_str() == text)
    }
}

impl Outcome {
    /// As it travels.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Continue => "CONTINUE",
            Outcome::Abandon => "ABANDON",
        }
    }

    /// From how it travels.
    pub fn parse(text: &str) -> Option<Outcome> {
        [Outcome::Continue, Outcome::Abandon].into_iter().find(|o| o.as_str() == text)
    }
}
