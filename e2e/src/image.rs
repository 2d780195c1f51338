//! Images of a test's own, as other tools keep them on a disk.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// An OCI image layout: a folder that `skopeo` knows as `oci:FOLDER:TAG`.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    /// Of the manifest: `sha256:…`.
    pub digest: String,
    /// Of the one layer.
    pub layer: String,
    /// Of the configuration.
    pub config: String,
    /// The manifest.
    pub manifest: String,
    tag: String,
}

/// The media type of manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Layout {
    /// Makes an image in `folder` whose one layer has `files`, and whose containers run the first of them.
    #[track_caller]
    pub fn make(folder: &Path, tag: &str, files: &[(&str, &[u8])]) -> Layout {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder can be made");
        let keep = |bytes: &[u8]| {
            let digest = digest(bytes);
            fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).expect("a blob can be written");
            (digest, bytes.len())
        };
        let (layer, layer_size) = keep(&archive(files));
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Entrypoint": [format!("/{}", files[0].0)], "Labels": {"tag": tag}},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        });
        let (config, config_size) = keep(config.to_string().as_bytes());
        let kind = |of: &str| format!("application/vnd.oci.image.{of}");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": kind("config.v1+json"), "digest": config, "size": config_size},
            "layers": [{"mediaType": kind("layer.v1.tar"), "digest": layer, "size": layer_size}],
        })
        .to_string();
        let (digest, size) = keep(manifest.as_bytes());
        let index = json!({"schemaVersion": 2, "manifests": [{"mediaType": MANIFEST, "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": tag}}]});
        for (name, value) in [("index.json", index), ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}))] {
            fs::write(folder.join(name), value.to_string()).expect("a file can be written");
        }
        Layout { folder: folder.to_owned(), digest, layer, config, manifest, tag: tag.to_owned() }
    }

    /// As `skopeo` calls it.
    pub fn name(&self) -> String {
        format!("oci:{}:{}", self.folder.display(), self.tag)
    }

    /// A blob of it.
    #[track_caller]
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        blob(&self.folder, digest)
    }
}

/// A blob of the layout in a folder.
#[track_caller]
pub fn blob(folder: &Path, digest: &str) -> Vec<u8> {
    let path = folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The digest of the one image that a layout has.
#[track_caller]
pub fn only_image(folder: &Path) -> String {
    let index = fs::read(folder.join("index.json")).expect("a layout has an index");
    let index: Value = serde_json::from_slice(&index).expect("an index is JSON");
    index["manifests"][0]["digest"].as_str().expect("it has an image").to_owned()
}

/// `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, name, *bytes).expect("an archive can be written");
    }
    archive.into_inner().expect("an archive can be written")
}
