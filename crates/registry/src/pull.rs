//! What is pulled: manifests, blobs, and what there is of them.

use crate::push::{identifier, size};
use crate::refusal::{Code, Refusal};
use crate::{Answer, Asked, Body, Registry, json, parameter, plain, set};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use roadstead_cloud::ecr::image::{self, INDEX, Image, Parsed};
use roadstead_cloud::ecr::repository;
use roadstead_hostspec::SystemImage;
use roadstead_kernel::Policies;
use roadstead_shapes::ecr as api;
use roadstead_store::View;
use serde_json::{Value, json};
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
const OCTETS: &str = "application/octet-stream";
/// Read and sent at a time, bytes.
const PIECE: usize = 256 << 10;

impl<P: Policies> Registry<P> {
    /// `GET …/manifests/REFERENCE`: BatchGetImage.
    pub(crate) fn manifest(&self, asked: &Asked, reference: &str, method: &Method) -> Answer {
        if asked.account == SystemImage::REGISTRY {
            self.permit(asked, "ecr:BatchGetImage")?;
            let found = self.system.manifest(&asked.repository, reference);
            let (digest, text) = found.ok_or_else(|| unknown(reference))?;
            let kind = Parsed::of(&text, None).map_err(|why| Refusal::new(Code::ManifestInvalid, why))?.media_type;
            return Ok(manifest(text, digest, kind, method));
        }
        let input = api::BatchGetImageRequest {
            registry_id: Some(asked.account.clone()),
            repository_name: asked.repository.clone(),
            image_ids: vec![identifier(reference)],
            accepted_media_types: None,
        };
        let answer = self.ask(&api::BATCH_GET_IMAGE, asked, &input)?;
        let image = answer.images.unwrap_or_default().pop().ok_or_else(|| unknown(reference))?;
        let text = image.image_manifest.unwrap_or_default();
        let digest = image.image_id.and_then(|id| id.image_digest).unwrap_or_default();
        let kind = image.image_manifest_media_type.unwrap_or_default();
        Ok(manifest(text, digest, kind, method))
    }

    /// `GET …/tags/list`: in order, from `last` on, `n` of them.
    pub(crate) fn tags(&self, asked: &Asked, uri: &Uri) -> Answer {
        self.permit(asked, "ecr:ListImages")?;
        let view = self.handle.view();
        let owner = repository::find(&*view, &asked.account, &asked.repository)?;
        let limit = match parameter(uri, "n").map(|n| n.parse::<usize>()) {
            None => usize::MAX,
            Some(Ok(n)) => n,
            Some(Err(_)) => return Err(Refusal::new(Code::SizeInvalid, "The parameter n is no number")),
        };
        let last = parameter(uri, "last").unwrap_or_default();
        let mut tags: Vec<String> = image::tags(&*view, &owner.body)
            .into_iter()
            .filter(|tag| *tag > last)
            .take(limit.saturating_add(1))
            .collect();
        let more = tags.len() > limit;
        tags.truncate(limit);
        let next = tags
            .last()
            .filter(|_| more)
            .map(|last| format!("</v2/{}/tags/list?n={limit}&last={last}>; rel=\"next\"", asked.repository));
        let mut response = json(200, &json!({"name": asked.repository, "tags": tags}));
        if let Some(next) = next {
            set(&mut response, &header::LINK, &next);
        }
        Ok(response)
    }

    /// `GET …/referrers/DIGEST`: an index of what is about the image; empty if there is nothing.
    pub(crate) fn referrers(&self, asked: &Asked, digest: &str, uri: &Uri) -> Answer {
        self.permit(asked, "ecr:ListImageReferrers")?;
        if !image::is_digest(digest) {
            return Err(Refusal::new(Code::DigestInvalid, format!("'{digest}' is not sha256: and 64 digits")));
        }
        let view = self.handle.view();
        let owner = repository::find(&*view, &asked.account, &asked.repository)?;
        let wanted = parameter(uri, "artifactType");
        let found = image::referrers(&*view, &owner.body, digest).into_iter().map(|record| record.body);
        let found = found.filter(|image| wanted.is_none() || image.artifact_media_type == wanted);
        let manifests: Vec<Value> = found.map(|image| descriptor(&view, &owner.body, &image)).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let filters = wanted.map(|_| (FILTERS, "artifactType".to_owned()));
        let headers: Vec<_> = [(header::CONTENT_TYPE, INDEX.to_owned())].into_iter().chain(filters).collect();
        Ok(plain(200, &headers, index.to_string()))
    }

