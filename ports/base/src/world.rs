//! Time and randomness, which use cases take as arguments.

use std::time::Duration;

use async_trait::async_trait;
use novagate_kernel::Timestamp;

/// The wall clock. It may step in either direction; nothing may depend on it going forwards.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Timestamp;
}

/// Lets time pass.
#[async_trait]
pub trait Pause: Send + Sync + 'static {
    /// Returns after about `duration`.
    async fn pause(&self, duration: Duration);
}

/// Cryptographically secure randomness.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random bytes. Never blocks for long and cannot fail: a system without randomness ends the
    /// process.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0_u8; N];
        self.fill(&mut bytes);
        bytes
    }
}
