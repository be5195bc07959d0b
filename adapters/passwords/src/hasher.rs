//! The hasher and its two bounds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bcrypt::{BcryptError, Version};
use novagate_access::{Password, PasswordHash};
use novagate_ports_base::{Entropy, FaultKind, PortError};
use novagate_ports_control::outbound::{HashError, PasswordHasher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

const COST: u32 = 10;

/// A stored hash with a higher cost is not ours and could keep a thread busy for hours.
const MAX_STORED_COST: u32 = 12;

/// The hash of 32 random bytes that nobody kept: what a missing account is compared with.
const NOBODYS_HASH: &str = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

/// About how long one hash takes on one thread.
const HASH_TIME: Duration = Duration::from_millis(70);

/// How much hashing at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HasherLimits {
    /// Threads that hash at the same time; at least 1.
    pub threads: usize,
    /// Callers that may be hashing or waiting; at least `threads`.
    pub queue: usize,
}

impl Default for HasherLimits {
    /// Two threads, and no more waiting than they work off in about two seconds.
    fn default() -> Self {
        Self { threads: 2, queue: 64 }
    }
}

/// Hashes and compares passwords.
pub struct BcryptHasher {
    entropy: Arc<dyn Entropy>,
    queue: Arc<Semaphore>,
    threads: Arc<Semaphore>,
    limits: HasherLimits,
}

impl BcryptHasher {
    /// A hasher within `limits`; salts come from `entropy`.
    pub fn new(entropy: Arc<dyn Entropy>, limits: HasherLimits) -> Self {
        let threads = limits.threads.clamp(1, 1_024);
        let limits = HasherLimits { threads, queue: limits.queue.clamp(threads, 65_536) };
        Self {
            entropy,
            queue: Arc::new(Semaphore::new(limits.queue)),
            threads: Arc::new(Semaphore::new(limits.threads)),
            limits,
        }
    }

    /// Runs `job` on a thread of its own when it is its turn. The permits travel with the job: when the caller goes away,
    /// what has begun is still counted until it ends.
    async fn run<T: Send + 'static>(
        &self,
        op: &'static str,
        job: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = self.place_in_queue()?;
        let failed = |_| HashError::Failed(PortError::new(op, FaultKind::Unavailable, "the hasher has been shut down"));
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(failed)?;
        let work = tokio::task::spawn_blocking(move || {
            let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (thread, place);
            let outcome = job();
            drop(held);
            outcome
        });
        work.await.unwrap_or_else(|error| Err(HashError::Failed(PortError::new(op, FaultKind::Unavailable, error))))
    }

    fn place_in_queue(&self) -> Result<OwnedSemaphorePermit, HashError> {
        Arc::clone(&self.queue).try_acquire_owned().map_err(|_| {
            let rounds = u32::try_from(self.limits.queue.div_ceil(self.limits.threads)).unwrap_or(u32::MAX);
            let wait = HASH_TIME.saturating_mul(rounds);
            // `Retry-After` counts whole seconds.
            HashError::Busy { retry_after: Duration::from_secs(wait.as_secs().saturating_add(1)) }
        })
    }
}

#[async_trait]
impl PasswordHasher for BcryptHasher {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        if !password.can_be_hashed() {
            let source = "a password that breaks the rules reached the hasher";
            return Err(HashError::Failed(PortError::new("passwords.hash", FaultKind::Misuse, source)));
        }
        let salt = self.entropy.bytes::<16>();
        self.run("passwords.hash", move || {
            // The library's non-truncating functions count a closing NUL and refuse 72 bytes; here nothing is longer.
            bcrypt::hash_with_salt(password.expose(), COST, salt)
                .map(|parts| PasswordHash::from_modular_crypt(&parts.format_for_version(Version::TwoB)))
                .map_err(|error| failed("passwords.hash", &error))
        })
        .await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashError> {
        self.run("passwords.verify", move || compare(&password, hash.as_ref())).await
    }
}

impl fmt::Debug for BcryptHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BcryptHasher").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// One bcrypt, whatever the arguments: a missing account and a password without a hash cost as much as any other.
fn compare(password: &Password, hash: Option<&PasswordHash>) -> Result<bool, HashError> {
    let stored = hash.map_or(NOBODYS_HASH, PasswordHash::as_str);
    let cost = stored.get(4..6).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    if cost > MAX_STORED_COST {
        return Err(failed("passwords.verify", &BcryptError::CostNotAllowed(cost)));
    }
    let could_match = hash.is_some() && password.can_be_hashed();
    let text = if password.can_be_hashed() {
        Zeroizing::new(password.expose().to_owned())
    } else {
        Zeroizing::new("x".repeat(novagate_access::PasswordRules::MAX_BYTES))
    };
    let same = bcrypt::verify(text.as_bytes(), stored).map_err(|error| failed("passwords.verify", &error))?;
    Ok(same && could_match)
}

