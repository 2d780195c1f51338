//! Whatever reads bytes that a stranger wrote, as a function of bytes that panics if a rule is broken.
//!
//! `cargo test -p fuzz` tries each [`Target`] on some thousand inputs that chance makes of good ones, always the same for a
//! seed. Who has nightly Rust and cargo-fuzz lets coverage lead, for as long as they like:
//! `cargo +nightly fuzz run --fuzz-dir fuzz/libfuzzer operations`. What either finds becomes a test where the mistake was.

mod chance;
mod journal;
mod made_up;
mod operations;
mod request;
mod signature;
mod wire;

pub use chance::Chance;

/// A reader of strangers' bytes.
pub struct Target {
    /// As the command line has it.
    pub name: &'static str,
    /// Panics if a rule is broken.
    pub run: fn(&[u8]),
    /// Good inputs, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "rest_json", run: wire::rest_json, seeds: || request::recorded(&["eks"]) },
    Target { name: "aws_json", run: wire::aws_json, seeds: || request::recorded(&["ecr", "ssm"]) },
    Target { name: "query", run: wire::query, seeds: || request::recorded(&["iam", "sts", "autoscaling"]) },
    Target { name: "ec2", run: wire::ec2, seeds: || request::recorded(&["ec2"]) },
    Target { name: "rest_xml", run: wire::rest_xml, seeds: made_up::rest_xml },
    Target { name: "cbor", run: wire::cbor, seeds: made_up::cbor },
    Target { name: "operations", run: operations::run, seeds: || request::recorded(&[]) },
    Target { name: "signature", run: signature::run, seeds: signature::seeds },
    Target { name: "journal", run: journal::run, seeds: journal::seeds },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests;
