//! Free ports.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Below the range from which the system takes ports of outgoing connections, so that no such connection takes one between
/// the choice and its use.
const FIRST: u64 = 15_000;
const COUNT: u64 = 16_000;
/// Coprime to `COUNT`: the walk visits every port.
const STRIDE: u64 = 7_919;

/// A loopback port that nobody listens on, and that this process has not given away before. Test processes that run side by
/// side begin their walk at random places.
pub fn free_port() -> u16 {
    static BEGIN: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let begin = *BEGIN.get_or_init(|| RandomState::new().hash_one(std::process::id()) % COUNT);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + (begin + step * STRIDE) % COUNT).expect("the range lies below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}
