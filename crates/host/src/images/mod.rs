//! The images that every node has from its beginning: what EKS keeps in its registry and its AMIs bring along. A machine
//! sees a folder of them at `/opt/images`, in which they are unpacked already:
//!
//! ```text
//! components, this program, the host's nft ─recipes─▶ archives ─guest node snapshot─▶ nodes/SET-KEY/  (KEY: the inputs)
//! ```
//!
//! What a node can do without comes when it is built, and to nodes that run already: an archive in a folder that every
//! node sees at [`ImageArchive::LATE`], from which `guest node images` takes it in.
//!
//! An image is one layer with the program and what it needs, and nothing else: no shell, no package manager. The same
//! inputs give the same bytes. A folder appears by rename, whole or not at all, and is never written to afterwards.

mod archive;
mod elf;
mod late;
mod pins;
mod recipe;
#[cfg(test)]
mod tests;

pub use late::folder as late_folder;

use crate::{Config, blocking, lock};
use anyhow::{Context as _, Result, bail};
use late::Late;
use nix::unistd::syncfs;
use pins::Pins;
use recipe::{Recipe, Sources};
use roadstead_guest::{Ami, ImageArchive, SnapshotOrder};
use roadstead_hostspec::Machine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// In a folder: which images it has, for the region's registry: `[{"repository", "tag", "digest"}]`.
const LIST: &str = "images.json";

/// The images of this host's nodes. A handle: copies share everything.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    /// What is under way, by folder.
    making: Mutex<BTreeMap<PathBuf, Making>>,
    /// What comes later.
    late: Late,
}

enum Making {
    Begun,
    Failed(anyhow::Error),
}

/// Why there is no folder of images yet.
#[derive(Debug, thiserror::Error)]
pub enum NotYet {
    /// A program is not built: `SET/PROGRAM`.
    #[error("component {0}")]
    Component(String),
    /// It takes a few seconds.
    #[error("the images of nodes, which are being made")]
    Making,
    /// It was tried; the next call tries again.
    #[error("making the images of nodes: {0:#}")]
    Failed(#[from] anyhow::Error),
}

impl Images {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>) -> Images {
        let late = Late::new(config.clone());
        Images(Arc::new(Inner { config, making: Mutex::default(), late }))
    }

    /// Goes on with what nodes are waiting for that run already.
    ///
    /// # Errors
    /// The state folder's.
    pub fn resume(&self) -> Result<()> {
        if self.0.late.is_wanted() { self.0.late.needed() } else { Ok(()) }
    }

    /// The folder for a machine; none if it is no EKS node. Begins to make it when it is first asked for, and again when
    /// an input has changed; otherwise a look. Ask again, as for a component.
    ///
    /// # Errors
    /// It is not there yet.
    pub async fn folder(&self, machine: &Machine) -> Result<Option<PathBuf>, NotYet> {
        let Some(ami) = Ami::of(machine)? else { return Ok(None) };
        let config = self.0.config.clone();
        let plan = blocking(move || Plan::new(&config, ami)).await?;
        // Held from the look at the folder on: who made it takes its entry away afterwards.
        let mut making = lock(&self.0.making);
        if plan.folder.exists() {
            self.0.late.needed()?;
            return Ok(Some(plan.folder.clone()));
        }
        match making.insert(plan.folder.clone(), Making::Begun) {
            Some(Making::Begun) => {}
            Some(Making::Failed(why)) => {
                making.remove(&plan.folder);
                return Err(NotYet::Failed(why));
            }
            None => drop(tokio::spawn(self.clone().make(plan))),
        }
        Err(NotYet::Making)
    }

    async fn make(self, plan: Arc<Plan>) {
        let began = Instant::now();
        let own = plan.clone();
        let made = blocking(move || own.make()).await;
        let mut making = lock(&self.0.making);
        match made {
            Ok(()) => {
                let (folder, seconds) = (plan.folder.display(), began.elapsed().as_secs_f64());
                tracing::info!(%folder, seconds, "made the images of nodes");
                making.remove(&plan.folder);
            }
            Err(why) => {
                tracing::warn!("making the images of nodes: {why:#}");
                making.insert(plan.folder.clone(), Making::Failed(why));
            }
        }
    }
}

/// A folder that is to be.
struct Plan {
    ami: Ami,
    recipes: Vec<Recipe>,
    /// This program.
    program: PathBuf,
    /// Where the nodes' containerd is.
    programs: PathBuf,
    folder: PathBuf,
}

