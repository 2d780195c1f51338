//! What came out.

use super::{Args, Measure, Way};
use crate::report::{median, table};
use crate::traffic::Kind;

/// The whole report: medians, and what each way is of the bare one.
pub fn text(args: &Args, ways: &[Way], surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut heads = vec!["median".to_owned()];
    heads.extend(ways.iter().map(|way| way.name.to_owned()));
    heads.extend(ways.iter().skip(1).map(|way| format!("{} : bare", way.name)));
    let row = |measure: Measure| {
        let medians: Vec<f64> =
            ways.iter().map(|way| median(&way.values[measure as usize]).unwrap_or(f64::NAN)).collect();
        let digits = if measure == Measure::Bulk { 2 } else { 0 };
        let mut row = vec![measure.name().to_owned()];
        row.extend(medians.iter().map(|value| format!("{value:.digits$}")));
        // More is better, but for what takes time.
        let share = |value: &f64| if measure == Measure::RoundTrip { medians[0] / value } else { value / medians[0] };
        row.extend(medians.iter().skip(1).map(|value| format!("{:.2}", share(value))));
        row
    };
    let rows = std::iter::once(heads).chain(Measure::ALL.map(row)).collect();
    format!(
        "Medians of {} runs of {} s, the ways in turns, on {cpus} CPUs that clients, servers and ways share, {surroundings}.\n\
         {} connections with bulk one way; {} with requests of 100 bytes; {} at a time that are opened and reset; one that\n\
         asks and waits for the answer, again and again (its ratio is the bare pair's time to it). Nodes are {}.\n\n{}",
        args.runs,
        args.seconds,
        Kind::Bulk.clients(),
        Kind::Requests.clients(),
        Kind::Connections.clients(),
        args.instance_type,
        table(rows)
    )
}
