use super::{Schema, Shape, Value};
use crate::fault::{Code, ErrorShape};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// An AWS service, as its model describes it.
#[derive(Debug)]
pub struct Service {
    /// Our name of it and the module of its shapes: `eks`. Also the prefix of its IAM actions.
    pub name: &'static str,
    /// The model's `serviceId`, as user agents and CloudTrail know it: `EKS`.
    pub id: &'static str,
    /// The service in a SigV4 credential scope.
    pub signing_name: &'static str,
    /// The first label of its host name.
    pub endpoint_prefix: &'static str,
    /// The date that names the version of its API; the `Version` of forms.
    pub api_version: &'static str,
    /// The protocols that it speaks, the one that it prefers first.
    pub protocols: &'static [Protocol],
    /// What stands before the dot of `x-amz-target`, for protocols that have it.
    pub target_prefix: Option<&'static str>,
    /// The XML namespace of its responses, for protocols that have it.
    pub namespace: Option<&'static str>,
    /// Where its resources live.
    pub scope: Scope,
    /// Whether an error's body names every member of the error's shape, null where unused (as EKS does).
    pub null_error_members: bool,
    /// Whether its JSON errors also carry the code of its older query protocol.
    pub query_compatible: bool,
}

/// Where a service's resources live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In one region.
    Regional,
    /// In all of the partition; signed for `us-east-1`.
    Global,
}

impl Scope {
    /// The region that global services are called in, and requests to them are signed for (AWS General Reference, "Service
    /// endpoints").
    pub const GLOBAL_REGION: &'static str = "us-east-1";
}

/// A way to write operations as HTTP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// REST with JSON bodies.
    RestJson1,
    /// REST with XML bodies.
    RestXml,
    /// JSON documents to `/`, content type `application/x-amz-json-1.0`.
    AwsJson1_0,
    /// JSON documents to `/`, content type `application/x-amz-json-1.1`.
    AwsJson1_1,
    /// Forms with an `Action`; XML answers.
    AwsQuery,
    /// EC2's own dialect of the same.
    Ec2Query,
    /// CBOR documents to `/service/X/operation/Y`.
    RpcV2Cbor,
}

/// An operation and its types: `shapes::eks::CREATE_CLUSTER`.
pub struct Operation<I, O> {
    any: AnyOperation,
    types: PhantomData<fn(I) -> O>,
}

/// Who calls from where, for templates of ARNs.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The caller's account.
    pub account: &'a str,
    /// The region that is called.
    pub region: &'a str,
    /// The caller's name in its account, without its path.
    pub name: &'a str,
}

/// An operation without its types: what a router, an authorizer and an audit need to know.
pub struct AnyOperation {
    /// Whose it is.
    pub service: &'static Service,
    /// Its name: `CreateCluster`.
    pub name: &'static str,
    /// HTTP method of the REST protocols.
    pub method: &'static str,
    /// Template of path and fixed query parameters of the REST protocols: `/clusters/{name}`.
    pub uri: &'static str,
    /// HTTP status of success.
    pub status: u16,
    /// What it takes.
    pub input: &'static Schema,
    /// What it gives.
    pub output: &'static Schema,
    /// The IAM action that a caller needs: `eks:CreateCluster`.
    pub action: &'static str,
    /// Any authenticated caller may: no policy is asked (`sts:GetCallerIdentity`).
    pub open: bool,
    /// Templates of the ARNs that it touches; see [`AnyOperation::targets`].
    pub resources: &'static [&'static str],
    /// Input members that name a role which the caller passes to the service (needs `iam:PassRole` on it).
    pub pass_role: &'static [&'static str],
    /// The errors that its model declares.
    pub errors: &'static [&'static ErrorShape],
    /// What an input that breaks the model's constraints is answered with.
    pub invalid: Code,
    /// Changes nothing.
    pub readonly: bool,
    /// The input member that makes a retry harmless.
    pub idempotency_token: Option<&'static str>,
    /// How its results are cut into pages.
    pub pagination: Option<Pagination>,
    /// SDK waiters poll it.
    pub waiter: bool,
    /// May be called without a signature.
    pub unsigned: bool,
}

