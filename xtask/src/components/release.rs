//! Programs that are taken as upstream released them instead of being built: from a mirror that is laid out as upstream's
//! own release site, `https://dl.k8s.io/release`.
//!
//! ```text
//! MIRROR/v1.36.3/bin/linux/amd64/kube-apiserver
//! MIRROR/v1.36.3/bin/linux/amd64/kube-apiserver.sha256     its SHA-256, in hex
//! ```
//!
//! The checksum finds what was damaged on its way. It stands where the program does, so whoever may write to the mirror is
//! trusted: that is why the default is to build, from modules whose checksums are in this repository.

use super::cache;
use super::manifest::Item;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where releases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// In a folder.
    Folder(PathBuf),
    /// At a URL, without the `/` at its end.
    Site(String),
}

/// A program at a mirror.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    mirror: Mirror,
    /// From the mirror on: `v1.36.3/bin/linux/amd64/kubectl`.
    path: String,
    /// Its SHA-256, in hex: what the mirror says.
    checksum: String,
}

impl Mirror {
    /// A folder that is there, or a URL.
    ///
    /// # Errors
    /// Neither.
    pub fn parse(text: &str) -> Result<Self> {
        match text.split_once("://") {
            Some(("https" | "http", _)) => Ok(Self::Site(text.trim_end_matches('/').to_owned())),
            Some((scheme, _)) => bail!("a mirror is a folder or an http(s) URL, not {scheme}:"),
            None => {
                let folder = fs::canonicalize(text).with_context(|| format!("the mirror {text}"))?;
                ensure!(folder.is_dir(), "the mirror {text} is no folder");
                Ok(Self::Folder(folder))
            }
        }
    }

    /// The release of a program; none if its family has none of that layout.
    ///
    /// # Errors
    /// The mirror has no checksum of it, or none that is one.
    pub fn release(&self, item: &Item<'_>) -> Result<Option<Release>> {
        let Some(layout) = &item.family.release else { return Ok(None) };
        let path = layout
            .replace("{version}", &item.set.version)
            .replace("{arch}", architecture()?)
            .replace("{program}", &item.program.name);
        let beside = format!("{path}.sha256");
        let scratch = tempfile::NamedTempFile::new()?;
        self.fetch(&beside, scratch.path())?;
        let said = fs::read_to_string(scratch.path()).with_context(|| self.place(&beside))?;
        let checksum = said.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let is_checksum = checksum.len() == 64 && checksum.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(
            is_checksum,
            "{} holds no SHA-256: is this laid out as upstream's release site is?",
            self.place(&beside)
        );
        Ok(Some(Release { mirror: self.clone(), path, checksum }))
    }

    /// What stands there, for people.
    fn place(&self, path: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(path).display().to_string(),
            Self::Site(url) => format!("{url}/{path}"),
        }
    }

    /// Copies a file of the mirror to `to`.
    fn fetch(&self, path: &str, to: &Path) -> Result<()> {
        let place = self.place(path);
        match self {
            Self::Folder(_) => fs::copy(&place, to).map(drop).with_context(|| place),
            Self::Site(_) => {
                let flags =
                    ["--fail", "--location", "--silent", "--show-error", "--retry", "3", "--proto", "=http,https"];
                let mut curl = Command::new("curl");
                curl.args(flags).arg("--output").arg(to).arg("--").arg(&place);
                let output = curl.stdin(Stdio::null()).output();
                let output = output.context("`curl` can't be started: apt-get install curl")?;
                ensure!(output.status.success(), "{place}: {}", String::from_utf8_lossy(&output.stderr).trim());
                Ok(())
            }
        }
    }
}

impl Release {
    /// Changes whenever the program does.
    pub fn key(&self) -> String {
        cache::key([&b"release"[..], self.checksum.as_bytes()])
    }

    /// Where it comes from, for people.
    pub fn place(&self) -> String {
        self.mirror.place(&self.path)
    }

    /// Puts it at `to`.
    ///
    /// # Errors
    /// It is not there, or is not what its checksum says.
    pub fn fetch(&self, to: &Path) -> Result<()> {
        self.mirror.fetch(&self.path, to)?;
        let found = cache::checksum(File::open(to)?)?;
        let (place, said) = (self.place(), &self.checksum);
        ensure!(
            found == *said,
            "{place} has the SHA-256 {found}, and {place}.sha256 says {said}: the mirror is damaged"
        );
        Ok(())
    }
}

/// This machine's, as Go and upstream's site call it.
fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("upstream releases no programs for {other}: leave --mirror out, so that they are built"),
    }
}
