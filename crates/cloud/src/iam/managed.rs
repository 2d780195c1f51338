//! The managed policies of AWS that are known here, by ARN.

use roadstead_shapes::iam::INVALID_INPUT_EXCEPTION;
use roadstead_wire::fault::Fault;

/// Refuses a boundary: who was given one would be trusted with more than its maker means.
pub fn no_boundary(asked: Option<&str>) -> Result<(), Fault> {
    match asked {
        None => Ok(()),
        Some(_) => {
            let why = "PermissionsBoundary is not evaluated in this region yet: leave it out.";
            Err(INVALID_INPUT_EXCEPTION.fault(why))
        }
    }
}

/// Name of the AWS-managed policy, if it is one that this region knows.
pub fn name(arn: &str) -> Option<&'static str> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    KNOWN.into_iter().find(|known| *known == name)
}

/// What EKS and its nodes use (EKS user guide, "AWS managed policies").
const KNOWN: [&str; 17] = [
    "AdministratorAccess",
    "AmazonEKSClusterPolicy",
    "AmazonEKSServicePolicy",
    "AmazonEKSVPCResourceController",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKSWorkerNodeMinimalPolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEKSFargatePodExecutionRolePolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
    "AmazonEC2ContainerRegistryReadOnly",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryPowerUser",
    "AmazonEC2ContainerRegistryFullAccess",
    "AmazonSSMManagedInstanceCore",
];
