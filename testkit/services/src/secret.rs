//! Passwords of servers that live for one run.

use std::hash::{BuildHasher as _, RandomState};

/// 128 bits in hex, from the keys that the standard library draws for its hash maps.
pub(crate) fn password() -> String {
    let draw = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", draw(), draw())
}
