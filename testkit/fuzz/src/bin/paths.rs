//! Any bytes as a path.
#![no_main]

#[path = "../../../../domain/routing/tests/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::check(input));
