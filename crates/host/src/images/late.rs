//! Images that nodes can do without: written one by one as their components are built, each once.

use super::pins::Pins;
use super::recipe::{self, Recipe, Sources};
use super::{NotYet, archive, entries, unless_missing};
use crate::{Config, blocking, lock};
use anyhow::{Context as _, Result};
use roadstead_guest::ImageArchive;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;

/// Between looks whether a component is built.
const LOOK: Duration = Duration::from_secs(2);

/// Where they are.
pub fn folder(config: &Config) -> PathBuf {
    config.state_dir.join("images/late")
}

/// Who writes them.
pub struct Late {
    config: Arc<Config>,
    /// Somebody is at it, or it is done.
    begun: Mutex<bool>,
}

impl Late {
    /// Starts without touching anything.
    pub fn new(config: Arc<Config>) -> Late {
        Late { config, begun: Mutex::default() }
    }

    /// Nodes were started here before.
    pub fn is_wanted(&self) -> bool {
        folder(&self.config).exists()
    }

    /// There is a node: writes all of them, as they come. Their folder is there when this returns.
    ///
    /// # Errors
    /// It can't be made.
    pub fn needed(&self) -> Result<()> {
        let folder = folder(&self.config);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut begun = lock(&self.begun);
        if !*begun {
            *begun = true;
            tokio::spawn(keep(self.config.clone()));
        }
        Ok(())
    }
}

/// Until all are there.
async fn keep(config: Arc<Config>) {
    let mut told = None;
    loop {
        let own = config.clone();
        let missing = blocking(move || write_all(&own)).await;
        let why = match missing {
            Ok(None) => return,
            Ok(Some(why)) => why.to_string(),
            Err(why) => format!("{why:#}"),
        };
        if told.as_ref() != Some(&why) {
            tracing::info!("images that nodes get later: waiting for {why}");
            told = Some(why);
        }
        sleep(LOOK).await;
    }
}

/// Writes those that can be; says what one waits for that cannot.
pub fn write_all(config: &Config) -> Result<Option<NotYet>> {
    let sources = Sources { components: &config.components_dir, program: &config.program };
    let mut missing = None;
    let mut names = vec![];
    for recipe in recipe::late(&Pins::committed()?, &sources) {
        match recipe {
            Ok(recipe) => names.push(write(&folder(config), &recipe)?),
            Err(why) => missing = Some(why),
        }
    }
    // Of another version of a program nothing is wanted any more.
    for path in entries(&folder(config))? {
        let is_known = path.file_stem().is_some_and(|stem| names.iter().any(|name| **name == *stem));
        if missing.is_none() && !is_known {
            unless_missing(fs::remove_file(path))?;
        }
    }
    Ok(missing)
}

/// Writes one, unless it is there: the archive, and then what says so. Returns the name of both.
fn write(folder: &Path, recipe: &Recipe) -> Result<String> {
    let name = format!("{}-{}", recipe.name(), recipe.key()?);
    let notice = folder.join(format!("{name}.{}", ImageArchive::NOTICE));
    if notice.exists() {
        return Ok(name);
    }
    let (file, new) = (format!("{name}.tar"), folder.join(format!("{name}.new")));
    archive::write(&new, recipe).with_context(|| format!("the image {}", recipe.name()))?;
    fs::rename(&new, folder.join(&file))?;
    let path = Path::new(ImageArchive::LATE).join(&file);
    let about = ImageArchive { repository: recipe.repository().to_owned(), tag: recipe.tag(), path };
    fs::write(&new, serde_json::to_vec(&about)?)?;
    fs::rename(&new, &notice).with_context(|| format!("making {}", notice.display()))?;
    tracing::info!(image = recipe.name(), "nodes can have it");
    Ok(name)
}
