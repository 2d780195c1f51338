//! Instance types: how large an instance is, and how many interfaces and addresses it may have.

pub mod ops;
mod table;

/// An instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// E.g. `m5.large`.
    pub name: &'static str,
    /// Processors.
    pub vcpus: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Interfaces that it may have at once.
    pub enis: usize,
    /// IPv4 addresses of each of them, the primary one included. A prefix takes the place of one address.
    pub addresses_per_eni: usize,
    /// Of a kind that gets more than its share of a processor for a while (`t3`).
    pub burstable: bool,
}

/// The type of this name.
pub fn find(name: &str) -> Option<&'static InstanceType> {
    table::ALL.iter().find(|t| t.name == name)
}

/// All types on offer, in the order of their names.
pub fn all() -> &'static [InstanceType] {
    table::ALL
}

impl InstanceType {
    /// How many pods a node of this type has addresses for (EKS user guide, "Choose an optimal EC2 node instance type"):
    /// one secondary address each, and two that use their node's.
    pub fn max_pods(&self) -> u32 {
        u32::try_from(self.enis * (self.addresses_per_eni - 1) + 2).unwrap_or(u32::MAX)
    }

    /// The same where each of those addresses is a prefix of sixteen: Kubernetes' own limit then comes first (EKS user
    /// guide, "Assign more IP addresses to Amazon EKS nodes with prefixes").
    pub fn max_pods_with_prefixes(&self) -> u32 {
        let most = if self.vcpus < 30 { 110 } else { 250 };
        u32::try_from(self.enis * (self.addresses_per_eni - 1) * 16 + 2).unwrap_or(u32::MAX).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_as_many_pods_as_those_of_eks() {
        // amazon-vpc-cni-k8s, misc/eni-max-pods.txt.
        let known = [
            ("t3.micro", 4),
            ("t3.small", 11),
            ("t3.medium", 17),
            ("t3.large", 35),
            ("m5.large", 29),
            ("m5.4xlarge", 234),
        ];
        for (name, pods) in known {
            assert_eq!(find(name).map(InstanceType::max_pods), Some(pods), "{name}");
        }
        let with_prefixes = |name: &str| find(name).map(InstanceType::max_pods_with_prefixes);
        assert_eq!(["t3.micro", "m5.large"].map(with_prefixes), [Some(34), Some(110)]);
    }

    #[test]
    fn the_table_is_in_order_and_has_no_type_twice() {
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
