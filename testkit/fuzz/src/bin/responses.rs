//! Any bytes from an upstream, through the whole gateway to a client that reads strictly.
#![no_main]

#[path = "../../../../adapters/http-edge/tests/edge/harness.rs"]
#[expect(dead_code, reason = "the edge's tests need more of it than one target")]
mod harness;
#[path = "../../../../adapters/http-edge/tests/edge/hostile.rs"]
#[expect(dead_code, reason = "the edge's tests need more of it than one target")]
mod hostile;
#[path = "../../../../adapters/http-edge/tests/edge/strict.rs"]
mod strict;

use std::sync::OnceLock;

static WORLD: OnceLock<hostile::HostileUpstream> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| WORLD.get_or_init(hostile::HostileUpstream::start).check(input));
