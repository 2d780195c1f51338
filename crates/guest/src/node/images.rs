//! Gives containerd the images that the machine image brings along, so that a node's first pods wait for no registry.

use super::ami::Ami;
use super::say;
use crate::NodeImage;
use anyhow::{Context as _, Result, bail, ensure};
use roadstead_hostspec::SystemImage;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// Where the agent shows the archives, and their list.
const FOLDER: &str = "/opt/images";
/// On an image that has it, kubelet's garbage collection leaves it alone: nothing brings these back.
const PINNED: &str = "io.cri-containerd.pinned=pinned";

/// Imports what containerd does not have yet, side by side. What is there already costs one look.
///
/// # Errors
/// An image could not be imported; the others are.
pub fn import(ami: &Ami) -> Result<()> {
    let began = Instant::now();
    let index = Path::new(FOLDER).join(NodeImage::INDEX);
    let text = fs::read(&index).with_context(|| format!("reading {}", index.display()))?;
    let images: Vec<NodeImage> = serde_json::from_slice(&text).with_context(|| index.display().to_string())?;
    let known = ctr(ami, &["list"])?;
    let missing: Vec<_> = images.iter().filter(|image| !is_known(image, &ami.region, &known)).collect();
    let results: Vec<_> = thread::scope(|scope| {
        let imports: Vec<_> = missing.iter().map(|image| scope.spawn(|| import_one(ami, image))).collect();
        imports.into_iter().map(|import| import.join().unwrap_or_else(|_| bail!("an import panicked"))).collect()
    });
    let (count, time) = (missing.len(), began.elapsed().as_millis());
    say(&format!("{count} of {} images imported in {time} ms", images.len()));
    results.into_iter().collect()
}

fn import_one(ami: &Ami, image: &NodeImage) -> Result<()> {
    let (name, repository) = (image.reference(&ami.region), image.repository(&ami.region));
    let archive = Path::new(FOLDER).join(&image.archive).display().to_string();
    ctr(ami, &["import", "--base-name", &repository, &archive]).with_context(|| format!("importing {name}"))?;
    ctr(ami, &["label", &name, PINNED]).with_context(|| format!("pinning {name}"))?;
    Ok(())
}

/// Whether a line of `ctr images list` (name, type, digest, …, labels) is of the image as it is to be.
fn is_known(image: &NodeImage, region: &str, list: &str) -> bool {
    let name = image.reference(region);
    list.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (own, digest) = (words.next(), words.nth(1));
        own == Some(name.as_str()) && digest == Some(image.digest.as_str()) && line.contains(PINNED)
    })
}

/// Runs `ctr images` in the namespace that kubelet's images are in, and gives what it prints.
fn ctr(ami: &Ami, args: &[&str]) -> Result<String> {
    let mut command = Command::new(ami.ctr());
    command.args(["--namespace", "k8s.io", "images"]).args(args).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("running {}", ami.ctr().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ctr images {}: {}", args.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// How images are called in a region.
impl NodeImage {
    fn repository(&self, region: &str) -> String {
        format!("{}/{}", SystemImage::registry(region), self.name)
    }

    fn reference(&self, region: &str) -> String {
        format!("{}:{}", self.repository(region), self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_name_and_digest_once_it_is_pinned() {
        let image = NodeImage {
            name: "eks/pause".into(),
            tag: "v3.10.2".into(),
            digest: "sha256:ab".into(),
            archive: "pause.tar".into(),
        };
        let line = |digest: &str, label: &str| {
            let name = "602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/pause:v3.10.2";
            let kind = "application/vnd.oci.image.manifest.v1+json";
            format!("REF TYPE DIGEST SIZE PLATFORMS LABELS\n{name} {kind} {digest} 7.0 KiB linux/amd64 x=y,{label}\n")
        };
        assert!(is_known(&image, "us-west-2", &line("sha256:ab", PINNED)));
        assert!(!is_known(&image, "us-west-2", &line("sha256:ab", "-")));
        assert!(!is_known(&image, "us-west-2", &line("sha256:cd", PINNED)));
        assert!(!is_known(&image, "us-east-1", &line("sha256:ab", PINNED)));
    }
}
