#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| pilotfish_fuzz::profile(data));
