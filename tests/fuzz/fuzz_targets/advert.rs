//! libFuzzer's way into [`vipd_fuzz::advert`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::advert::run(data));
