//! libFuzzer's way into [`vipd_fuzz::election`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::election::run(data));
