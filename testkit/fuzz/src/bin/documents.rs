//! Any bytes as a frame of the sync link, a batch of telemetry and a configuration.
#![no_main]

#[path = "../../../../adapters/documents/tests/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::check(input));
