//! Configuration: a file, the environment, flags; the later wins. Read here and nowhere else.

mod show;

pub use show::show;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use roadstead_types::{AccountId, Cidr};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What may be said on the command line and in the environment.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Region")]
pub struct Flags {
    /// Configuration file (TOML) [default: /etc/roadstead.toml if it is there]
    #[arg(long, env = "ROADSTEAD_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Everything the region keeps [default: /var/lib/roadstead]
    #[arg(long, env = "ROADSTEAD_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the region's API [default: 127.0.0.1:7433; port 0 takes a free one]
    #[arg(long, env = "ROADSTEAD_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Loopback address for Prometheus to scrape /metrics at [default: none]
    #[arg(long, env = "ROADSTEAD_METRICS_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// Name of the region [default: us-east-1]
    #[arg(long, env = "ROADSTEAD_REGION", global = true)]
    pub region: Option<String>,
    /// Id of the account, twelve digits [default: 111122223333]
    #[arg(long, env = "ROADSTEAD_ACCOUNT_ID", global = true)]
    pub account_id: Option<String>,
    /// Availability zones, at least three [default: REGIONa,REGIONb,REGIONc]
    #[arg(long, env = "ROADSTEAD_ZONES", global = true, value_delimiter = ',', value_name = "ZONE,ZONE,ZONE")]
    pub zones: Option<Vec<String>>,
    /// Where the pinned upstream programs stand [default: the component cache of this user]
    #[arg(long, env = "ROADSTEAD_COMPONENTS", global = true, value_name = "DIR")]
    pub components: Option<PathBuf>,
    /// File of the root key, outside the data directory [default: DATA_DIR.root-key]
    #[arg(long, env = "ROADSTEAD_ROOT_KEY", global = true, value_name = "FILE")]
    pub root_key: Option<PathBuf>,
    /// File of the network namespace that internet and NAT gateways lead to [default: none: nothing leaves a VPC]
    #[arg(long, env = "ROADSTEAD_OUTSIDE", global = true, value_name = "FILE")]
    pub outside: Option<PathBuf>,
    /// Addresses that VPCs have there: elastic ones, and those of instances [default: none]
    #[arg(long, env = "ROADSTEAD_OUTSIDE_ADDRESSES", global = true, value_name = "CIDR")]
    pub outside_addresses: Option<String>,
    /// Changes that may be asked for at a time; who asks for more is throttled [default: 4096; 0: only reads are answered]
    #[arg(long, env = "ROADSTEAD_CHANGES_AT_A_TIME", global = true, value_name = "NUMBER")]
    pub changes_at_a_time: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    data_dir: Option<PathBuf>,
    listen: Option<SocketAddr>,
    metrics_listen: Option<SocketAddr>,
    region: Option<String>,
    account_id: Option<String>,
    zones: Option<Vec<String>>,
    components: Option<PathBuf>,
    root_key: Option<PathBuf>,
    outside: Option<PathBuf>,
    outside_addresses: Option<String>,
    changes_at_a_time: Option<usize>,
}

/// The configuration of a region on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Everything the region keeps.
    pub data_dir: PathBuf,
    /// Address of its API.
    pub listen: SocketAddr,
    /// Where metrics are scraped.
    pub metrics_listen: Option<SocketAddr>,
    /// Its name.
    pub region: String,
    /// The account.
    pub account: String,
    /// Its zones.
    pub zones: Vec<String>,
    /// Where the pinned upstream programs stand: `SET/PROGRAM`.
    pub components: PathBuf,
    /// File of the root key.
    pub root_key: PathBuf,
    /// What VPCs' gateways lead to.
    pub outside: Option<Outside>,
    /// How many changes may wait for the writer.
    pub changes_at_a_time: usize,
}

/// The outside of VPCs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// File of its network namespace. The region leads its addresses there and nothing else: how it goes on from there
    /// is for whoever made it.
    pub namespace: PathBuf,
    /// Addresses that are the region's there.
    pub addresses: Cidr,
}

const DEFAULT_FILE: &str = "/etc/roadstead.toml";

