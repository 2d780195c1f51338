//! The types on offer (EC2 user guide, "Instance types"; "IP addresses per network interface per instance type").

use super::InstanceType;

const fn of(name: &'static str, vcpus: u32, mib: u64, enis: usize, addresses_per_eni: usize) -> InstanceType {
    InstanceType { name, vcpus, memory_bytes: mib << 20, enis, addresses_per_eni, burstable: false }
}

const fn burstable(name: &'static str, vcpus: u32, mib: u64, enis: usize, addresses_per_eni: usize) -> InstanceType {
    InstanceType { burstable: true, ..of(name, vcpus, mib, enis, addresses_per_eni) }
}

/// Name, processors, memory in MiB, interfaces, addresses of each; in the order of their names.
pub(super) const ALL: &[InstanceType] = &[
    of("c5.2xlarge", 8, 16_384, 4, 15),
    of("c5.4xlarge", 16, 32_768, 8, 30),
    of("c5.large", 2, 4096, 3, 10),
    of("c5.xlarge", 4, 8192, 4, 15),
    of("c6i.2xlarge", 8, 16_384, 4, 15),
    of("c6i.4xlarge", 16, 32_768, 8, 30),
    of("c6i.large", 2, 4096, 3, 10),
    of("c6i.xlarge", 4, 8192, 4, 15),
    of("c7i.2xlarge", 8, 16_384, 4, 15),
    of("c7i.4xlarge", 16, 32_768, 8, 30),
    of("c7i.large", 2, 4096, 3, 10),
    of("c7i.xlarge", 4, 8192, 4, 15),
    of("m5.2xlarge", 8, 32_768, 4, 15),
    of("m5.4xlarge", 16, 65_536, 8, 30),
    of("m5.large", 2, 8192, 3, 10),
    of("m5.xlarge", 4, 16_384, 4, 15),
    of("m6i.2xlarge", 8, 32_768, 4, 15),
    of("m6i.4xlarge", 16, 65_536, 8, 30),
    of("m6i.large", 2, 8192, 3, 10),
    of("m6i.xlarge", 4, 16_384, 4, 15),
    of("m7i.2xlarge", 8, 32_768, 4, 15),
    of("m7i.4xlarge", 16, 65_536, 8, 30),
    of("m7i.large", 2, 8192, 3, 10),
    of("m7i.xlarge", 4, 16_384, 4, 15),
    of("r5.2xlarge", 8, 65_536, 4, 15),
    of("r5.4xlarge", 16, 131_072, 8, 30),
    of("r5.large", 2, 16_384, 3, 10),
    of("r5.xlarge", 4, 32_768, 4, 15),
    burstable("t3.2xlarge", 8, 32_768, 4, 15),
    burstable("t3.large", 2, 8192, 3, 12),
    burstable("t3.medium", 2, 4096, 3, 6),
    burstable("t3.micro", 2, 1024, 2, 2),
    burstable("t3.nano", 2, 512, 2, 2),
    burstable("t3.small", 2, 2048, 3, 4),
    burstable("t3.xlarge", 4, 16_384, 4, 15),
    burstable("t3a.2xlarge", 8, 32_768, 4, 15),
    burstable("t3a.large", 2, 8192, 3, 12),
    burstable("t3a.medium", 2, 4096, 3, 6),
    burstable("t3a.micro", 2, 1024, 2, 2),
    burstable("t3a.nano", 2, 512, 2, 2),
    burstable("t3a.small", 2, 2048, 2, 4),
    burstable("t3a.xlarge", 4, 16_384, 4, 15),
];
