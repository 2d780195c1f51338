//! What the DaemonSet's environment says, under amazon-vpc-cni-k8s's names.
//! <https://github.com/aws/amazon-vpc-cni-k8s#cni-configuration-variables>

use anyhow::{Context as _, Result, bail};
use roadstead_types::Cidr;
use std::path::PathBuf;
use std::str::FromStr;

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many addresses are kept.
    pub targets: Targets,
    /// `AWS_VPC_ENI_MTU`, bytes.
    pub mtu: u32,
    /// What is done to packets that leave the VPC.
    pub snat: Snat,
    /// `AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS`: blocks that are reached as the VPC's are.
    pub exclude_snat: Vec<Cidr>,
    /// `AWS_VPC_CNI_NODE_PORT_SUPPORT`: replies to who came by the primary ENI leave by it.
    pub node_port: bool,
    /// `AWS_VPC_K8S_CNI_VETHPREFIX`.
    pub prefix: String,
    /// `MY_NODE_NAME`.
    pub node: String,
    /// `CLUSTER_NAME`, if it is told; for tags.
    pub cluster: Option<String>,
    /// `AWS_REGION`; none: the metadata service knows.
    pub region: Option<String>,
    /// `AWS_ENDPOINT_URL_EC2`, or `AWS_ENDPOINT_URL`.
    pub endpoint: Option<String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub metadata: Option<String>,
    /// Where the plugin asks.
    pub socket: PathBuf,
    /// The file of the leases.
    pub state: PathBuf,
    /// The folder of the runtime's network configurations.
    pub networks: PathBuf,
    /// Where the plugins are installed.
    pub plugins: PathBuf,
    /// `INTROSPECTION_BIND_ADDRESS`; empty (`DISABLE_INTROSPECTION`): nobody may look.
    pub introspection: String,
    /// Where metrics are; empty (`DISABLE_METRICS`): nowhere.
    pub metrics: String,
}

/// How many addresses a node keeps. Of those for single addresses and those for whole interfaces, the former win.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// `WARM_ENI_TARGET`: so many interfaces' worth of free addresses.
    pub warm_enis: u32,
    /// `WARM_IP_TARGET`: so many free addresses.
    pub warm_addresses: Option<u32>,
    /// `MINIMUM_IP_TARGET`: so many addresses in all, at least.
    pub minimum_addresses: Option<u32>,
    /// `WARM_PREFIX_TARGET`: so many free prefixes.
    pub warm_prefixes: u32,
    /// `MAX_ENI`: not more interfaces than that.
    pub max_enis: Option<u32>,
    /// `ENABLE_PREFIX_DELEGATION`: /28 prefixes, not single addresses.
    pub prefixes: bool,
}

impl Default for Targets {
    fn default() -> Targets {
        Targets {
            warm_enis: 1,
            warm_addresses: None,
            minimum_addresses: None,
            warm_prefixes: 1,
            max_enis: None,
            prefixes: false,
        }
    }
}

/// Source NAT of what leaves the VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snat {
    /// `AWS_VPC_K8S_CNI_EXTERNALSNAT=true`: a NAT gateway does it.
    External,
    /// To the node's primary address; the port is chosen `AWS_VPC_K8S_CNI_RANDOMIZESNAT=prng`.
    RandomFully,
    /// The same, with a hash of the flow as the port: `hashrandom`.
    Random,
    /// The same, with the port kept if that can be: `none`.
    Plain,
}

