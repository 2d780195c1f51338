//! What came out.

use super::{Args, Runs};
use crate::report::{median, table};
use std::fmt::Write as _;
use std::time::Duration;

type Rows = Vec<Vec<String>>;

/// The whole report.
pub fn text(args: &Args, runs: &Runs, surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "CreateNodegroup (one {}) to Node Ready against a bare node, in turns, on {cpus} CPUs, {surroundings}.\n\
         bare: the same kubelet and containerd with the same files and flags, images and CNI configuration (ptp) in their\n\
         places, started in namespaces beside a control plane on loopback; from before its first process. On EKS a\n\
         DaemonSet's pod brings the CNI: so once more with one, whose container has nothing to do. On ours its machine\n\
         serves in its place as soon as that pod is bound.\n\
         ours: from when boto3 issues CreateNodegroup; by the cluster's API through its balancer.\n\n",
        args.instance_type
    );
    text += &table(times(runs));
    text += "\nWhere our time goes, seconds since CreateNodegroup, medians:\n\n";
    text += &table(timeline(runs));
    text += "\nMemory of our last node, MB (PSS), 5 s after it was Ready:\n\n";
    text += &table(memory(runs));
    let _ = writeln!(text, "\nWhat is ours of it: {:.1} MB a node.", megabytes(runs.overhead.sum()));
    text
}

fn times(runs: &Runs) -> Rows {
    let mut heads = vec!["seconds".to_owned()];
    heads.extend((1..=runs.ours.len()).map(|run| format!("run {run}")));
    heads.push("p50".into());
    let row = |what: &str, values: &[Duration]| {
        let seconds: Vec<f64> = values.iter().map(Duration::as_secs_f64).collect();
        let shown = seconds.iter().copied().chain(median(&seconds)).map(|value| format!("{value:.2}"));
        std::iter::once(what.to_owned()).chain(shown).collect::<Vec<_>>()
    };
    let ratios = |what: &str, bare: &[Duration]| {
        let each = runs.ours.iter().zip(bare).map(|(ours, bare)| ours.as_secs_f64() / bare.as_secs_f64());
        let shown = each.chain(of_medians(&runs.ours, bare)).map(|ratio| format!("{ratio:.2}"));
        std::iter::once(what.to_owned()).chain(shown).collect::<Vec<_>>()
    };
    vec![
        heads,
        row("bare: Node Ready", &runs.bare),
        row("bare, its CNI brought by a DaemonSet", &runs.like_ours),
        row("ours: Node Ready", &runs.ours),
        ratios("ours : bare", &runs.bare),
        ratios("ours : bare with a DaemonSet", &runs.like_ours),
        row("ours: DeleteNodegroup to not found", &runs.gone),
    ]
}

fn of_medians(ours: &[Duration], bare: &[Duration]) -> Option<f64> {
    let middle = |values: &[Duration]| median(&values.iter().map(Duration::as_secs_f64).collect::<Vec<_>>());
    Some(middle(ours)? / middle(bare)?)
}

/// In the order of the medians.
fn timeline(runs: &Runs) -> Rows {
    let what = runs.steps.first().into_iter().flatten().map(|step| step.what);
    let mut steps: Vec<(&str, f64)> = what
        .filter_map(|what| {
            let times = runs.steps.iter().flatten().filter(|step| step.what == what);
            Some((what, median(&times.map(|step| step.at.as_secs_f64()).collect::<Vec<_>>())?))
        })
        .collect();
    steps.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut rows = vec![["reached", "at", "after the one before"].map(str::to_owned).to_vec()];
    let mut before = 0.0;
    for (what, at) in steps {
        rows.push(vec![what.to_owned(), format!("{at:.2}"), format!("+{:.2}", at - before)]);
        before = at;
    }
    rows
}

fn memory(runs: &Runs) -> Rows {
    let mut rows = vec![["program", "ours", "upstream"].map(str::to_owned).to_vec()];
    let shown = |bytes: &u64| format!("{:.1}", megabytes(bytes.cast_signed()));
    rows.extend(runs.overhead.own.iter().map(|(name, bytes)| vec![name.clone(), shown(bytes)]));
    let region = format!("{:.1}", megabytes(runs.overhead.region));
    rows.push(vec!["region and host agent, more than without it".into(), region]);
    rows.extend(runs.overhead.upstream.iter().map(|(name, bytes)| vec![name.clone(), String::new(), shown(bytes)]));
    rows
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: i64) -> f64 {
    bytes as f64 / 1e6
}
