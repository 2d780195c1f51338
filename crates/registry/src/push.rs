//! What is pushed: blobs first, in one piece or in parts, and then the manifest that makes an image of them.

use crate::refusal::{Code, Refusal};
use crate::uploads::Shared;
use crate::{Answer, Asked, Registry, parameter, plain};
use http::{HeaderName, Request, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use roadstead_cloud::ecr::image::{LONGEST, Parsed, digest_of, is_digest};
use roadstead_cloud::ecr::repository::{self, Repository};
use roadstead_cloud::ecr::{self, layer};
use roadstead_kernel::Policies;
use roadstead_shapes::ecr as api;
use roadstead_store::Read;
use roadstead_wire::fault::{Code as Faulty, Fault};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");

impl<P: Policies> Registry<P> {
    /// `POST …/blobs/uploads/`: begins an upload; with `digest` the body is all of it; with `mount` another repository has
    /// the blob already.
    pub(crate) async fn begin(&self, asked: &Asked, request: Request<Incoming>) -> Answer {
        self.permit(asked, "ecr:InitiateLayerUpload")?;
        let view = self.handle.view();
        let path = repository::find(&*view, &asked.account, &asked.repository)?.body.path();
        let named = |name| parameter(request.uri(), name);
        if let (Some(digest), Some(from)) = (named("mount"), named("from"))
            && self.mount(asked, &from, &digest).await?
        {
            return Ok(kept(asked, &digest));
        }
        if let Some(why) = self.shortage() {
            return Err(Refusal::new(Code::Unavailable, why));
        }
        let (id, upload) = self.uploads.begin(path).await?;
        match named("digest") {
            Some(digest) => {
                let answer = self.finish(asked, &id, upload, request, &digest).await;
                // Nobody was told its id.
                self.uploads.end(&id);
                answer
            }
            None => Ok(progress(asked, &id, 0, 202)),
        }
    }

    /// `GET …/blobs/uploads/ID`: how far it is.
    pub(crate) async fn progress(&self, asked: &Asked, id: &str) -> Answer {
        self.permit(asked, "ecr:UploadLayerPart")?;
        let size = self.upload_of(asked, id).await?.lock().await.size;
        Ok(progress(asked, id, size, 204))
    }

    /// `PATCH …/blobs/uploads/ID`: a part, which begins where the one before ended.
    pub(crate) async fn upload(&self, asked: &Asked, id: &str, request: Request<Incoming>) -> Answer {
        self.permit(asked, "ecr:UploadLayerPart")?;
        let upload = self.upload_of(asked, id).await?;
        let mut upload = upload.lock().await;
        continues(&request, upload.size)?;
        upload.take(request.into_body(), || self.shortage()).await?;
        Ok(progress(asked, id, upload.size, 202))
    }

    /// `PUT …/blobs/uploads/ID?digest=…`: the last part, if any; all of it is what the digest says.
    pub(crate) async fn complete(&self, asked: &Asked, id: &str, request: Request<Incoming>) -> Answer {
        let upload = self.upload_of(asked, id).await?;
        let digest = parameter(request.uri(), "digest");
        let digest = digest.ok_or_else(|| Refusal::new(Code::DigestInvalid, "The parameter digest is missing"))?;
        continues(&request, upload.lock().await.size)?;
        self.finish(asked, id, upload, request, &digest).await
    }

    /// `DELETE …/blobs/uploads/ID`.
    pub(crate) async fn cancel(&self, asked: &Asked, id: &str) -> Answer {
        self.permit(asked, "ecr:UploadLayerPart")?;
        self.upload_of(asked, id).await?;
        self.uploads.end(id);
        Ok(plain(204, &[], ""))
    }

    /// `PUT …/manifests/REFERENCE`: PutImage. To put what is there already is no mistake here.
    pub(crate) async fn put_manifest(&self, asked: &Asked, reference: &str, request: Request<Incoming>) -> Answer {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
        let body = Limited::new(request.into_body(), LONGEST).collect().await.map_err(|error| {
            let (code, why) = match error.is::<LengthLimitError>() {
                true => (Code::SizeInvalid, format!("A manifest is no longer than {LONGEST} bytes")),
                false => (Code::ManifestInvalid, "The request ended before the manifest did".to_owned()),
            };
            Refusal::new(code, why)
        })?;
        let text = String::from_utf8(body.to_bytes().to_vec());
        let text = text.map_err(|_| Refusal::new(Code::ManifestInvalid, "The manifest is not UTF-8"))?;
        let digest = digest_of(&text);
        let subject = Parsed::of(&text, kind.as_deref()).ok().and_then(|parsed| parsed.subject);
        let is_tag = !reference.contains(':');
        let input = api::PutImageRequest {
            registry_id: Some(asked.account.clone()),
            repository_name: asked.repository.clone(),
            image_manifest: text,
            image_manifest_media_type: kind,
            image_tag: is_tag.then(|| reference.to_owned()),
            image_digest: (!is_tag).then(|| reference.to_owned()),
        };
        match self.order(&api::PUT_IMAGE, asked, input).await {
            Err(fault) if !is_there_already(&fault) => return Err(fault.into()),
            _ => {}
        }
        let location = format!("/v2/{}/manifests/{digest}", asked.repository);
        let mut headers = vec![(header::LOCATION, location), (DIGEST, digest)];
        headers.extend(subject.map(|subject| (SUBJECT, subject)));
        Ok(plain(201, &headers, ""))
    }

    /// `DELETE …/manifests/REFERENCE`: BatchDeleteImage.
    pub(crate) async fn delete_manifest(&self, asked: &Asked, reference: &str) -> Answer {
        let input = api::BatchDeleteImageRequest {
            registry_id: Some(asked.account.clone()),
            repository_name: asked.repository.clone(),
            image_ids: vec![identifier(reference)],
        };
        let answer = self.order(&api::BATCH_DELETE_IMAGE, asked, input).await?;
        match answer.failures.unwrap_or_default().pop() {
            None => Ok(plain(202, &[], "")),
            Some(failure) => {
                let referenced = failure.failure_code == Some(api::ImageFailureCode::ImageReferencedByManifestList);
                let code = if referenced { Code::Denied } else { Code::ManifestUnknown };
                Err(Refusal::new(code, failure.failure_reason.unwrap_or_default()))
            }
        }
    }

    /// Gives the repository a blob that another one of the same registry has, if the caller may pull it there.
    async fn mount(&self, asked: &Asked, from: &str, digest: &str) -> Result<bool, Fault> {
        let arn = ecr::arn(&asked.caller.region, &asked.account, from).to_string();
        let view = self.handle.view();
        if self.kernel.permit(&*view, &asked.caller, "ecr:GetDownloadUrlForLayer", &arn).is_err() {
            return Ok(false);
        }
        let (account, to) = (asked.account.clone(), asked.repository.clone());
        let (from, digest) = (from.to_owned(), digest.to_owned());
        let mount = move |tx: &mut roadstead_store::Tx| {
            let Some(size) = size(tx, &account, &from, &digest) else { return Ok(false) };
            layer::add(tx, &account, &to, &digest, size)?;
            Ok(true)
        };
        self.write(mount, ()).await
    }

    /// Takes the rest of an upload, and makes a blob of it.
    async fn finish(
        &self,
        asked: &Asked,
        id: &str,
        upload: Shared,
        request: Request<Incoming>,
        digest: &str,
    ) -> Answer {
        self.permit(asked, "ecr:CompleteLayerUpload")?;
        if !is_digest(digest) {
            return Err(Refusal::new(Code::DigestInvalid, format!("'{digest}' is not sha256: and 64 digits")));
        }
        let mut upload = upload.lock().await;
        upload.take(request.into_body(), || self.shortage()).await?;
        let size = upload.size;
        let finished = upload.finish(digest).await.map(ToOwned::to_owned);
        // Either way nobody can go on with it.
        self.uploads.end(id);
        let held = self.blobs.clone().keep(finished?, digest.to_owned()).await?;
        let (kernel, caller, arn) = (self.kernel.clone(), asked.caller.clone(), asked.arn());
        let (account, repository, of) = (asked.account.clone(), asked.repository.clone(), digest.to_owned());
        let add = move |tx: &mut roadstead_store::Tx| {
            kernel.permit(tx, &caller, "ecr:CompleteLayerUpload", &arn)?;
            layer::add(tx, &account, &repository, &of, size)
        };
        self.write(add, held).await?;
        Ok(kept(asked, digest))
    }

    async fn upload_of(&self, asked: &Asked, id: &str) -> Result<Shared, Refusal> {
        self.uploads.find(id, &repository::path(&asked.account, &asked.repository)).await
    }

    fn shortage(&self) -> Option<String> {
        (self.settings.shortage)(&self.settings.data)
    }
}

/// By digest or by tag.
pub(crate) fn identifier(reference: &str) -> api::ImageIdentifier {
    match reference.contains(':') {
        true => api::ImageIdentifier { image_digest: Some(reference.to_owned()), image_tag: None },
        false => api::ImageIdentifier { image_digest: None, image_tag: Some(reference.to_owned()) },
    }
}

/// Bytes of a blob that a repository has.
pub(crate) fn size(read: &impl Read, account: &str, repository: &str, digest: &str) -> Option<u64> {
    let found = read.shared(&Repository::key(account, repository))?;
    layer::size(read, &found.body, digest)
}

fn is_there_already(fault: &Fault) -> bool {
    matches!(fault.code, Faulty::Modelled(error) if error.name == "ImageAlreadyExistsException")
}

/// The part begins where the upload ends, if it says where.
fn continues(request: &Request<Incoming>, size: u64) -> Result<(), Refusal> {
    let range = request.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    let start = range.map(|range| range.trim_start_matches("bytes ").split('-').next().unwrap_or_default());
    match start {
        Some(start) if start.parse() != Ok(size) => {
            Err(Refusal::new(Code::Range, format!("The part must begin at byte {size}, where the upload ends")))
        }
        _ => Ok(()),
    }
}

fn progress(asked: &Asked, id: &str, size: u64, status: u16) -> http::Response<crate::Body> {
    let location = format!("/v2/{}/blobs/uploads/{id}", asked.repository);
    let range = format!("0-{}", size.saturating_sub(1));
    plain(status, &[(header::LOCATION, location), (header::RANGE, range), (UPLOAD, id.to_owned())], "")
}

fn kept(asked: &Asked, digest: &str) -> http::Response<crate::Body> {
    let location = format!("/v2/{}/blobs/{digest}", asked.repository);
    plain(201, &[(header::LOCATION, location), (DIGEST, digest.to_owned())], "")
}
