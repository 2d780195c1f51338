//! What came out.

use super::plugin::Plugin;
use super::{Args, Times};
use crate::report::{quantile, table};
use std::time::Duration;

/// A row: its name, the times that it is about, and which share of them does not exceed what it shows.
type Measure = (&'static str, fn(&Times) -> &[Duration], f64);

/// The whole report: what a pod waits for, and what ours is of the others.
pub fn text(args: &Args, plugins: &[Plugin], times: &[Times], surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let heads = std::iter::once("milliseconds".to_owned())
        .chain(plugins.iter().map(|plugin| plugin.name.to_owned()))
        .chain(plugins.iter().skip(1).map(|plugin| format!("{} : {}", plugins[0].name, plugin.name)));
    let measures: [Measure; 6] = [
        ("ADD alone, p50", |times| &times.alone, 0.5),
        ("ADD alone, p99", |times| &times.alone, 0.99),
        ("DEL alone, p50", |times| &times.gone, 0.5),
        ("ADD in a burst, p50", |times| &times.burst, 0.5),
        ("ADD in a burst, p99", |times| &times.burst, 0.99),
        ("whole burst, p50", |times| &times.whole, 0.5),
    ];
    let row = |(name, which, share): Measure| {
        let values: Vec<f64> = times.iter().map(|times| quantile(which(times), share) * 1000.0).collect();
        let ratios = values.iter().skip(1).map(|other| format!("{:.2}", values[0] / other));
        let shown = values.iter().map(|value| format!("{value:.1}")).chain(ratios);
        std::iter::once(name.to_owned()).chain(shown).collect()
    };
    let rows = std::iter::once(heads.collect()).chain(measures.into_iter().map(row)).collect();
    format!(
        "{} runs, in turns, of {} pods one after another and {} at once, on {cpus} CPUs, {surroundings}.\n\n{}",
        args.runs,
        args.alone,
        args.burst,
        table(rows)
    )
}