impl Settings {
    /// Reads the environment. What is not set has AWS's default.
    ///
    /// # Errors
    /// A value can't be read; it says which.
    pub fn read(env: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let text = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let flag = |name: &str, default| parsed(name, text(name)).map(|flag| flag.unwrap_or(default));
        let number = |name: &str| parsed::<u32>(name, text(name));
        let path = |name: &str, default: &str| PathBuf::from(text(name).unwrap_or_else(|| default.to_owned()));
        let served = |disable: &str, bind: &str, default: &str| -> Result<String> {
            let address = text(bind).unwrap_or_else(|| default.to_owned());
            Ok(if flag(disable, false)? { String::new() } else { address })
        };
        let defaults = Targets::default();
        let targets = Targets {
            warm_enis: number("WARM_ENI_TARGET")?.unwrap_or(defaults.warm_enis),
            warm_addresses: number("WARM_IP_TARGET")?.filter(|n| *n > 0),
            minimum_addresses: number("MINIMUM_IP_TARGET")?.filter(|n| *n > 0),
            warm_prefixes: number("WARM_PREFIX_TARGET")?.unwrap_or(defaults.warm_prefixes),
            max_enis: number("MAX_ENI")?.filter(|n| *n > 0),
            prefixes: flag("ENABLE_PREFIX_DELEGATION", false)?,
        };
        let snat = match text("AWS_VPC_K8S_CNI_RANDOMIZESNAT").as_deref() {
            _ if flag("AWS_VPC_K8S_CNI_EXTERNALSNAT", false)? => Snat::External,
            None | Some("prng") => Snat::RandomFully,
            Some("hashrandom") => Snat::Random,
            Some("none") => Snat::Plain,
            Some(other) => bail!("AWS_VPC_K8S_CNI_RANDOMIZESNAT is '{other}', not prng, hashrandom or none"),
        };
        let blocks = text("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS").unwrap_or_default();
        let blocks = blocks.split(',').map(str::trim).filter(|block| !block.is_empty()).map(str::parse);
        Ok(Settings {
            targets,
            mtu: number("AWS_VPC_ENI_MTU")?.unwrap_or(9001),
            snat,
            exclude_snat: blocks.collect::<Result<_, _>>().context("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS")?,
            node_port: flag("AWS_VPC_CNI_NODE_PORT_SUPPORT", true)?,
            prefix: text("AWS_VPC_K8S_CNI_VETHPREFIX").unwrap_or_else(|| "eni".to_owned()),
            node: text("MY_NODE_NAME").unwrap_or_default(),
            cluster: text("CLUSTER_NAME"),
            region: text("AWS_REGION"),
            endpoint: text("AWS_ENDPOINT_URL_EC2").or_else(|| text("AWS_ENDPOINT_URL")),
            metadata: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
            socket: path("IPAMD_SOCKET", crate::cni::daemon::SOCKET),
            state: path("AWS_VPC_K8S_CNI_BACKING_STORE", "/var/run/aws-node/ipam.json"),
            networks: path("HOST_CNI_CONFDIR_PATH", "/host/etc/cni/net.d"),
            plugins: path("HOST_CNI_BIN_PATH", "/host/opt/cni/bin"),
            introspection: served("DISABLE_INTROSPECTION", "INTROSPECTION_BIND_ADDRESS", "127.0.0.1:61679")?,
            metrics: served("DISABLE_METRICS", "METRICS_BIND_ADDRESS", "0.0.0.0:61678")?,
        })
    }
}

fn parsed<T: FromStr>(name: &str, text: Option<String>) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let value =
        text.parse().map_err(|_| anyhow::anyhow!("the environment's {name} is '{text}', which can't be read"))?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_is_not_set_is_as_amazon_has_it() {
        let settings = read(&[("WARM_IP_TARGET", "")]).unwrap();
        assert_eq!(settings.targets, Targets::default());
        assert_eq!(settings.introspection, "127.0.0.1:61679");
        assert_eq!(read(&[("DISABLE_METRICS", "true")]).unwrap().metrics, "");
        assert_eq!((settings.mtu, settings.snat, settings.prefix.as_str()), (9001, Snat::RandomFully, "eni"));
    }

    #[test]
    fn a_value_that_can_t_be_read_is_named() {
        let error = read(&[("MAX_ENI", "many")]).unwrap_err().to_string();
        assert!(error.contains("MAX_ENI") && error.contains("many"), "{error}");
        assert!(read(&[("AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS", "10.1.0.0/16, 10.2.0.0")]).is_err());
    }
}
