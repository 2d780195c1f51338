use super::Layer;
use crate::ecr::image;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read as _, Record, Tx};
use roadstead_types::Millis;

/// How long a blob waits for the image that it was pushed for: layers come first, the manifest last.
const GRACE: Millis = Millis::mins(60);

/// Takes a blob from a repository in which no image has it any more.
pub struct LayerPlanner;

impl Planner for LayerPlanner {
    type Object = Layer;
    const NAME: &'static str = "ecr/layer";

    fn plan(&self, record: Record<Layer>, tx: &mut Tx) -> Next {
        let Layer { repository, digest, given, .. } = &record.body;
        if image::has_layer(tx, repository, digest) {
            return Next::settled("an image has it");
        }
        let end = *given + GRACE;
        if tx.now() < end {
            return Next::after(end.since(tx.now()), "waits for the image that it was pushed for");
        }
        tx.remove(&record.key);
        Next::settled("no image has it")
    }
}
