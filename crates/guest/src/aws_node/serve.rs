//! What the daemon tells who looks in: introspection and health (port 61679), metrics (port 61678).

use super::daemon::{Counters, Daemon, Snapshot};
use super::settings::{Settings, Targets};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// Nobody needs longer to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest head of a request, bytes.
const LONGEST: usize = 8 << 10;

/// Serves both, also while the daemon is not there yet.
///
/// # Errors
/// Nobody can listen there.
pub fn serve(settings: &Settings, daemon: &Arc<OnceLock<Arc<Daemon>>>) -> Result<()> {
    let environment = json!({
        "networkutils": networkutils(settings),
        "ipamd": ipamd(&settings.targets),
    });
    let look = move |path: &str, daemon: Option<&Daemon>| introspection(path, daemon, &environment);
    start(&settings.introspection, daemon.clone(), look)?;
    start(&settings.metrics, daemon.clone(), |path, daemon| match (path, daemon) {
        ("/metrics", Some(daemon)) => {
            Page::ok("text/plain; version=0.0.4", metrics(&daemon.snapshot(), &daemon.counters))
        }
        ("/metrics", None) => Page::unready(),
        _ => Page::missing(),
    })
}

struct Page {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Page {
    fn ok(kind: &'static str, body: String) -> Page {
        Page { status: "200 OK", kind, body }
    }

    fn json(value: &Value) -> Page {
        Page::ok("application/json", value.to_string())
    }

    fn unready() -> Page {
        let body = "the daemon has not started yet, see its log\n".to_owned();
        Page { status: "503 Service Unavailable", kind: "text/plain", body }
    }

    fn missing() -> Page {
        Page { status: "404 Not Found", kind: "text/plain", body: "not here\n".to_owned() }
    }
}

fn start(
    address: &str,
    daemon: Arc<OnceLock<Arc<Daemon>>>,
    page: impl Fn(&str, Option<&Daemon>) -> Page + Send + 'static,
) -> Result<()> {
    if address.is_empty() {
        return Ok(());
    }
    let listener = TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
    thread::Builder::new().name("http".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who does not wait for the answer does not want it.
            let _ = respond(stream, |path| page(path, daemon.get().map(Arc::as_ref)));
        }
    })?;
    Ok(())
}

fn respond(mut stream: TcpStream, page: impl Fn(&str) -> Page) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") && head.len() < LONGEST {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => break,
            n => head.extend_from_slice(&bytes[..n]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).and_then(|target| target.split('?').next()).unwrap_or_default();
    let Page { status, kind, body } = page(path);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn introspection(path: &str, daemon: Option<&Daemon>, environment: &Value) -> Page {
    match (path, daemon) {
        ("/", _) => Page::json(&json!([
            "/healthz",
            "/v1/enis",
            "/v1/pods",
            "/v1/networkutils-env-settings",
            "/v1/ipamd-env-settings"
        ])),
        ("/v1/networkutils-env-settings", _) => Page::json(&environment["networkutils"]),
        ("/v1/ipamd-env-settings", _) => Page::json(&environment["ipamd"]),
        ("/healthz" | "/v1/enis" | "/v1/pods", None) => Page::unready(),
        ("/healthz", Some(_)) => Page::ok("text/plain", "ok\n".to_owned()),
        ("/v1/enis", Some(daemon)) => Page::json(&enis(&daemon.snapshot())),
        ("/v1/pods", Some(daemon)) => Page::json(&pods(&daemon.snapshot())),
        _ => Page::missing(),
    }
}

