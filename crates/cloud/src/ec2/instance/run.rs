//! Running an instance from an AMI: everything is checked before anything is written.

use super::{Attachment, Instance, Launch, Power, Spec, Status};
use crate::ec2::address;
use crate::ec2::image::{self, Ami};
use crate::ec2::instance_type::{self, InstanceType};
use crate::ec2::key_pair;
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::security_group;
use crate::ec2::subnet::{self, Subnet};
use crate::ec2::volume::{self, Volume};
use crate::iam::instance_profile;
use crate::settings::Settings;
use roadstead_shapes::ec2 as api;
use roadstead_store::{AnyKey, Read, Tx};
use roadstead_types::{Cidr, Tags};
use roadstead_wire::fault::{Common, Fault};
use std::net::Ipv4Addr;

/// Bytes of user data at most (EC2 user guide, "Run commands at launch").
pub(super) const USER_DATA_MAX: usize = 16 * 1024;
/// Hops of a metadata answer at most (EC2 API reference, InstanceMetadataOptionsRequest).
pub(super) const HOPS_MAX: u8 = 64;
/// A root volume at most, bytes: the largest gp3 volume, 64 TiB.
const ROOT_BYTES_MAX: u64 = 64 << 40;

/// An instance that is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its owner.
    pub account: String,
    /// `ami-…`.
    pub image: String,
    /// E.g. `m5.large`.
    pub instance_type: String,
    /// `subnet-…`.
    pub subnet: String,
    /// Security groups; none: the VPC's default one.
    pub groups: Vec<String>,
    /// Name of an instance profile.
    pub instance_profile: Option<String>,
    /// Decoded.
    pub user_data: Option<String>,
    /// Its tags; those that begin with `aws:` are for services.
    pub tags: Tags,
    /// Id and version of the launch template that this comes from.
    pub launch_template: Option<(String, u64)>,
    /// Size of its root volume, bytes; none: the image's.
    pub root_bytes: Option<u64>,
    /// How many hops an answer of the metadata service may go, 1..=64; 0: one, as EC2's default is.
    pub hop_limit: u8,
    /// Whether it has an address outside; None: as its subnet says.
    pub public: Option<bool>,
    /// The name of a key pair of its owner's.
    pub key_name: Option<String>,
    /// Whether it is watched in detail.
    pub monitoring: bool,
    /// Tags of its root volume.
    pub volume_tags: Tags,
    /// Tags of its first interface, if that is a new one.
    pub interface_tags: Tags,
}

/// What only a user's own call says.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// `r-…`; none: one of its own.
    pub reservation: Option<String>,
    /// Its number in the reservation.
    pub index: u32,
    /// A user's interface that is to be `eth0`.
    pub interface: Option<String>,
    /// The addresses of a new `eth0`.
    pub address: Option<Ipv4Addr>,
    pub secondary: Vec<Ipv4Addr>,
    pub secondary_count: usize,
    pub prefixes: Vec<Cidr>,
    pub prefix_count: usize,
    /// `eth0` stays when the instance is terminated.
    pub keeps_interface: bool,
    pub description: String,
    pub termination_protection: bool,
    pub client_token: Option<String>,
}

/// Runs one instance. It is pending until a host has started it.
///
/// # Errors
/// EC2's, by its codes, and nothing was written: `InvalidAMIID.NotFound`, `InvalidInstanceType`,
/// `InsufficientInstanceCapacity`, `InvalidKeyPair.NotFound`, `InvalidSubnetID.NotFound`, `InvalidGroup.NotFound`,
/// `InsufficientFreeAddressesInSubnet`, `InvalidParameterValue`.
pub fn run(tx: &mut Tx, owner: Option<&AnyKey>, run: Run) -> Result<String, Fault> {
    Ok(check(tx, run, Extras::default())?.write(tx, owner))
}

