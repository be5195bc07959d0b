//! Hashing, tokens, mail and throttling.

use std::time::Duration;

use async_trait::async_trait;
use novagate_access::{EmailKey, Password, PasswordHash, PlatformClaims, Verified};
use novagate_kernel::Timestamp;
use novagate_ports_base::PortError;

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue of work is full; try again after about this long.
    #[error("too many passwords are being hashed")]
    Busy {
        /// A good time to come back.
        retry_after: Duration,
    },
    /// The hasher failed.
    #[error("the password hasher failed")]
    Failed(#[source] PortError),
}

/// Slow password hashing on bounded threads. Contract: hashes are bcrypt, cost 10 (`$2b$10$`); comparing with a missing
/// hash takes as long as with a real one and is always false.
#[async_trait]
pub trait PasswordHasher: Send + Sync + 'static {
    /// Hashes a password that satisfies the rules.
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashError>;

    /// Compares; `None` stands for an account that does not exist.
    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<bool, HashError>;
}

/// Why a platform token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was valid once.
    #[error("the token has expired")]
    Expired,
    /// It is not a token of this control plane.
    #[error("the token is not valid")]
    Invalid,
}

/// Platform tokens: JWT (RFC 7519), HS256, 7 days.
pub trait PlatformTokens: Send + Sync + 'static {
    /// Signs claims.
    fn issue(&self, claims: &PlatformClaims) -> Result<String, PortError>;

    /// Checks signature, algorithm, issuer and times. The caller compares the generation with the account's.
    fn verify(&self, token: &str, now: Timestamp) -> Result<Verified<PlatformClaims>, TokenFault>;
}

/// What a mail is about.
#[derive(Debug)]
pub enum MailKind {
    /// Prove your address: a link that sets the password.
    Verify {
        /// The whole link.
        link: String,
    },
    /// Somebody registered with your address, which has an account.
    AlreadyRegistered,
    /// Set a new password.
    Reset {
        /// The whole link.
        link: String,
    },
    /// Your password has been changed.
    PasswordChanged,
}

/// A mail to be sent.
#[derive(Debug)]
pub struct Mail {
    /// To whom.
    pub to: EmailKey,
    /// What about.
    pub kind: MailKind,
}

/// Sends mail. Contract: returns once the mail is accepted by the next hop or written to the outbox; has a deadline.
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Sends one mail.
    async fn send(&self, mail: &Mail) -> Result<(), PortError>;
}

/// How many attempts in which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleRule {
    /// Attempts.
    pub max: u32,
    /// Window.
    pub window: Duration,
}

/// Counts attempts per keyed hash. Contract: never more than `max` admitted in any window; the wait it answers is enough.
#[async_trait]
pub trait Throttle: Send + Sync + 'static {
    /// Admits an attempt (`None`) or says how long to wait. Refused attempts are not counted.
    async fn attempt(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<Option<Duration>, PortError>;

    /// How many attempts were admitted within the window; for growing delays.
    async fn count(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<u32, PortError>;

    /// Forgets a key's attempts.
    async fn clear(&self, key: &str) -> Result<(), PortError>;
}
