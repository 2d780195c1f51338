//! What came out.

use super::{Args, Times};
use crate::report::{median, quantile, table};
use std::time::Duration;

/// The whole report.
pub fn text(args: &Args, bare: &Times, ours: &Times, surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let most = |times: &Times| times.crowd.iter().map(|(pods, _)| *pods).max().unwrap_or(0);
    let heads = ["seconds", "bare (ptp)", "ours (VPC CNI)", "ours : bare"].map(str::to_owned).to_vec();
    let rows = vec![
        heads,
        row("a pod, created to Running, p50", quantile(&bare.alone, 0.5), quantile(&ours.alone, 0.5)),
        row("a pod, created to Running, p99", quantile(&bare.alone, 0.99), quantile(&ours.alone, 0.99)),
        row(
            &format!("a Deployment of {} to available, p50", args.together),
            middle(&bare.together),
            middle(&ours.together),
        ),
        row("pods/s to available until the node is full, p50", rate(bare), rate(ours)),
    ];
    format!(
        "{} runs, in turns, of {} pods one after another, a Deployment of {}, and one that fills the node\n\
         ({} pods more on the bare one, {} on ours, a {} with prefix delegation), on {cpus} CPUs, {surroundings}.\n\
         bare: the same kubelet and containerd with the same files and flags beside a control plane on loopback.\n\n{}",
        args.runs,
        args.alone,
        args.together,
        most(bare),
        most(ours),
        args.instance_type,
        table(rows)
    )
}

fn row(what: &str, bare: f64, ours: f64) -> Vec<String> {
    vec![what.to_owned(), format!("{bare:.2}"), format!("{ours:.2}"), format!("{:.2}", ours / bare)]
}

fn middle(times: &[Duration]) -> f64 {
    median(&times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

#[expect(clippy::cast_precision_loss, reason = "there are some hundred")]
fn rate(times: &Times) -> f64 {
    let rates: Vec<f64> = times.crowd.iter().map(|(pods, took)| *pods as f64 / took.as_secs_f64()).collect();
    median(&rates).unwrap_or(f64::NAN)
}