/// The private DNS name of an address (VPC user guide, "DNS attributes for your VPC").
pub fn private_dns_name(region: &str, address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("ip-{a}-{b}-{c}-{d}.{}", private_domain(region))
}

/// The domain of a region's private names.
pub fn private_domain(region: &str) -> String {
    if region == "us-east-1" { "ec2.internal".to_owned() } else { format!("{region}.compute.internal") }
}

/// A run that can be written.
pub(super) struct Checked {
    run: Run,
    extras: Extras,
    region: String,
    ami: Ami,
    size: &'static InstanceType,
    subnet: Subnet,
    eth0: Eth0,
}

/// Where `eth0` comes from.
enum Eth0 {
    /// A user's interface.
    There(Box<NetworkInterface>),
    New(network_interface::Request),
}

pub(super) fn check(tx: &Tx, run: Run, extras: Extras) -> Result<Checked, Fault> {
    let settings = Settings::of(tx);
    let ami = image::find(tx, &run.image).ok_or_else(|| image::ops::missing(&run.image))?;
    let size = sized(&settings, &run.instance_type)?;
    if run.hop_limit > HOPS_MAX {
        let why = format!("HttpPutResponseHopLimit must be between 1 and {HOPS_MAX}");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if let Some(bytes) = run.root_bytes.filter(|bytes| !(image::ROOT_BYTES..=ROOT_BYTES_MAX).contains(bytes)) {
        let why = format!(
            "Volume of size {}GB is smaller than snapshot of the image, expect size >= {}GB and <= 65536GB",
            bytes >> 30,
            image::ROOT_BYTES >> 30
        );
        return Err(api::INVALID_BLOCK_DEVICE_MAPPING.fault(why));
    }
    user_data_fits(run.user_data.as_deref())?;
    if let Some(name) = run.key_name.as_ref().filter(|name| key_pair::named(tx, &run.account, name).is_none()) {
        return Err(key_pair::ops::missing(name));
    }
    let there = extras.interface.as_ref().map(|id| attachable(tx, &run.account, id)).transpose()?;
    let named = there.as_ref().map_or(&run.subnet, |eni| &eni.subnet);
    let subnet = subnet::ops::find(tx, &run.account, named)?.body;
    instance_profile_exists(tx, &run.account, run.instance_profile.as_deref())?;
    let eth0 = match there {
        Some(eni) => {
            network_interface::fits(Some(size), eni.places())?;
            Eth0::There(Box::new(eni))
        }
        None => Eth0::New(interface(tx, &run, &extras, &subnet, size)?),
    };
    Ok(Checked { run, extras, region: settings.region, ami, size, subnet, eth0 })
}

/// The type, if it is on offer and the host is large enough.
pub(super) fn sized(settings: &Settings, name: &str) -> Result<&'static InstanceType, Fault> {
    let found = instance_type::find(name).ok_or_else(|| instance_type::ops::invalid(&[name]))?;
    if settings.vcpus > 0 && found.vcpus > settings.vcpus {
        let why = format!(
            "We currently do not have sufficient {name} capacity: it has {} vCPUs, and the host of this region has {}. \
             Choose an instance type with fewer vCPUs.",
            found.vcpus, settings.vcpus
        );
        return Err(api::INSUFFICIENT_INSTANCE_CAPACITY.fault(why));
    }
    Ok(found)
}

