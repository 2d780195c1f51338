//! Writes an image: an OCI image layout of one layer, in a tar archive. Nothing in it depends on when or where.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use super::elf;
use super::recipe::{File, PATH, Recipe, hex};
use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Not compressed: it is made and unpacked on the same machine.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Folders that programs may take for granted.
const FOLDERS: [(&str, u32); 6] =
    [("dev", 0o755), ("etc", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777)];

/// Writes the archive to `path`; gives the digest of the image's manifest.
pub fn write(path: &Path, recipe: &Recipe) -> Result<String> {
    let unfinished = path.with_extension("layer");
    let (layer, size) = write_layer(&unfinished, recipe)?;
    let config = Blob::of(&json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Env": [format!("PATH={PATH}")], "Entrypoint": [recipe.entrypoint]},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    }))?;
    let manifest = Blob::of(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.bytes.len()},
        "layers": [{"mediaType": LAYER, "digest": layer, "size": size}],
    }))?;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": manifest.digest,
            "size": manifest.bytes.len(),
            "annotations": {"org.opencontainers.image.ref.name": recipe.tag()},
        }],
    });
    let file = fs::File::create(path).with_context(|| format!("making {}", path.display()))?;
    let mut archive = Builder::new(BufWriter::with_capacity(1 << 20, file));
    let mut add =
        |name: &str, size: u64, bytes: &mut dyn Read| archive.append_data(&mut header(0o644, size), name, bytes);
    for (name, bytes) in [
        ("oci-layout".to_owned(), json!({"imageLayoutVersion": "1.0.0"}).to_string().as_bytes()),
        ("index.json".to_owned(), index.to_string().as_bytes()),
        (blob(&manifest.digest), &manifest.bytes),
        (blob(&config.digest), &config.bytes),
    ] {
        add(&name, u64::try_from(bytes.len())?, &mut &*bytes)?;
    }
    add(&blob(&layer), size, &mut fs::File::open(&unfinished)?)?;
    archive.into_inner()?.flush()?;
    fs::remove_file(&unfinished)?;
    Ok(manifest.digest)
}

/// Go's name of this machine's kind.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Something small that is named by its digest.
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn of(value: &Value) -> Result<Blob> {
        let bytes = serde_json::to_vec(value)?;
        let mut hash = Context::new(&SHA256);
        hash.update(&bytes);
        Ok(Blob { digest: digest(hash), bytes })
    }
}

fn digest(hash: Context) -> String {
    format!("sha256:{}", hex(hash.finish().as_ref()))
}

/// Where a blob stands in a layout.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

/// Writes the layer; gives its digest and its size in bytes.
fn write_layer(path: &Path, recipe: &Recipe) -> Result<(String, u64)> {
    let file = fs::File::create(path).with_context(|| format!("making {}", path.display()))?;
    let mut layer =
        Builder::new(Hashed { to: BufWriter::with_capacity(1 << 20, file), hash: Context::new(&SHA256), size: 0 });
    for (folder, mode) in folders(recipe) {
        let mut header = header(mode, 0);
        header.set_entry_type(EntryType::Directory);
        layer.append_data(&mut header, folder, io::empty())?;
    }
    for (target, file) in &recipe.files {
        let inside = target.strip_prefix("/").context("a path in an image is absolute")?;
        let (mode, size, mut bytes) = open(file)?;
        layer
            .append_data(&mut header(mode, size), inside, &mut bytes)
            .with_context(|| format!("{} in the image", target.display()))?;
    }
    let Hashed { mut to, hash, size } = layer.into_inner()?;
    to.flush()?;
    Ok((digest(hash), size))
}

/// All folders of the image, those above first.
fn folders(recipe: &Recipe) -> Vec<(PathBuf, u32)> {
    let known: BTreeSet<&Path> = FOLDERS.iter().map(|(path, _)| Path::new(path)).collect();
    let inside = recipe.files.keys().filter_map(|target| target.strip_prefix("/").ok());
    let above: BTreeSet<&Path> = inside.flat_map(|target| target.ancestors().skip(1)).collect();
    let others = above.into_iter().filter(|path| !path.as_os_str().is_empty() && !known.contains(path));
    let own = FOLDERS.iter().map(|(path, mode)| (PathBuf::from(path), *mode));
    own.chain(others.map(|path| (path.to_owned(), 0o755))).collect()
}

/// A file's mode, its size in bytes, and all of it.
fn open(file: &File) -> Result<(u32, u64, Box<dyn Read>)> {
    match file {
        File::Text(text) => Ok((0o644, u64::try_from(text.len())?, Box::new(text.as_bytes()))),
        File::Copy(path) => {
            let (file, size) = opened(path)?;
            // Libraries need not be executable, but the loader is run by some.
            Ok((0o755, size, Box::new(file)))
        }
        File::Program(path) => {
            let (mut file, _) = opened(path)?;
            let (head, size) = elf::loaded(path)?;
            let rest = size - u64::try_from(head.len())?;
            file.seek(SeekFrom::Start(u64::try_from(head.len())?))?;
            Ok((0o755, size, Box::new(io::Cursor::new(head).chain(file.take(rest)))))
        }
    }
}

fn opened(path: &Path) -> Result<(fs::File, u64)> {
    let file = fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Root's, and as old as can be.
fn header(mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Counts and hashes what is written.
struct Hashed<W> {
    to: W,
    hash: Context,
    size: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += u64::try_from(written).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
