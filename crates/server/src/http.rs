//! The region's API over HTTP: from bytes to a verified caller and an operation, and back.

use crate::clock;
use crate::config::Config;
use crate::credentials::{Credentials, VaultSecrets};
use crate::drivers::observe;
use crate::revisions::revisions;
use crate::serve::taken;
use anyhow::Result;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use roadstead_cloud::authorize::Authorizer;
use roadstead_host::room::{self, Room};
use roadstead_inspect::Metrics;
use roadstead_kernel::region::{Handle, WriteError};
use roadstead_kernel::{Caller, Kernel, Memo, Question, failed};
use roadstead_registry::{Registry, Settings};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{AnyOperation, Scope, Value};
use roadstead_wire::sigv4::{self, Expectation, Lifetime, Verified, Verifier};
use roadstead_wire::{Call, MAX_BODY, Reply, Router, Unrouted, gist, is_waiter, request_id, user_agent};
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, error, info};

/// How long a client may take to send its headers, and a connection between requests.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// How long a waiter's describe is held up.
const HOLD: Duration = Duration::from_secs(20);
/// Signing keys that are remembered: one per access key, day, region and service.
const SIGNING_KEYS: usize = 4096;
/// What remembered answers may take, in bytes.
const MEMO: usize = 8 << 20;
/// STS gives each presigned URL so long, also one that says 60 s: whoever checks tokens by asking STS counts on it.
const STS_LIFETIME: Lifetime = Lifetime::Fixed(Millis::mins(15));

struct Api {
    handle: Handle,
    kernel: Arc<Kernel<Authorizer>>,
    registry: Registry<Authorizer>,
    router: Router,
    verifier: Verifier,
    memo: Memo<Reply>,
    credentials: Arc<Credentials>,
    metrics: Arc<Metrics>,
    region: String,
    room: Room,
    /// A place for each change that may wait for the writer: with more, clients would wait for longer than they do.
    places: Semaphore,
    commits: watch::Receiver<u64>,
}

/// Serves the API.
pub async fn serve(
    listener: TcpListener,
    handle: &Handle,
    credentials: Arc<Credentials>,
    vault: Arc<Vault>,
    metrics: Arc<Metrics>,
    config: &Config,
) -> Result<Infallible> {
    let secrets = Box::new(VaultSecrets(vault.clone()));
    let kernel = Arc::new(Kernel::new(Authorizer::default(), secrets, roadstead_cloud::services()));
    let shortage =
        |folder: &Path| room::shortage(folder).map(|(of, why)| format!("The region is short of {of}: {why}"));
    let (data, system) = (config.data_dir.join("registry"), config.host_state().join("images/nodes"));
    let settings = Settings { region: config.region.clone(), data, system, clock: clock::now, shortage };
    let api = Arc::new(Api {
        router: Router::new(kernel.operations()),
        registry: Registry::open(settings, handle, kernel.clone(), &vault)?,
        kernel,
        handle: handle.clone(),
        verifier: Verifier::new(SIGNING_KEYS),
        memo: Memo::new(MEMO),
        credentials,
        metrics,
        region: config.region.clone(),
        room: Room::new(config.data_dir.clone()),
        places: Semaphore::new(config.changes_at_a_time),
        commits: revisions(handle, |_| true),
    });
    loop {
        let (stream, peer) = taken(async || listener.accept().await).await;
        tokio::spawn(connection(api.clone(), stream, peer));
    }
}

async fn connection(api: Arc<Api>, stream: TcpStream, peer: SocketAddr) {
    // Answers are one small write each: waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let api = api.clone();
        async move {
            Ok::<_, Infallible>(match roadstead_registry::is_for(request.uri()) {
                true => api.registry.answer(request, peer, request_id()).await.map(Either::Left),
                false => api.answer(request, peer).await.map(Either::Right),
            })
        }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        debug!("connection from {peer}: {error}");
    }
}

type Response = http::Response<Full<Bytes>>;
type Outcome = Result<http::Response<Bytes>, Fault>;

