use crate::settings::{KubernetesVersion, Settings};
use roadstead_types::Millis;
use serde_json::json;

/// A public parameter.
pub struct Parameter {
    pub name: String,
    pub value: String,
    pub modified: Millis,
}

/// What is public: for each Kubernetes version the image for its nodes (EKS user guide, "Retrieve recommended Amazon
/// Linux AMI IDs").
pub fn parameters(settings: &Settings) -> Vec<Parameter> {
    settings.kubernetes.iter().flat_map(|version| recommended(settings, version)).collect()
}

fn recommended(settings: &Settings, version: &KubernetesVersion) -> Vec<Parameter> {
    let folder =
        format!("/aws/service/eks/optimized-ami/{}/amazon-linux-2023/x86_64/standard/recommended", version.minor);
    let ami = image(settings, version);
    let all = json!({
        "schema_version": "2",
        "image_id": ami.id,
        "image_name": ami.name,
        "release_version": ami.release_version,
    });
    let parameter =
        |name: &str, value: String| Parameter { name: format!("{folder}{name}"), value, modified: version.released };
    vec![
        parameter("", all.to_string()),
        parameter("/image_id", ami.id),
        parameter("/image_name", ami.name),
        parameter("/release_version", ami.release_version),
    ]
}

/// An image for nodes.
struct Ami {
    id: String,
    name: String,
    release_version: String,
}

/// The one for a Kubernetes version.
fn image(_: &Settings, version: &KubernetesVersion) -> Ami {
    let digits: String = version.patch.chars().filter(char::is_ascii_digit).collect();
    Ami {
        id: format!("ami-{digits:0>17}"),
        name: format!("amazon-eks-node-al2023-x86_64-standard-{}", version.minor),
        release_version: version.patch.clone(),
    }
}
