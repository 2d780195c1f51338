//! Files of a machine: the few that every Linux has in `/etc`, and those of its spec.

use crate::Launch;
use anyhow::{Context as _, Result, ensure};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
/// The VPC's resolver.
/// <https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html>
const RESOLV: &str = "nameserver 169.254.169.253\noptions timeout:1 attempts:2\n";

/// Writes them all, in the machine's root. A file of the spec wins over ours of the same path.
pub fn write_all(launch: &Launch) -> Result<()> {
    let hostname = &launch.hostname;
    // A node's name leads to its address, by the VPC's resolver; a kubelet asks for that.
    let (itself, search) = match (&launch.node, hostname.split_once('.')) {
        (None, _) => (format!("127.0.1.1 {hostname}\n"), String::new()),
        (Some(_), Some((_, domain))) => (String::new(), format!("search {domain}\n")),
        (Some(_), None) => (String::new(), String::new()),
    };
    let own = [
        ("/etc/passwd", PASSWD.to_owned()),
        ("/etc/group", GROUP.to_owned()),
        ("/etc/nsswitch.conf", NSSWITCH.to_owned()),
        ("/etc/resolv.conf", format!("{RESOLV}{search}")),
        ("/etc/hostname", format!("{hostname}\n")),
        ("/etc/hosts", format!("127.0.0.1 localhost\n{itself}")),
        ("/etc/machine-id", format!("{}\n", launch.machine_id)),
    ];
    for (path, text) in own {
        write(Path::new(path), 0o644, text.as_bytes())?;
    }
    for file in &launch.files {
        write(&file.path, file.mode, &file.bytes)?;
    }
    Ok(())
}

/// Writes a file, which must come to lie on memory: it may be a secret.
fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        ensure!(path.is_absolute(), "it is not an absolute path");
        let folder = path.parent().context("it is a folder")?;
        fs::create_dir_all(folder)?;
        ensure!(statfs(folder)?.filesystem_type() == TMPFS_MAGIC, "it would lie on a disk; move it out of there");
        let _ = fs::remove_file(path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        // Not by `mode` above: that is cut by the umask.
        Ok(file.set_permissions(Permissions::from_mode(mode & 0o7777))?)
    };
    write().with_context(|| format!("writing {}", path.display()))
}
