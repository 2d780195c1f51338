//! What requests name: a group, and rules of it.

use super::model::{Peer, Permission, Traffic};
use crate::ec2::block;
use crate::ec2::offered::unsupported;
use crate::ec2::prefix_list;
use crate::ec2::security_group::{self, SecurityGroup};
use roadstead_shapes::ec2 as api;
use roadstead_store::Read;
use roadstead_wire::fault::{Common, Fault};
use std::collections::BTreeSet;

/// A rule that is asked for.
pub(super) struct Asked {
    pub permission: Permission,
    pub description: Option<String>,
}

/// Rules as requests name them: one by its parts, or any number of permissions.
#[derive(Default)]
pub(super) struct Named {
    pub permissions: Option<Vec<api::IpPermission>>,
    pub protocol: Option<String>,
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub cidr: Option<String>,
    pub group_name: Option<String>,
    pub group_owner: Option<String>,
}

impl Named {
    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.permissions.as_ref().is_none_or(Vec::is_empty) && !self.has_parts()
    }

    fn has_parts(&self) -> bool {
        let texts = [&self.protocol, &self.cidr, &self.group_name, &self.group_owner];
        texts.iter().any(|text| text.is_some()) || self.from.is_some() || self.to.is_some()
    }

    /// The rules, in their order. They are of `group`, so the groups that they name must be of its VPC.
    pub fn rules(self, read: &impl Read, group: &SecurityGroup) -> Result<Vec<Asked>, Fault> {
        let permissions = match (self.has_parts(), self.permissions.is_some()) {
            (true, true) => {
                let why = "The parameter 'ipPermissions' may not be used in combination with 'ipProtocol'";
                return Err(Common::InvalidParameterCombination.fault(why));
            }
            (false, true) => self.permissions.unwrap_or_default(),
            (true, false) => vec![self.permission()],
            (false, false) => vec![],
        };
        let mut rules = vec![];
        for permission in permissions {
            rules.extend(rules_of(read, group, permission)?);
        }
        let mut seen = BTreeSet::new();
        if rules.iter().any(|rule| !seen.insert(&rule.permission)) {
            return Err(Common::InvalidParameterValue.fault("The same permission must not appear multiple times"));
        }
        if rules.is_empty() {
            return Err(Common::MissingParameter.fault("The request must contain the parameter ipPermissions"));
        }
        Ok(rules)
    }

    /// The one rule that is named by its parts.
    fn permission(self) -> api::IpPermission {
        let range = |cidr| api::IpRange { cidr_ip: Some(cidr), ..Default::default() };
        let owner = self.group_owner;
        let pair = |name| api::UserIdGroupPair { group_name: Some(name), user_id: owner, ..Default::default() };
        api::IpPermission {
            ip_protocol: self.protocol,
            from_port: self.from,
            to_port: self.to,
            ip_ranges: self.cidr.map(|cidr| vec![range(cidr)]),
            user_id_group_pairs: self.group_name.map(|name| vec![pair(name)]),
            ..Default::default()
        }
    }
}

/// A permission is a rule for each of its peers.
fn rules_of(read: &impl Read, group: &SecurityGroup, of: api::IpPermission) -> Result<Vec<Asked>, Fault> {
    let traffic = traffic(of.ip_protocol.as_deref(), of.from_port, of.to_port)?;
    let mut peers = vec![];
    for range in of.ip_ranges.unwrap_or_default() {
        peers.push((ipv4(range.cidr_ip.as_deref())?, range.description));
    }
    for range in of.ipv6_ranges.unwrap_or_default() {
        peers.push((ipv6(range.cidr_ipv6.as_deref())?, range.description));
    }
    for pair in of.user_id_group_pairs.unwrap_or_default() {
        let description = pair.description.clone();
        peers.push((group_of(read, group, &pair)?, description));
    }
    for list in of.prefix_list_ids.unwrap_or_default() {
        peers.push((list_of(read, group, list.prefix_list_id)?, list.description));
    }
    if peers.is_empty() {
        let why = "The request must contain the parameter ipRanges, ipv6Ranges, groups or prefixListIds";
        return Err(Common::MissingParameter.fault(why));
    }
    let rule = |(peer, said)| Ok(Asked { permission: Permission { traffic, peer }, description: description(said)? });
    peers.into_iter().map(rule).collect()
}

