#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (fuzz::target("rest_xml").expect("it is a target").run)(bytes));
