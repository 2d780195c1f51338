//! Clients at work: a writer whose every acknowledged write is remembered, readers, a watch that must miss nothing.

use super::ledger::{Book, Ledger, Track};
use crate::api::{Access, Connection, Lines};
use anyhow::{Context as _, Result, ensure};
use http_body_util::BodyExt as _;
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

/// Between two requests of the reader, and of the writer.
const PACE: Duration = Duration::from_millis(50);
/// An answer that is later than this is none: a client without retries gives up and dials anew.
const LIMIT: Duration = Duration::from_secs(1);
/// A patient client's tries begin at these times, and end a little before the next.
const TRIES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(700), Duration::from_millis(1400)];
const TRY_LIMIT: Duration = Duration::from_millis(600);
/// Between two questions of patient clients.
const PATIENT_PACE: Duration = Duration::from_millis(100);
/// A watch that shows nothing for so long though much is written asks somebody else.
const SILENCE: Duration = Duration::from_secs(5);
/// Idle watches, so that every API server is likely to hold one.
const IDLE: usize = 4;

const NAMESPACE: &str = "/api/v1/namespaces/chaos";
const OBJECTS: &str = "/api/v1/namespaces/chaos/configmaps";

/// Makes the place to write, and an identity that API servers verify by themselves, as they do those of pods.
///
/// # Errors
/// The cluster refuses.
pub async fn prepare(admin: &Access) -> Result<Access> {
    let mut connection = admin.connect().await?;
    let mut make = async |path: &str, object: Value| connection.ask(Method::POST, path, &object).await;
    make("/api/v1/namespaces", json!({"metadata": {"name": "chaos"}})).await?;
    let accounts = format!("{NAMESPACE}/serviceaccounts");
    make(&accounts, json!({"metadata": {"name": "load"}})).await?;
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let subject = json!({"kind": "ServiceAccount", "name": "load", "namespace": "chaos"});
    let binding = json!({"metadata": {"name": "chaos-load"}, "roleRef": role, "subjects": [subject]});
    make("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await?;
    let request = json!({"spec": {"expirationSeconds": 24 * 3600}});
    let token = make(&format!("{accounts}/load/token"), request).await?;
    let token = token["status"]["token"].as_str().context("a token was promised")?;
    Ok(admin.with_token(token))
}

/// Where pods find the cluster: the Service `kubernetes`.
///
/// # Errors
/// There is none.
pub async fn service(access: &Access) -> Result<SocketAddr> {
    let path = "/api/v1/namespaces/default/services/kubernetes";
    let service = access.connect().await?.ask(Method::GET, path, &Value::Null).await?;
    let ip = service["spec"]["clusterIP"].as_str().context("the Service kubernetes has no address")?;
    let port = service["spec"]["ports"][0]["port"].as_u64().context("the Service kubernetes has no port")?;
    Ok(SocketAddr::new(ip.parse()?, port.try_into()?))
}

/// Runs all clients until it is dropped; `inner` dials in a pod.
pub async fn run(access: Access, inner: Access, ledger: Ledger) {
    let idle = (0..IDLE).map(|_| tokio::spawn(idle_watch(access.clone(), ledger.clone()))).collect::<Vec<_>>();
    tokio::join!(
        write(access.clone(), ledger.clone()),
        read(access.clone(), ledger.clone(), |book| &mut book.reads),
        read(inner, ledger.clone(), |book| &mut book.inner),
        ask_patiently(access.clone(), ledger.clone()),
        watch(access, ledger),
    );
    drop(idle);
}

async fn every(pace: Duration) -> tokio::time::Interval {
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn limited<T>(limit: Duration, what: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, what).await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {limit:?}")))
}

async fn write(access: Access, ledger: Ledger) {
    let (mut ticks, mut connection) = (every(PACE).await, None);
    for number in 0.. {
        ticks.tick().await;
        let result = limited(LIMIT, write_one(&access, &ledger, &mut connection, number)).await;
        let mut book = ledger.open();
        book.writes.note(&result);
        match result {
            Ok(()) => drop(book.acknowledged.insert(number)),
            Err(_) => (connection, book.port) = (None, None),
        }
    }
}

async fn write_one(access: &Access, ledger: &Ledger, connection: &mut Option<Connection>, number: u64) -> Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(access.connect().await?),
    };
    ledger.open().port = Some(connection.port);
    let object = json!({"metadata": {"name": format!("n{number}")}});
    connection.ask(Method::POST, OBJECTS, &object).await.map(drop)
}