impl Config {
    /// The configuration that file, environment and flags make together.
    ///
    /// # Errors
    /// What cannot be read or does not make sense, with what to do.
    pub fn load(flags: &Flags) -> Result<Config> {
        let written: Written = read(flags.config.as_deref())?;
        let data_dir = flags.data_dir.clone().or(written.data_dir).unwrap_or_else(|| "/var/lib/roadstead".into());
        let data_dir = std::path::absolute(&data_dir)?;
        let region = flags.region.clone().or(written.region).unwrap_or_else(|| "us-east-1".into());
        let zones = flags.zones.clone().or(written.zones);
        let zones = zones.unwrap_or_else(|| ["a", "b", "c"].map(|z| format!("{region}{z}")).to_vec());
        let config = Config {
            listen: flags.listen.or(written.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7433))),
            metrics_listen: flags.metrics_listen.or(written.metrics_listen),
            account: flags.account_id.clone().or(written.account_id).unwrap_or_else(|| "111122223333".into()),
            components: flags.components.clone().or(written.components).map_or_else(default_components, Ok)?,
            root_key: flags.root_key.clone().or(written.root_key).unwrap_or_else(|| beside(&data_dir, "root-key")),
            outside: outside(
                flags.outside.clone().or(written.outside),
                flags.outside_addresses.clone().or(written.outside_addresses),
            )?,
            changes_at_a_time: flags.changes_at_a_time.or(written.changes_at_a_time).unwrap_or(4096),
            data_dir,
            region,
            zones,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let name =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(name(&self.region), "region '{}': use lower-case letters, digits and hyphens", self.region);
        ensure!(AccountId::parse(&self.account).is_some(), "account id '{}': it has twelve digits", self.account);
        ensure!(
            self.account != roadstead_cloud::settings::SERVICE_ACCOUNT,
            "account id 000000000000 is the service's own"
        );
        if let Some(address) = self.metrics_listen.filter(|address| !address.ip().is_loopback()) {
            bail!("metrics at {address}: anybody may read them there, so name a loopback address");
        }
        let distinct: BTreeSet<_> = self.zones.iter().collect();
        ensure!(distinct.len() >= 3 && distinct.len() == self.zones.len(), "name at least three different zones");
        for zone in &self.zones {
            ensure!(zone.starts_with(&self.region), "zone '{zone}' is not of region {}", self.region);
        }
        if self.root_key.starts_with(&self.data_dir) {
            bail!("the root key must stand outside the data directory {}", self.data_dir.display());
        }
        Ok(())
    }

    /// Each setting by the name that it has in the file and among the flags.
    pub fn settings(&self) -> [(&'static str, Option<String>); 11] {
        let path = |path: &Path| Some(path.display().to_string());
        let outside = self.outside.as_ref();
        [
            ("data-dir", path(&self.data_dir)),
            ("listen", Some(self.listen.to_string())),
            ("metrics-listen", self.metrics_listen.map(|address| address.to_string())),
            ("region", Some(self.region.clone())),
            ("account-id", Some(self.account.clone())),
            ("zones", Some(self.zones.join(","))),
            ("components", path(&self.components)),
            ("root-key", path(&self.root_key)),
            ("outside", outside.and_then(|outside| path(&outside.namespace))),
            ("outside-addresses", outside.map(|outside| outside.addresses.to_string())),
            ("changes-at-a-time", Some(self.changes_at_a_time.to_string())),
        ]
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// What only this machine knows of the region: slot, bound address, process ids.
    pub fn local(&self) -> PathBuf {
        self.data_dir.join("local.json")
    }

    /// The admin user's access key, mode 0600.
    pub fn admin(&self) -> PathBuf {
        self.data_dir.join("admin.json")
    }

    /// The host agent's durable state.
    pub fn host_state(&self) -> PathBuf {
        self.data_dir.join("host")
    }

    /// Logs of the region's own processes.
    pub fn logs(&self) -> PathBuf {
        self.data_dir.join("log")
    }
}

/// What stands in the file; nothing if there is none where nobody has said that there is one.
fn read<T: DeserializeOwned + Default>(named: Option<&Path>) -> Result<T> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    if named.is_none() && !path.exists() {
        return Ok(T::default());
    }
    let text = fs::read_to_string(path).with_context(|| format!("configuration file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("configuration file {}", path.display()))
}

/// Both or nothing. Addresses that mean this machine, or nobody, are no public ones (RFC 6890).
fn outside(namespace: Option<PathBuf>, addresses: Option<String>) -> Result<Option<Outside>> {
    let (namespace, addresses) = match (namespace, addresses) {
        (None, None) => return Ok(None),
        (Some(namespace), Some(addresses)) => (namespace, addresses),
        _ => bail!("outside and outside-addresses go together: name both, or neither"),
    };
    let block: Cidr = addresses.parse().with_context(|| format!("outside addresses '{addresses}'"))?;
    let base = block.base();
    let is_usable = !(base.is_loopback() || base.is_link_local() || base.is_multicast() || base.is_unspecified());
    ensure!(is_usable, "outside addresses {block}: nobody outside can answer to these");
    ensure!((8..=30).contains(&block.prefix()), "outside addresses {block}: take a /8 to a /30");
    Ok(Some(Outside { namespace: std::path::absolute(&namespace)?, addresses: block }))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{extension}"));
    name.into()
}

/// The view folder that `cargo xtask components` fills.
fn default_components() -> Result<PathBuf> {
    let cache = match (std::env::var_os("ROADSTEAD_CACHE"), std::env::var_os("XDG_CACHE_HOME")) {
        (Some(own), _) => PathBuf::from(own),
        (None, Some(xdg)) => PathBuf::from(xdg).join("roadstead"),
        (None, None) => PathBuf::from(std::env::var_os("HOME").context("HOME is not set: name --components")?)
            .join(".cache/roadstead"),
    };
    Ok(cache.join("components"))
}

#[cfg(test)]
mod tests;
