//! Container images over HTTP: OCI Distribution 1.1, by which `docker`, containerd and all others push and pull.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>
//!
//! ```text
//! client ─/v2/…─▶ Registry ──who?──▶ token: a signature, no look-up        401 with a challenge
//!                    ├─ manifests, tags ─▶ ECR's operations, by the kernel: BatchGetImage, PutImage, ListImages …
//!                    ├─ layers in ──▶ uploads/ID ─digest right, synced─▶ blobs/sha256/…  then a record says whose it is
//!                    └─ layers out ◀── blobs/sha256/…                      whoever may ecr:GetDownloadUrlForLayer
//! ```
//! No layer is ever in memory as a whole. A file is there before any record speaks of it, and goes after the last one
//! did; whatever a crash leaves in between is removed at the next start.

mod auth;
mod blobs;
mod pull;
mod push;
mod refusal;
mod route;
mod system;
mod uploads;

pub use route::is_for;

use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use blobs::Blobs;
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use refusal::{Code, Refusal};
use roadstead_cloud::ecr;
use roadstead_cloud::ecr::token::PURPOSE;
use roadstead_kernel::region::{Handle, WriteError};
use roadstead_kernel::{Caller, Kernel, Policies};
use roadstead_store::{Tx, View};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{Operation, Shape};
use route::{Place, Route};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use system::System;
use tokio::sync::oneshot;
use uploads::Uploads;

/// What is sent: often a file, piece by piece.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

type Answer = Result<Response<Body>, Refusal>;

/// Where a registry is, and what it is given from outside.
pub struct Settings {
    /// Name of the region.
    pub region: String,
    /// Folder of its own, for layers.
    pub data: PathBuf,
    /// The folder of EKS's own images, which the host makes.
    pub system: PathBuf,
    /// The time of day.
    pub clock: fn() -> Millis,
    /// Whether there is too little room for more in that folder, and of what.
    pub shortage: fn(&Path) -> Option<String>,
}

/// The registry of a region: of every account's repositories.
pub struct Registry<P: Policies> {
    settings: Settings,
    handle: Handle,
    kernel: Arc<Kernel<P>>,
    key: hmac::Key,
    blobs: Arc<Blobs>,
    uploads: Uploads,
    system: System,
}

/// Who asks what of which repository.
struct Asked {
    caller: Caller,
    account: String,
    repository: String,
}

impl Asked {
    fn arn(&self) -> String {
        ecr::arn(&self.caller.region, &self.account, &self.repository).to_string()
    }
}

impl<P: Policies> Registry<P> {
    /// Opens the folder, and removes what belongs to nothing: unfinished uploads, and blobs that no record speaks of.
    ///
    /// # Errors
    /// The folder can't be used.
    pub fn open(settings: Settings, handle: &Handle, kernel: Arc<Kernel<P>>, vault: &Vault) -> Result<Registry<P>> {
        let place = || format!("the registry's folder {}", settings.data.display());
        let uploads = Uploads::open(&settings.data).with_context(place)?;
        let blobs = Blobs::open(&settings.data, handle).with_context(place)?;
        let system = System(settings.system.clone());
        Ok(Registry { key: vault.derive(PURPOSE), handle: handle.clone(), settings, kernel, blobs, uploads, system })
    }

