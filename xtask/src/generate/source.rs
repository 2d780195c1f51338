//! Where the models come from: botocore's source archive, one exact version of it, by checksum.

use super::model::{Model, Pagination, Waiters};
use super::ops::Pin;
use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The archive, checked.
pub struct Archive {
    file: PathBuf,
    /// The folder that all of it stands in.
    top: String,
}

/// Models on disk, until this is dropped.
pub struct Models {
    folder: PathBuf,
    top: String,
}

/// The pinned archive, from the cache or through pip.
pub fn fetch(pin: &Pin) -> Result<Archive> {
    let top = format!("botocore-{}", pin.version);
    let folder = cache()?.join("botocore");
    let file = folder.join(format!("{top}.tar.gz"));
    if !file.exists() {
        download(pin, &folder)?;
    }
    verify(&file, &pin.sha256)?;
    Ok(Archive { file, top })
}

/// `$ROADSTEAD_CACHE`, or `roadstead` in the user's cache folder.
fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let user = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let cache = set("ROADSTEAD_CACHE").or_else(|| Some(user()?.join("roadstead")));
    cache.context("no place for the models: set ROADSTEAD_CACHE to a folder")
}

fn download(pin: &Pin, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let status = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest"])
        .arg(folder)
        .arg(format!("botocore=={}", pin.version))
        .status()
        .context("python3 can't be run: it fetches the AWS models")?;
    ensure!(status.success(), "pip can't fetch botocore {}", pin.version);
    Ok(())
}

/// Fails if the file has another checksum.
pub fn verify(file: &Path, sha256: &str) -> Result<()> {
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        found == sha256,
        "{} has SHA-256 {found}, models/ops.toml pins {sha256}: remove the file if the pin is right",
        file.display()
    );
    Ok(())
}

impl Archive {
    /// Unpacks the folders of these models.
    pub fn unpack<'a>(&self, models: impl Iterator<Item = &'a str>) -> Result<Models> {
        let folder = std::env::temp_dir().join(format!("roadstead-gen-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let unpacked = Models { folder, top: self.top.clone() };
        let folders = models.map(|model| format!("{}/botocore/data/{model}", self.top));
        let status = Command::new("tar")
            .arg("-xzf")
            .arg(&self.file)
            .arg("-C")
            .arg(&unpacked.folder)
            .args(folders)
            .status()
            .context("tar can't be run")?;
        ensure!(status.success(), "{} lacks a model that models/ops.toml names", self.file.display());
        Ok(unpacked)
    }
}

impl Models {
    /// A model with its paginators and waiters.
    pub fn read(&self, model: &str) -> Result<Model> {
        let folder = self.folder.join(&self.top).join("botocore/data").join(model);
        let mut read: Model = json(&folder.join("service-2.json"))?;
        let optional = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        if let Some(path) = optional("paginators-1.json") {
            read.pagination = json::<Pagination>(&path)?.pagination;
        }
        if let Some(path) = optional("waiters-2.json") {
            read.polled = json::<Waiters>(&path)?.waiters.into_values().map(|w| w.operation).collect();
        }
        Ok(read)
    }
}

impl Drop for Models {
    fn drop(&mut self) {
        // What is left behind in the folder for temporary files hurts nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
}
