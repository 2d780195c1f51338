//! What instances may learn about themselves, and with which credentials they may act.

use crate::ec2::image;
use crate::ec2::instance::{Instance, Launch};
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::security_group;
use crate::ec2::subnet::Subnet;
use crate::ec2::vpc::Vpc;
use crate::fabric::want;
use crate::iam::instance_profile::{self, InstanceProfile};
use crate::settings::Settings;
use crate::sts::session;
use roadstead_hostspec as hostspec;
use roadstead_hostspec::RoleCredentials;
use roadstead_store::{Read, Record, Tx};
use roadstead_types::Millis;
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Wants what a running instance may learn about itself.
pub(super) fn state(tx: &mut Tx, record: &Record<Instance>, launch: &Launch) {
    let metadata = metadata(tx, record, launch);
    want(tx, &record.key.any(), metadata);
}

fn metadata(tx: &mut Tx, record: &Record<Instance>, launch: &Launch) -> hostspec::Metadata {
    let credentials = credentials(tx, record, launch);
    hostspec::Metadata {
        id: record.body.spec.id.clone(),
        network: launch.vpc.clone(),
        address: launch.address,
        hop_limit: launch.hop_limit,
        categories: categories(tx, &record.body, launch, credentials.as_ref()),
        user_data: launch.user_data.clone(),
        credentials,
    }
}

/// The credentials of its instance profile's role, once the key driver has made them.
fn credentials(tx: &mut Tx, record: &Record<Instance>, launch: &Launch) -> Option<RoleCredentials> {
    let spec = &record.body.spec;
    let profile = instance_profile::find(tx, &spec.account, launch.instance_profile.as_deref()?)?;
    session::for_instance(tx, &record.key.any(), &spec.id, &profile.role?, &launch.private_dns_name)
}

/// EC2 user guide, "Instance metadata categories".
fn categories(
    read: &impl Read,
    instance: &Instance,
    launch: &Launch,
    credentials: Option<&RoleCredentials>,
) -> BTreeMap<String, String> {
    let settings = Settings::of(read);
    let id = &instance.spec.id;
    let zone_id = settings.zones.iter().find(|zone| zone.name == launch.zone).map(|zone| zone.id.clone());
    let enis: Vec<_> = network_interface::of_instance(read, id).into_iter().map(|record| record.body).collect();
    let mut of = Categories::default();
    of.add("ami-id", &launch.image);
    of.add("ami-launch-index", launch.index);
    of.add("hostname", &launch.private_dns_name);
    of.add("instance-id", id);
    of.add("instance-life-cycle", "on-demand");
    of.add("instance-type", &launch.instance_type);
    of.add("local-hostname", &launch.private_dns_name);
    of.add("local-ipv4", launch.address);
    of.add("reservation-id", &launch.reservation);
    of.add("placement/availability-zone", &launch.zone);
    of.add("placement/availability-zone-id", zone_id.unwrap_or_default());
    of.add("placement/region", &settings.region);
    of.add("services/domain", "amazonaws.com");
    of.add("services/partition", "aws");
    of.add("block-device-mapping/ami", image::ROOT_DEVICE);
    of.add("block-device-mapping/root", image::ROOT_DEVICE);
    if let Some(first) = enis.first() {
        of.add("mac", &first.mac);
        if let Some(public) = network_interface::public_address(read, first) {
            of.add("public-ipv4", public);
        }
        of.add("security-groups", lines(group_names(read, first)));
    }
    let profile = launch.instance_profile.as_ref();
    if let Some(profile) = profile.and_then(|name| instance_profile::find(read, &instance.spec.account, name)) {
        of.add("iam/info", about_profile(&profile, credentials));
    }
    for eni in &enis {
        interface(read, &mut of, &settings.region, eni);
    }
    of.0.insert("dynamic/instance-identity/document".into(), identity(&settings, instance, launch));
    of.0
}