impl Api {
    async fn answer(&self, request: http::Request<Incoming>, peer: SocketAddr) -> Response {
        let request_id = request_id();
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return self.unread(&parts, error).respond(&request_id).map(Full::new),
        };
        let request = http::Request::from_parts(parts, body);
        let call = match self.router.route(&request) {
            Ok(call) => call,
            Err(unrouted) => return unrouted.respond(&request_id).map(Full::new),
        };
        let began = Instant::now();
        let outcome = self.perform(&call, &request, peer, &request_id).await;
        self.count(&call, &request, &outcome, began);
        match outcome {
            Ok(response) => response.map(Full::new),
            Err(fault) => {
                report(call.operation(), &fault, &request_id);
                call.refuse(&fault, &request_id).map(Full::new)
            }
        }
    }

    fn count(&self, call: &Call, request: &http::Request<Bytes>, outcome: &Outcome, began: Instant) {
        let operation = call.operation();
        let held = operation.waiter && is_waiter(user_agent(request));
        let code = outcome.as_ref().err().map(|fault| fault.code.name(operation.service.protocols[0]));
        let name = (operation.service.name, operation.name);
        self.metrics.request(name, code, (!held).then(|| began.elapsed()));
    }

    /// The answer to a body that is too long, or whose sender went away.
    fn unread(&self, parts: &Parts, error: Box<dyn Error + Send + Sync>) -> Unrouted {
        let fault = match error.is::<LengthLimitError>() {
            true => Common::RequestTooLarge.fault(format!("The request is longer than {MAX_BODY} bytes.")),
            false => Common::Serialization.fault("The request ended before its body did.").because(error),
        };
        self.router.refuse(parts, fault)
    }

    async fn perform(
        &self,
        call: &Call,
        request: &http::Request<Bytes>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Outcome {
        let operation = call.operation();
        let caller = self.identify(operation, request, peer, request_id)?;
        if self.kernel.is_read(operation) {
            return match operation.waiter && is_waiter(&caller.user_agent) {
                true => self.wait(call, &caller, call.decode(request)?).await,
                false => self.read(call, &caller, request),
            };
        }
        let input = call.decode(request)?;
        self.has_room(operation)?;
        let _place = self.places.try_acquire().map_err(|_| Common::Throttling.fault("Rate exceeded"))?;
        let output = self.write(operation, caller, input).await?;
        Ok(call.respond(&output, request_id))
    }

    /// Who signed the request?
    fn identify(
        &self,
        operation: &AnyOperation,
        request: &http::Request<Bytes>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Caller, Fault> {
        let view = self.handle.view();
        let mut found = None;
        let verified = self.verify(operation, &sigv4::Request::new(request), |id| {
            let signer = self.credentials.find(&view, id)?;
            let secret = signer.secret.clone();
            found = Some(signer);
            Some(secret)
        })?;
        let signer = found.ok_or_else(|| Fault::internal("a verified signature has a key"))?;
        let identity = signer.identity(verified.security_token.as_deref(), clock::now())?;
        Ok(Caller {
            identity,
            access_key_id: verified.access_key_id,
            region: self.region.clone(),
            source_ip: peer.ip().to_string(),
            user_agent: user_agent(request).to_owned(),
            request_id: request_id.to_owned(),
        })
    }

    /// Global services are signed for their one region, or for this one by clients that were told so.
    fn verify<S: AsRef<str>>(
        &self,
        operation: &AnyOperation,
        request: &sigv4::Request<'_>,
        mut secret_of: impl FnMut(&str) -> Option<S>,
    ) -> Result<Verified, sigv4::Error> {
        let services = [operation.service.signing_name];
        let mut expect = Expectation::new(&self.region, &services);
        if services[0] == "sts" {
            expect.lifetime = STS_LIFETIME;
        }
        match self.verifier.verify(request, clock::now(), &expect, &mut secret_of) {
            Err(sigv4::Error::Region) if operation.service.scope == Scope::Global => {
                expect.region = Scope::GLOBAL_REGION;
                self.verifier.verify(request, clock::now(), &expect, &mut secret_of)
            }
            verdict => verdict,
        }
    }

    /// What was answered before is answered again, for as long as it is so.
    fn read(&self, call: &Call, caller: &Caller, request: &http::Request<Bytes>) -> Outcome {
        let (operation, view) = (call.operation(), self.handle.view());
        let question = Question::new(caller, [operation.action.as_bytes()].into_iter().chain(gist(request)));
        if let Some(reply) = self.memo.recall(&question, &view) {
            return Ok(reply.to(&caller.request_id));
        }
        let view = view.at(clock::now()).noting();
        let answer = self.kernel.read(&view, operation, caller, call.decode(request)?)?;
        let reply = Reply::new(call.respond(&answer.value, &caller.request_id), &caller.request_id);
        self.memo.keep(question, &view, reply.clone(), reply.size());
        Ok(reply.into_response())
    }

    /// A waiter's read is answered when there is nothing left to wait for, or after [`HOLD`].
    async fn wait(&self, call: &Call, caller: &Caller, input: Value) -> Outcome {
        let until = Instant::now() + HOLD;
        let mut commits = self.commits.clone();
        loop {
            commits.mark_unchanged();
            let view = self.handle.view().at(clock::now());
            let answer = self.kernel.read(&view, call.operation(), caller, input.clone())?;
            let changed = answer.hold && matches!(timeout_at(until, commits.changed()).await, Ok(Ok(())));
            if !changed {
                return Ok(call.respond(&answer.value, &caller.request_id));
            }
        }
    }

    /// What changes something needs room; what removes something makes it.
    fn has_room(&self, operation: &AnyOperation) -> Result<(), Fault> {
        let makes_room =
            ["BatchDelete", "Delete", "Detach", "Untag"].iter().any(|verb| operation.name.starts_with(verb));
        match self.room.shortage() {
            Some((of, why)) if !makes_room => {
                let text = format!(
                    "The region is short of {of} and takes no new work until its operator frees some. What runs goes on, \
                     and deletions are accepted."
                );
                Err(Common::ServiceUnavailable.fault(text).because(why))
            }
            _ => Ok(()),
        }
    }

    async fn write(&self, operation: &'static AnyOperation, caller: Caller, input: Value) -> Result<Value, Fault> {
        let (sender, receiver) = oneshot::channel();
        let kernel = self.kernel.clone();
        let (who, what) = (caller.clone(), input.clone());
        self.handle.write(
            move |tx| kernel.write(tx, operation, &who, what),
            // Nobody listens any more when the client has hung up.
            move |result| drop(sender.send(result)),
        );
        let result = receiver.await.map_err(|_| Fault::internal("the region stopped before it answered"))?;
        result.map_err(|error| match error {
            WriteError::Refused(fault) => {
                let told = fault.clone();
                observe(&self.handle, move |tx| failed(tx, operation, &caller, &input, &told));
                fault
            }
            WriteError::Panicked(why) => Fault::internal(why),
            WriteError::Stopped(why) => {
                Common::ServiceUnavailable.fault("The region takes no changes now.").because(why)
            }
        })
    }
}

fn report(operation: &AnyOperation, fault: &Fault, request_id: &str) {
    match &fault.cause {
        Some(cause) => error!(request_id, "{}: {fault}: {cause}", operation.action),
        None => info!(request_id, "{}: {fault}", operation.action),
    }
}
