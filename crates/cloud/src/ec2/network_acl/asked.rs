//! What requests name: a rule's number and direction, and what the rule says.

use super::Entry;
use crate::ec2::block::{self, Block};
use crate::ec2::security_group_rule::{Direction, Traffic, kind_and_code, ports};
use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::{Common, Fault};

/// A rule as requests name it.
pub(super) struct Named {
    pub protocol: String,
    pub action: api::RuleAction,
    pub block: Option<String>,
    pub ipv6_block: Option<String>,
    pub icmp: Option<api::IcmpTypeCode>,
    pub ports: Option<api::PortRange>,
}

impl Named {
    /// What the rule says.
    pub fn entry(self) -> Result<Entry, Fault> {
        let block = match (&self.block, &self.ipv6_block) {
            (Some(text), None) => Block::Ipv4(block::ipv4(text).ok_or_else(|| malformed("cidrBlock", text))?),
            (None, Some(text)) => Block::Ipv6(block::ipv6(text).ok_or_else(|| malformed("ipv6CidrBlock", text))?),
            (None, None) => {
                return Err(Common::MissingParameter.fault("The request must contain the parameter cidrBlock"));
            }
            (Some(_), Some(_)) => {
                let why = "The parameter cidrBlock cannot be used with the parameter ipv6CidrBlock";
                return Err(Common::InvalidParameterCombination.fault(why));
            }
        };
        let traffic = self.traffic(&block)?;
        Ok(Entry { traffic, block, allows: self.action == api::RuleAction::Allow })
    }

    /// Ports count for TCP and UDP only, a type and a code for ICMP, and for ICMPv6 if the block is of IPv6 (API
    /// reference, CreateNetworkAclEntry).
    fn traffic(&self, block: &Block) -> Result<Traffic, Fault> {
        let protocol = match self.protocol.as_str() {
            "-1" => return Ok(Traffic::ALL),
            number => number.parse::<u8>().map_err(|_| {
                let why = format!("Invalid value '{number}' for IP protocol. Unknown protocol.");
                Common::InvalidParameterValue.fault(why)
            })?,
        };
        let missing = |what: &str| {
            Common::MissingParameter
                .fault(format!("The request must contain the parameter {what} for protocol {protocol}"))
        };
        let (from, to) = match (protocol, block) {
            (Traffic::TCP | Traffic::UDP, _) => {
                let range = self.ports.as_ref().ok_or_else(|| missing("portRange"))?;
                ports(range.from, range.to)?
            }
            (Traffic::ICMP, _) | (Traffic::ICMPV6, Block::Ipv6(_)) => {
                let icmp = self.icmp.as_ref().ok_or_else(|| missing("icmpTypeCode"))?;
                kind_and_code(icmp.r#type.unwrap_or(-1), icmp.code.unwrap_or(-1))?
            }
            _ => (-1, -1),
        };
        Ok(Traffic { protocol: Some(protocol), from, to })
    }
}

/// The number of a rule that is its user's to make and to change (API reference, CreateNetworkAclEntry).
pub(super) fn number(asked: i32) -> Result<u16, Fault> {
    let number = u16::try_from(asked).ok().filter(|number| (1..=32766).contains(number));
    number.ok_or_else(|| {
        let why = format!("Value ({asked}) for parameter ruleNumber is invalid. Rule numbers are 1 to 32766.");
        Common::InvalidParameterValue.fault(why)
    })
}

pub(super) fn direction(egress: bool) -> Direction {
    if egress { Direction::Egress } else { Direction::Ingress }
}

fn malformed(parameter: &str, text: &str) -> Fault {
    let why = format!("Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block.");
    Common::InvalidParameterValue.fault(why)
}
