//! `cargo xtask tidy`: the rules of the house, checked. Every breach is one sentence that says where and what to do.
//!
//! Rules are data: `imports.toml` says who may import whom, `house.toml` what files may hold, `/deny.toml` what we link.
//! What a crate may call (clocks, files, threads) stands in its own `clippy.toml`.

mod house;
mod imports;
mod licences;
mod metadata;
mod source;
#[cfg(test)]
mod tests;
mod tools;

use anyhow::{Result, bail};
use std::path::Path;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Skips what compiles: lints and cargo-deny.
    #[arg(long)]
    fast: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace");
    let metadata = metadata::Metadata::load(root)?;
    let source = source::Source::load(root)?;
    let deny = licences::Deny::parse(&std::fs::read_to_string(root.join("deny.toml"))?)?;

    let mut found = imports::Table::committed()?.violations(&metadata, &source);
    found.extend(house::House::committed()?.violations(&source));
    found.extend(house::without_lints(&metadata, &source));
    found.extend(deny.violations(&metadata));
    found.extend(tools::violations(root, args.fast)?);
    if found.is_empty() {
        println!("tidy: {} files and {} packages are as they should be", source.files.len(), metadata.packages.len());
        return Ok(());
    }
    for sentence in &found {
        println!("{sentence}");
    }
    bail!("tidy: {} things to put right", found.len())
}
