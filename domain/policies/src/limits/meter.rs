//! What a table holds for each client.

use novagate_kernel::Timestamp;

use crate::Decision;

/// Decides about the requests of one bucket. It is only used under the lock of its shard.
pub(super) trait Meter: Default {
    /// What a request brings: its limit and whatever else the decision takes.
    type Terms<'a>: Copy;

    /// Decides about one request without counting it; the meter's clock moves on.
    fn check(&mut self, terms: Self::Terms<'_>, now: Timestamp) -> Decision;

    /// Counts a request that [`Self::check`] has just admitted as `before`.
    fn charge(&mut self, before: Decision, now: Timestamp) -> Decision;

    /// Whether nothing in here can matter any more.
    fn is_spent(&self, now: Timestamp) -> bool;

    /// Whether somebody outside the request path has to look after it; true once for each time.
    fn calls(&mut self) -> bool {
        false
    }
}
