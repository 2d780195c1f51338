use crate::ec2::image;
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
    settings.kubernetes.iter().filter_map(|version| recommended(settings, version)).flatten().collect()
}

fn recommended(settings: &Settings, version: &KubernetesVersion) -> Option<Vec<Parameter>> {
    let folder =
        format!("/aws/service/eks/optimized-ami/{}/amazon-linux-2023/x86_64/standard/recommended", version.minor);
    let ami = image::eks_optimized(settings, &version.minor)?;
    let all = json!({
        "schema_version": "2",
        "image_id": ami.id,
        "image_name": ami.name,
        "release_version": ami.release_version,
    });
    let parameter =
        |name: &str, value: String| Parameter { name: format!("{folder}{name}"), value, modified: version.released };
    Some(vec![
        parameter("", all.to_string()),
        parameter("/image_id", ami.id),
        parameter("/image_name", ami.name),
        parameter("/release_version", ami.release_version),
    ])
}