async fn read(access: Access, ledger: Ledger, track: fn(&mut Book) -> &mut Track) {
    let mut ticks = every(PACE).await;
    loop {
        ticks.tick().await;
        let result = limited(LIMIT, read_one(&access)).await;
        track(&mut ledger.open()).note(&result);
    }
}

async fn read_one(access: &Access) -> Result<()> {
    access.connect().await?.ask(Method::GET, NAMESPACE, &Value::Null).await.map(drop)
}

async fn ask_patiently(access: Access, ledger: Ledger) {
    let mut ticks = every(PATIENT_PACE).await;
    loop {
        ticks.tick().await;
        let (access, ledger) = (access.clone(), ledger.clone());
        tokio::spawn(async move {
            let result = try_thrice(&access).await;
            ledger.open().patient.note(&result);
        });
    }
}

async fn try_thrice(access: &Access) -> Result<()> {
    let (began, mut last) = (Instant::now(), Ok(()));
    for begins in TRIES {
        sleep_until(began + begins).await;
        last = limited(TRY_LIMIT, read_one(access)).await;
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Lists once, then watches on from there, across connections.
async fn watch(access: Access, ledger: Ledger) {
    let mut version = String::new();
    loop {
        // Whatever ends it, what matters is that the next one begins where this one stopped.
        if watch_once(&access, &ledger, &mut version).await.is_err() {
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn watch_once(access: &Access, ledger: &Ledger, version: &mut String) -> Result<()> {
    let mut connection = limited(LIMIT, access.connect()).await?;
    if version.is_empty() {
        let list = limited(LIMIT, connection.ask(Method::GET, OBJECTS, &Value::Null)).await?;
        for item in list["items"].as_array().into_iter().flatten() {
            show(ledger, item);
        }
        *version = version_of(&list).context("a list has a version")?;
    }
    let path = format!("{OBJECTS}?watch=1&resourceVersion={version}");
    let mut body = limited(LIMIT, connection.follow(&path)).await?;
    let mut lines = Lines::default();
    while let Some(line) = limited(SILENCE, lines.next(&mut body)).await? {
        let event: Value = serde_json::from_slice(&line)?;
        ensure!(event["type"] != "ERROR", "{}", event["object"]["message"]);
        show(ledger, &event["object"]);
        *version = version_of(&event["object"]).context("an object has a version")?;
    }
    Ok(())
}

fn version_of(object: &Value) -> Option<String> {
    Some(object["metadata"]["resourceVersion"].as_str()?.to_owned())
}

fn show(ledger: &Ledger, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    if let Some(number) = name.strip_prefix('n').and_then(|number| number.parse().ok()) {
        ledger.open().shown.entry(number).or_insert_with(std::time::Instant::now);
    }
}

/// A watch on what never changes; notes when the server, or who speaks for it, ends it.
async fn idle_watch(access: Access, ledger: Ledger) {
    let path = format!("{NAMESPACE}/secrets?watch=1");
    loop {
        let began = async {
            let mut connection = access.connect().await?;
            let body = connection.follow(&path).await?;
            Ok((connection, body))
        };
        let Ok((_connection, mut body)) = limited(LIMIT, began).await else {
            tokio::time::sleep(PACE).await;
            continue;
        };
        while let Some(Ok(_)) = body.frame().await {}
        ledger.open().told.push(std::time::Instant::now());
    }
}

/// The numbers of all objects that the cluster has in the end.
///
/// # Errors
/// It does not answer.
pub async fn kept(access: &Access) -> Result<std::collections::BTreeSet<u64>> {
    let list = access.connect().await?.ask(Method::GET, OBJECTS, &Value::Null).await?;
    let names = list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str());
    Ok(names.filter_map(|name| name.strip_prefix('n')?.parse().ok()).collect())
}
