//! What a region is given at its start: its settings each time; at the first one, what a set-up AWS account has.

use crate::config::Config;
use crate::{drivers, private_file};
use anyhow::{Context as _, Result};
use roadstead_cloud::account;
use roadstead_cloud::settings::{KubernetesVersion, Settings, Zone};
use roadstead_kernel::region::Handle;
use roadstead_store::Read as _;
use roadstead_types::{Cidr, Millis};
use roadstead_vault::Vault;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The admin user's access key, as it stands in the data directory.
#[derive(Serialize, Deserialize)]
pub struct Admin {
    /// `AKIA…`.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl Admin {
    /// The one of this data directory.
    pub fn read(config: &Config) -> Result<Admin> {
        Ok(serde_json::from_slice(&std::fs::read(config.admin())?)?)
    }
}

/// Writes the settings, and at the first start the account's furniture.
pub async fn run(config: &Config, handle: &Handle, vault: &Vault, address: SocketAddr, slot: u8) -> Result<()> {
    let settings = settings(config, address, slot)?;
    let first = handle.view().get(&Settings::key()).is_none();
    if !first {
        let key = Admin::read(config).ok().map(|admin| admin.access_key_id);
        return drivers::write(handle, move |tx| account::renew(tx, &settings, key.as_deref())).await;
    }
    let secret = crate::credentials::mint(vault, "iam/access-key").map_err(anyhow::Error::msg)?;
    let id = format!("AKIA{}", unique()?);
    // On disk before it is valid: a crash in between leaves a key that opens nothing, and the next start makes another.
    let admin = Admin { access_key_id: id.clone(), secret_access_key: secret.plain.clone() };
    private_file::replace(&config.admin(), &serde_json::to_vec_pretty(&admin)?)?;
    drivers::write(handle, move |tx| account::furnish(tx, &settings, id, secret.sealed)).await
}

fn settings(config: &Config, address: SocketAddr, slot: u8) -> Result<Settings> {
    let components = components()?;
    let zones = (1..).zip(&config.zones).map(|(n, name)| Zone { name: name.clone(), id: zone_id(&config.region, n) });
    let set = |family: &str| {
        let set = components.iter().find(|c| c.family == family && c.default);
        set.with_context(|| format!("no {family} among the components"))
    };
    let (containerd, runc) = (set("containerd")?, set("runc")?);
    let kubernetes = components.iter().filter(|c| c.family == "kubernetes");
    let mut kubernetes = kubernetes.map(|c| kubernetes_version(c, [containerd, runc])).collect::<Result<Vec<_>>>()?;
    kubernetes.sort_by(|a, b| b.minor.cmp(&a.minor));
    Ok(Settings {
        region: config.region.clone(),
        account: config.account.clone(),
        zones: zones.collect(),
        public_pool: Cidr::containing(Ipv4Addr::new(127, 43, slot, 0), 24),
        outside: config.outside.as_ref().map(|outside| outside.addresses),
        sts_hosts: vec![address.to_string(), format!("localhost:{}", address.port())],
        kubernetes,
        etcd: set("etcd")?.id(),
        containerd: containerd.id(),
        runc: runc.id(),
        coredns: set("coredns")?.id(),
        metrics_server: set("metrics-server")?.id(),
        vcpus: std::thread::available_parallelism().map_or(0, |n| n.get().try_into().unwrap_or(u32::MAX)),
        policies_decide: true,
    })
}

/// A version as it is offered, and the date of its node images, in which are `others` too.
fn kubernetes_version(component: &Component, others: [&Component; 2]) -> Result<KubernetesVersion> {
    let released = component.minor_date.as_deref().context("a Kubernetes set of the components has no minor-date")?;
    let released = OffsetDateTime::parse(released, &Rfc3339)?.unix_timestamp();
    let newest = others.iter().map(|other| &other.date).fold(&component.date, |newest, date| newest.max(date));
    Ok(KubernetesVersion {
        minor: component.name.trim_start_matches("kubernetes-").to_owned(),
        patch: component.version.clone(),
        components: component.id(),
        default: component.default,
        released: Millis::secs(released.try_into()?),
        image_date: newest.split('T').next().unwrap_or_default().replace('-', ""),
    })
}

/// `us-east-1` → `use1-az1`, as AWS abbreviates.
fn zone_id(region: &str, n: u32) -> String {
    let mut parts = region.split('-');
    let (country, number) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
    let direction: String = parts.flat_map(|p| p.chars().next()).collect();
    format!("{country}{direction}{number}-az{n}")
}

/// The one list of what is built and offered.
#[derive(Deserialize)]
struct Manifest {
    set: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Component {
    name: String,
    family: String,
    version: String,
    /// When this version came out, RFC 3339 in UTC.
    date: String,
    #[serde(default)]
    default: bool,
    /// When the first release of its minor came out.
    minor_date: Option<String>,
}

impl Component {
    /// The set's name where machines find its programs.
    fn id(&self) -> String {
        format!("{}-{}", self.family, self.version)
    }
}

fn components() -> Result<Vec<Component>> {
    Ok(toml::from_str::<Manifest>(include_str!("../../../components/components.toml"))?.set)
}

/// Sixteen characters of A–Z and 2–7 (IAM user guide, "Unique identifiers").
fn unique() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).context("no random bytes from the system")?;
    Ok(bytes.iter().map(|b| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(b % 32)])).collect())
}
