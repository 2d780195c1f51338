//! What came out.

use super::{Args, Way};
use crate::report::{median, table};
use crate::traffic::Kind;

/// The whole report: medians, and what each is of the others.
pub fn text(args: &Args, ways: &[Way], surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "Medians of {} runs of {} s, the ways in turns, on {cpus} CPUs that client, servers and ways share, {surroundings}.\n\
         {} connections with requests of 100 bytes; {} at a time that are opened and reset; {} with bulk, one way.\n",
        args.runs,
        args.seconds,
        Kind::Requests.clients(),
        Kind::Connections.clients(),
        Kind::Bulk.clients()
    );
    if ways.len() == 2 {
        text += &format!("HAProxy is left out: {} is not there (Debian: haproxy).\n", args.haproxy.display());
    }
    text + "Machines have no limit of CPU or memory.\n\n" + &table(rows(ways))
}

fn rows(ways: &[Way]) -> Vec<Vec<String>> {
    let mut heads = vec!["median".to_owned()];
    heads.extend(ways.iter().map(|way| way.name.to_owned()));
    heads.extend(ways.iter().filter(|way| way.name != "balancer").map(|way| format!("balancer : {}", way.name)));
    let row = |kind: Kind| {
        let medians: Vec<_> = ways.iter().map(|way| median(&way.rates[kind as usize]).unwrap_or(0.0)).collect();
        let digits = if kind == Kind::Bulk { 2 } else { 0 };
        let mut row = vec![kind.name().to_owned()];
        row.extend(medians.iter().map(|rate| format!("{rate:.digits$}")));
        let others = ways.iter().zip(&medians).filter(|(way, _)| way.name != "balancer");
        row.extend(others.map(|(_, other)| format!("{:.2}", medians[1] / other)));
        row
    };
    std::iter::once(heads).chain(Kind::ALL.map(row)).collect()
}
