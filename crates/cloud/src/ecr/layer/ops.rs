//! The layer operations.

use super::size;
use crate::ecr::image::is_digest;
use crate::ecr::{registry, repository};
use roadstead_kernel::Caller;
use roadstead_shapes::ecr as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// ECR BatchCheckLayerAvailability.
pub fn batch_check_availability(
    view: &View,
    caller: &Caller,
    input: api::BatchCheckLayerAvailabilityRequest,
) -> Result<api::BatchCheckLayerAvailabilityResponse, Fault> {
    let account = registry(caller, input.registry_id.as_deref());
    let repository = &repository::find(view, account, &input.repository_name)?.body;
    let (mut layers, mut failures) = (vec![], vec![]);
    for digest in input.layer_digests {
        if !is_digest(&digest) {
            failures.push(api::LayerFailure {
                failure_reason: Some(format!("Invalid layer digest '{digest}': it is sha256: and 64 digits")),
                failure_code: Some(api::LayerFailureCode::InvalidLayerDigest),
                layer_digest: Some(digest),
            });
            continue;
        }
        let size = size(view, repository, &digest);
        let availability = match size {
            Some(_) => api::LayerAvailability::Available,
            None => api::LayerAvailability::Unavailable,
        };
        layers.push(api::Layer {
            layer_digest: Some(digest),
            layer_availability: Some(availability),
            layer_size: size.and_then(|size| size.try_into().ok()),
            media_type: None,
        });
    }
    Ok(api::BatchCheckLayerAvailabilityResponse { layers: Some(layers), failures: Some(failures) })
}
