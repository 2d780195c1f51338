//! What regions answered, kept for `cargo xtask gate`: which operations a run of all tests has seen succeed and fail.

use crate::process::try_run;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::Duration;

/// The file that all regions of a run append to; without it, nothing is kept.
const FILE: &str = "ROADSTEAD_E2E_ANSWERS";
/// How long a region may take to say; one that is frozen says nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a region that is about to end, by its `admin metrics`, what it has answered, if the run wants to know. What a
/// region answered that is killed is lost: a test that kills one on purpose asks it before.
pub fn keep(metrics: impl FnOnce() -> Command) {
    let Some(file) = std::env::var_os(FILE).filter(|file: &OsString| !file.is_empty()) else { return };
    let Some(said) = try_run(metrics(), None, PATIENCE).ok().filter(|said| said.ok()) else { return };
    let lines: BTreeSet<String> = said.out.lines().filter_map(answered).collect();
    // One write each: lines of regions that end at the same time do not mix.
    let text: String = lines.into_iter().collect();
    let opened = OpenOptions::new().create(true).append(true).open(&file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.unwrap_or_else(|why| panic!("{FILE} is {}: {why}", file.display()));
}

/// `eks DescribeCluster OK`, from the sample that counts such answers.
fn answered(sample: &str) -> Option<String> {
    let labels = sample.strip_prefix("roadstead_requests_total{")?;
    let values: Vec<&str> = labels.split('"').skip(1).step_by(2).collect();
    let [service, operation, code] = values[..] else { panic!("not service, operation and code: {sample}") };
    Some(format!("{service} {operation} {code}\n"))
}