    /// Answers a request for which [`is_for`] is true.
    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr, request_id: String) -> Response<Body> {
        let head = request.method() == Method::HEAD;
        let answer = self.perform(request, peer, &request_id).await;
        let mut response = answer.unwrap_or_else(|refusal| refusal.respond(head, &request_id));
        set(&mut response, &VERSION, "registry/2.0");
        set(&mut response, &REQUEST_ID, &request_id);
        response
    }

    async fn perform(&self, request: Request<Incoming>, peer: SocketAddr, request_id: &str) -> Answer {
        let route = Route::of(request.uri(), request.headers(), &self.settings.region)?;
        let caller = self.identify(&request, peer, request_id)?;
        let Route { account, repository, place } = route;
        let account = account.unwrap_or_else(|| caller.identity.account.clone());
        let asked = Asked { caller, account, repository };
        match (request.method().as_str(), place) {
            ("GET" | "HEAD", Place::Base) => Ok(json(200, &serde_json::json!({}))),
            ("GET", Place::Tags) => self.tags(&asked, request.uri()),
            ("GET" | "HEAD", Place::Manifest(reference)) => self.manifest(&asked, &reference, request.method()),
            ("PUT", Place::Manifest(reference)) => self.put_manifest(&asked, &reference, request).await,
            ("DELETE", Place::Manifest(reference)) => self.delete_manifest(&asked, &reference).await,
            ("GET" | "HEAD", Place::Blob(digest)) => self.blob(&asked, &digest, &request).await,
            ("GET", Place::Referrers(digest)) => self.referrers(&asked, &digest, request.uri()),
            ("POST", Place::Uploads) => self.begin(&asked, request).await,
            ("GET", Place::Upload(id)) => self.progress(&asked, &id).await,
            ("PATCH", Place::Upload(id)) => self.upload(&asked, &id, request).await,
            ("PUT", Place::Upload(id)) => self.complete(&asked, &id, request).await,
            ("DELETE", Place::Upload(id)) => self.cancel(&asked, &id).await,
            (method, _) => Err(Refusal::new(Code::Unsupported, format!("{method} is nothing that can be done here"))),
        }
    }

    fn view(&self) -> View {
        self.handle.view().at((self.settings.clock)())
    }

    /// What an operation of ECR's answers.
    fn ask<I: Shape, O: Shape>(
        &self,
        operation: &'static Operation<I, O>,
        asked: &Asked,
        input: &I,
    ) -> Result<O, Fault> {
        let answer = self.kernel.read(&self.view(), operation, &asked.caller, input.clone().into_value())?;
        O::from_value(answer.value).map_err(Fault::internal)
    }

    /// Has an operation of ECR's done.
    async fn order<I: Shape, O: Shape>(
        &self,
        operation: &'static Operation<I, O>,
        asked: &Asked,
        input: I,
    ) -> Result<O, Fault> {
        let (kernel, caller, input) = (self.kernel.clone(), asked.caller.clone(), input.into_value());
        let what = input.clone();
        let done = self.write(move |tx| kernel.write(tx, operation, &caller, what), ()).await;
        if let Err(fault) = &done {
            let (caller, fault) = (asked.caller.clone(), fault.clone());
            let note = move |tx: &mut Tx| {
                roadstead_kernel::failed(tx, operation, &caller, &input, &fault);
                Ok::<_, Infallible>(())
            };
            self.handle.write(note, |_| {});
        }
        O::from_value(done?).map_err(Fault::internal)
    }

    /// Whether the caller may do that to the repository.
    fn permit(&self, asked: &Asked, action: &str) -> Result<(), Fault> {
        self.kernel.permit(&*self.handle.view(), &asked.caller, action, &asked.arn())
    }

    /// Writes, and returns once it is durable; until then it holds what is `held`, also when nobody waits any more.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx) -> Result<T, Fault> + Send + 'static,
        held: impl Send + 'static,
    ) -> Result<T, Fault> {
        let (sender, receiver) = oneshot::channel();
        let done = move |result| {
            drop(held);
            // Nobody listens any more when the client has hung up.
            drop(sender.send(result));
        };
        self.handle.write(work, done);
        let result = receiver.await.map_err(|_| Fault::internal("the region stopped before it answered"))?;
        result.map_err(|error| match error {
            WriteError::Refused(fault) => fault,
            WriteError::Panicked(why) => Fault::internal(why),
            WriteError::Stopped(why) => {
                Common::ServiceUnavailable.fault("The region takes no changes now.").because(why)
            }
        })
    }
}

/// An answer with no body, or with bytes that are there already.
fn plain(status: u16, headers: &[(HeaderName, String)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        set(&mut response, name, value);
    }
    response
}

/// Sets a header, in place of one that is there.
fn set(response: &mut Response<Body>, name: &HeaderName, value: &str) {
    // All are made of digests, numbers and names that ECR takes.
    if let Ok(value) = value.parse() {
        response.headers_mut().insert(name, value);
    }
}

fn json(status: u16, value: &serde_json::Value) -> Response<Body> {
    plain(status, &[(header::CONTENT_TYPE, "application/json".into())], value.to_string())
}

/// A parameter of the query, decoded.
fn parameter(uri: &http::Uri, name: &str) -> Option<String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))?;
    let spaced = value.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}