pub(super) fn user_data_fits(text: Option<&str>) -> Result<(), Fault> {
    match text {
        Some(text) if text.len() > USER_DATA_MAX => {
            Err(Common::InvalidParameterValue.fault(format!("User data is limited to {USER_DATA_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

/// A profile's role is what the instance may do: a name that stands for nothing is a mistake.
fn instance_profile_exists(read: &impl Read, account: &str, name: Option<&str>) -> Result<(), Fault> {
    match name {
        Some(name) if instance_profile::find(read, account, name).is_none() => {
            let why = format!(
                "Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
            );
            Err(Common::InvalidParameterValue.fault(why))
        }
        _ => Ok(()),
    }
}

/// A user's interface that is in no instance.
fn attachable(tx: &Tx, account: &str, id: &str) -> Result<NetworkInterface, Fault> {
    let eni = network_interface::ops::own(tx, account, id)?.body;
    if eni.attachment.is_some() {
        return Err(network_interface::ops::in_use(id));
    }
    Ok(eni)
}

/// What is asked of a new `eth0`.
fn interface(
    tx: &Tx,
    run: &Run,
    extras: &Extras,
    subnet: &Subnet,
    size: &InstanceType,
) -> Result<network_interface::Request, Fault> {
    let groups = security_group::ops::in_vpc(tx, &run.account, &subnet.vpc, &run.groups)?;
    let wish = network_interface::Wish {
        address: extras.address,
        secondary: extras.secondary.clone(),
        secondary_count: extras.secondary_count,
        prefixes: extras.prefixes.clone(),
        prefix_count: extras.prefix_count,
    };
    network_interface::fits(Some(size), wish.places())?;
    let found = wish.grant(tx, subnet)?;
    Ok(network_interface::Request {
        address: found.address,
        secondary: found.secondary,
        prefixes: found.prefixes,
        groups,
        description: extras.description.clone(),
        tags: run.interface_tags.clone(),
        ..network_interface::Request::default()
    })
}

impl Checked {
    /// Writes the instance, its interface and its volume.
    pub(super) fn write(self, tx: &mut Tx, owner: Option<&AnyKey>) -> String {
        let Checked { run, extras, region, ami, size, subnet, eth0 } = self;
        let id = tx.fresh_id("i-");
        let key = Instance::key(&id).any();
        let is_new = matches!(eth0, Eth0::New(_));
        let eni = match eth0 {
            Eth0::There(eni) => *eni,
            Eth0::New(request) => network_interface::create_for_user(tx, &subnet, request),
        };
        let bytes = run.root_bytes.unwrap_or(image::ROOT_BYTES);
        let root = volume::create(tx, &key, &run.account, &subnet.zone, bytes);
        let hostname = private_dns_name(&region, eni.address);
        let (launched, account) = (tx.now(), run.account);
        let public = is_new && run.public.unwrap_or_else(|| subnet.maps_public_address());
        let launch = Launch {
            image: run.image,
            instance_type: run.instance_type,
            reservation: extras.reservation.unwrap_or_else(|| tx.fresh_id("r-")),
            index: extras.index,
            at: launched,
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            address: eni.address,
            private_dns_name: hostname.clone(),
            instance_profile: run.instance_profile,
            user_data: run.user_data,
            key_name: run.key_name,
            launch_template: run.launch_template,
            hop_limit: run.hop_limit.max(1),
            monitoring: run.monitoring,
            termination_protection: extras.termination_protection,
            client_token: extras.client_token,
            tags: run.tags,
            power: Power::On,
            boots: 1,
            public,
        };
        let spec = Spec {
            id: id.clone(),
            account,
            interfaces: vec![eni.id.clone()],
            volumes: vec![Attachment { volume: root.id.clone(), path: image::ROOT_PATH.into() }],
            image: image::machine(&ami, &region, &hostname, size.into(), launch.boots),
            launch: Some(launch),
        };
        let status = Status { why: "launching".into(), since: launched, machine_since: launched, ..Status::default() };
        tx.create(Instance::key(&id), owner.cloned(), Instance { spec, status });
        network_interface::attach(tx, &eni.id, &id, 0, !extras.keeps_interface);
        if public {
            address::lend(tx, &eni.id);
        }
        let attachment =
            volume::Attachment { instance: id.clone(), device: image::ROOT_DEVICE.into(), since: launched };
        let root = Volume { attachment: Some(attachment), tags: run.volume_tags, ..root };
        tx.set(&Volume::key(&root.id), None, root);
        id
    }
}
