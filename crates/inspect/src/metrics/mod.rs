//! Metrics, all in one place. Counted are only requests, batches and sessions with the host; all else is derived from
//! the records and the planners when somebody asks.

mod text;

use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::eks::kube::{self, KubeState};
use roadstead_kernel::planner::Tally;
use roadstead_store::{Commit, Index, Read as _, View};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use text::{Histogram, Page, Sort};

/// Seconds; from what a read takes to what a client gives up on.
const SPANS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Records in a batch.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// What is counted from the process's start.
pub struct Metrics(Mutex<Counts>);

struct Counts {
    /// By service, operation and error code.
    requests: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// By service and operation.
    spans: BTreeMap<(&'static str, &'static str), Histogram>,
    batches: Histogram,
    appends: Histogram,
    bytes: u64,
    /// Sessions with the host agent: how many began, and whether one lasts.
    sessions: u64,
    session: bool,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics(Mutex::new(Counts {
            requests: BTreeMap::new(),
            spans: BTreeMap::new(),
            batches: Histogram::new(SIZES),
            appends: Histogram::new(SPANS),
            bytes: 0,
            sessions: 0,
            session: false,
        }))
    }
}

impl Metrics {
    /// A request was answered with this error code, or none. The time of one that was held up for a waiter says nothing.
    pub fn request(
        &self,
        (service, operation): (&'static str, &'static str),
        code: Option<&'static str>,
        took: Option<Duration>,
    ) {
        let mut counts = self.counts();
        *counts.requests.entry((service, operation, code.unwrap_or("OK"))).or_default() += 1;
        if let Some(took) = took {
            counts.spans.entry((service, operation)).or_insert_with(|| Histogram::new(SPANS)).observe_span(took);
        }
    }

    /// A batch was published.
    #[expect(clippy::cast_precision_loss, reason = "no batch has 2^53 records")]
    pub fn commit(&self, commit: &Commit) {
        self.counts().batches.observe(commit.changes.len() as f64);
    }

    /// A session with the host agent began or ended.
    pub fn host_session(&self, up: bool) {
        let mut counts = self.counts();
        counts.sessions += u64::from(up);
        counts.session = up;
    }

