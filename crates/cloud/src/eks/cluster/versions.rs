//! The Kubernetes versions on offer.

use super::view::PLATFORM_VERSION;
use crate::settings::{KubernetesVersion, Settings};
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_store::{Read as _, View};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// EKS DescribeClusterVersions.
pub fn describe(
    view: &View,
    _: &Caller,
    input: api::DescribeClusterVersionsRequest,
) -> Result<api::DescribeClusterVersionsResponse, Fault> {
    if input.cluster_type.as_deref().is_some_and(|t| t != "eks") {
        return Err(api::INVALID_PARAMETER_EXCEPTION.fault("clusterType must be eks"));
    }
    let named = input.cluster_versions.unwrap_or_default();
    let settings = Settings::of(view);
    if let Some(unknown) = named.iter().find(|n| settings.kubernetes.iter().all(|v| v.minor != **n)) {
        return Err(api::INVALID_PARAMETER_EXCEPTION.fault(format!("unsupported Kubernetes version: {unknown}")));
    }
    let only_default = input.default_only == Some(true);
    let all = settings.kubernetes.iter().map(|v| show(v, view.now()));
    let wanted = all.filter(|shown| {
        let minor = shown.cluster_version.as_ref();
        input.version_status.is_none_or(|status| shown.version_status == Some(status))
            && input.status.is_none_or(|status| shown.status == Some(status))
            && (shown.default_version == Some(true) || !only_default)
            && (named.is_empty() || minor.is_some_and(|minor| named.contains(minor)))
    });
    let items = wanted.map(|shown| (shown.cluster_version.clone().unwrap_or_default(), shown)).rev().collect();
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page("eks:DescribeClusterVersions", items, limit, input.next_token.as_deref());
    let page = page.map_err(|_| api::INVALID_PARAMETER_EXCEPTION.fault("The nextToken parameter is not valid."))?;
    Ok(api::DescribeClusterVersionsResponse { cluster_versions: Some(page.items), next_token: page.next })
}

/// A twelfth of a mean Gregorian year.
const MONTH_SECONDS: u64 = 2_629_746;

/// EKS supports a minor 14 months from its release there, and 12 more in extended support (EKS user guide, "Kubernetes
/// release calendar"). This region's releases are upstream's.
fn show(version: &KubernetesVersion, now: Millis) -> api::ClusterVersionInformation {
    let months = |n: u64| version.released + Millis::secs(n * MONTH_SECONDS);
    let (status, version_status) = if now < months(14) {
        (api::ClusterVersionStatus::StandardSupport, api::VersionStatus::StandardSupport)
    } else if now < months(26) {
        (api::ClusterVersionStatus::ExtendedSupport, api::VersionStatus::ExtendedSupport)
    } else {
        (api::ClusterVersionStatus::Unsupported, api::VersionStatus::Unsupported)
    };
    api::ClusterVersionInformation {
        cluster_version: Some(version.minor.clone()),
        cluster_type: Some("eks".into()),
        default_platform_version: Some(PLATFORM_VERSION.into()),
        default_version: Some(version.default),
        release_date: Some(version.released),
        end_of_standard_support_date: Some(months(14)),
        end_of_extended_support_date: Some(months(26)),
        status: Some(status),
        version_status: Some(version_status),
        kubernetes_patch_version: Some(version.patch.clone()),
        ..Default::default()
    }
}
