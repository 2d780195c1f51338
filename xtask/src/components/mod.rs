//! `cargo xtask components`: builds the pinned upstream programs into a content-addressed cache outside the repository.
//!
//! ```text
//! components.toml ─select, order─→ recipes ─key─→ store/KEY/PROGRAM  (built once, checked by its checksum ever after)
//!                                                        └─hard link─→ SET-VERSION/PROGRAM  (what machines mount)
//! ```
//!
//! components/README.md describes the layout for those who read the cache.

mod build;
mod c;
mod cache;
mod go;
mod manifest;
mod pin;
mod preflight;
mod progress;
mod release;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use build::Recipe;
pub use cache::Cache;
use cache::{Entry, State};
use manifest::{Manifest, Selection, Stage};
use progress::{elapsed, say};
use release::Mirror;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// Sets to build, e.g. kubernetes-1.36; without any: what a first cluster needs.
    sets: Vec<String>,
    /// With what a first cluster's nodes need, too.
    #[arg(long, conflicts_with_all = ["sets", "all", "only"])]
    nodes: bool,
    /// With what add-ons run that a cluster does not begin with, too.
    #[arg(long, conflicts_with_all = ["sets", "all", "only"])]
    add_ons: bool,
    /// Everything that is pinned, other Kubernetes minors included.
    #[arg(long, conflicts_with = "sets")]
    all: bool,
    /// Only the program of this name.
    #[arg(long, value_name = "PROGRAM")]
    only: Option<String>,
    /// Shows what is pinned and what is built, in the order of need; builds nothing.
    #[arg(long)]
    list: bool,
    /// Checks what is built against its checksums; builds nothing, fails if anything is missing or damaged.
    #[arg(long, conflicts_with = "list")]
    verify: bool,
    /// Takes Kubernetes' programs as upstream released them instead of building them: from a folder or URL that is laid
    /// out as upstream's release site, with the SHA-256 of each beside it.
    #[arg(long, value_name = "URL", env = "ROADSTEAD_MIRROR")]
    mirror: Option<String>,
    /// Moves a set to another upstream version: writes its go.mod, go.sum and its lines in components.toml.
    #[arg(long, value_name = "NAME=VERSION", exclusive = true)]
    pin: Option<String>,
}

/// A recipe, its place in the cache, and what stands there.
struct Component<'a> {
    recipe: Recipe<'a>,
    entry: Entry,
    state: State,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let folder = folder();
    let text = std::fs::read_to_string(folder.join("components.toml"))?;
    if let Some(pin) = &args.pin {
        let (name, version) = pin.split_once('=').context("--pin NAME=VERSION, e.g. kubernetes-1.36=1.36.4")?;
        return pin::pin(&folder, &text, name, version);
    }
    let manifest = Manifest::parse(&text)?;
    let (sets, only) = (&args.sets, args.only.as_deref());
    let last = match (args.nodes, args.add_ons) {
        (_, true) => Stage::AddOn,
        (true, false) => Stage::Node,
        (false, false) => Stage::Client,
    };
    let everything = args.all || args.list && sets.is_empty() && only.is_none() && last == Stage::Client;
    let items = manifest.select(&Selection { sets, only, last, all: everything })?;
    let cache = Cache::of_user()?;
    let mirror = args.mirror.as_deref().filter(|text| !text.is_empty()).map(Mirror::parse).transpose()?;
    let look = || -> Result<Vec<_>> {
        items.into_iter().map(|item| look(&cache, Recipe::new(&folder, mirror.as_ref(), item)?)).collect()
    };
    if args.list || args.verify { report(&cache, &look()?, args.verify) } else { build(&cache, look) }
}

/// `components/` of this repository.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask stands in the workspace").join("components")
}

fn look<'a>(cache: &Cache, recipe: Recipe<'a>) -> Result<Component<'a>> {
    let entry = cache.entry(&recipe.key()?, &recipe.item.program.name);
    Ok(Component { state: entry.state()?, entry, recipe })
}

/// Says what stands in the cache.
fn report(cache: &Cache, components: &[Component<'_>], strict: bool) -> Result<()> {
    let mut bad = 0;
    for Component { recipe, entry, state } in components {
        let state = match state {
            State::Ready if cache.shows(entry, &recipe.item.set.view())? => "ready",
            State::Ready => "unlinked",
            State::Missing => "missing",
            State::Damaged(_) => "damaged",
        };
        bad += usize::from(state != "ready");
        say(state, &recipe.name());
    }
    if strict && bad > 0 {
        bail!("{bad} of {} programs are not as they should be: `cargo xtask components` builds them", components.len());
    }
    println!("in {}", cache.root().display());
    Ok(())
}

/// Makes what is not there. What is there is shown to machines first.
fn build<'a>(cache: &Cache, look: impl FnOnce() -> Result<Vec<Component<'a>>>) -> Result<()> {
    let started = Instant::now();
    let _lock = cache.lock(|| say("waiting", "another `cargo xtask components` is at work in this cache"))?;
    let components = look()?;
    let (ready, missing): (Vec<_>, Vec<_>) = components.iter().partition(|c| c.state == State::Ready);
    for component in &ready {
        cache.show(&component.entry, &component.recipe.item.set.view())?;
    }
    let builds: Vec<_> = missing.iter().filter(|c| c.recipe.toolchain().is_some()).collect();
    if let Some(toolchain) = builds.first().and_then(|first| first.recipe.toolchain()) {
        say(
            "toolchain",
            &format!("{}; {} to build, {} ready", toolchain.fingerprint(), programs(builds.len()), ready.len()),
        );
        preflight::check(&builds.iter().map(|c| &c.recipe.item).collect::<Vec<_>>(), toolchain, cache)?;
    }
    for component in &missing {
        make(cache, component)?;
    }
    let (count, new, time) = (components.len(), missing.len(), elapsed(started));
    say("ready", &format!("{} in {} ({new} new, {time})", programs(count), cache.root().display()));
    Ok(())
}

fn programs(count: usize) -> String {
    format!("{count} program{}", if count == 1 { "" } else { "s" })
}

fn make(cache: &Cache, component: &Component<'_>) -> Result<()> {
    let Component { recipe, entry, state } = component;
    if let State::Damaged(how) = state {
        say("damaged", &format!("{}: {how}; making it again", recipe.name()));
    }
    entry.fill(|path| recipe.make(path))?;
    cache.show(entry, &recipe.item.set.view())
}
