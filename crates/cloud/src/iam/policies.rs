//! Who may do what. Until policies are evaluated, a principal may do what its account owns, and nobody else may.

use roadstead_hostspec::SystemImage;
use roadstead_kernel::{Ask, Decision, Policies};
use roadstead_store::Read;
use roadstead_types::Arn;

/// What a pull takes (ECR user guide, "Private repository policies").
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// Decides by account.
pub struct OwnAccount;

impl Policies for OwnAccount {
    fn decide(&self, _read: &impl Read, ask: Ask<'_>) -> Decision {
        if ask.resource == "*" {
            return Decision::Allow;
        }
        match ask.resource.parse::<Arn>() {
            Ok(arn) if arn.account == ask.identity.account => Decision::Allow,
            // What AWS owns for everybody: `arn:aws:iam::aws:policy/…`.
            Ok(arn) if arn.account == "aws" || arn.account.is_empty() => Decision::Allow,
            // EKS's own images are there for everybody to pull.
            Ok(arn) if arn.service == "ecr" && arn.account == SystemImage::REGISTRY && PULL.contains(&ask.action) => {
                Decision::Allow
            }
            Ok(_) => Decision::Deny("no resource-based policy allows the action"),
            // Not an ARN: the operation refuses it in its own words.
            Err(_) => Decision::Allow,
        }
    }
}
