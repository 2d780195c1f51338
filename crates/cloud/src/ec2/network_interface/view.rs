//! How EC2 shows an interface.

use super::NetworkInterface;
use crate::ec2::address::{self, Address};
use crate::ec2::describe::tag_values;
use crate::ec2::instance::private_dns_name;
use crate::ec2::{security_group, subnet, tags};
use roadstead_shapes::ec2 as api;
use roadstead_store::Read;
use roadstead_types::Cidr;
use std::net::Ipv4Addr;

/// Who shows as the owner of what the service has an interface in (as of EKS's own interfaces).
const SERVICE: &str = "amazon-aws";
/// Who shows as the owner of addresses that instances have while they run.
const LENDER: &str = "amazon";

/// An interface, as DescribeNetworkInterfaces has it.
pub(super) fn show(read: &impl Read, region: &str, eni: &NetworkInterface) -> api::NetworkInterface {
    let dns = |address: Ipv4Addr| Some(private_dns_name(region, address));
    let association = |address: Ipv4Addr| public(read, eni, address).map(|(public, of)| association(public, of));
    let address = |(address, primary)| api::NetworkInterfacePrivateIpAddress {
        association: association(address),
        primary: Some(primary),
        private_dns_name: dns(address),
        private_ip_address: Some(address.to_string()),
    };
    let zone_id = read.shared(&subnet::Subnet::key(&eni.account, &eni.subnet)).map(|s| s.body.zone_id.clone());
    api::NetworkInterface {
        association: association(eni.address),
        attachment: attachment(eni),
        availability_zone: Some(eni.zone.clone()),
        availability_zone_id: zone_id,
        description: Some(eni.description.clone()),
        groups: Some(security_group::identifiers(read, &eni.account, &eni.groups)),
        interface_type: Some(kind(eni)),
        mac_address: Some(eni.mac.clone()),
        network_interface_id: Some(eni.id.clone()),
        owner_id: Some(eni.account.clone()),
        private_dns_name: dns(eni.address),
        private_ip_address: Some(eni.address.to_string()),
        private_ip_addresses: Some(addresses(eni).map(address).collect()),
        ipv4_prefixes: Some(prefixes(&eni.prefixes)),
        requester_managed: Some(eni.requester_managed),
        source_dest_check: Some(eni.source_dest_check),
        status: Some(status(eni)),
        subnet_id: Some(eni.subnet.clone()),
        tag_set: tags::shown(&eni.tags),
        vpc_id: Some(eni.vpc.clone()),
        ..Default::default()
    }
}

/// Who an interface's private address is outside, and the elastic address that this is.
fn public(read: &impl Read, eni: &NetworkInterface, private: Ipv4Addr) -> Option<(Ipv4Addr, Option<Address>)> {
    match address::of_private(read, &eni.id, private) {
        Some(elastic) => Some((elastic.public, Some(elastic))),
        None => eni.public.filter(|_| eni.address == private).map(|lent| (lent, None)),
    }
}

/// Who an interface is outside.
pub(crate) fn public_address(read: &impl Read, eni: &NetworkInterface) -> Option<Ipv4Addr> {
    public(read, eni, eni.address).map(|(address, _)| address)
}

/// Each address that it is outside, and the private one that stands for.
pub(crate) fn public_addresses(read: &impl Read, eni: &NetworkInterface) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let outside = |(private, _)| public(read, eni, private).map(|(address, _)| (address, private));
    addresses(eni).filter_map(outside).collect()
}

/// An address outside, where the private one is shown that it stands for.
fn association(public: Ipv4Addr, elastic: Option<Address>) -> api::NetworkInterfaceAssociation {
    api::NetworkInterfaceAssociation {
        ip_owner_id: Some(elastic.as_ref().map_or(LENDER, |elastic| &elastic.account).to_owned()),
        public_ip: Some(public.to_string()),
        association_id: elastic.as_ref().and_then(|elastic| Some(elastic.association.as_ref()?.id.clone())),
        allocation_id: elastic.map(|elastic| elastic.id),
        ..Default::default()
    }
}

/// Each address that it has by itself, and whether that is the primary one.
fn addresses(eni: &NetworkInterface) -> impl Iterator<Item = (Ipv4Addr, bool)> {
    [(eni.address, true)].into_iter().chain(eni.secondary.iter().map(|address| (*address, false)))
}

/// Prefixes, as EC2 shows them.
pub(super) fn prefixes(prefixes: &[Cidr]) -> Vec<api::Ipv4PrefixSpecification> {
    prefixes.iter().map(|prefix| api::Ipv4PrefixSpecification { ipv4_prefix: Some(prefix.to_string()) }).collect()
}

fn kind(eni: &NetworkInterface) -> api::NetworkInterfaceType {
    if eni.endpoint { api::NetworkInterfaceType::VpcEndpoint } else { api::NetworkInterfaceType::Interface }
}

fn status(eni: &NetworkInterface) -> api::NetworkInterfaceStatus {
    match &eni.attachment {
        Some(attachment) if attachment.detaching => api::NetworkInterfaceStatus::Detaching,
        Some(_) => api::NetworkInterfaceStatus::InUse,
        None if eni.requester_managed || eni.balancer => api::NetworkInterfaceStatus::InUse,
        None => api::NetworkInterfaceStatus::Available,
    }
}

