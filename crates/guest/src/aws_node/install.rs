//! What puts the plugin and its configuration where the container runtime looks for them.

use super::settings::Settings;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// The network configuration's name: runtimes take the first by name.
const CONFLIST: &str = "10-aws.conflist";

/// Installs the program as the plugins that it is in that folder.
///
/// # Errors
/// The folder is not there or full.
pub fn plugins(folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    let [first, others @ ..] = crate::cni::PLUGINS;
    let first = folder.join(first);
    install(&program, &first).with_context(|| format!("installing {}", first.display()))?;
    for other in others {
        let other = folder.join(other);
        // Another name of the same file: it is large.
        replace(&other, |next| fs::hard_link(&first, next))
            .with_context(|| format!("installing {}", other.display()))?;
    }
    Ok(())
}

/// The same by links, where the program stands for as long as the node does.
///
/// # Errors
/// The folder can't be made.
pub fn links(folder: &Path) -> Result<()> {
    let program = std::env::current_exe().context("finding this program")?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    for plugin in crate::cni::PLUGINS {
        let plugin = folder.join(plugin);
        replace(&plugin, |next| symlink(&program, next)).with_context(|| format!("installing {}", plugin.display()))?;
    }
    Ok(())
}

/// Copies the program, unless it is there already. A plugin that runs at the moment goes on undisturbed.
fn install(program: &Path, to: &Path) -> io::Result<()> {
    if same(program, to).unwrap_or(false) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
    replace(to, |next| {
        fs::copy(program, next)?;
        fs::set_permissions(next, Permissions::from_mode(0o755))?;
        let copy = File::open(next)?;
        copy.set_modified(fs::metadata(program)?.modified()?)?;
        copy.sync_all()
    })
}

/// As large, and as old.
fn same(program: &Path, copy: &Path) -> io::Result<bool> {
    let (program, copy) = (fs::metadata(program)?, fs::metadata(copy)?);
    Ok(program.len() == copy.len() && program.modified()? == copy.modified()?)
}

/// Makes a file beside `path` and puts it in its place.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let next = path.with_extension("next");
    let _ = fs::remove_file(&next);
    make(&next)?;
    fs::rename(&next, path)
}

/// Writes the network's configuration: from then on the node is ready for pods. One that is there already and says the
/// same is left alone.
///
/// # Errors
/// The folder is not there.
pub fn conflist(settings: &Settings) -> Result<()> {
    let path = settings.networks.join(CONFLIST);
    let text = network(settings);
    if fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    replace(&path, |next| fs::write(next, &text)).with_context(|| format!("writing {}", path.display()))?;
    tracing::info!("wrote {}: pods can come", path.display());
    Ok(())
}

/// Of CNI 1.0, before STATUS: a runtime that asks for it calls its whole network unready while no pod can be added, and
/// kubelet then its node. One that is as full as it may be would lose its pods, and one whose daemon starts anew would
/// leave its Services; on EKS it is a pod's matter.
fn network(settings: &Settings) -> String {
    let conflist = json!({
        "cniVersion": "1.0.0",
        "name": "aws-cni",
        "disableCheck": true,
        "plugins": [{
            "name": "aws-cni",
            "type": "aws-cni",
            "vethPrefix": settings.prefix,
            "mtu": settings.mtu.to_string(),
            "capabilities": { "portMappings": true },
        }],
    });
    format!("{conflist:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_copied_once_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (program, copy) = (folder.path().join("program"), folder.path().join("bin/aws-cni"));
        fs::write(&program, "one").unwrap();
        install(&program, &copy).unwrap();
        let before = fs::metadata(&copy).unwrap();
        install(&program, &copy).unwrap();
        let inode = |metadata: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(metadata);
        assert_eq!(inode(&fs::metadata(&copy).unwrap()), inode(&before), "it is there already");
        fs::write(&program, "three").unwrap();
        install(&program, &copy).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), "three");
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn the_configuration_appears_as_a_whole_and_names_the_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::read(|_| None).unwrap();
        settings.networks = folder.path().to_owned();
        conflist(&settings).unwrap();
        conflist(&settings).unwrap();
        let text = fs::read_to_string(folder.path().join(CONFLIST)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["plugins"][0]["type"], &value["cniVersion"]), (&json!("aws-cni"), &json!("1.0.0")));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