impl Plan {
    fn new(config: &Config, ami: Ami) -> Result<Arc<Plan>, NotYet> {
        let sources = Sources { components: &config.components_dir, program: &config.program };
        let recipes = recipe::first(&Pins::committed()?, &ami.kubernetes, &sources)?;
        let containerd = sources.component(&ami.containerd, "containerd")?;
        sources.component(&ami.containerd, "ctr")?;
        let mut lines = vec![ami.region.clone(), recipe::identity(&containerd)?];
        for recipe in &recipes {
            lines.push(format!("{} {}", recipe.name(), recipe.key()?));
        }
        let name = format!("{}-{}", ami.kubernetes, recipe::digest(&lines));
        let folder = config.state_dir.join("images/nodes").join(name);
        let (program, programs) = (config.program.clone(), config.components_dir.join(&ami.containerd));
        Ok(Arc::new(Plan { ami, recipes, program, programs, folder }))
    }

    fn make(&self) -> Result<()> {
        let new = self.folder.with_added_extension(format!("{}.new", std::process::id()));
        fs::create_dir_all(&new).with_context(|| format!("making {}", new.display()))?;
        let made = self.fill(&new).and_then(|()| {
            syncfs(File::open(&new)?)?;
            fs::rename(&new, &self.folder).with_context(|| format!("making {}", self.folder.display()))
        });
        if made.is_err() {
            unless_missing(fs::remove_dir_all(&new))?;
        }
        made.and_then(|()| self.tidy())
    }

    fn fill(&self, folder: &Path) -> Result<()> {
        let (archives, region) = (folder.with_added_extension("archives"), self.ami.region.clone());
        unless_missing(fs::remove_dir_all(&archives))?;
        fs::create_dir_all(&archives)?;
        let written = self.archives(&archives).and_then(|(archives, listed)| {
            fs::write(folder.join(LIST), listed.to_string())?;
            self.snapshot(&SnapshotOrder {
                folder: folder.to_owned(),
                programs: self.programs.clone(),
                region,
                archives,
            })
        });
        fs::remove_dir_all(&archives)?;
        written?;
        let name = self.folder.file_name().context("it has no name")?;
        Ok(fs::write(folder.join(SnapshotOrder::KEY), name.as_encoded_bytes())?)
    }

    /// Writes all archives, side by side; and what each is called, for the list.
    fn archives(&self, folder: &Path) -> Result<(Vec<ImageArchive>, Value)> {
        let write = |recipe: &Recipe| {
            let path = folder.join(format!("{}.tar", recipe.name()));
            let digest = archive::write(&path, recipe).with_context(|| format!("the image {}", recipe.name()))?;
            let (repository, tag) = (recipe.repository().to_owned(), recipe.tag());
            let listed = json!({"repository": repository, "tag": tag, "digest": digest});
            Ok((ImageArchive { repository, tag, path }, listed))
        };
        let written: Result<Vec<(ImageArchive, Value)>> = thread::scope(|scope| {
            let writing: Vec<_> = self.recipes.iter().map(|recipe| scope.spawn(move || write(recipe))).collect();
            writing.into_iter().map(|it| it.join().unwrap_or_else(|_| bail!("writing an image panicked"))).collect()
        });
        let (archives, listed): (Vec<_>, Vec<_>) = written?.into_iter().unzip();
        Ok((archives, listed.into()))
    }

    /// Has containerd unpack them. Not here: it takes namespaces of its own, which this process has too many threads for.
    fn snapshot(&self, order: &SnapshotOrder) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["guest", "node", "snapshot"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("running {}", self.program.display()))?;
        child.stdin.take().context("it has no standard input")?.write_all(&serde_json::to_vec(order)?)?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// Removes the folders that this one replaces, but for those that a machine still has its layers from.
    fn tidy(&self) -> Result<()> {
        let used = mounted().context("looking which images are in use")?;
        for path in entries(self.folder.parent().context("it has no folder")?)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let replaced = path != self.folder && name.starts_with(&format!("{}-", self.ami.kubernetes));
            if replaced && !used.iter().any(|root| root.contains(&name)) {
                fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// What is mounted from the images of nodes, in any namespace: the roots of mounts, as the kernel has them (proc(5),
/// mountinfo).
fn mounted() -> Result<Vec<String>> {
    let processes = entries(Path::new("/proc"))?.into_iter().map(|path| path.join("mountinfo"));
    // One that cannot be read has ended.
    let texts = processes.filter_map(|path| fs::read_to_string(path).ok());
    let roots = texts.flat_map(|text| {
        let roots =
            text.lines().filter_map(|line| line.split(' ').nth(3)).filter(|root| root.contains("/images/nodes/"));
        roots.map(str::to_owned).collect::<Vec<_>>()
    });
    Ok(roots.collect())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    Ok(entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

fn unless_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    result.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
