#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ecr_warden_fuzz::targets::alert(data));
