use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A launch template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// `lt-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Unique in its account.
    pub name: String,
    /// By number, from 1.
    pub versions: BTreeMap<u64, Version>,
    /// The number of the newest version. Never used again, even when that version is gone.
    pub latest: u64,
    /// The number of the version that counts when none is named.
    pub default: u64,
    /// When it was made.
    pub created: Millis,
    /// Its tags.
    pub tags: Tags,
}

/// A version of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What it says.
    pub data: Data,
    /// As given.
    pub description: Option<String>,
    /// When it was written.
    pub created: Millis,
    /// ARN of who wrote it.
    pub created_by: String,
}

/// What an instance is to be. What is left out, whoever launches says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// `ami-…`.
    pub image: Option<String>,
    /// E.g. `m5.large`.
    pub instance_type: Option<String>,
    /// Decoded.
    pub user_data: Option<String>,
    /// Name of an instance profile.
    pub instance_profile: Option<String>,
    /// Ids of security groups.
    pub groups: Vec<String>,
    /// They stand under an interface in the template, not beside it: EC2 shows them where they were given.
    pub groups_by_interface: bool,
    /// Id of the subnet, if an interface in the template names one.
    pub subnet: Option<String>,
    /// Tags of the instance.
    pub tags: Tags,
    /// Tags of its volumes.
    pub volume_tags: Tags,
    /// Tags of its interfaces.
    pub interface_tags: Tags,
    /// How many hops an answer of the metadata service may go, 1..=64.
    pub hop_limit: Option<u8>,
    /// Size of the root volume, bytes.
    pub root_bytes: Option<u64>,
    /// Name of a key pair, as given: nothing here is entered by ssh.
    pub key_name: Option<String>,
    /// As given.
    pub monitoring: Option<bool>,
    /// As given: every type on offer is.
    pub ebs_optimized: Option<bool>,
    /// It is not terminated by the API before this is taken back.
    pub termination_protection: Option<bool>,
    /// Whether it has an address outside; None: as its subnet says.
    pub public: Option<bool>,
}

impl Data {
    /// This, and what it leaves out as `base` has it.
    #[must_use]
    pub fn over(self, base: Data) -> Data {
        let own_groups = self.groups_by_interface || !self.groups.is_empty();
        let of_groups =
            if own_groups { (self.groups, self.groups_by_interface) } else { (base.groups, base.groups_by_interface) };
        let (groups, groups_by_interface) = of_groups;
        let tags = |own: Tags, base: Tags| if own.is_empty() { base } else { own };
        Data {
            image: self.image.or(base.image),
            instance_type: self.instance_type.or(base.instance_type),
            user_data: self.user_data.or(base.user_data),
            instance_profile: self.instance_profile.or(base.instance_profile),
            groups,
            groups_by_interface,
            subnet: self.subnet.or(base.subnet),
            tags: tags(self.tags, base.tags),
            volume_tags: tags(self.volume_tags, base.volume_tags),
            interface_tags: tags(self.interface_tags, base.interface_tags),
            hop_limit: self.hop_limit.or(base.hop_limit),
            root_bytes: self.root_bytes.or(base.root_bytes),
            key_name: self.key_name.or(base.key_name),
            monitoring: self.monitoring.or(base.monitoring),
            ebs_optimized: self.ebs_optimized.or(base.ebs_optimized),
            termination_protection: self.termination_protection.or(base.termination_protection),
            public: self.public.or(base.public),
        }
    }
}

impl Object for LaunchTemplate {
    const KIND: &'static str = "ec2/launch-template";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("name", LaunchTemplate::of_name(&self.account, &self.name))]
    }
}

impl LaunchTemplate {
    /// The key of an account's template.
    pub fn key(account: &str, id: &str) -> Key<LaunchTemplate> {
        Key::new(format!("{account}/{id}"))
    }

    /// Its value in the index `name`.
    pub(super) fn of_name(account: &str, name: &str) -> String {
        format!("{account}/{name}")
    }
}
