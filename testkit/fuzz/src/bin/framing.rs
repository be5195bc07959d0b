//! Any bytes through the machine that frames requests.
#![no_main]

#[path = "../../../../domain/framing/tests/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::check(input));
