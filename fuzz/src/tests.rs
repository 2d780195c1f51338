use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many inputs each target gets; `FUZZ_INPUTS` says another number.
const INPUTS: usize = 3000;

/// How many of those that break a rule are shown.
const SHOWN: usize = 5;

/// Tries a target; what breaks a rule is shown as it is written in Rust, for a test.
fn attempt(name: &str) {
    let target = target(name).unwrap();
    let seeds = (target.seeds)();
    let inputs = std::env::var("FUZZ_INPUTS").ok().map_or(INPUTS, |number| number.parse().unwrap());
    let mut chance = Chance(1);
    let tried = (0..inputs).map(|_| chance.input(&seeds));
    let inputs: Vec<Vec<u8>> = seeds.iter().cloned().chain(tried).collect();
    let breaks = |input: &&Vec<u8>| catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err();
    let found: Vec<String> =
        inputs.iter().filter(breaks).map(|input| format!("b\"{}\"", input.escape_ascii())).collect();
    let few = found.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(found.is_empty(), "{} of {} inputs break {name}; why stands above:\n{few}", found.len(), inputs.len());
}

#[test]
fn rest_json_takes_any_bytes() {
    attempt("rest_json");
}

#[test]
fn aws_json_takes_any_bytes() {
    attempt("aws_json");
}

#[test]
fn query_takes_any_bytes() {
    attempt("query");
}

#[test]
fn ec2_takes_any_bytes() {
    attempt("ec2");
}

#[test]
fn rest_xml_takes_any_bytes() {
    attempt("rest_xml");
}

#[test]
fn cbor_takes_any_bytes() {
    attempt("cbor");
}

#[test]
fn operations_take_any_bytes() {
    attempt("operations");
}

#[test]
fn nothing_verifies_that_was_not_signed() {
    attempt("signature");
}

#[test]
fn what_was_signed_verifies() {
    for request in signature::seeds().iter().filter_map(|bytes| request::read(bytes)) {
        signature::verified(&request, signature::SIGNER.secret).unwrap_or_else(|why| panic!("{why}: {request:?}"));
    }
}

#[test]
fn a_journal_of_any_bytes_is_its_state_or_refused() {
    attempt("journal");
}

#[test]
fn what_the_made_up_service_is_sent_is_read_and_sent_back() {
    for bytes in made_up::rest_xml().into_iter().chain(made_up::cbor()) {
        let request = request::read(&bytes).unwrap();
        let call = roadstead_wire::Router::new(made_up::OPERATIONS.iter().copied()).route(&request).unwrap();
        let input = call.decode(&request).unwrap();
        call.operation().validate(&input).unwrap();
        request::assert_readable(&call.respond(&input, request::ID));
    }
}

#[test]
fn every_target_has_good_inputs_and_a_test() {
    let tests = include_str!("tests.rs");
    for target in TARGETS {
        assert!(
            !(target.seeds)().is_empty() && tests.contains(&format!("attempt(\"{}\")", target.name)),
            "{}",
            target.name
        );
    }
}