/// How results are cut into pages: names of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pagination {
    /// Of the input: where to go on.
    pub input_token: &'static str,
    /// Of the output: where the next page goes on.
    pub output_token: &'static str,
    /// Of the input: how many results at most.
    pub limit_key: Option<&'static str>,
    /// Of the output: the results; several lists may make one page.
    pub result_keys: &'static [&'static str],
    /// Of the output: whether there are more (IAM's `IsTruncated`).
    pub more_results: Option<&'static str>,
}

impl<I: Shape, O: Shape> Operation<I, O> {
    /// The typed operation of a description whose schemas are those of `I` and `O`.
    pub const fn new(any: AnyOperation) -> Operation<I, O> {
        Operation { any, types: PhantomData }
    }

    /// Without its types.
    pub const fn any(&'static self) -> &'static AnyOperation {
        &self.any
    }
}

impl<I, O> Deref for Operation<I, O> {
    type Target = AnyOperation;
    fn deref(&self) -> &AnyOperation {
        &self.any
    }
}

impl AnyOperation {
    /// Whether it answers with a structure, be it an empty one.
    pub fn has_output(&self) -> bool {
        !std::ptr::eq(self.output, <() as Shape>::SCHEMA)
    }

    /// The ARNs that a call with this input touches, from the templates in `resources`.
    ///
    /// In a template `{account}` and `{region}` are the caller's; `{roleArn}` is a member of the input,
    /// `{resourcesVpcConfig.subnetIds}` a member of a member or of the elements of a list, `{Path|/}` a member with a default, `{registryId|account}`
    /// one whose default is the caller's account, `{UserName|caller}` one whose default is the caller's name. A member that is a list gives one ARN per element. A member that is
    /// absent and has no default gives `*`.
    pub fn targets(&self, input: &Value, from: &Origin<'_>) -> Vec<String> {
        self.resources.iter().flat_map(|template| fill(template, input, from)).collect()
    }
}

impl fmt::Debug for AnyOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.name, self.name)
    }
}

impl<I, O> fmt::Debug for Operation<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}

fn fill(template: &str, input: &Value, from: &Origin<'_>) -> Vec<String> {
    let mut arns = vec![String::new()];
    let mut rest = template;
    while let Some((before, (name, after))) = rest.split_once('{').and_then(|(b, r)| Some((b, r.split_once('}')?))) {
        let values = match name {
            "account" => vec![from.account.to_owned()],
            "region" => vec![from.region.to_owned()],
            member => texts(member, input, from),
        };
        arns = arns.iter().flat_map(|arn| values.iter().map(move |v| format!("{arn}{before}{v}"))).collect();
        rest = after;
    }
    arns.iter_mut().for_each(|arn| arn.push_str(rest));
    arns
}

fn texts(member: &str, input: &Value, from: &Origin<'_>) -> Vec<String> {
    let (path, default) = member.split_once('|').unwrap_or((member, "*"));
    let default = match default {
        "account" => from.account,
        "caller" => from.name,
        default => default,
    };
    let mut found = vec![];
    reach(input, Some(path), &mut found);
    if found.is_empty() { vec![default.to_owned()] } else { found }
}

/// All texts at the path, through lists.
fn reach(value: &Value, path: Option<&str>, found: &mut Vec<String>) {
    if let Value::List(elements) = value {
        return elements.iter().for_each(|element| reach(element, path, found));
    }
    let Some(path) = path else {
        return found.extend(value.as_str().map(str::to_owned));
    };
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    if let Some(member) = value.at(name) {
        reach(member, rest, found);
    }
}

impl Protocol {
    /// Whether it answers in XML. Errors then go by their codes, else by their shapes' names.
    pub const fn is_xml(self) -> bool {
        matches!(self, Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml)
    }
}