/// What ModifySecurityGroupRules makes of a rule of `group`.
pub(super) fn changed(
    read: &impl Read,
    group: &SecurityGroup,
    to: api::SecurityGroupRuleRequest,
) -> Result<Asked, Fault> {
    let traffic = traffic(to.ip_protocol.as_deref(), to.from_port, to.to_port)?;
    let pair = |id| api::UserIdGroupPair { group_id: Some(id), ..Default::default() };
    let peer = match (to.cidr_ipv4, to.cidr_ipv6, to.referenced_group_id, to.prefix_list_id) {
        (Some(cidr), None, None, None) => ipv4(Some(&cidr))?,
        (None, Some(cidr), None, None) => ipv6(Some(&cidr))?,
        (None, None, Some(id), None) => group_of(read, group, &pair(id))?,
        (None, None, None, Some(list)) => list_of(read, group, Some(list))?,
        _ => {
            let why = "Specify exactly one of CidrIpv4, CidrIpv6, PrefixListId and ReferencedGroupId";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
    };
    Ok(Asked { permission: Permission { traffic, peer }, description: description(to.description)? })
}

/// The traffic that is named, in the one form in which it is kept.
fn traffic(protocol: Option<&str>, from: Option<i32>, to: Option<i32>) -> Result<Traffic, Fault> {
    let named =
        protocol.ok_or_else(|| Common::MissingParameter.fault("The request must contain the parameter ipProtocol"))?;
    let protocol = match named.to_ascii_lowercase().as_str() {
        "-1" | "all" => return Ok(Traffic::ALL),
        "icmp" => Traffic::ICMP,
        "tcp" => Traffic::TCP,
        "udp" => Traffic::UDP,
        "icmpv6" => Traffic::ICMPV6,
        number => number.parse().map_err(|_| {
            Common::InvalidParameterValue.fault(format!("Invalid value '{named}' for IP protocol. Unknown protocol."))
        })?,
    };
    let (from, to) = match protocol {
        Traffic::TCP | Traffic::UDP => ports(from, to)?,
        Traffic::ICMP | Traffic::ICMPV6 => kind_and_code(from.unwrap_or(-1), to.unwrap_or(-1))?,
        // Whatever is said of ports: no other protocol has any.
        _ => (-1, -1),
    };
    Ok(Traffic { protocol: Some(protocol), from, to })
}

/// A range of TCP's or UDP's ports.
pub(in crate::ec2) fn ports(from: Option<i32>, to: Option<i32>) -> Result<(i32, i32), Fault> {
    let (Some(from), Some(to)) = (from, to) else {
        let why = "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.";
        return Err(Common::InvalidParameterValue.fault(why));
    };
    let known = 0..=65535;
    if !(known.contains(&from) && known.contains(&to) && from <= to) {
        return Err(Common::InvalidParameterValue.fault(format!("Invalid TCP/UDP port range ({from}:{to})")));
    }
    Ok((from, to))
}

/// A type and a code of ICMP, -1 for all; all types have all codes (API reference, IpPermission).
pub(in crate::ec2) fn kind_and_code(kind: i32, code: i32) -> Result<(i32, i32), Fault> {
    let known = -1..=255;
    if !(known.contains(&kind) && known.contains(&code)) || (kind == -1 && code != -1) {
        let why = format!("Invalid ICMP type and code ({kind}:{code}): -1 to 255, and all codes with all types");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok((kind, code))
}

fn ipv4(text: Option<&str>) -> Result<Peer, Fault> {
    let text = text.unwrap_or_default();
    block::ipv4(text).map(Peer::Ipv4).ok_or_else(|| malformed(text))
}

fn ipv6(text: Option<&str>) -> Result<Peer, Fault> {
    let text = text.unwrap_or_default();
    block::ipv6(text).map(Peer::Ipv6).ok_or_else(|| malformed(text))
}

fn malformed(text: &str) -> Fault {
    Common::InvalidParameterValue.fault(format!("CIDR block {text} is malformed"))
}

fn group_of(read: &impl Read, of: &SecurityGroup, pair: &api::UserIdGroupPair) -> Result<Peer, Fault> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if given(&pair.vpc_peering_connection_id).is_some() {
        return Err(unsupported("There are no VPC peering connections: leave VpcPeeringConnectionId out."));
    }
    let owner = given(&pair.user_id).unwrap_or_else(|| of.account.clone());
    let named = security_group::ops::named(read, &owner, given(&pair.group_id), given(&pair.group_name));
    let named = named.map(|record| record.body)?;
    if named.vpc != of.vpc {
        let why = "You have specified two resources that belong to different networks.";
        return Err(api::INVALID_GROUP_NOT_FOUND.fault(why));
    }
    Ok(Peer::Group(named.id))
}

fn list_of(read: &impl Read, of: &SecurityGroup, id: Option<String>) -> Result<Peer, Fault> {
    let list = prefix_list::ops::find(read, &of.account, &id.unwrap_or_default())?;
    Ok(Peer::PrefixList(list.body.id))
}

/// What may be said of a rule (API reference, IpRange).
pub(super) fn description(said: Option<String>) -> Result<Option<String>, Fault> {
    const MARKS: &str = ". _-:/()#,@[]+=&;{}!$*";
    let Some(said) = said.filter(|said| !said.is_empty()) else { return Ok(None) };
    if said.len() > 255 || !said.chars().all(|c| c.is_ascii_alphanumeric() || MARKS.contains(c)) {
        let why = format!(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following \
             set:  a-zA-Z0-9{MARKS}"
        );
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(Some(said))
}
