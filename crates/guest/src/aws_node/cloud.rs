//! The instance's interfaces, as EC2 keeps them.

use super::ec2::{Ec2, Parameters, Refused};
use super::ipam::Interface;
use super::pool::Limits;
use super::settings::Settings;
use super::xml::Element;
use crate::ask::imds::Imds;
use anyhow::{Context as _, Result, ensure};
use roadstead_types::Cidr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// Marks interfaces that daemons made, under amazon-vpc-cni-k8s's name; its value is the instance's id.
const TAG_INSTANCE: &str = "node.k8s.amazonaws.com/instance_id";
/// The same for the cluster.
const TAG_CLUSTER: &str = "cluster.k8s.amazonaws.com/name";

/// What a daemon asks of EC2.
pub trait Cloud: Send + Sync {
    /// The interfaces that are attached to the instance.
    fn interfaces(&self) -> Result<Vec<Interface>>;
    /// Makes an interface with so many addresses or prefixes and attaches it under this device number.
    fn attach(&self, device: u32, slots: u32) -> Result<Interface>;
    /// Gives an interface so many addresses or prefixes more.
    fn assign(&self, eni: &str, slots: u32) -> Result<Vec<Cidr>>;
    /// Takes addresses and prefixes from an interface.
    fn unassign(&self, eni: &str, blocks: &[Cidr]) -> Result<()>;
    /// Detaches an interface and deletes it.
    fn detach(&self, eni: &str) -> Result<()>;
    /// Deletes interfaces that a daemon of this instance made and that are attached to nothing.
    fn sweep(&self) -> Result<Vec<String>>;
}

/// What an instance knows of itself; it does not change while it runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `i-…`.
    pub instance: String,
    /// E.g. `m5.large`.
    pub instance_type: String,
    /// The primary interface's own address.
    pub primary: Ipv4Addr,
    /// Blocks of the VPC.
    pub vpc: Vec<Cidr>,
    /// What its type can have.
    pub limits: Limits,
    subnet: String,
    groups: Vec<String>,
}

/// EC2's API.
pub struct Api {
    ec2: Ec2,
    imds: Imds,
    /// The instance.
    pub identity: Identity,
    prefixes: bool,
    cluster: Option<String>,
    /// Blocks of subnets; they don't change.
    subnets: Mutex<BTreeMap<String, Cidr>>,
}

impl Api {
    /// Finds out who the instance is, and where its region's API.
    ///
    /// # Errors
    /// The metadata service or EC2 does not answer.
    pub fn connect(settings: &Settings) -> Result<Api> {
        let imds = Imds::new(settings.metadata.as_deref())?;
        let region = match &settings.region {
            Some(region) => region.clone(),
            None => imds.need("placement/region")?,
        };
        let endpoint = settings.endpoint.as_deref().context("the environment's AWS_ENDPOINT_URL is not set")?;
        let ec2 = Ec2::new(endpoint, &region)?;
        let identity = Identity::read(&ec2, &imds)?;
        let (prefixes, cluster) = (settings.targets.prefixes, settings.cluster.clone());
        Ok(Api { ec2, imds, identity, prefixes, cluster, subnets: Mutex::default() })
    }

    fn call(&self, action: &'static str, parameters: &Parameters) -> Result<Element> {
        self.ec2.call(&self.imds, action, parameters)
    }

    fn subnet(&self, id: &str) -> Result<Cidr> {
        let mut known = self.subnets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = known.get(id) {
            return Ok(*block);
        }
        let answer = self.call("DescribeSubnets", &Parameters::default().with_list("SubnetId", [id]))?;
        let subnet = answer.list("subnetSet").next().with_context(|| format!("EC2 does not know {id}"))?;
        let block = subnet.text("cidrBlock").parse().with_context(|| format!("the block of {id}"))?;
        known.insert(id.to_owned(), block);
        Ok(block)
    }

    fn interface(&self, element: &Element) -> Result<Interface> {
        let id = element.text("networkInterfaceId");
        let parse = || -> Result<Interface> {
            let own = element.text("privateIpAddress").parse().context("privateIpAddress")?;
            Ok(Interface {
                id: id.to_owned(),
                device: element.text("attachment/deviceIndex").parse().context("attachment.deviceIndex")?,
                mac: element.text("macAddress").parse().map_err(anyhow::Error::msg)?,
                primary: own,
                subnet_id: element.text("subnetId").to_owned(),
                subnet: self.subnet(element.text("subnetId"))?,
                blocks: blocks(element, "privateIpAddressesSet", "ipv4PrefixSet", own)?,
            })
        };
        parse().with_context(|| format!("EC2's description of {id}"))
    }

