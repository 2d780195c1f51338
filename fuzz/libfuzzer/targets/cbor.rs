#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (fuzz::target("cbor").expect("it is a target").run)(bytes));
