//! The container images that a node has from its beginning: what EKS keeps in its own registry and its AMIs bring along.

/// An image that nodes need no registry for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemImage {
    /// Holds a pod's namespaces.
    Pause,
    /// The VPC CNI: daemon, plugin, and what installs them.
    VpcCni,
    /// Services.
    KubeProxy,
    /// Cluster DNS.
    CoreDns,
    /// What nodes and pods use.
    MetricsServer,
    /// Kubernetes' own image for tests: HTTP servers, clients, DNS look-ups in one program.
    Agnhost,
}

impl SystemImage {
    /// All there are.
    pub const ALL: [SystemImage; 6] = [
        SystemImage::Pause,
        SystemImage::VpcCni,
        SystemImage::KubeProxy,
        SystemImage::CoreDns,
        SystemImage::MetricsServer,
        SystemImage::Agnhost,
    ];

    /// The account of EKS's own images in most regions (EKS user guide, "View Amazon container image registries").
    pub const REGISTRY: &str = "602401143452";

    /// The version of [`Pause`](SystemImage::Pause): upstream's, at the Kubernetes version that it is built from.
    pub const PAUSE_VERSION: &str = "3.10.2";

    /// What `aws-node`'s container runs: the VPC CNI's daemon.
    pub const AWS_NODE: [&str; 3] = ["/roadstead", "guest", "aws-node"];

    /// Whether a node begins with it. What it can do without is built last, and comes to nodes that run.
    pub fn is_needed(self) -> bool {
        match self {
            SystemImage::Pause | SystemImage::VpcCni | SystemImage::KubeProxy | SystemImage::CoreDns => true,
            SystemImage::Agnhost => true,
            SystemImage::MetricsServer => false,
        }
    }

    /// The host name of EKS's registry in a region.
    pub fn registry(region: &str) -> String {
        format!("{}.dkr.ecr.{region}.amazonaws.com", SystemImage::REGISTRY)
    }

    /// Its repository in EKS's registry.
    pub fn repository(self) -> &'static str {
        match self {
            SystemImage::Pause => "eks/pause",
            SystemImage::VpcCni => "amazon-k8s-cni",
            SystemImage::KubeProxy => "eks/kube-proxy",
            SystemImage::CoreDns => "eks/coredns",
            SystemImage::MetricsServer => "eks/metrics-server",
            SystemImage::Agnhost => "eks/agnhost",
        }
    }

    /// Its full name at a version of what is in it, e.g. `602401143452.dkr.ecr.us-east-1.amazonaws.com/eks/coredns:v1.14.7`.
    pub fn reference(self, region: &str, version: &str) -> String {
        format!("{}/{}:v{version}", SystemImage::registry(region), self.repository())
    }
}