    /// How an interface is asked for addresses.
    fn counted(&self, parameters: Parameters, slots: u32) -> Parameters {
        let name = if self.prefixes { "Ipv4PrefixCount" } else { "SecondaryPrivateIpAddressCount" };
        if slots == 0 { parameters } else { parameters.with(name, slots) }
    }

    /// A new interface, attached to nothing.
    fn create(&self, slots: u32) -> Result<Element> {
        let identity = &self.identity;
        let parameters = Parameters::default()
            .with("SubnetId", &identity.subnet)
            .with("Description", format!("aws-K8S-{}", identity.instance))
            .with_list("SecurityGroupId", &identity.groups)
            .with("TagSpecification.1.ResourceType", "network-interface")
            .with("TagSpecification.1.Tag.1.Key", TAG_INSTANCE)
            .with("TagSpecification.1.Tag.1.Value", &identity.instance);
        let parameters = match &self.cluster {
            Some(cluster) => parameters
                .with("TagSpecification.1.Tag.2.Key", TAG_CLUSTER)
                .with("TagSpecification.1.Tag.2.Value", cluster),
            None => parameters,
        };
        let answer = self.call("CreateNetworkInterface", &self.counted(parameters, slots));
        let answer = answer.map_err(|why| named(why, &identity.subnet))?;
        answer.child("networkInterface").cloned().context("EC2 made an interface and does not say which")
    }

    /// Attaches an interface, for as long as the instance lives.
    fn join(&self, id: &str, device: u32) -> Result<()> {
        let parameters = Parameters::default()
            .with("NetworkInterfaceId", id)
            .with("InstanceId", &self.identity.instance)
            .with("DeviceIndex", device);
        let attachment = self.call("AttachNetworkInterface", &parameters)?.text("attachmentId").to_owned();
        let parameters = Parameters::default()
            .with("NetworkInterfaceId", id)
            .with("Attachment.AttachmentId", attachment)
            .with("Attachment.DeleteOnTermination", true);
        self.call("ModifyNetworkInterfaceAttribute", &parameters).map(drop)
    }

    fn describe(&self, id: &str) -> Result<Element> {
        let answer =
            self.call("DescribeNetworkInterfaces", &Parameters::default().with_list("NetworkInterfaceId", [id]))?;
        let found = answer.list("networkInterfaceSet").next().cloned();
        found.with_context(|| format!("EC2 does not know {id}"))
    }
}

impl Cloud for Api {
    fn interfaces(&self) -> Result<Vec<Interface>> {
        let parameters = Parameters::default().with_filter(1, "attachment.instance-id", &self.identity.instance);
        let found = self.ec2.list(&self.imds, "DescribeNetworkInterfaces", &parameters, "networkInterfaceSet")?;
        found.iter().map(|element| self.interface(element)).collect()
    }

    fn attach(&self, device: u32, slots: u32) -> Result<Interface> {
        let made = self.create(slots)?;
        let id = made.text("networkInterfaceId");
        let attached = self.join(id, device).and_then(|()| self.interface(&self.describe(id)?));
        attached.inspect_err(|_| {
            if let Err(why) = self.detach(id) {
                tracing::warn!("{id} could not be attached and stays until the next sweep: {why:#}");
            }
        })
    }

    fn assign(&self, eni: &str, slots: u32) -> Result<Vec<Cidr>> {
        let parameters = self.counted(Parameters::default().with("NetworkInterfaceId", eni), slots);
        let answer = self.call("AssignPrivateIpAddresses", &parameters);
        let answer = answer.map_err(|why| named(why, &self.identity.subnet))?;
        blocks(&answer, "assignedPrivateIpAddressesSet", "assignedIpv4PrefixSet", Ipv4Addr::UNSPECIFIED)
    }

    fn unassign(&self, eni: &str, gone: &[Cidr]) -> Result<()> {
        let (addresses, prefixes): (Vec<Cidr>, Vec<Cidr>) = gone.iter().partition(|block| block.prefix() == 32);
        let parameters = Parameters::default()
            .with("NetworkInterfaceId", eni)
            .with_list("PrivateIpAddress", addresses.iter().map(|block| block.base()))
            .with_list("Ipv4Prefix", prefixes);
        self.call("UnassignPrivateIpAddresses", &parameters).map(drop)
    }

