//! The last accepted wishes, in a file: a line `roadstead-host 1 SHA-256`, then JSON whose digest that is.
//!
//! It is written before anything is done, so an agent never starts from a wish that was already taken back. Secrets in
//! it are sealed.

use super::accepted::Accepted;
use crate::blocking;
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Names the format. Another one gets another number.
const FORMAT: &str = "roadstead-host 1";

#[derive(Clone)]
pub(super) struct Snapshot {
    path: PathBuf,
}

impl Snapshot {
    pub fn new(state_dir: &Path) -> Snapshot {
        Snapshot { path: state_dir.join("items.snapshot") }
    }

    /// The wishes that were last saved; none if none were.
    ///
    /// # Errors
    /// The file is damaged; it stays as it is until the next save.
    pub async fn load(&self) -> Result<Option<Accepted>> {
        let path = self.path.clone();
        blocking(move || {
            let bytes = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                read => read.with_context(|| format!("read the snapshot {}", path.display()))?,
            };
            decode(&bytes).map(Some).with_context(|| format!("the snapshot {} is damaged", path.display()))
        })
        .await
    }

    /// Saves so that it survives a loss of power.
    pub async fn save(&self, accepted: &Accepted) -> Result<()> {
        let (path, bytes) = (self.path.clone(), encode(accepted)?);
        blocking(move || write(&path, &bytes).with_context(|| format!("write the snapshot {}", path.display()))).await
    }
}

fn encode(accepted: &Accepted) -> Result<Vec<u8>> {
    let body = serde_json::to_vec(accepted)?;
    let mut bytes = format!("{FORMAT} {}\n", hex(&body)).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<Accepted> {
    let end = bytes.iter().position(|byte| *byte == b'\n').context("it has no header")?;
    let (header, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 1..]);
    let Some((FORMAT, sum)) = header.rsplit_once(' ') else { bail!("its header is '{header}'") };
    if sum != hex(body) {
        bail!("its checksum is not that of its content");
    }
    Ok(serde_json::from_slice(body)?)
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().expect("the snapshot stands in a folder");
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}
