//! libFuzzer's way into [`vipd_fuzz::import`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::import::run(data));