fn enis(snapshot: &Snapshot) -> Value {
    let enis = snapshot.interfaces.iter().map(|eni| {
        let leases =
            snapshot.leases.iter().filter(|lease| eni.blocks.iter().any(|block| block.contains(lease.address)));
        let leases = leases.map(|lease| (lease.address.to_string(), json!({ "IPAMKey": lease.pod.key.to_string() })));
        let shown = json!({
            "ID": eni.id,
            "IsPrimary": eni.device == 0,
            "DeviceNumber": eni.device,
            "MAC": eni.mac.to_string(),
            "PrimaryIP": eni.primary,
            "SubnetID": eni.subnet_id,
            "IPv4Cidrs": eni.blocks,
            "AssignedIPv4Addresses": leases.collect::<serde_json::Map<_, _>>(),
        });
        (eni.id.clone(), shown)
    });
    let enis: serde_json::Map<_, _> = enis.collect();
    let count = snapshot.count;
    json!({
        "TotalIPs": count.total,
        "AssignedIPs": count.leased,
        "CooldownIPs": count.cooling,
        "Shortage": snapshot.shortage,
        "ENIs": enis,
    })
}

fn pods(snapshot: &Snapshot) -> Value {
    let pods = snapshot.leases.iter().map(|lease| {
        let shown = json!({
            "K8SPodNamespace": lease.pod.namespace,
            "K8SPodName": lease.pod.name,
            "ContainerID": lease.pod.key.container,
            "IfName": lease.pod.key.interface,
            "HostVeth": lease.pod.link,
            "IP": lease.address,
            "DeviceNumber": lease.device,
            "Since": lease.since,
        });
        (lease.pod.key.to_string(), shown)
    });
    Value::Object(pods.collect())
}

fn networkutils(settings: &Settings) -> Value {
    json!({
        "AWS_VPC_ENI_MTU": settings.mtu.to_string(),
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": (settings.snat == super::settings::Snat::External).to_string(),
        "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": settings.exclude_snat,
        "AWS_VPC_CNI_NODE_PORT_SUPPORT": settings.node_port.to_string(),
        "AWS_VPC_K8S_CNI_VETHPREFIX": settings.prefix,
    })
}

fn ipamd(targets: &Targets) -> Value {
    json!({
        "WARM_ENI_TARGET": targets.warm_enis,
        "WARM_IP_TARGET": targets.warm_addresses,
        "MINIMUM_IP_TARGET": targets.minimum_addresses,
        "WARM_PREFIX_TARGET": targets.warm_prefixes,
        "MAX_ENI": targets.max_enis,
        "ENABLE_PREFIX_DELEGATION": targets.prefixes,
    })
}

/// Under amazon-vpc-cni-k8s's names, as far as they mean the same here.
fn metrics(snapshot: &Snapshot, counters: &Counters) -> String {
    let (count, limits) = (snapshot.count, snapshot.limits);
    let gauges = [
        ("awscni_eni_allocated", "The number of ENIs allocated", snapshot.interfaces.len() as u64),
        ("awscni_eni_max", "The maximum number of ENIs that can be attached to the instance", limits.enis.into()),
        (
            "awscni_ip_max",
            "The maximum number of IP addresses that can be allocated to the instance",
            (limits.enis * limits.addresses.saturating_sub(1)).into(),
        ),
        ("awscni_total_ip_addresses", "The total number of IP addresses", count.total.into()),
        ("awscni_assigned_ip_addresses", "The number of IP addresses assigned to pods", count.leased.into()),
        ("awscni_cooldown_ip_addresses", "The number of IP addresses that rest between two pods", count.cooling.into()),
    ];
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counts = [
        ("awscni_add_ip_req_count", "The number of add IP address requests", of(&counters.adds)),
        (
            "awscni_no_available_ip_addrs",
            "The number of add requests that found no address",
            of(&counters.refused_adds),
        ),
        ("awscni_del_ip_req_count", "The number of delete IP address requests", of(&counters.dels)),
        (
            "awscni_force_removed_ips",
            "The number of IP addresses whose pods went without a word",
            of(&counters.reclaimed),
        ),
        ("awscni_aws_api_error_count", "The number of steps that EC2 refused", of(&counters.cloud_errors)),
        ("awscni_reconcile_count", "The number of comparisons with EC2", of(&counters.reconciles)),
    ];
    let lines = |kind: &'static str| {
        move |(name, help, value): (&str, &str, u64)| {
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        }
    };
    gauges.into_iter().map(lines("gauge")).chain(counts.into_iter().map(lines("counter"))).collect()
}
