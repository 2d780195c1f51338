use roadstead_cloud::eks::cluster::Cluster;
use roadstead_cloud::settings::Settings;
use roadstead_kernel::planner::Explanation;
use roadstead_store::{Index, Read, View};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// The region at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    region: String,
    account: String,
    endpoint: String,
    clusters: Vec<ClusterReport>,
    /// Planners that fail.
    troubled: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ClusterReport {
    name: String,
    version: String,
    state: String,
    since: Millis,
    issues: Vec<String>,
}

impl Report {
    /// The region as this view has it, answering at `address`, with the plans that fail.
    pub fn of(view: &View, address: SocketAddr, troubled: &[Explanation]) -> Report {
        let settings = Settings::of(view);
        let clusters = view.list(Index::<Cluster>::all()).into_iter().map(|r| ClusterReport {
            name: r.body.spec.name,
            version: r.body.spec.version,
            state: format!("{:?}", r.body.status.state).to_uppercase(),
            since: r.body.status.since,
            issues: r.body.status.issues.into_iter().map(|i| i.message).collect(),
        });
        Report {
            region: settings.region,
            account: settings.account,
            endpoint: format!("http://{address}"),
            clusters: clusters.collect(),
            troubled: troubled.iter().map(trouble).collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("region {} of account {} at {}\n", self.region, self.account, self.endpoint);
        for cluster in &self.clusters {
            let _ = writeln!(text, "  {:<24} {:<6} {}", cluster.name, cluster.version, cluster.state);
            for issue in &cluster.issues {
                let _ = writeln!(text, "    {issue}");
            }
        }
        if self.clusters.is_empty() {
            text.push_str("  no clusters\n");
        }
        for trouble in &self.troubled {
            let _ = writeln!(text, "  {trouble}");
        }
        text
    }
}

/// What an operator is told of a plan that fails.
fn trouble(plan: &Explanation) -> String {
    let (planner, key, why) = (plan.planner, &plan.key, plan.trouble.as_deref().unwrap_or_default());
    format!(
        "a fault in Roadstead: plan {planner} of {key} {why}; `roadstead admin explain {key}` shows what it looked at"
    )
}
