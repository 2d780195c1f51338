//! Which operation, over which protocol, does a request ask for?

use crate::body;
use crate::call::{Call, Input, Unrouted};
use crate::fault::{Common, Fault};
use crate::protocol::form::Form;
use crate::protocol::{MAX_BODY, cbor};
use crate::schema::{AnyOperation, Protocol, Service};
use crate::sigv4::normal_path;
use crate::template::{Template, segments};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, header};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::HashMap;

/// Finds operations: by the header and the path of RPC v2, by the target header, by a form's `Action`, by method and path,
/// in this order. A service that speaks several protocols is answered in the one that the request speaks.
///
/// Where services share a path or an action, the service that the request says it is signed for decides. That is only a
/// hint here: the signature is checked against the service of the operation that was found.
#[derive(Debug, Default)]
pub struct Router {
    targets: HashMap<String, &'static AnyOperation>,
    /// By the same names.
    cbor: HashMap<String, &'static AnyOperation>,
    actions: HashMap<&'static str, Vec<&'static AnyOperation>>,
    /// The most special first.
    paths: Vec<(Template, &'static AnyOperation)>,
    /// By signing name.
    services: HashMap<&'static str, &'static Service>,
}

impl Router {
    /// A router for these operations.
    pub fn new(operations: impl IntoIterator<Item = &'static AnyOperation>) -> Router {
        let mut router = Router::default();
        operations.into_iter().for_each(|operation| router.add(operation));
        router.paths.sort_by(|(a, _), (b, _)| a.cmp(b));
        router
    }

    fn add(&mut self, operation: &'static AnyOperation) {
        let service = operation.service;
        self.services.entry(service.signing_name).or_insert(service);
        for protocol in service.protocols {
            match protocol {
                Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => drop(self.targets.insert(target(operation), operation)),
                Protocol::RpcV2Cbor => drop(self.cbor.insert(target(operation), operation)),
                Protocol::AwsQuery | Protocol::Ec2Query => {
                    self.actions.entry(operation.name).or_default().push(operation);
                }
                Protocol::RestJson1 | Protocol::RestXml => {
                    self.paths.push((Template::of(operation.method, operation.uri), operation));
                }
            }
        }
    }

    /// The operation that a request asks for.
    ///
    /// # Errors
    /// An answer that says, in the likeliest protocol, why there is none.
    pub fn route(&self, request: &Request<Bytes>) -> Result<Call, Unrouted> {
        let hint = Hint::of(request.headers(), request.uri().query());
        let refuse = |fault| self.unrouted(request.headers(), request.uri().query(), fault);
        if request.body().len() > MAX_BODY {
            return Err(refuse(Common::RequestTooLarge.fault(format!("A request has at most {MAX_BODY} bytes."))));
        }
        if is_cbor(request.headers()) {
            return self.by_rpc(request).ok_or_else(|| refuse(unknown(request.uri().path())));
        }
        if let Some(target) = text(request.headers(), "x-amz-target") {
            return self.by_target(target, request).ok_or_else(|| refuse(unknown(target)));
        }
        let path = normal_path(request.uri().path());
        if path == "/"
            && let Some(form) = form(request).map_err(&refuse)?
        {
            return self.by_action(form, &hint, request).map_err(refuse);
        }
        let query = Form::read(&[request.uri().query().unwrap_or_default().as_bytes()])
            .map_err(|e| refuse(Common::Serialization.fault(e.to_string())))?;
        self.by_path(request.method().as_str(), &path, query, &hint).ok_or_else(|| {
            refuse(Common::UnknownOperation.fault(format!("There is no operation at {} {path}.", request.method())))
        })
    }

    /// A refusal before anything was routed, in the likeliest protocol: for a body that was too long to be read.
    pub fn refuse(&self, parts: &Parts, fault: Fault) -> Unrouted {
        self.unrouted(&parts.headers, parts.uri.query(), fault)
    }

