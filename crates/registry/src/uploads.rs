//! Blobs on their way in: a file that grows, and what is known of it so far. An upload lives as long as this process: who
//! is told that there is none begins another.

use crate::refusal::{Code, Refusal};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use roadstead_cloud::ecr::image;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};

/// The longest layer, bytes (ECR quota "maximum layer size": 52,000 MiB).
const LONGEST: u64 = 52_000 << 20;
/// An upload that nothing came for in so long is given up.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// So often it is looked whether there is still room, bytes.
const LOOK: u64 = 16 << 20;

/// All uploads.
pub struct Uploads {
    folder: PathBuf,
    open: Mutex<HashMap<String, Shared>>,
}

/// An upload, which one request at a time adds to.
pub type Shared = Arc<tokio::sync::Mutex<Upload>>;

/// An upload.
pub struct Upload {
    /// `ACCOUNT/NAME`.
    repository: String,
    path: PathBuf,
    file: BufWriter<File>,
    hash: Context,
    /// Bytes so far.
    pub size: u64,
    used: Instant,
}

impl Uploads {
    /// Opens the folder, which is empty afterwards.
    pub fn open(data: &Path) -> io::Result<Uploads> {
        let folder = data.join("uploads");
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(Uploads { folder, open: Mutex::default() })
    }

    /// Begins an upload to a repository.
    pub async fn begin(&self, repository: String) -> io::Result<(String, Shared)> {
        let id = random_id()?;
        let path = self.folder.join(&id);
        let file = BufWriter::with_capacity(1 << 20, File::create(&path).await?);
        let (hash, used) = (Context::new(&SHA256), Instant::now());
        let upload = Arc::new(tokio::sync::Mutex::new(Upload { repository, path, file, hash, size: 0, used }));
        let mut open = self.all();
        open.retain(|_, upload| upload.try_lock().map_or(true, |upload| upload.used.elapsed() < PATIENCE));
        open.insert(id.clone(), upload.clone());
        Ok((id, upload))
    }

    /// The upload of that id to a repository.
    pub async fn find(&self, id: &str, repository: &str) -> Result<Shared, Refusal> {
        let found = self.all().get(id).cloned();
        let unknown = || Refusal::new(Code::BlobUploadUnknown, "There is no such upload: begin another");
        let upload = found.ok_or_else(unknown)?;
        let same = upload.lock().await.repository == repository;
        same.then_some(upload).ok_or_else(unknown)
    }

    /// Ends the upload: nobody finds it any more, and its file goes with the last who has it.
    pub fn end(&self, id: &str) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Shared>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    /// Adds a body, piece by piece as it comes. What has come stays, also when the rest does not.
    pub async fn take(&mut self, mut body: Incoming, shortage: impl Fn() -> Option<String>) -> Result<(), Refusal> {
        let mut looked = None;
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Refusal::new(Code::BlobUploadInvalid, format!("the body ended: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            if self.size.saturating_add(length) > LONGEST {
                return Err(Refusal::new(Code::SizeInvalid, format!("A layer is no longer than {LONGEST} bytes")));
            }
            if looked.is_none_or(|looked| self.size - looked >= LOOK) {
                if let Some(why) = shortage() {
                    return Err(Refusal::new(Code::Unavailable, why));
                }
                looked = Some(self.size);
            }
            self.file.write_all(&data).await?;
            self.hash.update(&data);
            self.size += length;
        }
        self.used = Instant::now();
        Ok(())
    }

    /// All is there, and it is what `digest` says: it stands on the disk, at the path that is returned.
    pub async fn finish(&mut self, digest: &str) -> Result<&Path, Refusal> {
        let found = image::written(self.hash.clone().finish().as_ref());
        if found != digest {
            let why = format!("The digest of what was uploaded is {found} and not {digest}");
            return Err(Refusal::new(Code::DigestInvalid, why));
        }
        self.file.flush().await?;
        self.file.get_ref().sync_all().await?;
        Ok(&self.path)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // It is not there any more once it has become a blob.
        let _ = fs::remove_file(&self.path);
    }
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no random bytes from the system"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
