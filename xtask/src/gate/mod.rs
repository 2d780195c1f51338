//! `cargo xtask gate`: every operation that models/ops.toml declares was seen, from outside, to succeed and to fail.
//!
//! The end-to-end tests drive the real program with the real clients. Each region that ends appends what it has answered
//! to the run's file (`ROADSTEAD_E2E_ANSWERS`), by service, operation and error code, as `admin metrics` counts it. This
//! is the last step of `make test`. A single test by hand appends to no file and meets no gate.
//!
//! What counts, for each operation:
//! - it *succeeded* when it was answered without an error once;
//! - it *failed as modelled* when it was answered once with an error of its own: one that its model declares, or for
//!   services whose models declare none or few (`errors` in ops.toml), one that AWS documents for it, of status 4xx;
//! - an operation that has no such error (GetCallerIdentity, most Describe operations of Auto Scaling) may be refused with
//!   any error that all operations share: of the signature, of authorization, of input that breaks the model;
//! - so may those that `exceptions.toml` lists, each with its reason.
//!
//! Internal failures are findings, too. That an operation answers only with errors that it declares, the kernel checks.

#[cfg(test)]
mod tests;

use crate::generate::Declared;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// How every service says that the fault is its own.
const INTERNAL: [&str; 3] = ["InternalFailure", "InternalError", "ServerException"];

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// What the regions of an end-to-end run answered.
    answers: PathBuf,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let declared = crate::generate::declared()?;
    let exceptions: Exceptions = toml::from_str(include_str!("exceptions.toml")).context("reading exceptions.toml")?;
    let file = args.answers.display();
    let text = fs::read_to_string(&args.answers).with_context(|| format!("reading {file}: run the tests of e2e"))?;
    let seen = parse(&text).with_context(|| format!("reading {file}"))?;
    let verdict = judge(&declared, &exceptions, &seen);
    print!("{}", verdict.table());
    match verdict.findings.len() {
        0 => Ok(()),
        n => bail!("the gate: {n} findings; add what is missing to the tests of e2e, or mend the operation"),
    }
}

/// What is not asked for: reasons by service and operation.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Exceptions {
    /// Errors of their own nobody can bring about in a region: any refusal counts.
    any_refusal: Reasons,
}

type Reasons = BTreeMap<String, BTreeMap<String, String>>;

/// By service and operation: the codes that it was answered with.
type Seen = BTreeMap<(String, String), BTreeSet<String>>;

/// What the gate says.
struct Verdict {
    declared: usize,
    whole: usize,
    findings: Vec<[String; 3]>,
}

fn parse(text: &str) -> Result<Seen> {
    let mut seen = Seen::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [service, operation, code] = words[..] else { bail!("not service, operation and code: {line}") };
        seen.entry((service.into(), operation.into())).or_default().insert(code.into());
    }
    Ok(seen)
}

fn judge(declared: &[Declared], exceptions: &Exceptions, seen: &Seen) -> Verdict {
    let mut verdict = Verdict { declared: declared.len(), whole: 0, findings: vec![] };
    for operation in declared {
        let none = BTreeSet::new();
        let codes = seen.get(&(operation.service.clone(), operation.operation.clone())).unwrap_or(&none);
        let wrong = wrong(operation, exceptions, codes);
        verdict.whole += usize::from(wrong.is_empty());
        let row = |why| [operation.service.clone(), operation.operation.clone(), why];
        verdict.findings.extend(wrong.into_iter().map(row));
    }
    verdict.findings.extend(exceptions.stale(declared));
    verdict
}

/// What is wrong with an operation that was answered with these codes.
fn wrong(operation: &Declared, exceptions: &Exceptions, codes: &BTreeSet<String>) -> Vec<String> {
    let refusals: Vec<&str> =
        codes.iter().map(String::as_str).filter(|code| *code != "OK" && !INTERNAL.contains(code)).collect();
    let any = operation.errors.is_empty() || names(&exceptions.any_refusal, operation);
    let as_modelled = refusals.iter().any(|code| any || operation.errors.contains(*code));
    let internal = codes.iter().filter(|code| INTERNAL.contains(&code.as_str()));
    let mut wrong: Vec<String> = internal.map(|code| format!("answered {code}")).collect();
    if !codes.contains("OK") {
        wrong.push("never seen to succeed".into());
    }
    if !as_modelled {
        let own: Vec<&str> = operation.errors.iter().map(String::as_str).collect();
        let wanted = if any { "any refusal".into() } else { own.join(", ") };
        let got = if refusals.is_empty() { String::new() } else { format!("; seen: {}", refusals.join(", ")) };
        wrong.push(format!("never seen to fail with {wanted}{got}"));
    }
    wrong
}

fn names(reasons: &Reasons, operation: &Declared) -> bool {
    reasons.get(&operation.service).is_some_and(|operations| operations.contains_key(&operation.operation))
}

impl Exceptions {
    /// Those of what is not served, and of what has no error of its own to begin with.
    fn stale(&self, declared: &[Declared]) -> Vec<[String; 3]> {
        let served = |service: &str, name: &str| declared.iter().find(|d| d.service == service && d.operation == name);
        let stale = every(&self.any_refusal).filter(|(s, n)| served(s, n).is_none_or(|d| d.errors.is_empty()));
        stale.map(|(service, name)| [service.into(), name.into(), "needs no exception".into()]).collect()
    }
}

fn every(reasons: &Reasons) -> impl Iterator<Item = (&str, &str)> {
    reasons.iter().flat_map(|(service, names)| names.keys().map(move |name| (service.as_str(), name.as_str())))
}

impl Verdict {
    /// For people: what is missing, and how many are not.
    fn table(&self) -> String {
        let width = |n: usize| self.findings.iter().map(|row| row[n].len()).max().unwrap_or_default();
        let (service, operation) = (width(0), width(1));
        let line = |row: &[String; 3]| format!("{:service$}  {:operation$}  {}\n", row[0], row[1], row[2]);
        let lines: String = self.findings.iter().map(line).collect();
        let (whole, declared) = (self.whole, self.declared);
        format!("{lines}{whole} of {declared} operations seen to succeed and to fail as modelled\n")
    }
}
