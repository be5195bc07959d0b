//! bcrypt (cost 10) on bounded threads behind a bounded queue.
//!
//! Always: hashes read `$2b$10$...`; a password that bcrypt could only cut is never hashed and never matches; every
//! comparison does the same work, whether the account exists or not; beyond the queue's bound a caller is told to come back
//! instead of waiting. Not here: rules for passwords (`domain/access`), throttling (`apps/control-core`).

mod hasher;

pub use self::hasher::{BcryptHasher, HasherLimits};
