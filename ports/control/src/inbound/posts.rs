//! POSTs that may be repeated where there is no tenant yet.

use std::fmt;

use bytes::Bytes;
use novagate_kernel::TenantId;

use crate::outbound::PostClaim;

/// A POST with an `Idempotency-Key`. Its body may hold a password, so that nothing but a keyed hash of it is kept.
#[derive(Clone)]
pub struct RepeatablePost {
    /// The path.
    pub path: &'static str,
    /// The header.
    pub key: String,
    /// The body as it came.
    pub body: Bytes,
}

impl fmt::Debug for RepeatablePost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RepeatablePost(redacted)")
    }
}

/// What is to be done with a [`RepeatablePost`]. Refused: a key that came with another body, and one whose work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostBegin {
    /// It is new; the caller does the work and calls [`Accounts::end_post`](super::Accounts::end_post).
    Started(PostClaim),
    /// It has made this tenant.
    Created(TenantId),
    /// It was done, and its answer says the same about every request.
    Done,
}

/// How the work for a [`RepeatablePost`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostEnd {
    /// A tenant was made, whose row remembers the claim.
    Created,
    /// It is done.
    Done,
    /// It failed: the key may come again, with any body.
    Failed,
}