    fn detach(&self, eni: &str) -> Result<()> {
        let attachment = match self.describe(eni) {
            Ok(element) => element.text("attachment/attachmentId").to_owned(),
            Err(why) if code(&why) == Some("InvalidNetworkInterfaceID.NotFound") => return Ok(()),
            Err(why) => return Err(why),
        };
        if !attachment.is_empty() {
            let parameters = Parameters::default().with("AttachmentId", attachment).with("Force", true);
            self.call("DetachNetworkInterface", &parameters)?;
        }
        // EC2 takes a moment to let go.
        let mut tried = self.call("DeleteNetworkInterface", &Parameters::default().with("NetworkInterfaceId", eni));
        for pause in [100, 300, 1000, 3000].map(std::time::Duration::from_millis) {
            match &tried {
                Err(why) if code(why) == Some("InvalidParameterValue") => std::thread::sleep(pause),
                _ => break,
            }
            tried = self.call("DeleteNetworkInterface", &Parameters::default().with("NetworkInterfaceId", eni));
        }
        match tried {
            Err(why) if code(&why) == Some("InvalidNetworkInterfaceID.NotFound") => Ok(()),
            other => other.map(drop),
        }
    }

    fn sweep(&self) -> Result<Vec<String>> {
        let parameters = Parameters::default()
            .with_filter(1, &format!("tag:{TAG_INSTANCE}"), &self.identity.instance)
            .with_filter(2, "status", "available");
        let found = self.ec2.list(&self.imds, "DescribeNetworkInterfaces", &parameters, "networkInterfaceSet")?;
        let ids = found.iter().map(|element| element.text("networkInterfaceId").to_owned());
        ids.map(|id| self.detach(&id).map(|()| id)).collect()
    }
}

impl Identity {
    fn read(ec2: &Ec2, imds: &Imds) -> Result<Identity> {
        let instance_type = imds.need("instance-type")?;
        let mac = imds.need("mac")?;
        let primary = imds.need("local-ipv4")?;
        let about = |what: &str| imds.need(&format!("network/interfaces/macs/{mac}/{what}"));
        let vpc = about("vpc-ipv4-cidr-blocks")?;
        Ok(Identity {
            instance: imds.need("instance-id")?,
            primary: primary.trim().parse().with_context(|| format!("local-ipv4 is '{primary}'"))?,
            vpc: vpc.split_whitespace().map(str::parse).collect::<Result<_, _>>().context("vpc-ipv4-cidr-blocks")?,
            limits: limits(ec2, imds, &instance_type)?,
            subnet: about("subnet-id")?.trim().to_owned(),
            groups: about("security-group-ids")?.split_whitespace().map(str::to_owned).collect(),
            instance_type,
        })
    }
}

fn limits(ec2: &Ec2, imds: &Imds, instance_type: &str) -> Result<Limits> {
    let parameters = Parameters::default().with_list("InstanceType", [instance_type]);
    let answer = ec2.call(imds, "DescribeInstanceTypes", &parameters)?;
    let described = answer.list("instanceTypeSet").next();
    let described = described.with_context(|| format!("EC2 does not know the type {instance_type}"))?;
    let number = |name: &str| -> Result<u32> {
        let text = described.text(&format!("networkInfo/{name}"));
        text.parse().with_context(|| format!("{name} of {instance_type} is '{text}'"))
    };
    let limits = Limits { enis: number("maximumNetworkInterfaces")?, addresses: number("ipv4AddressesPerInterface")? };
    ensure!(limits.enis > 0 && limits.addresses > 0, "{instance_type} can have no addresses");
    Ok(limits)
}

/// Addresses and prefixes in their two lists, but for the interface's own.
fn blocks(element: &Element, addresses: &str, prefixes: &str, own: Ipv4Addr) -> Result<Vec<Cidr>> {
    let address = |item: &Element| -> Result<Ipv4Addr> {
        let text = item.text("privateIpAddress");
        text.parse().with_context(|| format!("'{text}' in {addresses}"))
    };
    let single: Vec<Ipv4Addr> = element.list(addresses).map(address).collect::<Result<_>>()?;
    let prefix = |item: &Element| -> Result<Cidr> {
        let text = item.text("ipv4Prefix");
        text.parse().with_context(|| format!("'{text}' in {prefixes}"))
    };
    let whole = element.list(prefixes).map(prefix);
    let single = single.into_iter().filter(|address| *address != own).map(|address| Ok(Cidr::containing(address, 32)));
    single.chain(whole).collect()
}

/// EC2's error code, if it was EC2 who refused.
fn code(why: &anyhow::Error) -> Option<&str> {
    why.downcast_ref::<Refused>().map(|refused| refused.code.as_str())
}

/// Says which subnet is short: whoever reads the pod's event does not know where the node stands.
fn named(why: anyhow::Error, subnet: &str) -> anyhow::Error {
    match code(&why) {
        Some("InsufficientFreeAddressesInSubnet") => why.context(format!(
            "{subnet} has no free addresses left: delete what has some, or add nodes in another subnet"
        )),
        Some("InsufficientCidrBlocks") => why.context(format!(
            "{subnet} has no free block of 16 addresses left: reserve blocks, or set ENABLE_PREFIX_DELEGATION=false"
        )),
        _ => why,
    }
}