    /// So many bytes were made durable.
    pub fn appended(&self, bytes: u64, took: Duration) {
        let mut counts = self.counts();
        counts.bytes += bytes;
        counts.appends.observe_span(took);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The whole page.
    pub fn text(&self, view: &View, tallies: &[Tally], failing: usize) -> String {
        let mut page = Page::default();
        self.counts().show(&mut page);
        planners(&mut page, tallies, failing);
        records(&mut page, view);
        clusters(&mut page, view);
        page.text()
    }
}

impl Counts {
    fn show(&self, page: &mut Page) {
        let help = "Requests answered, by error code.";
        let mut metric = page.metric("roadstead_requests_total", Sort::Counter, help);
        for ((service, operation, code), count) in &self.requests {
            metric.sample(&[("service", service), ("operation", operation), ("code", code)], count);
        }
        let help = "Time to answer a request; waiters' describes, which are held up, are left out.";
        let mut metric = page.metric("roadstead_request_duration_seconds", Sort::Histogram, help);
        for ((service, operation), histogram) in &self.spans {
            metric.histogram(&[("service", service), ("operation", operation)], histogram);
        }
        let help = "Records changed by each commit.";
        page.metric("roadstead_store_commit_records", Sort::Histogram, help).histogram(&[], &self.batches);
        let help = "Time to make a batch durable.";
        page.metric("roadstead_store_append_seconds", Sort::Histogram, help).histogram(&[], &self.appends);
        page.metric("roadstead_store_append_bytes_total", Sort::Counter, "Bytes of batches.").sample(&[], self.bytes);
        let help = "Whether the host agent is connected.";
        page.metric("roadstead_host_session", Sort::Gauge, help).sample(&[], u8::from(self.session));
        let help = "Sessions with the host agent that began.";
        page.metric("roadstead_host_sessions_total", Sort::Counter, help).sample(&[], self.sessions);
    }
}

fn planners(page: &mut Page, tallies: &[Tally], failing: usize) {
    let mut counter = |name, help, value: fn(&Tally) -> String| {
        let mut metric = page.metric(name, Sort::Counter, help);
        for tally in tallies {
            metric.sample(&[("planner", tally.planner)], value(tally));
        }
    };
    counter("roadstead_plans_total", "Plans run.", |t| t.plans.to_string());
    counter("roadstead_plan_writes_total", "Records changed by plans.", |t| t.writes.to_string());
    counter("roadstead_plan_panics_total", "Plans that panicked.", |t| t.panics.to_string());
    counter("roadstead_plan_seconds_total", "Time taken by plans.", |t| t.busy.as_secs_f64().to_string());
    let help = "Plans that panic or never settle now.";
    page.metric("roadstead_plans_failing", Sort::Gauge, help).sample(&[], failing);
}

fn records(page: &mut Page, view: &View) {
    page.metric("roadstead_store_revision", Sort::Gauge, "The last commit's number.").sample(&[], view.revision());
    let mut metric = page.metric("roadstead_store_records", Sort::Gauge, "Records by kind.");
    for (kind, count) in view.kinds() {
        metric.sample(&[("kind", kind)], count);
    }
}

fn clusters(page: &mut Page, view: &View) {
    let clusters = view.list(Index::<Cluster>::all());
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for cluster in &clusters {
        *states.entry(format!("{:?}", cluster.body.status.state).to_uppercase()).or_default() += 1;
    }
    let mut metric = page.metric("roadstead_clusters", Sort::Gauge, "Clusters by state.");
    for (state, count) in states {
        metric.sample(&[("state", &state)], count);
    }
    let help = "Whether the last probe through the balancer, by certificate and by token, went well.";
    let mut metric = page.metric("roadstead_cluster_probed", Sort::Gauge, help);
    for cluster in clusters {
        let spec = cluster.body.spec;
        let probed: Option<KubeState> = view.get(&kube::state_key(&spec.id)).map(|record| record.body);
        let ready = u8::from(probed.is_some_and(|probed| probed.ready));
        metric.sample(&[("account", &spec.account), ("cluster", &spec.name)], ready);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_store::journal::Memory;
    use roadstead_store::{Core, Options};

    #[test]
    fn the_page_has_what_was_counted_and_what_follows_from_records_and_planners() {
        let core = Core::open(Memory::new(), roadstead_cloud::registry(), Options::seeded(1)).unwrap();
        let metrics = Metrics::default();
        let describe = ("eks", "DescribeCluster");
        metrics.request(describe, None, Some(Duration::from_millis(2)));
        metrics.request(describe, Some("ResourceNotFoundException"), None);
        metrics.appended(100, Duration::from_millis(3));
        [true, false, true].into_iter().for_each(|up| metrics.host_session(up));
        let busy = Duration::from_millis(1500);
        let tally = Tally { planner: "eks/cluster", plans: 7, writes: 3, panics: 1, busy };
        let page = metrics.text(core.view(), &[tally], 1);
        for sample in [
            "roadstead_requests_total{service=\"eks\",operation=\"DescribeCluster\",code=\"OK\"} 1",
            "roadstead_requests_total{service=\"eks\",operation=\"DescribeCluster\",code=\"ResourceNotFoundException\"} 1",
            "roadstead_request_duration_seconds_count{service=\"eks\",operation=\"DescribeCluster\"} 1",
            "roadstead_store_append_seconds_bucket{le=\"0.005\"} 1",
            "roadstead_store_append_bytes_total 100",
            "roadstead_host_session 1",
            "roadstead_host_sessions_total 2",
            "roadstead_plans_total{planner=\"eks/cluster\"} 7",
            "roadstead_plan_seconds_total{planner=\"eks/cluster\"} 1.5",
            "roadstead_plans_failing 1",
            "roadstead_store_records{kind=\"eks/cluster\"} 0",
        ] {
            assert!(page.lines().any(|line| line == sample), "{sample}: {page}");
        }
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect::<Vec<_>>();
        let names: std::collections::BTreeSet<_> = types.iter().map(|line| line.split(' ').next()).collect();
        assert_eq!(names.len(), types.len(), "each metric is written once");
    }
}
