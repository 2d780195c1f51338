//! The images that every node has from its beginning, as archives in a folder that its machine sees at `/opt/images`:
//! what EKS keeps in its registry and its AMIs bring along.
//!
//! ```text
//! components, this program, the host's nft ─recipes─▶ archives/NAME-KEY/image.tar  (made once; KEY names the inputs)
//!                                                          └─hard links─▶ nodes/SET-KEY/*.tar + images.json
//! ```
//!
//! An image is one layer with the program and what it needs, and nothing else: no shell, no package manager. The same
//! inputs give the same bytes. Everything appears by rename, whole or not at all.

mod archive;
mod elf;
mod pins;
mod recipe;
#[cfg(test)]
mod tests;

use crate::{Config, blocking};
use anyhow::{Context as _, Result};
use pins::Pins;
use recipe::{Recipe, Sources};
use roadstead_guest::NodeImage;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// An archive in its folder, and its [`NodeImage`] beside it.
const ARCHIVE: &str = "image.tar";
const RECORD: &str = "image.json";
/// What an unfinished folder ends in.
const UNFINISHED: &str = ".new";

/// The images of this host's nodes. A handle: copies share everything.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    /// Held while archives are made.
    making: Mutex<()>,
}

/// Why there is no folder of images yet.
#[derive(Debug, thiserror::Error)]
pub enum NotYet {
    /// A program is not built yet: `component SET/PROGRAM`.
    #[error("component {0}")]
    Component(String),
    /// They could not be made.
    #[error("making the images of nodes: {0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Images {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>) -> Images {
        Images(Arc::new(Inner { config, making: Mutex::default() }))
    }

    /// The folder with the images of a node that consists of these sets of components, one of them `kubernetes-…`. Made
    /// when it is first asked for (seconds), and again when an input has changed; otherwise a look.
    ///
    /// # Errors
    /// A component is missing, which somebody may be building; or the images can't be made.
    pub async fn folder(&self, sets: &[String]) -> Result<PathBuf, NotYet> {
        let kubernetes = sets.iter().find(|set| set.starts_with("kubernetes-"));
        let kubernetes = kubernetes.context("the machine has no Kubernetes among its components")?.clone();
        let _making = self.0.making.lock().await;
        let config = self.0.config.clone();
        blocking(move || folder(&config, &kubernetes)).await
    }
}

fn folder(config: &Config, kubernetes: &str) -> Result<PathBuf, NotYet> {
    let pins = Pins::committed()?;
    let recipes =
        recipe::all(&pins, kubernetes, &Sources { components: &config.components_dir, program: &config.program })?;
    let archives = recipes.iter().map(|recipe| Ok((recipe, recipe.key()?))).collect::<Result<Vec<_>>>()?;
    let top = config.state_dir.join("images");
    let key = recipe::digest(archives.iter().map(|(recipe, key)| format!("{} {key}", recipe.name())));
    let folder = top.join("nodes").join(format!("{kubernetes}-{key}"));
    if !folder.exists() {
        make(&top, &folder, &archives)?;
        tidy(&top, kubernetes, &folder)?;
    }
    Ok(folder)
}

/// Makes the archives that are not there, and the folder of links to all of them.
fn make(top: &Path, folder: &Path, archives: &[(&Recipe, String)]) -> Result<()> {
    let new = fresh(&folder.with_added_extension(&UNFINISHED[1..]))?;
    let mut index = Vec::new();
    for (recipe, key) in archives {
        let own = top.join("archives").join(format!("{}-{key}", recipe.name()));
        if !own.exists() {
            make_archive(&own, recipe)?;
        }
        let record = own.join(RECORD);
        let text = fs::read(&record).with_context(|| format!("reading {}", record.display()))?;
        let image: NodeImage = serde_json::from_slice(&text).with_context(|| record.display().to_string())?;
        fs::hard_link(own.join(ARCHIVE), new.join(&image.archive)).with_context(|| own.display().to_string())?;
        index.push(image);
    }
    fs::write(new.join(NodeImage::INDEX), serde_json::to_vec_pretty(&index)?)?;
    fs::rename(&new, folder).with_context(|| format!("making {}", folder.display()))
}

fn make_archive(folder: &Path, recipe: &Recipe) -> Result<()> {
    let new = fresh(&folder.with_added_extension(&UNFINISHED[1..]))?;
    let digest = archive::write(&new.join(ARCHIVE), recipe).with_context(|| format!("the image {}", recipe.name()))?;
    let image = recipe.record(digest);
    tracing::info!(image = image.name, tag = image.tag, digest = image.digest, "made an image of nodes");
    fs::write(new.join(RECORD), serde_json::to_vec_pretty(&image)?)?;
    fs::rename(&new, folder).with_context(|| format!("making {}", folder.display()))
}

/// An empty folder in the place of what somebody who was killed left there.
fn fresh(path: &Path) -> Result<PathBuf> {
    unless_missing(fs::remove_dir_all(path)).with_context(|| format!("removing {}", path.display()))?;
    fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
    Ok(path.to_owned())
}

/// Removes the folders of this Kubernetes that `folder` replaces, and the archives that no folder has any more. A machine
/// that sees one of them has imported it long ago, or is started anew.
fn tidy(top: &Path, kubernetes: &str, folder: &Path) -> Result<()> {
    let mut used = BTreeSet::new();
    for path in entries(&top.join("nodes"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path != folder && name.starts_with(&format!("{kubernetes}-")) {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
            continue;
        }
        for file in entries(&path)? {
            used.insert(inode(&file)?);
        }
    }
    for path in entries(&top.join("archives"))? {
        let archive = path.join(ARCHIVE);
        if !archive.exists() || !used.contains(&inode(&archive)?) {
            fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

fn inode(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(path).with_context(|| path.display().to_string())?.ino())
}

fn unless_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
