//! `guest node containerd`: writes containerd's configuration and becomes it.

use super::ami::Ami;
use super::{snapshot, write};
use anyhow::{Context as _, Result};
use roadstead_hostspec::{SystemImage, link_local};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Where containerd listens; kubelet and `ctr` find it there by default.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

const ROOT: &str = "/var/lib/containerd";
const CONFIG: &str = "/etc/containerd/config.toml";
/// A folder per registry that is not reached under its own name.
const REGISTRIES: &str = "/etc/containerd/certs.d";
/// The folder of registries that have none.
const ANY: &str = "_default";

/// Returns only when containerd could not be started.
pub fn run() -> Result<()> {
    let ami = Ami::read()?;
    snapshot::lay(Path::new(ROOT))?;
    write(Path::new(CONFIG), 0o644, config(&ami).as_bytes())?;
    let registry = SystemImage::registry(&ami.region);
    for (folder, text) in [(&*registry, hosts(&registry)), (ANY, any_hosts())] {
        write(&Path::new(REGISTRIES).join(folder).join("hosts.toml"), 0o644, text.as_bytes())?;
    }
    let mut containerd = Command::new(ami.containerd());
    containerd.args(["--config", CONFIG]).env("PATH", ami.path());
    Err(containerd.exec()).with_context(|| format!("running {}", ami.containerd().display()))
}

/// `hosts.toml` of EKS's registry: it is the region's own, asked through its API's address.
fn hosts(registry: &str) -> String {
    format!("server = \"https://{registry}\"\n\n{}", any_hosts())
}

/// `hosts.toml` of every registry without one: the region's is asked first, as it has one for each account of the region
/// and no name can stand for all of those. It answers for others, without asking who it is, that it has no such name; then
/// the registry itself is asked.
fn any_hosts() -> String {
    let api = link_local::API;
    format!(
        "[host.\"http://{api}\"]
  capabilities = [\"pull\", \"resolve\"]
"
    )
}

fn config(ami: &Ami) -> String {
    let pause = SystemImage::Pause.reference(&ami.region, SystemImage::PAUSE_VERSION);
    let runc = ami.runc().display().to_string();
    format!(
        "version = 4
root = '{ROOT}'
state = '/run/containerd'
# Lowering it takes CAP_SYS_RESOURCE, which a machine may lack.
oom_score = 0

[plugins.'io.containerd.server.v1.grpc']
  address = '{SOCKET}'

# Answers as soon as all plugins do: PID 1 takes it for readiness.
[plugins.'io.containerd.server.v1.metrics']
  address = '127.0.0.1:1338'

# Of what a pod's images need; kubelet asks for those of several pods at once.
[plugins.'io.containerd.transfer.v1.local']
  max_concurrent_downloads = 10

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'

  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{pause}'

  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '{REGISTRIES}'

[plugins.'io.containerd.cri.v1.runtime']
  # Or every pod would ask for -998, which takes CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true

  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/opt/cni/bin']
    conf_dir = '/etc/cni/net.d'
    # Else a process is started for each pod that comes or goes.
    use_internal_loopback = true

  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = 'runc'

    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = 'io.containerd.runc.v2'

      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        BinaryName = '{runc}'
        # No systemd runs in a machine; kubelet has the same driver.
        SystemdCgroup = false
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containerd_finds_pause_runc_cni_and_registries() {
        let config = config(&Ami::example());
        for line in [
            "version = 4",
            "    sandbox = '602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/pause:v3.10.2'",
            "        BinaryName = '/opt/components/runc-1.5.2/runc'",
            "    bin_dirs = ['/opt/cni/bin']",
            "    config_path = '/etc/containerd/certs.d'",
            "  restrict_oom_score_adj = true",
            "  address = '127.0.0.1:1338'",
        ] {
            assert!(config.lines().any(|l| l == line), "{line} in {config}");
        }
    }

    #[test]
    fn the_registry_of_the_region_is_asked_through_its_api() {
        let mirror = hosts(&SystemImage::registry("us-west-2"));
        assert!(mirror.ends_with(&any_hosts()) && !any_hosts().contains("server"));
        assert!(mirror.starts_with("server = \"https://602401143452.dkr.ecr.us-west-2.amazonaws.com\"\n"), "{mirror}");
        assert!(mirror.contains("[host.\"http://169.254.171.1\"]"), "{mirror}");
    }
}
