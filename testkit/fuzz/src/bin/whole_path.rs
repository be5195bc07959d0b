//! Any bytes from a client, through the whole gateway to upstreams that read strictly.
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

static WORLD: OnceLock<hostile::HostileClients> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| WORLD.get_or_init(hostile::HostileClients::start).check(input));