/// Paths below `/latest/`, and what they say.
#[derive(Default)]
struct Categories(BTreeMap<String, String>);

impl Categories {
    fn add(&mut self, path: &str, value: impl ToString) {
        self.0.insert(format!("meta-data/{path}"), value.to_string());
    }
}

fn interface(read: &impl Read, of: &mut Categories, region: &str, eni: &NetworkInterface) {
    let Some(attachment) = eni.attachment.as_ref().filter(|attachment| !attachment.detaching) else { return };
    let vpc = read.shared(&Vpc::key(&eni.account, &eni.vpc));
    let blocks: Vec<String> = vpc.iter().flat_map(|vpc| vpc.body.blocks()).map(|block| block.to_string()).collect();
    let subnet = read.shared(&Subnet::key(&eni.account, &eni.subnet));
    let subnet = subnet.map_or(eni.block, |subnet| subnet.body.cidr);
    let mut add = |name: &str, value: String| of.add(&format!("network/interfaces/macs/{}/{name}", eni.mac), value);
    add("device-number", attachment.device_index.to_string());
    add("interface-id", eni.id.clone());
    add("local-hostname", crate::ec2::instance::private_dns_name(region, eni.address));
    let own = [eni.address].into_iter().chain(eni.secondary.iter().copied());
    add("local-ipv4s", lines(own.map(|address| address.to_string())));
    let public = network_interface::public_addresses(read, eni);
    if !public.is_empty() {
        add("public-ipv4s", lines(public.iter().map(|(public, _)| public.to_string())));
    }
    for (public, private) in public {
        add(&format!("ipv4-associations/{public}"), private.to_string());
    }
    if !eni.prefixes.is_empty() {
        add("ipv4-prefix", lines(eni.prefixes.iter().map(ToString::to_string)));
    }
    add("mac", eni.mac.clone());
    add("network-card", "0".into());
    add("owner-id", eni.account.clone());
    add("security-group-ids", lines(eni.groups.iter().cloned()));
    add("security-groups", lines(group_names(read, eni)));
    add("subnet-id", eni.subnet.clone());
    add("subnet-ipv4-cidr-block", subnet.to_string());
    add("vpc-id", eni.vpc.clone());
    add("vpc-ipv4-cidr-block", blocks.first().cloned().unwrap_or_default());
    add("vpc-ipv4-cidr-blocks", lines(blocks.into_iter()));
}

fn group_names(read: &impl Read, eni: &NetworkInterface) -> impl Iterator<Item = String> {
    let groups = security_group::identifiers(read, &eni.account, &eni.groups);
    groups.into_iter().filter_map(|group| group.group_name)
}

fn lines(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join("\n")
}

/// What `iam/info` says.
fn about_profile(profile: &InstanceProfile, credentials: Option<&RoleCredentials>) -> String {
    let document = serde_json::json!({
        "Code": "Success",
        "LastUpdated": time_of(credentials.map_or(profile.created, |credentials| credentials.updated)),
        "InstanceProfileArn": profile.arn().to_string(),
        "InstanceProfileId": profile.id,
    });
    pretty(&document)
}

fn pretty(document: &serde_json::Value) -> String {
    serde_json::to_string_pretty(document).expect("a document of texts is JSON")
}

/// EC2 user guide, "Instance identity documents".
fn identity(settings: &Settings, instance: &Instance, launch: &Launch) -> String {
    let document = serde_json::json!({
        "accountId": instance.spec.account,
        "architecture": "x86_64",
        "availabilityZone": launch.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": launch.image,
        "instanceId": instance.spec.id,
        "instanceType": launch.instance_type,
        "kernelId": null,
        "pendingTime": time_of(launch.at),
        "privateIp": launch.address.to_string(),
        "ramdiskId": null,
        "region": settings.region,
        "version": "2017-09-30",
    });
    pretty(&document)
}

/// Seconds, as `2026-01-02T03:04:05Z`.
fn time_of(at: Millis) -> String {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}