    fn by_rpc(&self, request: &Request<Bytes>) -> Option<Call> {
        let path = normal_path(request.uri().path());
        let (service, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
        let operation = *self.cbor.get(&format!("{service}.{operation}"))?;
        (request.method() == Method::POST).then(|| Call::new(operation, Protocol::RpcV2Cbor, Input::Body))
    }

    fn by_target(&self, target: &str, request: &Request<Bytes>) -> Option<Call> {
        let operation = *self.targets.get(target)?;
        Some(Call::new(operation, json_version(request.headers()), Input::Body))
    }

    fn by_action(&self, form: Form, hint: &Hint<'_>, request: &Request<Bytes>) -> Result<Call, Fault> {
        let missing = || Common::MissingAction.fault("The request must contain the parameter Action");
        let action = form.get("Action").ok_or_else(missing)?.to_owned();
        let version = form.get("Version");
        let named = self.actions.get(action.as_str()).into_iter().flatten().copied();
        let mut found: Vec<_> = named.filter(|o| version.is_none_or(|v| v == o.service.api_version)).collect();
        found.sort_by_key(|o| (!hint.is(o.service), o.service.name));
        let Some(operation) = found.first() else {
            let version = version.unwrap_or("NO_VERSION_SPECIFIED");
            return Err(
                Common::UnknownOperation.fault(format!("Could not find operation {action} for version {version}"))
            );
        };
        let ec2 = operation.service.protocols.contains(&Protocol::Ec2Query);
        let protocol = if ec2 { Protocol::Ec2Query } else { Protocol::AwsQuery };
        Ok(Call::new(operation, protocol, Input::Form { form, json: wants_json(request.headers()) && !ec2 }))
    }

    fn by_path(&self, method: &str, path: &str, query: Form, hint: &Hint<'_>) -> Option<Call> {
        let segments: Vec<&str> = segments(path).collect();
        let mut found = self
            .paths
            .iter()
            .filter_map(|(template, operation)| Some((template.matches(method, &segments, &query)?, *operation)));
        let mut first = found.next()?;
        // It is the most special; another service's may stand behind it.
        if !hint.is(first.1.service) {
            first = found.find(|(_, operation)| hint.is(operation.service)).unwrap_or(first);
        }
        let (labels, operation) = first;
        drop(found);
        let xml = operation.service.protocols.contains(&Protocol::RestXml);
        let protocol = if xml { Protocol::RestXml } else { Protocol::RestJson1 };
        Some(Call::new(operation, protocol, Input::Rest { labels, query }))
    }

    fn unrouted(&self, headers: &HeaderMap, query: Option<&str>, fault: Fault) -> Unrouted {
        let service = Hint::of(headers, query).0.and_then(|name| self.services.get(&*name).copied());
        let is_form = is_form(headers) || query.is_some_and(|q| q.split('&').any(|p| p.starts_with("Action=")));
        let takes_forms = |protocol: &&Protocol| matches!(protocol, Protocol::AwsQuery | Protocol::Ec2Query);
        let likeliest = |protocols: &'static [Protocol]| {
            protocols.iter().find(|protocol| takes_forms(protocol) == is_form).or(protocols.first())
        };
        let protocol = match service.and_then(|service| likeliest(service.protocols)) {
            _ if is_cbor(headers) => Protocol::RpcV2Cbor,
            _ if headers.contains_key("x-amz-target") => json_version(headers),
            Some(protocol) => *protocol,
            None if is_form => Protocol::AwsQuery,
            None => Protocol::RestJson1,
        };
        Unrouted { service, protocol, json: wants_json(headers), fault }
    }
}

/// The service that a request says it is signed for.
struct Hint<'r>(Option<Cow<'r, str>>);

impl<'r> Hint<'r> {
    /// From `Credential=KEY/DATE/REGION/SERVICE/aws4_request` of the header or the query.
    fn of(headers: &'r HeaderMap, query: Option<&'r str>) -> Hint<'r> {
        let header = text(headers, header::AUTHORIZATION.as_str())
            .and_then(|value| Some(Cow::Borrowed(value.split_once("Credential=")?.1.split('/').nth(3)?)));
        let parameter = || {
            let scope = query?.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
            let scope = percent_decode_str(scope).decode_utf8().ok()?;
            Some(Cow::Owned(scope.split('/').nth(3)?.to_owned()))
        };
        Hint(header.or_else(parameter))
    }

    fn is(&self, service: &Service) -> bool {
        self.0.as_deref() == Some(service.signing_name)
    }
}

/// The form of a request that has one: its body, or a query string with an `Action`.
fn form(request: &Request<Bytes>) -> Result<Option<Form>, Fault> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let body = if is_form(request.headers()) { body::plain(request.headers(), request.body())? } else { Bytes::new() };
    let form = Form::read(&[&body, query]).map_err(|e| Common::Serialization.fault(e.to_string()))?;
    Ok((is_form(request.headers()) || form.get("Action").is_some()).then_some(form))
}

/// What names an operation where paths and forms do not.
fn target(operation: &AnyOperation) -> String {
    format!("{}.{}", operation.service.target_prefix.unwrap_or_default(), operation.name)
}

fn is_cbor(headers: &HeaderMap) -> bool {
    let (name, value) = cbor::PROTOCOL;
    text(headers, name) == Some(value)
}

fn is_form(headers: &HeaderMap) -> bool {
    text(headers, "content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

fn json_version(headers: &HeaderMap) -> Protocol {
    match text(headers, "content-type") {
        Some(kind) if kind.starts_with("application/x-amz-json-1.0") => Protocol::AwsJson1_0,
        _ => Protocol::AwsJson1_1,
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    text(headers, "accept").is_some_and(|kinds| kinds.split(',').any(|k| k.trim().starts_with("application/json")))
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn unknown(target: &str) -> Fault {
    Common::UnknownOperation.fault(format!("There is no operation {target}."))
}