fn attachment(eni: &NetworkInterface) -> Option<api::NetworkInterfaceAttachment> {
    let Some(attachment) = &eni.attachment else {
        // What a service has for its user is in something that the user does not see.
        return eni.requester_managed.then(|| api::NetworkInterfaceAttachment {
            attachment_id: Some(attachment_of_interface(&eni.id)),
            delete_on_termination: Some(false),
            device_index: Some(1),
            instance_owner_id: Some(SERVICE.into()),
            status: Some(api::AttachmentStatus::Attached),
            ..Default::default()
        });
    };
    Some(api::NetworkInterfaceAttachment {
        attach_time: Some(attachment.since),
        attachment_id: Some(attachment.id.clone()),
        delete_on_termination: Some(attachment.delete_on_termination),
        device_index: i32::try_from(attachment.device_index).ok(),
        network_card_index: Some(0),
        instance_id: Some(attachment.instance.clone()),
        instance_owner_id: Some(eni.account.clone()),
        status: Some(attachment_status(attachment)),
        ..Default::default()
    })
}

fn attachment_status(attachment: &super::Attachment) -> api::AttachmentStatus {
    if attachment.detaching { api::AttachmentStatus::Detaching } else { api::AttachmentStatus::Attached }
}

fn attachment_of_interface(id: &str) -> String {
    id.replacen("eni-", "ela-attach-", 1)
}

/// The service's interface whose attachment shows as this.
pub(super) fn interface_of_attachment(id: &str) -> String {
    id.replacen("ela-attach-", "eni-", 1)
}

/// An interface, as DescribeInstances has it.
pub(crate) fn shown_in_instance(
    read: &impl Read,
    region: &str,
    eni: &NetworkInterface,
) -> api::InstanceNetworkInterface {
    let dns = |address: Ipv4Addr| Some(private_dns_name(region, address));
    let association = |address: Ipv4Addr| {
        let (public, elastic) = public(read, eni, address)?;
        let owner = elastic.map_or(LENDER.to_owned(), |elastic| elastic.account);
        let public_ip = Some(public.to_string());
        Some(api::InstanceNetworkInterfaceAssociation { ip_owner_id: Some(owner), public_ip, ..Default::default() })
    };
    let address = |(address, primary)| api::InstancePrivateIpAddress {
        association: association(address),
        primary: Some(primary),
        private_dns_name: dns(address),
        private_ip_address: Some(address.to_string()),
    };
    let attachment = eni.attachment.as_ref().map(|attachment| api::InstanceNetworkInterfaceAttachment {
        attach_time: Some(attachment.since),
        attachment_id: Some(attachment.id.clone()),
        delete_on_termination: Some(attachment.delete_on_termination),
        device_index: i32::try_from(attachment.device_index).ok(),
        network_card_index: Some(0),
        status: Some(attachment_status(attachment)),
        ..Default::default()
    });
    let prefix = |prefix: &Cidr| api::InstanceIpv4Prefix { ipv4_prefix: Some(prefix.to_string()) };
    api::InstanceNetworkInterface {
        association: association(eni.address),
        attachment,
        description: Some(eni.description.clone()),
        groups: Some(security_group::identifiers(read, &eni.account, &eni.groups)),
        mac_address: Some(eni.mac.clone()),
        network_interface_id: Some(eni.id.clone()),
        owner_id: Some(eni.account.clone()),
        private_dns_name: dns(eni.address),
        private_ip_address: Some(eni.address.to_string()),
        private_ip_addresses: Some(addresses(eni).map(address).collect()),
        source_dest_check: Some(eni.source_dest_check),
        status: Some(status(eni)),
        subnet_id: Some(eni.subnet.clone()),
        vpc_id: Some(eni.vpc.clone()),
        interface_type: Some("interface".into()),
        ipv4_prefixes: Some(eni.prefixes.iter().map(prefix).collect()),
        ..Default::default()
    }
}

/// What an interface has under a filter's name.
pub(super) fn values(read: &impl Read, region: &str, eni: &NetworkInterface, filter: &str) -> Option<Vec<String>> {
    let shown = || attachment(eni);
    let text = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
    Some(match filter {
        "network-interface-id" => vec![eni.id.clone()],
        "subnet-id" => vec![eni.subnet.clone()],
        "vpc-id" => vec![eni.vpc.clone()],
        "availability-zone" => vec![eni.zone.clone()],
        "owner-id" => vec![eni.account.clone()],
        "description" => vec![eni.description.clone()],
        "mac-address" => vec![eni.mac.clone()],
        "private-dns-name" => vec![private_dns_name(region, eni.address)],
        "private-ip-address" => vec![eni.address.to_string()],
        "addresses.private-ip-address" => addresses(eni).map(|(address, _)| address.to_string()).collect(),
        "group-id" => eni.groups.clone(),
        "group-name" => {
            let groups = security_group::identifiers(read, &eni.account, &eni.groups);
            groups.into_iter().filter_map(|group| group.group_name).collect()
        }
        "requester-managed" => vec![eni.requester_managed.to_string()],
        "source-dest-check" => vec![eni.source_dest_check.to_string()],
        "interface-type" => vec![kind(eni).as_str().into()],
        "status" => vec![status(eni).as_str().into()],
        "attachment.attachment-id" => text(shown().and_then(|a| a.attachment_id)),
        "attachment.instance-id" => text(shown().and_then(|a| a.instance_id)),
        "attachment.instance-owner-id" => text(shown().and_then(|a| a.instance_owner_id)),
        "attachment.device-index" => text(shown().and_then(|a| a.device_index).map(|n| n.to_string())),
        "attachment.delete-on-termination" => {
            text(shown().and_then(|a| a.delete_on_termination).map(|b| b.to_string()))
        }
        "attachment.status" => text(shown().and_then(|a| a.status).map(|s| s.as_str().to_owned())),
        _ => return tag_values(&eni.tags, filter),
    })
}
