//! libFuzzer's way into [`vipd_fuzz::control`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::control::run(data));
