//! What came out, as text that a README can hold: tables in Markdown that are aligned as they stand.

use crate::cluster::{Args, Runs};
use crate::running::{self, Running, by_program, differences};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

/// Who else is at work, which makes every figure worse: the machine's load of the last minute, and other clusters.
pub fn surroundings() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = text.split(' ').next().unwrap_or_default();
    match running::others() {
        0 => format!("load {load} before"),
        others => format!("load {load} before, BESIDE {others} OTHER PROCESSES OF CLUSTERS"),
    }
}

/// The whole report.
pub fn text(args: &Args, runs: &Runs, surroundings: &str) -> String {
    let mut text = heading(args, runs, surroundings);
    text += &table(times(runs));
    if let Some(memory) = memory(runs) {
        text += "\nMemory at rest, MB (PSS; of the last run):\n\n";
        text += &table(memory);
    }
    text + &processors(runs) + &remarks(runs)
}

fn heading(args: &Args, runs: &Runs, surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut text = format!(
        "CreateCluster to ACTIVE against the bare floor: {} and {} on {cpus} CPUs, Linux {}, {surroundings}.\n",
        args.etcd,
        args.kubernetes,
        kernel.trim()
    );
    if !runs.floor.is_empty() {
        text += "floor: 3 etcd, 2 kube-apiserver, and beside each a controller-manager and a scheduler, with our flags and TLS,\n       as plain processes on loopback, empty; from before the first is started.\n";
    }
    if !runs.ours.is_empty() {
        text += "ours:  the same programs by the API; from when boto3 issues CreateCluster (in a Python that runs already, so the\n       0.5-1 s that the aws command takes to start is not in it) until its waiter\n       has seen ACTIVE.\n";
    }
    text + "The floor is looked at every 50 ms; the region holds a waiter's answer until there is news. Programs are in the page\ncache, data on the same disk.\n\n"
}

type Rows = Vec<Vec<String>>;

fn times(runs: &Runs) -> Rows {
    let number = runs.floor.len().max(runs.ours.len());
    let mut heads = vec!["seconds".to_owned()];
    heads.extend((1..=number).map(|run| format!("run {run}")));
    heads.push("median".into());
    let floor = |of: fn(&crate::floor::Measured) -> Duration| runs.floor.iter().map(of).collect::<Vec<_>>();
    let ours = |of: fn(&crate::ours::Measured) -> Duration| runs.ours.iter().map(of).collect::<Vec<_>>();
    let (account, active) = (floor(|run| run.account), ours(|run| run.active));
    let ratio = |(ours, floor): (f64, f64)| format!("{:.2}", ours / floor);
    let mut rows = vec![
        heads,
        seconds("floor: both /readyz", &floor(|run| run.ready)),
        seconds("floor: default service account", &account),
        seconds("ours: ACTIVE", &active),
        row("ours : floor", with_median(&active).into_iter().zip(with_median(&account)).map(ratio)),
        seconds("ours: DeleteCluster to not found", &ours(|run| run.deleted)),
    ];
    rows.retain(|row| row.len() > 1);
    rows
}

fn seconds(what: &str, values: &[Duration]) -> Vec<String> {
    row(what, with_median(values).into_iter().map(|value| format!("{value:.2}")))
}

fn row(what: &str, values: impl Iterator<Item = String>) -> Vec<String> {
    std::iter::once(what.to_owned()).chain(values).collect()
}

/// The values in seconds, and behind them their median; nothing of nothing.
fn with_median(values: &[Duration]) -> Vec<f64> {
    let mut values: Vec<_> = values.iter().map(Duration::as_secs_f64).collect();
    values.extend(median(&values));
    values
}

/// The middle, or between the two in the middle; none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The value that this share of them does not exceed, in seconds.
pub fn quantile(values: &[Duration], share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(Duration::as_secs_f64).collect();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "there are a few thousand at most"
    )]
    let place = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// What each program's processes take together, floor and ours side by side.