/// The library's texts name rules, never a password or a hash.
fn failed(op: &'static str, error: &BcryptError) -> HashError {
    HashError::Failed(PortError::new(op, FaultKind::Corrupt, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use novagate_access::PasswordRules;

    use super::*;

    /// Different bytes for every call.
    #[derive(Default)]
    struct Counting(AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn hasher(limits: HasherLimits) -> BcryptHasher {
        BcryptHasher::new(Arc::new(Counting::default()), limits)
    }

    fn password(text: &str) -> Password {
        Password::presented(text.to_owned())
    }

    #[tokio::test]
    async fn promise_c1_a_hash_is_bcrypt_with_cost_10_and_its_own_salt() {
        let hasher = hasher(HasherLimits::default());
        let first = hasher.hash(PasswordRules::check("correct horse".to_owned()).unwrap()).await.unwrap();
        let second = hasher.hash(password("correct horse")).await.unwrap();
        assert!(first.as_str().starts_with("$2b$10$"));
        assert_eq!(first.as_str().len(), 60);
        assert_ne!(first, second);
        assert!(hasher.verify(password("correct horse"), Some(first.clone())).await.unwrap());
        assert!(!hasher.verify(password("correct horsf"), Some(first)).await.unwrap());
    }

    #[tokio::test]
    async fn promise_c1_a_password_over_72_bytes_never_matches_its_first_72() {
        let hasher = hasher(HasherLimits::default());
        let full = "a".repeat(72);
        let hash = hasher.hash(password(&full)).await.unwrap();
        assert!(hasher.verify(password(&full), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password(&format!("{full}a")), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify(password(&"a".repeat(71)), Some(hash)).await.unwrap());
        assert!(
            matches!(hasher.hash(password(&format!("{full}a"))).await, Err(HashError::Failed(fault)) if fault.kind == FaultKind::Misuse)
        );
    }

    #[tokio::test]
    async fn promise_c1_a_nul_neither_hashes_nor_cuts_a_comparison() {
        let hasher = hasher(HasherLimits::default());
        let hash = hasher.hash(password("correct horse")).await.unwrap();
        assert!(!hasher.verify(password("correct horse\0x"), Some(hash)).await.unwrap());
        assert!(hasher.hash(password("correct\0horse")).await.is_err());
        // What an unhashable password is replaced by must not open an account that has it.
        let filler = hasher.hash(password(&"x".repeat(72))).await.unwrap();
        assert!(!hasher.verify(password("\0"), Some(filler)).await.unwrap());
    }

    #[tokio::test]
    async fn a_missing_account_is_compared_and_never_matches() {
        let hasher = hasher(HasherLimits::default());
        for text in ["", "correct horse", "password", "\0", &"y".repeat(100)] {
            assert!(!hasher.verify(password(text), None).await.unwrap(), "{text:?}");
        }
        assert!(bcrypt::verify("", NOBODYS_HASH).is_ok(), "the stand-in must be a well-formed hash");
    }

    #[tokio::test]
    async fn a_damaged_or_foreign_hash_is_an_error_without_its_text() {
        let hasher = hasher(HasherLimits::default());
        let canary = "$2b$31$CANARYCANARYCANARYCANAe";
        for text in ["", "CANARY", canary, &format!("{canary}{}", "a".repeat(29)), "$2b$10$é"] {
            let fault = hasher.verify(password("x"), Some(PasswordHash::from_modular_crypt(text))).await.unwrap_err();
            let HashError::Failed(fault) = fault else { panic!("busy") };
            assert_eq!(fault.kind, FaultKind::Corrupt);
            assert!(!format!("{fault:?}").contains("CANARY"));
        }
    }

    #[tokio::test]
    async fn beyond_the_queue_callers_are_told_when_to_come_back() {
        let hasher = hasher(HasherLimits { threads: 1, queue: 2 });
        let held: Vec<_> = (0..2).map(|_| hasher.place_in_queue().unwrap()).collect();
        let refusal = hasher.verify(password("x"), None).await.unwrap_err();
        assert!(matches!(refusal, HashError::Busy { retry_after } if retry_after >= Duration::from_secs(1)));
        drop(held);
        assert!(!hasher.verify(password("x"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_gives_its_place_back() {
        let hasher = hasher(HasherLimits { threads: 1, queue: 1 });
        for _ in 0..3 {
            let turn = tokio::time::timeout(Duration::ZERO, hasher.verify(password("x"), None)).await;
            assert!(turn.is_err() || turn.is_ok_and(|answer| answer.is_ok()));
            let whole = Arc::clone(&hasher.queue).acquire_owned().await.unwrap();
            drop(whole);
        }
        assert_eq!(hasher.threads.available_permits(), 1);
    }
}
