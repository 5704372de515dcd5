#![no_main]

#[path = "../targets/domain.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::webhook(data));
