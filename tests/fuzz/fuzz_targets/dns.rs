#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fulmar_fuzz::dns(octets));
