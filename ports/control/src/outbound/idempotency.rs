//! Answers to repeated POSTs.

use async_trait::async_trait;
use bytes::Bytes;
use novagate_access::TenantScope;
use novagate_kernel::{Digest, Timestamp};
use novagate_ports_base::PortError;

/// An answer as it may be replayed: never with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentReply {
    /// The status.
    pub status: u16,
    /// The body, secrets already replaced by null.
    pub body: Bytes,
}

/// The state of an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotentBegin {
    /// It is new; the caller does the work and calls `finish` or `abandon`.
    Started,
    /// Somebody is doing the work.
    InProgress,
    /// It was used with another request.
    Reused,
    /// The work was done; this was the answer.
    Done(IdempotentReply),
}

/// Remembers POSTs. Contract: of any number of simultaneous `begin` with one key exactly one is `Started`; entries end 24 h
/// after they began, unfinished ones after 60 s (their process has died).
#[async_trait]
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Claims `key` (a hash of path and header) for `request` (a hash of the body).
    async fn begin(
        &self,
        scope: &TenantScope,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<IdempotentBegin, PortError>;

    /// Remembers the answer.
    async fn finish(&self, scope: &TenantScope, key: Digest, reply: &IdempotentReply) -> Result<(), PortError>;

    /// Forgets a claim whose work failed.
    async fn abandon(&self, scope: &TenantScope, key: Digest) -> Result<(), PortError>;
}
