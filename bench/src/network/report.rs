//! What came out.

use super::{Args, Measure, Way};
use crate::report::{median, table};
use crate::traffic::Kind;

/// What is compared with what, by the ways' numbers.
const RATIOS: [(usize, usize); 4] = [(2, 0), (4, 0), (2, 1), (4, 3)];

/// The whole report: medians, and what each way is of the bare one.
pub fn text(args: &Args, ways: &[Way], surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut heads = vec!["median".to_owned()];
    heads.extend(ways.iter().map(|way| way.name.to_owned()));
    heads.extend(RATIOS.map(|(ours, bare)| format!("{} : {}", ways[ours].name, ways[bare].name)));
    let row = |measure: Measure| {
        let medians: Vec<f64> =
            ways.iter().map(|way| median(&way.values[measure as usize]).unwrap_or(f64::NAN)).collect();
        let digits = if measure == Measure::Bulk { 2 } else { 0 };
        let mut row = vec![measure.name().to_owned()];
        row.extend(medians.iter().map(|value| format!("{value:.digits$}")));
        // More is better, but for what takes time.
        let share = |(ours, bare): (usize, usize)| match measure {
            Measure::RoundTrip => medians[bare] / medians[ours],
            Measure::Bulk | Measure::Requests | Measure::Connections => medians[ours] / medians[bare],
        };
        row.extend(RATIOS.map(|pair| format!("{:.2}", share(pair))));
        row
    };
    let rows = std::iter::once(heads).chain(Measure::ALL.map(row)).collect();
    format!(
        "Medians of {} runs of {} s, the ways in turns, on {cpus} CPUs that clients, servers and ways share, {surroundings}.\n\
         {} connections with bulk one way; {} with requests of 100 bytes; {} at a time that are opened and reset; one that\n\
         asks and waits for the answer, again and again (its ratios are of the bare one's time to it). Nodes are {}.\n\n{}",
        args.runs,
        args.seconds,
        Kind::Bulk.clients(),
        Kind::Requests.clients(),
        Kind::Connections.clients(),
        args.instance_type,
        table(rows)
    )
}
