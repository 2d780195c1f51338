//! The add-ons on offer, and their versions.

use super::schema;
use crate::settings::Settings;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// Addresses of pods.
pub const VPC_CNI: &str = "vpc-cni";
/// Services.
pub const KUBE_PROXY: &str = "kube-proxy";
/// Cluster DNS.
pub const COREDNS: &str = "coredns";
/// What nodes and pods use, for `kubectl top` and autoscalers.
pub const METRICS_SERVER: &str = "metrics-server";
/// Those that a new cluster gets, in that order.
pub const DEFAULTS: [&str; 3] = [VPC_CNI, KUBE_PROXY, COREDNS];

/// Of our own CNI: this workspace's, as its image has it.
const CNI_VERSION: &str = env!("CARGO_PKG_VERSION");
/// All there are, and how EKS lists them.
const LISTED: [Listed; 4] = [
    Listed { name: VPC_CNI, kind: "networking", owner: "aws" },
    Listed { name: KUBE_PROXY, kind: "networking", owner: "aws" },
    Listed { name: COREDNS, kind: "networking", owner: "aws" },
    Listed { name: METRICS_SERVER, kind: "observability", owner: "community" },
];

struct Listed {
    name: &'static str,
    kind: &'static str,
    /// Who wrote what is in it: a community add-on is upstream's, packaged by EKS (EKS user guide, "Community add-ons").
    owner: &'static str,
}

/// The version that a cluster of this Kubernetes minor gets: the only one, since a node brings just this one along.
pub fn version(settings: &Settings, name: &str, minor: &str) -> Option<String> {
    let software = match name {
        VPC_CNI => CNI_VERSION,
        KUBE_PROXY => &settings.kubernetes.iter().find(|v| v.minor == minor)?.patch,
        COREDNS => settings.coredns.strip_prefix("coredns-")?,
        METRICS_SERVER => settings.metrics_server.strip_prefix("metrics-server-")?,
        _ => return None,
    };
    Some(format!("v{software}-eksbuild.1"))
}

/// EKS DescribeAddonVersions.
pub fn describe_versions(
    view: &View,
    _: &Caller,
    input: api::DescribeAddonVersionsRequest,
) -> Result<api::DescribeAddonVersionsResponse, Fault> {
    let settings = Settings::of(view);
    if let Some(name) = input.addon_name.as_deref().filter(|name| !is_known(name)) {
        return Err(unknown(name));
    }
    if let Some(minor) = &input.kubernetes_version
        && settings.kubernetes.iter().all(|v| v.minor != *minor)
    {
        return Err(api::INVALID_PARAMETER_EXCEPTION.fault(format!("unsupported Kubernetes version: {minor}")));
    }
    let wants = |asked: &Option<Vec<String>>, is: &str| {
        asked.as_ref().is_none_or(|asked| asked.is_empty() || asked.iter().any(|a| a == is))
    };
    let asked = LISTED.iter().filter(|listed| {
        let named = input.addon_name.as_deref().is_none_or(|asked| asked == listed.name);
        let owned = wants(&input.owners, listed.owner) && wants(&input.publishers, "eks");
        named && owned && wants(&input.types, listed.kind)
    });
    let mut items: Vec<(String, api::AddonInfo)> = asked
        .map(|listed| (listed.name.to_owned(), info(&settings, listed, input.kubernetes_version.as_deref())))
        .collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page("eks:DescribeAddonVersions", items, limit, input.next_token.as_deref());
    let page = page.map_err(|_| api::INVALID_PARAMETER_EXCEPTION.fault("The nextToken parameter is not valid."))?;
    Ok(api::DescribeAddonVersionsResponse { addons: Some(page.items), next_token: page.next })
}

/// EKS DescribeAddonConfiguration.
pub fn describe_configuration(
    view: &View,
    _: &Caller,
    input: api::DescribeAddonConfigurationRequest,
) -> Result<api::DescribeAddonConfigurationResponse, Fault> {
    let settings = Settings::of(view);
    let offered = settings.kubernetes.iter().filter_map(|v| version(&settings, &input.addon_name, &v.minor));
    if !is_known(&input.addon_name) || !offered.collect::<Vec<_>>().contains(&input.addon_version) {
        return Err(api::RESOURCE_NOT_FOUND_EXCEPTION.fault(unsupported(&input.addon_version)));
    }
    // The CNI's own calls to EC2 are what a role may be given for.
    let identity = (input.addon_name == VPC_CNI).then(|| api::AddonPodIdentityConfiguration {
        service_account: Some("aws-node".into()),
        recommended_managed_policies: Some(vec!["arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy".into()]),
    });
    Ok(api::DescribeAddonConfigurationResponse {
        configuration_schema: Some(schema::of(&input.addon_name).to_string()),
        pod_identity_configuration: Some(identity.into_iter().collect()),
        addon_name: Some(input.addon_name),
        addon_version: Some(input.addon_version),
    })
}

/// What EKS says of an add-on that there is not.
pub fn unknown(name: &str) -> Fault {
    api::RESOURCE_NOT_FOUND_EXCEPTION.fault(format!("Addon {name} is not found")).with("addonName", name)
}

/// What EKS says of a version that there is not.
pub fn unsupported(version: &str) -> String {
    format!("Addon version specified is not supported: {version}")
}

fn is_known(name: &str) -> bool {
    LISTED.iter().any(|listed| listed.name == name)
}

fn info(settings: &Settings, listed: &Listed, minor: Option<&str>) -> api::AddonInfo {
    let Listed { name, kind, owner } = *listed;
    let mut versions: Vec<(String, Vec<String>)> = vec![];
    for offered in settings.kubernetes.iter().filter(|v| minor.is_none_or(|minor| v.minor == minor)) {
        let Some(version) = version(settings, name, &offered.minor) else { continue };
        match versions.iter_mut().find(|(known, _)| *known == version) {
            Some((_, minors)) => minors.push(offered.minor.clone()),
            None => versions.push((version, vec![offered.minor.clone()])),
        }
    }
    let show = |(version, minors): (String, Vec<String>)| api::AddonVersionInfo {
        addon_version: Some(version),
        architecture: Some(vec!["amd64".into(), "arm64".into()]),
        compute_types: Some(vec!["ec2".into()]),
        compatibilities: Some(minors.into_iter().map(compatible).collect()),
        requires_configuration: Some(false),
        requires_iam_permissions: Some(name == VPC_CNI),
    };
    api::AddonInfo {
        addon_name: Some(name.into()),
        r#type: Some(kind.into()),
        addon_versions: Some(versions.into_iter().map(show).collect()),
        publisher: Some("eks".into()),
        owner: Some(owner.into()),
        default_namespace: Some("kube-system".into()),
        ..Default::default()
    }
}

fn compatible(minor: String) -> api::Compatibility {
    api::Compatibility {
        cluster_version: Some(minor),
        platform_versions: Some(vec!["*".into()]),
        default_version: Some(true),
    }
}
