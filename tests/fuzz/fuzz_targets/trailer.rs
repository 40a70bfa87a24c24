//! libFuzzer's way into [`vipd_fuzz::trailer`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vipd_fuzz::trailer::run(data));
