//! The managed policies of AWS that are known here: what EKS, its nodes, its add-ons and the roles of services use
//! (EKS user guide, "AWS managed policies for Amazon EKS").
//!
//! Documents and dates are those that AWS published in May 2026, in their default versions; older versions and AWS's own
//! ids for them are not known here.

use roadstead_types::Millis;

/// Path of the policies that only service-linked roles have.
pub const OF_SERVICE_LINKED_ROLES: &str = "/aws-service-role/";

/// The policy that lets its holder do everything.
pub const ADMINISTRATOR_ACCESS: &str = "arn:aws:iam::aws:policy/AdministratorAccess";

/// A managed policy of AWS.
#[derive(Debug)]
pub struct AwsPolicy {
    /// Its name.
    pub name: &'static str,
    /// `/` or `/service-role/`.
    pub path: &'static str,
    /// The number of its default version.
    pub version: u32,
    /// When AWS made it.
    pub created: Millis,
    /// When AWS made its default version.
    pub updated: Millis,
    /// Its document.
    pub document: &'static str,
}

impl AwsPolicy {
    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}{}", self.path, self.name)
    }
}

/// All that are known here, by name.
pub fn all() -> impl Iterator<Item = &'static AwsPolicy> {
    KNOWN.iter()
}

/// The policy of that ARN.
pub fn find(arn: &str) -> Option<&'static AwsPolicy> {
    let resource = arn.strip_prefix(ARN_PREFIX)?;
    KNOWN.iter().find(|policy| resource.strip_prefix(policy.path) == Some(policy.name))
}

const ARN_PREFIX: &str = "arn:aws:iam::aws:policy";

/// Dates are seconds since 1970.
macro_rules! known {
    ($name:literal, $path:literal, $version:literal, $created:literal, $updated:literal) => {
        AwsPolicy {
            name: $name,
            path: $path,
            version: $version,
            created: Millis::secs($created),
            updated: Millis::secs($updated),
            document: include_str!(concat!("aws/", $name, ".json")),
        }
    };
}

const KNOWN: &[AwsPolicy] = &[
    known!("AWSEC2SpotServiceRolePolicy", "/aws-service-role/", 4, 1_505_760_714, 1_544_573_631),
    known!("AWSElasticLoadBalancingServiceRolePolicy", "/aws-service-role/", 14, 1_505_859_544, 1_770_919_088),
    known!("AWSServiceRoleForAmazonEKSNodegroup", "/aws-service-role/", 11, 1_573_090_466, 1_771_353_727),
    known!("AdministratorAccess", "/", 1, 1_423_247_986, 1_423_247_986),
    known!("AmazonEBSCSIDriverPolicy", "/service-role/", 14, 1_649_093_069, 1_770_919_361),
    known!("AmazonEC2ContainerRegistryFullAccess", "/", 3, 1_450_717_608, 1_607_126_659),
    known!("AmazonEC2ContainerRegistryPowerUser", "/", 3, 1_450_717_533, 1_576_010_888),
    known!("AmazonEC2ContainerRegistryPullOnly", "/", 1, 1_728_061_129, 1_728_061_129),
    known!("AmazonEC2ContainerRegistryReadOnly", "/", 3, 1_450_717_455, 1_576_011_392),
    known!("AmazonEKSBlockStoragePolicy", "/", 1, 1_730_319_493, 1_730_319_493),
    known!("AmazonEKSClusterPolicy", "/", 10, 1_527_455_174, 1_770_919_095),
    known!("AmazonEKSComputePolicy", "/", 6, 1_730_497_612, 1_776_461_227),
    known!("AmazonEKSConnectorServiceRolePolicy", "/aws-service-role/", 2, 1_630_787_468, 1_760_567_647),
    known!("AmazonEKSFargatePodExecutionRolePolicy", "/", 1, 1_574_397_269, 1_574_397_269),
    known!("AmazonEKSForFargateServiceRolePolicy", "/aws-service-role/", 1, 1_574_397_385, 1_574_397_385),
    known!("AmazonEKSLoadBalancingPolicy", "/", 7, 1_730_319_486, 1_777_327_930),
    known!("AmazonEKSNetworkingPolicy", "/", 2, 1_730_154_873, 1_771_614_729),
    known!("AmazonEKSServicePolicy", "/", 7, 1_527_455_301, 1_728_940_360),
    known!("AmazonEKSServiceRolePolicy", "/aws-service-role/", 25, 1_582_315_847, 1_776_812_228),
    known!("AmazonEKSVPCResourceController", "/", 1, 1_597_193_734, 1_597_193_734),
    known!("AmazonEKSWorkerNodeMinimalPolicy", "/", 1, 1_727_899_431, 1_727_899_431),
    known!("AmazonEKSWorkerNodePolicy", "/", 3, 1_527_455_341, 1_701_043_573),
    known!("AmazonEKS_CNI_Policy", "/", 6, 1_527_455_262, 1_772_651_534),
    known!("AmazonSSMManagedInstanceCore", "/", 2, 1_552_670_532, 1_558_630_461),
    known!("AutoScalingServiceRolePolicy", "/aws-service-role/", 10, 1_515_453_055, 1_762_971_546),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::grammar::Document;

    #[test]
    fn every_policy_of_aws_is_one_and_is_found_by_its_arn() {
        for policy in all() {
            let document = Document::of_principal(policy.document);
            assert!(document.is_ok(), "{}: {document:?}", policy.name);
            assert_eq!(find(&policy.arn()).map(|found| found.name), Some(policy.name));
        }
        assert!(find("arn:aws:iam::aws:policy/AmazonEBSCSIDriverPolicy").is_none(), "it has another path");
        assert!(find("arn:aws:iam::aws:policy/None").is_none());
    }
}
