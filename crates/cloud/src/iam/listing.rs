//! Pages of IAM's lists.

use roadstead_kernel::page::{self, Page};
use roadstead_wire::fault::{Common, Fault};

/// What IAM lists at once if the caller does not say.
const PAGE: usize = 100;

/// The page of `sorted` that the caller asks for. `scope` names the list.
pub fn page<T>(
    scope: &str,
    sorted: Vec<(String, T)>,
    max_items: Option<i32>,
    marker: Option<&str>,
) -> Result<Page<T>, Fault> {
    let limit = max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
    page::page(scope, sorted, limit, marker).map_err(|_| Common::Validation.fault("Invalid Marker."))
}
