//! What a request is about: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints>

use crate::parameter;
use crate::refusal::{Code, Refusal};
use http::{HeaderMap, Uri, header};
use percent_encoding::percent_decode_str;
use roadstead_cloud::ecr;

/// Whether the registry answers it.
pub fn is_for(uri: &Uri) -> bool {
    uri.path() == "/v2" || uri.path().starts_with("/v2/")
}

/// A repository and a place in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// Whose registry, if the request says.
    pub account: Option<String>,
    /// E.g. `team/web`.
    pub repository: String,
    /// What of it.
    pub place: Place,
}

/// What of a repository.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing: is this a registry, and am I somebody?
    Base,
    /// Its tags.
    Tags,
    /// A manifest, by tag or digest.
    Manifest(String),
    /// A blob, by digest.
    Blob(String),
    /// Where uploads begin.
    Uploads,
    /// An upload, by id.
    Upload(String),
    /// What is about an image, by digest.
    Referrers(String),
}

impl Route {
    /// Reads a request's target. Whose registry is meant is in the host name; containerd, when it asks a mirror, says
    /// the name in `ns`.
    pub fn of(uri: &Uri, headers: &HeaderMap, region: &str) -> Result<Route, Refusal> {
        let path = percent_decode_str(uri.path().strip_prefix("/v2").unwrap_or_default()).decode_utf8_lossy();
        let account = account(uri, headers, region)?;
        let route = |repository: &str, place| Ok(Route { account, repository: repository.to_owned(), place });
        let path = path.trim_start_matches('/');
        if path.is_empty() {
            return route("", Place::Base);
        }
        if let Some(repository) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
            return route(repository, Place::Uploads);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return route(repository, Place::Tags);
        }
        let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
        let last = last.to_owned();
        for (folder, place) in PLACES {
            if let Some(repository) = above.strip_suffix(folder) {
                return route(repository, place(last));
            }
        }
        Err(Refusal::new(Code::Unsupported, format!("/v2/{path} is no place of a registry")))
    }
}

/// A folder of a repository, and the place of what is in it.
type Folder = (&'static str, fn(String) -> Place);

/// Folders of a repository, the longer first.
const PLACES: [Folder; 4] = [
    ("/blobs/uploads", Place::Upload),
    ("/blobs", Place::Blob),
    ("/manifests", Place::Manifest),
    ("/referrers", Place::Referrers),
];

/// Whose registry the request names. Names of others are nobody's here, and no credentials are asked for: who came by
/// way of a mirror goes on to the one that it wanted.
fn account(uri: &Uri, headers: &HeaderMap, region: &str) -> Result<Option<String>, Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match parameter(uri, "ns") {
        None => Ok(ecr::account_of(region, host).map(str::to_owned)),
        Some(name) => match ecr::account_of(region, &name) {
            Some(account) => Ok(Some(account.to_owned())),
            None => Err(Refusal::new(Code::NameUnknown, format!("{name} is no registry of region {region}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(target: &str, host: &str) -> Result<Route, Code> {
        let headers = [(header::HOST, host.parse().unwrap())].into_iter().collect();
        Route::of(&target.parse().unwrap(), &headers, "us-east-1").map_err(|refusal| refusal.code)
    }

    fn place(target: &str) -> (String, Place) {
        let route = route(target, "127.0.0.1:7433").unwrap();
        assert_eq!(route.account, None);
        (route.repository, route.place)
    }

    #[test]
    fn a_name_may_hold_every_word_of_the_protocol() {
        assert_eq!(place("/v2/"), (String::new(), Place::Base));
        assert_eq!(place("/v2/a/tags/list?n=1"), ("a".into(), Place::Tags));
        assert_eq!(place("/v2/a/manifests/v1"), ("a".into(), Place::Manifest("v1".into())));
        assert_eq!(place("/v2/manifests/blobs/manifests/v1"), ("manifests/blobs".into(), Place::Manifest("v1".into())));
        assert_eq!(place("/v2/a/b/blobs/sha256%3Aab"), ("a/b".into(), Place::Blob("sha256:ab".into())));
        assert_eq!(place("/v2/a/blobs/uploads/"), ("a".into(), Place::Uploads));
        assert_eq!(place("/v2/a/blobs/uploads/x-1"), ("a".into(), Place::Upload("x-1".into())));
        assert_eq!(place("/v2/a/referrers/sha256:ab"), ("a".into(), Place::Referrers("sha256:ab".into())));
        assert_eq!(route("/v2/_catalog", "h").unwrap_err(), Code::Unsupported);
    }

    #[test]
    fn the_host_name_says_whose_registry_it_is() {
        let account = |target: &str, host: &str| route(target, host).map(|route| route.account);
        let name = "111122223333.dkr.ecr.us-east-1.amazonaws.com";
        let own = Ok(Some("111122223333".to_owned()));
        assert_eq!(account("/v2/", name), own);
        assert_eq!(account("/v2/", &format!("{name}:80")), own);
        assert_eq!(account(&format!("/v2/a/manifests/1?ns={name}"), "169.254.171.1"), own);
        assert_eq!(account("/v2/", "169.254.171.1"), Ok(None));
        for other in ["docker.io", "111122223333.dkr.ecr.eu-west-1.amazonaws.com", "1.dkr.ecr.us-east-1.amazonaws.com"]
        {
            assert_eq!(account(&format!("/v2/a/manifests/1?ns={other}"), "169.254.171.1"), Err(Code::NameUnknown));
        }
    }
}
