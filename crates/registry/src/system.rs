//! EKS's own images: what every node of this host has from its beginning can be pulled, too, by any account and without
//! being pushed. They stand where the host made them, a folder of containerd's per kind of node; nobody puts anything there.

use roadstead_cloud::ecr::image::is_digest;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Below each kind's folder: which images there are (see `host::images`), and their blobs.
const LIST: &str = "images.json";
const BLOBS: &str = "io.containerd.content.v1.content/blobs/sha256";

/// The folder of all kinds.
pub struct System(pub PathBuf);

#[derive(Deserialize)]
struct Listed {
    repository: String,
    tag: String,
    digest: String,
}

impl System {
    /// An image's digest and manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, String)> {
        let wanted = |image: &Listed| image.tag == reference || image.digest == reference;
        let image = self.images().find(|image| image.repository == repository && wanted(image))?;
        let text = fs::read_to_string(self.blob(&image.digest)?).ok()?;
        Some((image.digest, text))
    }

    /// The file of a blob of any image: they are everybody's.
    pub fn blob(&self, digest: &str) -> Option<PathBuf> {
        let name = digest.strip_prefix("sha256:").filter(|_| is_digest(digest))?;
        self.kinds().map(|kind| kind.join(BLOBS).join(name)).find(|path| path.exists())
    }

    fn images(&self) -> impl Iterator<Item = Listed> {
        let read = |kind: PathBuf| serde_json::from_slice::<Vec<Listed>>(&fs::read(kind.join(LIST)).ok()?).ok();
        self.kinds().filter_map(read).flatten()
    }

    /// None before the first node.
    fn kinds(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(Path::new(&self.0)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.join(LIST).exists())
    }
}