fn memory(runs: &Runs) -> Option<Rows> {
    let sides: Vec<(&str, &[Running])> = [
        runs.floor.last().map(|run| ("floor", run.running.as_slice())),
        runs.ours.last().map(|run| ("ours", run.running.as_slice())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let counted: Vec<_> = sides.iter().map(|(_, running)| by_program(running)).collect();
    let programs: BTreeSet<_> = counted.iter().flat_map(|programs| programs.keys()).collect();
    let mut rows = vec![row("program", sides.iter().map(|(side, _)| (*side).to_owned()))];
    for program in programs {
        let cell = |(count, share): (usize, u64)| format!("{count} x {:.0}", megabytes(share) / count.max(1) as f64);
        rows.push(row(program, counted.iter().map(|of| of.get(*program).copied().map_or(String::new(), cell))));
    }
    let totals = counted.iter().map(|of| format!("{:.0}", megabytes(of.values().map(|(_, share)| share).sum())));
    rows.push(row("all", totals));
    (!sides.is_empty()).then_some(rows)
}

#[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What is used while nobody asks anything.
fn processors(runs: &Runs) -> String {
    let Some(last) = runs.ours.last() else { return String::new() };
    let (own, upstream) = (last.own * 100.0, last.upstream * 100.0);
    format!(
        "\nAt rest, of one CPU: {own:.2} % by the region, its host agent and the machines' first processes; {upstream:.1} % \
         by etcd and Kubernetes (of the last run).\n"
    )
}

/// What a reader must know to trust the figures.
fn remarks(runs: &Runs) -> String {
    let mut text = String::from("\n");
    if let (Some(floor), Some(ours)) = (runs.floor.last(), runs.ours.last()) {
        let differences = differences(&floor.running, &ours.running);
        if differences.is_empty() {
            text += "Flags: the same on both sides but for places and addresses.\n";
        }
        for difference in differences {
            let _ = writeln!(text, "Flags differ: {difference} (bench/src/floor/flags.rs should follow)");
        }
    }
    let restarts: usize = runs.floor.iter().map(|run| run.restarts).sum();
    if restarts > 0 {
        let _ = writeln!(text, "Programs of the floor ended by themselves and were started again: {restarts} times.");
    }
    text
}

/// Markdown: the first column to the left, the others to the right.
pub fn table(mut rows: Rows) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    rows.iter_mut().for_each(|row| row.resize(columns, String::new()));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(3);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let first = format!("| {:<1$} |", row[0], widths[0]);
        let others = row.iter().zip(&widths).skip(1).map(|(cell, width)| format!(" {cell:>width$} |"));
        first + &others.collect::<String>() + "\n"
    };
    let rule = widths.iter().enumerate().map(|(column, width)| match column {
        0 => format!("|{}|", "-".repeat(width + 2)),
        _ => format!("{}:|", "-".repeat(width + 1)),
    });
    let mut lines = rows.iter().map(line);
    let head = lines.next().unwrap_or_default();
    head + &rule.collect::<String>() + "\n" + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        let of =
            |values: &[u64]| with_median(&values.iter().map(|v| Duration::from_secs(*v)).collect::<Vec<_>>()).pop();
        assert_eq!((of(&[]), of(&[4]), of(&[9, 1, 4]), of(&[1, 9, 4, 6])), (None, Some(4.0), Some(4.0), Some(5.0)));
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<Duration> = (1..=100).map(Duration::from_secs).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.99)), (50.0, 99.0));
        assert_eq!(quantile(&values[..1], 0.99), 1.0);
    }

    #[test]
    fn a_table_is_markdown_and_aligned_as_it_stands() {
        let rows = [vec!["seconds", "run 1"], vec!["ours", "6.10"], vec!["none"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect()).to_vec();
        assert_eq!(table(rows), "| seconds | run 1 |\n|---------|------:|\n| ours    |  6.10 |\n| none    |       |\n");
    }
}
