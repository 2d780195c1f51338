//! What counts of a manifest: the blobs and images that it refers to.
//! <https://github.com/opencontainers/image-spec/blob/main/manifest.md>, `image-index.md`; Docker's version 2 schema 2.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use std::fmt::Write as _;
use std::iter;

/// The longest manifest, bytes (ECR's model; the least that OCI Distribution lets a registry take).
pub const LONGEST: usize = 4 << 20;

const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const INDEXES: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Configurations that say nothing of an artifact: those of container images.
const CONFIGURATIONS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// What stands for no configuration (image-spec, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What counts of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Of the manifest.
    pub media_type: String,
    /// What it is, if it is no container image.
    pub artifact_media_type: Option<String>,
    /// The blobs that must be there: the configuration, and layers but for those that stand elsewhere.
    pub layers: Vec<Descriptor>,
    /// The images that it is an index of.
    pub members: Vec<Descriptor>,
    /// Digest of the image that it is about, which need not be there.
    pub subject: Option<String>,
}

/// What is referred to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
}

impl Parsed {
    /// Reads a manifest that was sent as of `media_type`.
    ///
    /// # Errors
    /// Why it is none, in words for people.
    pub fn of(text: &str, media_type: Option<&str>) -> Result<Parsed, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let document: Document = serde_json::from_str(text).map_err(|why| format!("Invalid JSON syntax: {why}"))?;
        if document.schema_version != 2 {
            return Err(format!("schemaVersion is {}, not 2", document.schema_version));
        }
        let Document { media_type: own, artifact_type, config, layers, manifests, subject, .. } = document;
        let media_type = agreed(own, media_type)?;
        let (artifact_media_type, layers, members) = match (config, layers, manifests) {
            (Some(config), Some(layers), None) if MANIFESTS.contains(&&*media_type) => {
                let artifact = artifact_type.or_else(|| artifact(&config));
                let here = layers.into_iter().filter(|layer| layer.urls.is_empty());
                (artifact, iter::once(config).chain(here).collect(), vec![])
            }
            (None, None, Some(manifests)) if INDEXES.contains(&&*media_type) => (artifact_type, vec![], manifests),
            _ => return Err(format!("it has not the members of one of {media_type}, or nothing is known of that")),
        };
        let subject = subject.map(|subject| subject.digest);
        let parsed = Parsed { media_type, artifact_media_type, layers, members, subject };
        if let Some(digest) = parsed.digests().find(|digest| !is_digest(digest)) {
            return Err(format!("it refers to '{digest}', which is not sha256: and 64 digits"));
        }
        Ok(parsed)
    }

    fn digests(&self) -> impl Iterator<Item = &str> {
        let listed = self.layers.iter().chain(&self.members).map(|descriptor| descriptor.digest.as_str());
        listed.chain(self.subject.as_deref())
    }
}

/// The media type that a manifest says of itself, or else was sent as.
fn agreed(own: Option<String>, said: Option<&str>) -> Result<String, String> {
    match (own, said) {
        (Some(own), Some(said)) if own != said => Err(format!("it says that it is {own}, and was sent as {said}")),
        (Some(own), _) => Ok(own),
        (None, Some(said)) => Ok(said.to_owned()),
        (None, None) => Err("it does not say its mediaType, and was sent without one".to_owned()),
    }
}

fn artifact(config: &Descriptor) -> Option<String> {
    let says = !CONFIGURATIONS.contains(&&*config.media_type) && config.media_type != EMPTY;
    says.then(|| config.media_type.clone())
}

/// `sha256:` and 64 hexadecimal digits in lower case.
pub fn is_digest(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

/// Whether an image may be called so (distribution-spec, `reference` as a tag).
pub fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|first| word(*first))
        && bytes.iter().all(|b| word(*b) || b".-".contains(b))
}

/// The digest of a text: `sha256:…`.
pub fn digest_of(text: &str) -> String {
    written(digest(&SHA256, text.as_bytes()).as_ref())
}

/// A SHA-256 as digests are written.
pub fn written(hash: &[u8]) -> String {
    hash.iter().fold("sha256:".to_owned(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

    fn descriptor(media_type: &str, more: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{A}","size":1{more}}}"#)
    }

    fn image(config: &str, more: &str) -> String {
        let (config, layer) = (descriptor(config, ""), descriptor("l", r#","urls":["http://elsewhere"]"#));
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{},{layer}]{more}}}"#, descriptor("l", ""))
    }

    #[test]
    fn an_image_refers_to_its_configuration_and_to_layers_that_stand_nowhere_else() {
        let text = image(CONFIGURATIONS[0], &format!(r#","subject":{}"#, descriptor("m", "")));
        let parsed = Parsed::of(&text, Some(MANIFESTS[0])).unwrap();
        assert_eq!((parsed.layers.len(), parsed.members.len(), parsed.subject.as_deref()), (2, 0, Some(A)));
        assert_eq!(parsed.artifact_media_type, None);
        let chart = Parsed::of(&image("application/vnd.cncf.helm.config.v1+json", ""), Some(MANIFESTS[0])).unwrap();
        assert_eq!(chart.artifact_media_type.as_deref(), Some("application/vnd.cncf.helm.config.v1+json"));
        let typed = image(EMPTY, r#","artifactType":"text/x""#);
        assert_eq!(Parsed::of(&typed, Some(MANIFESTS[0])).unwrap().artifact_media_type.as_deref(), Some("text/x"));
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_why() {
        let why = |text: &str, sent: Option<&str>| Parsed::of(text, sent).unwrap_err();
        let good = image(CONFIGURATIONS[0], "");
        assert!(why("{", None).starts_with("Invalid JSON syntax"));
        assert!(why(&good.replace(":2", ":1"), Some(MANIFESTS[0])).contains("schemaVersion is 1"));
        assert!(why(&good, None).contains("mediaType"));
        assert!(why(&good, Some(INDEX)).contains(INDEX));
        assert!(why(&good, Some("text/plain")).contains("text/plain"));
        assert!(why(&good.replace("sha256:ca", "sha512:ca"), Some(MANIFESTS[0])).contains("sha512"));
        let own = image(CONFIGURATIONS[0], &format!(r#","mediaType":"{}""#, MANIFESTS[1]));
        assert!(why(&own, Some(MANIFESTS[0])).contains("was sent as"));
    }

    #[test]
    fn names_are_what_the_protocol_says() {
        assert_eq!(digest_of("a"), A);
        for good in ["latest", "v1.2-3", "_x", &"a".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a:b", "ü", &"a".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
        assert!(is_digest(A));
        for bad in [&A[..70], &A.to_uppercase(), "sha256:", &A.replace("sha256", "sha512")] {
            assert!(!is_digest(bad), "{bad}");
        }
    }
}
