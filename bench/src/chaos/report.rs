//! What came out, as a table that a README can hold.

use super::Outcome;
use super::fault::Fault;
use crate::report::table;
use std::time::Duration;

/// The whole report.
pub fn text(outcomes: &[Outcome], surroundings: &str) -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!(
        "Faults against a cluster under load, on {cpus} CPUs, {surroundings}. A write (one connection) and a read (a new\n\
         connection each, from the host and from a pod by the Service kubernetes) every 50 ms, given up\n\
         after 1 s and not tried again; a client every 100 ms that tries three times within 2 s; watches. Of several\n\
         runs: median (worst).\n\n"
    );
    let mut faults: Vec<Fault> = vec![];
    for outcome in outcomes {
        if !faults.contains(&outcome.fault) {
            faults.push(outcome.fault);
        }
    }
    let heads =
        ["fault", "failed writes", "failed reads", "after 3 tries", "write gap s", "read gap s", "pod read gap s"];
    let heads = heads.iter().chain(&["idle watch told s", "whole again s", "writes lost"]);
    let mut rows = vec![heads.map(|head| (*head).to_owned()).collect()];
    rows.extend(faults.into_iter().map(|fault| row(fault, outcomes)));
    text += &table(rows);
    text
}

fn row(fault: Fault, outcomes: &[Outcome]) -> Vec<String> {
    let all: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.fault == fault).collect();
    let seconds = |of: fn(&Outcome) -> Duration| spread(&all, 2, |outcome| of(outcome).as_secs_f64());
    let number = |of: fn(&Outcome) -> usize| {
        spread(&all, 0, |outcome| f64::from(u32::try_from(of(outcome)).unwrap_or(u32::MAX)))
    };
    let told: Vec<f64> = all.iter().filter_map(|outcome| Some(outcome.told?.as_secs_f64())).collect();
    vec![
        fault.name(),
        number(|outcome| outcome.failed.0),
        number(|outcome| outcome.failed.1),
        number(|outcome| outcome.unanswered),
        seconds(|outcome| outcome.write_gap),
        seconds(|outcome| outcome.read_gap),
        seconds(|outcome| outcome.inner_gap),
        if told.is_empty() { "went on".into() } else { middle_and_worst(told, 2) },
        seconds(|outcome| outcome.whole),
        number(|outcome| outcome.lost),
    ]
}

fn spread(outcomes: &[&Outcome], decimals: usize, of: impl Fn(&Outcome) -> f64) -> String {
    middle_and_worst(outcomes.iter().map(|outcome| of(outcome)).collect(), decimals)
}

/// `0.41 (0.93)`, or the one there is.
fn middle_and_worst(mut values: Vec<f64>, decimals: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (middle, worst) = (values[values.len() / 2], values[values.len() - 1]);
    match values.len() {
        1 => format!("{worst:.decimals$}"),
        _ => format!("{middle:.decimals$} ({worst:.decimals$})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_the_middle_and_the_worst_are_said() {
        assert_eq!(middle_and_worst(vec![0.5], 2), "0.50");
        assert_eq!(middle_and_worst(vec![3.0, 1.0, 2.0], 0), "2 (3)");
    }
}
