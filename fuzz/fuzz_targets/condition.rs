#![no_main]

#[path = "../targets/domain.rs"]
#[expect(dead_code, reason = "each main takes one of the functions")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::condition(data));
