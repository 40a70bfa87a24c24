//! libFuzzer's way into [`vipd_fuzz::configuration`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::configuration::run(data));
