//! botocore's own protocol cases, both ways: what its serializers send must decode here to what they were given, and
//! what is sent from here must decode at a client to what was meant.
//!
//! The client's side is written here a second time ([`client`]), from the protocols' specifications; it must also read
//! the answers that stand in the cases, so that it is no mirror of the code it tests.

mod client;
mod excluded;
mod model;

use bytes::Bytes;
use client::Client;
use http::{Request, Response};
use model::{Case, Suite};
use roadstead_wire::schema::{Protocol, Struct, Value};
use roadstead_wire::{Call, Router};
use std::collections::BTreeSet;

const FILES: [&str; 10] = [
    "ec2.json",
    "json.json",
    "json_1_0.json",
    "json_1_0-query-compatible.json",
    "query.json",
    "rest-json.json",
    "rest-xml.json",
    "smithy-rpc-v2-cbor.json",
    "smithy-rpc-v2-cbor-non-query-compatible.json",
    "smithy-rpc-v2-cbor-query-compatible.json",
];

/// Runs the cases of a direction and reports all that fail.
fn run(direction: &str, test: fn(&Suite, &Case) -> Result<(), String>) {
    let mut ran = 0;
    let mut failed = vec![];
    let mut unused: BTreeSet<&str> = excluded::ids(direction).collect();
    for file in FILES {
        for suite in model::suites(direction, file) {
            for case in &suite.cases {
                if excluded::reason(direction, &case.id).is_some() {
                    unused.remove(case.id.as_str());
                    continue;
                }
                ran += 1;
                if let Err(why) = test(&suite, case) {
                    failed.push(format!("{file} {}: {why}", case.id));
                }
            }
        }
    }
    println!("{direction}: {ran} cases ran, {} excluded", excluded::ids(direction).count());
    assert!(failed.is_empty(), "{} of {ran} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(unused.is_empty(), "excluded and not there: {unused:?}");
}

#[test]
fn every_input_case_decodes_to_what_it_describes() {
    run("input", |suite, case| {
        let operation = suite.operation(case);
        let request = request(case, suite);
        let router = Router::new([operation]);
        let call = router.route(&request).map_err(|e| format!("not routed: {}", e.fault()))?;
        let found = call.decode(&request).map_err(|e| e.to_string())?;
        let wanted = model::described(operation.input, &case.params);
        same(&wanted, &found)
    });
}

#[test]
fn every_output_case_reaches_a_client_as_described() {
    run(
        "output",
        |suite, case| if case.error.is_some() { check_error(suite, case) } else { check_output(suite, case) },
    );
}

fn check_output(suite: &Suite, case: &Case) -> Result<(), String> {
    let operation = suite.operation(case);
    let wanted = model::described(operation.output, &case.result);
    let client = Client { operation, protocol: suite.protocol };
    same(&wanted, &client.output(&case.response.to_http(suite))?).map_err(|e| format!("the case's own answer: {e}"))?;
    let answer = call(suite, case).respond(&wanted, "an-id");
    same(&wanted, &client.output(&answer)?).map_err(|e| format!("{e}\n  in {}", show(&answer)))?;
    if answer.headers().get("x-amzn-requestid").is_none_or(|id| id != "an-id") {
        return Err("the answer has not its id".into());
    }
    if suite.protocol == Protocol::RpcV2Cbor && answer.headers().get("smithy-protocol").is_none() {
        return Err("the answer does not say that it is in RPC v2".into());
    }
    Ok(())
}

fn check_error(suite: &Suite, case: &Case) -> Result<(), String> {
    let operation = suite.operation(case);
    let shape = operation.errors[0];
    let Value::Struct(members) = model::described(shape.schema, case.error.as_ref().expect("it is an error")) else {
        return Err("an error is a structure".into());
    };
    let mut fault = shape.fault(case.error_message.clone().unwrap_or_default());
    let others: Vec<_> = members.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("message")).collect();
    for (name, value) in &others {
        fault = fault.with(name, (*value).clone());
    }
    let answer = call(suite, case).refuse(&fault, "an-id");
    let client = Client { operation, protocol: suite.protocol };
    let wanted: Struct = others.into_iter().fold(Struct::new(), |all, (name, value)| all.with(name, value.clone()));
    let mut answers = vec![("ours", answer)];
    if case.response.body.is_some() {
        answers.push(("the case's own", case.response.to_http(suite)));
    }
    for (whose, answer) in answers {
        let error = client.error(&answer, shape.schema)?;
        let found = (error.code.as_str(), error.message.unwrap_or_default());
        if found != (case.error_code.as_str(), case.error_message.clone().unwrap_or_default()) {
            return Err(format!("{whose}: {found:?} in {}", show(&answer)));
        }
        same(&Value::Struct(wanted.clone()), &Value::Struct(error.members)).map_err(|e| format!("{whose}: {e}"))?;
    }
    Ok(())
}

/// A request as botocore sends it.
fn request(case: &Case, suite: &Suite) -> Request<Bytes> {
    let sent = &case.serialized;
    let mut request =
        Request::builder().method(sent.method.as_deref().unwrap_or("POST")).uri(sent.uri.as_deref().unwrap_or("/"));
    for (name, value) in &sent.headers {
        request = request.header(name, value);
    }
    if matches!(suite.protocol, Protocol::AwsQuery | Protocol::Ec2Query) && sent.headers.is_empty() {
        request = request.header("content-type", "application/x-www-form-urlencoded");
    }
    request.body(suite.bytes(sent.body.as_deref())).expect("the case's request is one")
}

/// A call of the case's operation, to answer.
fn call(suite: &Suite, case: &Case) -> Call {
    let operation = suite.operation(case);
    let request = match suite.protocol {
        Protocol::AwsQuery | Protocol::Ec2Query => Request::post(format!("/?Action={}", operation.name)),
        Protocol::RpcV2Cbor => Request::post(format!("/service/{}/operation/{}", suite.target(), operation.name))
            .header("smithy-protocol", "rpc-v2-cbor"),
        Protocol::RestJson1 | Protocol::RestXml => Request::builder().method(operation.method).uri(operation.uri),
        _ => Request::post("/").header("x-amz-target", format!("{}.{}", suite.target(), operation.name)).header(
            "content-type",
            if suite.protocol == Protocol::AwsJson1_0 { "application/x-amz-json-1.0" } else { "" },
        ),
    };
    let request = request.body(Bytes::new()).expect("it is a request");
    Router::new([operation]).route(&request).expect("an operation is found by its name")
}

fn same(wanted: &Value, found: &Value) -> Result<(), String> {
    // NaN is not equal to itself, its text is.
    match format!("{:?}", model::sorted(wanted)) == format!("{:?}", model::sorted(found)) {
        true => Ok(()),
        false => Err(format!("\n  wanted {wanted:?}\n  found  {found:?}")),
    }
}

fn show(answer: &Response<Bytes>) -> String {
    format!("{} {:?} {}", answer.status(), answer.headers(), String::from_utf8_lossy(answer.body()))
}
