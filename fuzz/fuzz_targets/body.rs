#![no_main]

#[path = "../targets/services.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::body(data));
