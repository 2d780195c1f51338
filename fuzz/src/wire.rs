//! Protocols: a request is decoded to a document of its operation's schema, or refused as that protocol refuses.

use crate::made_up;
use crate::request::{ID, assert_readable, assert_refusal, read};
use roadstead_shapes::{autoscaling, ec2 as of_ec2, ecr, eks, iam, ssm, sts};
use roadstead_wire::Router;
use roadstead_wire::schema::canonical::{self, Sensitive};
use roadstead_wire::schema::{AnyOperation, Origin, Value};
use std::sync::LazyLock;

/// restJson1.
pub fn rest_json(bytes: &[u8]) {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| router(&[eks::OPERATIONS]));
    decode(&ROUTER, bytes);
}

/// awsJson1.1.
pub fn aws_json(bytes: &[u8]) {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| router(&[ecr::OPERATIONS, ssm::OPERATIONS]));
    decode(&ROUTER, bytes);
}

/// awsQuery.
pub fn query(bytes: &[u8]) {
    static ROUTER: LazyLock<Router> =
        LazyLock::new(|| router(&[iam::OPERATIONS, sts::OPERATIONS, autoscaling::OPERATIONS]));
    decode(&ROUTER, bytes);
}

/// ec2Query.
pub fn ec2(bytes: &[u8]) {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| router(&[of_ec2::OPERATIONS]));
    decode(&ROUTER, bytes);
}

/// restXml.
pub fn rest_xml(bytes: &[u8]) {
    decode(&MADE_UP, bytes);
}

/// RPC v2 CBOR.
pub fn cbor(bytes: &[u8]) {
    decode(&MADE_UP, bytes);
}

static MADE_UP: LazyLock<Router> = LazyLock::new(|| router(&[made_up::OPERATIONS]));

fn router(services: &[&[&'static AnyOperation]]) -> Router {
    Router::new(services.iter().flat_map(|operations| operations.iter().copied()))
}

fn decode(router: &Router, bytes: &[u8]) {
    let Some(request) = read(bytes) else { return };
    let call = match router.route(&request) {
        Ok(call) => call,
        Err(unrouted) => return assert_refusal(&unrouted.respond(ID)),
    };
    let operation = call.operation();
    match call.decode(&request) {
        Err(fault) => assert_refusal(&call.refuse(&fault, ID)),
        Ok(input) => {
            assert_kept(operation, &input);
            operation.targets(&input, &Origin { account: "111122223333", region: "us-east-1", name: "ada" });
            if let Err(fault) = operation.validate(&input) {
                assert_refusal(&call.refuse(&fault, ID));
            }
            // Operations that give back what they take: whatever was read can be written.
            if std::ptr::eq(operation.input, operation.output) {
                assert_readable(&call.respond(&input, ID));
            }
        }
    }
}

/// The canonical form, which the audit and idempotency live by, says all of a document.
fn assert_kept(operation: &AnyOperation, input: &Value) {
    let text = canonical::write(operation.input, input, Sensitive::Shown);
    let read = canonical::read(operation.input, &text).unwrap_or_else(|why| panic!("{why}: {text}"));
    assert_eq!(canonical::write(operation.input, &read, Sensitive::Shown), text);
}
