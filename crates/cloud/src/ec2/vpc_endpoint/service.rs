//! The services of which there can be endpoints: those that are served here and, at AWS, in each region.

/// A service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// Its name without the region: `ecr.api`.
    pub name: &'static str,
    /// What its host names begin with (AWS General Reference, "Service endpoints").
    host: &'static str,
    /// What every host name of its users begins with instead of it: `*.`, for any label.
    private: &'static str,
}

/// Every one, in order.
pub(super) const ALL: [Service; 9] = [
    service("autoscaling", "autoscaling"),
    service("ec2", "ec2"),
    service("ecr.api", "api.ecr"),
    Service { name: "ecr.dkr", host: "dkr.ecr", private: "*.dkr.ecr" },
    service("eks", "eks"),
    service("kms", "kms"),
    service("logs", "logs"),
    service("ssm", "ssm"),
    service("sts", "sts"),
];

const fn service(name: &'static str, host: &'static str) -> Service {
    Service { name, host, private: host }
}

impl Service {
    /// That of a name without the region.
    pub fn of(name: &str) -> Option<&'static Service> {
        ALL.iter().find(|service| service.name == name)
    }

    /// That of a whole name.
    pub fn named(region: &str, name: &str) -> Option<&'static Service> {
        ALL.iter().find(|service| service.full_name(region) == name)
    }

    /// `com.amazonaws.us-east-1.ecr.api`.
    pub fn full_name(&self, region: &str) -> String {
        format!("com.amazonaws.{region}.{}", self.name)
    }

    /// What endpoints' own names end in.
    pub fn base_name(&self, region: &str) -> String {
        format!("{}.{region}.vpce.amazonaws.com", self.host)
    }

    /// What the service itself is called; `*.` before it stands for any label.
    pub fn private_name(&self, region: &str) -> String {
        format!("{}.{region}.amazonaws.com", self.private)
    }
}