    /// `GET …/blobs/DIGEST`: all of it, or the part that the request wants.
    pub(crate) async fn blob<B>(&self, asked: &Asked, digest: &str, request: &Request<B>) -> Answer {
        let head = request.method() == Method::HEAD;
        self.permit(asked, if head { "ecr:BatchCheckLayerAvailability" } else { "ecr:GetDownloadUrlForLayer" })?;
        let (path, size) = self.file(asked, digest)?;
        let headers = [
            (header::CONTENT_TYPE, OCTETS.to_owned()),
            (header::CONTENT_LENGTH, size.to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (DIGEST, digest.to_owned()),
        ];
        let response = plain(200, &headers, "");
        if head {
            return Ok(response);
        }
        let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
        let file = File::open(path).await?;
        match range.map_or(Part::Whole, |range| Part::of(range, size)) {
            Part::Whole => Ok(response.map(|_| read(file, size))),
            Part::Of(start, end) => part(response, file, (start, end), size).await,
            Part::Nothing => {
                let mut response = Refusal::new(Code::Range, format!("The blob has {size} bytes")).respond(false, "");
                set(&mut response, &header::CONTENT_RANGE, &format!("bytes */{size}"));
                Ok(response)
            }
        }
    }
}

impl<P: Policies> Registry<P> {
    /// The file of a blob that the repository has, and its bytes.
    fn file(&self, asked: &Asked, digest: &str) -> Result<(PathBuf, u64), Refusal> {
        let unknown = || Refusal::new(Code::BlobUnknown, format!("The repository has no {digest}"));
        if asked.account == SystemImage::REGISTRY {
            let path = self.system.blob(digest).ok_or_else(unknown)?;
            let size = std::fs::metadata(&path)?.len();
            return Ok((path, size));
        }
        let view = self.handle.view();
        repository::find(&*view, &asked.account, &asked.repository)?;
        let size = size(&*view, &asked.account, &asked.repository, digest).ok_or_else(unknown)?;
        Ok((self.blobs.path(digest), size))
    }
}

fn unknown(reference: &str) -> Refusal {
    Refusal::new(Code::ManifestUnknown, format!("Requested image not found: {reference}"))
}

fn manifest(text: String, digest: String, kind: String, method: &Method) -> Response<Body> {
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, text.len().to_string()), (DIGEST, digest)];
    plain(200, &headers, if method == Method::HEAD { String::new() } else { text })
}

/// What a request wants of a blob.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// First and last byte.
    Of(u64, u64),
    /// None that it has.
    Nothing,
}

impl Part {
    /// RFC 9110 §14.2: one range; more than one, and what is none at all, may be answered with everything.
    fn of(range: &str, size: u64) -> Part {
        let Some((start, end)) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Part::Whole;
        };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let (start, end) = match (number(start), number(end)) {
            (Some(start), None) if end.trim().is_empty() => (start, size.saturating_sub(1)),
            (Some(start), Some(end)) if start <= end => (start, end.min(size.saturating_sub(1))),
            (None, Some(last)) if start.trim().is_empty() => (size.saturating_sub(last), size.saturating_sub(1)),
            _ => return Part::Whole,
        };
        if start <= end && start < size { Part::Of(start, end) } else { Part::Nothing }
    }
}

async fn part(mut response: Response<Body>, mut file: File, (start, end): (u64, u64), size: u64) -> Answer {
    file.seek(SeekFrom::Start(start)).await?;
    let length = end - start + 1;
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let headers =
        [(header::CONTENT_RANGE, format!("bytes {start}-{end}/{size}")), (header::CONTENT_LENGTH, length.to_string())];
    for (name, value) in headers {
        set(&mut response, &name, &value);
    }
    Ok(response.map(|_| read(file, length)))
}

/// So many bytes of a file, as fast as they are taken.
fn read(file: File, length: u64) -> Body {
    let pieces = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(most);
        let count = (&mut file).take(left).read_buf(&mut piece).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let left = left - u64::try_from(count).unwrap_or(left);
        Ok::<_, io::Error>(Some((Frame::data(Bytes::from(piece)), (file, left))))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// How an index has the image.
fn descriptor(view: &View, repository: &repository::Repository, image: &Image) -> Value {
    let text = image::manifest(view, repository, &image.digest).unwrap_or_default();
    let mut descriptor = json!({"mediaType": image.media_type, "digest": image.digest, "size": text.len()});
    if let Some(kind) = &image.artifact_media_type {
        descriptor["artifactType"] = json!(kind);
    }
    let annotations = serde_json::from_str::<Value>(&text).ok().and_then(|m| m.get("annotations").cloned());
    if let Some(annotations) = annotations {
        descriptor["annotations"] = annotations;
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_what_there_is() {
        for (range, part) in [
            ("bytes=0-0", Part::Of(0, 0)),
            ("bytes=3-", Part::Of(3, 9)),
            ("bytes=3-99", Part::Of(3, 9)),
            ("bytes=-4", Part::Of(6, 9)),
            ("bytes=-40", Part::Of(0, 9)),
            ("bytes=10-", Part::Nothing),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=1-2", Part::Whole),
        ] {
            assert_eq!(Part::of(range, 10), part, "{range}");
        }
        assert_eq!(Part::of("bytes=0-", 0), Part::Nothing);
    }
}
