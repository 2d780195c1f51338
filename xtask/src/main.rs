//! `cargo xtask`: the work around the code: generate, build components, keep it tidy.

mod bench;
mod components;
mod gate;
mod generate;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Roadstead's own tooling")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Generate crates/shapes and docs/api.md from the pinned botocore models and models/ops.toml.
    Gen(generate::Args),
    /// Build the pinned upstream programs into the component cache.
    Components(components::Args),
    /// Check the import rules, house rules and generated files.
    Tidy(tidy::Args),
    /// Check that an end-to-end run saw every operation succeed and fail as its model says.
    Gate(gate::Args),
    /// Print ratios: ours and what it is compared with, in one run on this machine.
    Bench(bench::Args),
    /// Faults against a real cluster under load: what its clients notice, and how long until it is whole (needs root)
    Chaos(bench::Chaos),
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Gen(args) => generate::run(&args),
        Task::Components(args) => components::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Gate(args) => gate::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Chaos(args) => bench::chaos(&args),
    }
}
