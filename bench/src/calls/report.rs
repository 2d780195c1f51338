//! What came out, as tables in Markdown.

use super::load::Measured;
use super::{Args, Ask, CHANGES, CLIENTS, Report, SIZES, Side};
use crate::report::{median, quantile, table};
use std::fmt::Write as _;
use std::time::Duration;

/// The whole report.
pub fn text(report: &Report, args: &Args, surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "Requests of a region against a bare server, {} runs of {} s, on {cpus} CPUs that client and server share, {surroundings}.\n\
         Connections are kept; every request is signed by botocore, beforehand. The floor answers the same bytes with the\n\
         same library and does nothing else; moto checks no signature and writes to no disk.\n\n",
        args.runs, args.seconds,
    );
    text += &table(requests(&report.sides));
    text.push('\n');
    text += &writes(report);
    text.push('\n');
    text += &table(changes(report));
    text + &rest(report)
}

fn requests(sides: &[Side]) -> Vec<Vec<String>> {
    let mut heads: Vec<String> = ["median of runs", "clients"].map(str::to_owned).to_vec();
    for side in sides {
        heads.extend([format!("{}: /s", side.name), "p50 ms".into(), "p99 ms".into()]);
    }
    heads.extend(sides.iter().skip(1).map(|side| format!("ours : {}", side.name)));
    let mut rows = vec![heads];
    for (ask, clients) in Ask::ALL.iter().flat_map(|ask| [0, 1].map(|clients| (*ask, clients))) {
        let mut row = vec![ask.name().to_owned(), CLIENTS[clients].to_string()];
        for side in sides {
            let measured = &side.measured[ask as usize][clients];
            row.extend([format!("{:.0}", rate(measured)), millis(measured, 0.5), millis(measured, 0.99)]);
        }
        let of = |side: &Side| rate(&side.measured[ask as usize][clients]);
        row.extend(sides.iter().skip(1).map(|side| format!("{:.2}", of(&sides[0]) / of(side))));
        rows.push(row);
    }
    rows
}

/// Answers per second.
#[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
fn rate(measured: &[Measured]) -> f64 {
    let rates: Vec<f64> = measured.iter().map(|run| run.spans.len() as f64 / run.time.as_secs_f64()).collect();
    median(&rates).unwrap_or(f64::NAN)
}

fn millis(measured: &[Measured], share: f64) -> String {
    format!("{:.3}", span(measured, share) * 1e3)
}

/// Seconds.
fn span(measured: &[Measured], share: f64) -> f64 {
    let spans: Vec<f64> = measured.iter().map(|run| quantile(&run.spans, share)).collect();
    median(&spans).unwrap_or(f64::NAN)
}

fn writes(report: &Report) -> String {
    let sync = quantile(&report.syncs, 0.5);
    let alone = span(&report.sides[0].measured[Ask::Write as usize][0], 0.5);
    let group = &report.group;
    format!(
        "The disk syncs a page in {:.3} ms (p99 {:.3}); a durable write at one client takes {:.2} of that.\n\
         At 32 clients {:.1} requests are one commit, which takes {:.3} ms.\n",
        sync * 1e3,
        quantile(&report.syncs, 0.99) * 1e3,
        alone / sync,
        group.requests / group.commits,
        group.appending / group.commits * 1e3,
    )
}

/// What a change wakes must not depend on how much else there is.
#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn changes(report: &Report) -> Vec<Vec<String>> {
    let heads = ["users", "records", "plans per change", "µs per change in planners", "ms per commit"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (size, counts) in SIZES.iter().zip(&report.changes) {
        rows.push(vec![
            size.to_string(),
            format!("{:.0}", counts.records),
            format!("{:.2}", counts.plans / CHANGES as f64),
            format!("{:.0}", counts.planning / CHANGES as f64 * 1e6),
            format!("{:.3}", counts.appending / counts.commits * 1e3),
        ]);
    }
    rows
}

fn rest(report: &Report) -> String {
    let mut text = String::from("\n");
    let seconds = |span: Duration| span.as_secs_f64();
    let [empty, full] = report.starts;
    let _ = writeln!(
        text,
        "`up` until the API answers: {:.2} s the first time, {:.2} s with {:.0} records.",
        seconds(empty),
        seconds(full),
        report.records
    );
    let [idle, full] = report.memory.map(|bytes| bytes as f64 / 1e6);
    let _ = writeln!(text, "The region's memory at rest: {idle:.1} MB (PSS), {full:.1} MB in the end.");
    let _ =
        writeln!(text, "At rest, in two seconds: {:.0} plans, {:.0} commits.", report.rest.plans, report.rest.commits);
    text
}
