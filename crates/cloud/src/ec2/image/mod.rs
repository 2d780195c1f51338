//! Images (AMIs): those of EKS, one for each Kubernetes version on offer. They follow from the region's settings.

mod machine;
pub mod ops;

pub use machine::{ROOT_PATH, Size, machine, resize, started};

use crate::settings::{KubernetesVersion, Settings};
use crate::vacancy::scatter;
use roadstead_store::Read;

/// The account whose images these are (EKS user guide, "View Amazon container image registries").
pub const OWNER: &str = "602401143452";
/// The device of an instance's root volume.
pub const ROOT_DEVICE: &str = "/dev/xvda";
/// The size of a root volume when nobody says another: 20 GiB, as in EKS's images.
pub const ROOT_BYTES: u64 = 20 << 30;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ami {
    /// `ami-…`; follows from the name.
    pub id: String,
    /// E.g. `amazon-eks-node-al2023-x86_64-standard-1.36-v20261013`.
    pub name: String,
    /// The Kubernetes minor of its kubelet, e.g. `1.36`.
    pub kubernetes: String,
    /// E.g. `1.36.3-20261013`.
    pub release_version: String,
    /// When the newest of what is in it was released, `20261013`.
    pub date: String,
    /// Its sets of programs.
    pub components: Components,
}

/// The sets of programs in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Components {
    /// E.g. `kubernetes-1.36.3`.
    pub kubernetes: String,
    /// E.g. `containerd-2.3.7`.
    pub containerd: String,
    /// E.g. `runc-1.5.2`.
    pub runc: String,
}

/// The image of EKS for nodes of a Kubernetes minor, if that is on offer.
pub fn eks_optimized(settings: &Settings, minor: &str) -> Option<Ami> {
    settings.kubernetes.iter().find(|version| version.minor == minor).map(|version| ami(settings, version))
}

/// The image with this id.
pub fn find(read: &impl Read, id: &str) -> Option<Ami> {
    all(&Settings::of(read)).into_iter().find(|ami| ami.id == id)
}

/// All images.
pub fn all(settings: &Settings) -> Vec<Ami> {
    settings.kubernetes.iter().map(|version| ami(settings, version)).collect()
}

fn ami(settings: &Settings, version: &KubernetesVersion) -> Ami {
    let KubernetesVersion { minor, patch, image_date: date, .. } = version;
    let name = format!("amazon-eks-node-al2023-x86_64-standard-{minor}-v{date}");
    let components = Components {
        kubernetes: version.components.clone(),
        containerd: settings.containerd.clone(),
        runc: settings.runc.clone(),
    };
    Ami {
        // What is in an image has a say, so that no two images have one id.
        id: format!("ami-0{:016x}", scatter(&format!("{}/{name}/{components:?}", settings.region))),
        name,
        kubernetes: minor.clone(),
        release_version: format!("{patch}-{date}"),
        date: date.clone(),
        components,
    }
}
