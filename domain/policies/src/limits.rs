//! Rate limits decided in this process: sliding windows, leases of a shared limit, and the tables that hold one per client.
//!
//! Always: the contract of every counter adapter (see [`Window`] and [`LeaseTable`]); a lock is held for one probe. Not
//! here: which buckets a request has (`buckets`), what the nodes of a fleet share (`adapters/redis`).

use std::time::Duration;

use crate::RateLimit;

mod keeper;
mod key;
mod lease;
mod meter;
mod shard;
mod share;
mod table;
mod window;

use self::meter::Meter;

pub use self::{
    keeper::{Asked, LeaseKeeper, LeaseTable},
    key::{ClientKey, ClientKeyHasher, LastKey, SharedKey, SharedKeyHasher},
    lease::{LeaseAnswer, LeaseAsk, ReturnedLease},
    share::FleetSize,
    table::LimitTable,
    window::Window,
};

/// What one bucket says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the bucket admits it.
    pub admitted: bool,
    /// The limit it was held against.
    pub limit: RateLimit,
    /// Requests that would still be admitted at this moment; with `admitted`, after this one was counted.
    pub remaining: u32,
    /// Time until there is room for one more than `remaining`; for a refused request: until one is admitted.
    pub reset_after: Duration,
}

/// A bucket as the nodes of a fleet count it together: its key and how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedAsk {
    /// Whose.
    pub key: SharedKey,
    /// How much.
    pub limit: RateLimit,
}

/// What both buckets of a request say. Either both were charged or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Admission {
    /// The client's bucket, when there is one.
    pub client: Option<Decision>,
    /// The route's bucket, when there is one.
    pub route: Option<Decision>,
}

/// One of the two buckets of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BucketSide {
    /// The client's.
    Client,
    /// The route's.
    Route,
}

impl Admission {
    /// Whether the request may go on.
    pub fn admitted(&self) -> bool {
        self.client.is_none_or(|decision| decision.admitted) && self.route.is_none_or(|decision| decision.admitted)
    }

    /// The bucket that binds: one that refuses before one that admits, of two refusals the longer wait, of two admissions
    /// the one with less left. `None` when there is no bucket.
    pub fn tighter(&self) -> Option<(BucketSide, Decision)> {
        match (self.client, self.route) {
            (None, None) => None,
            (Some(client), Some(route)) if binds_before(&route, &client) => Some((BucketSide::Route, route)),
            (Some(client), _) => Some((BucketSide::Client, client)),
            (None, Some(route)) => Some((BucketSide::Route, route)),
        }
    }
}

fn binds_before(left: &Decision, right: &Decision) -> bool {
    match (left.admitted, right.admitted) {
        (false, true) => true,
        (true, false) => false,
        (false, false) => left.reset_after > right.reset_after,
        (true, true) => (left.remaining, right.reset_after) < (right.remaining, left.reset_after),
    }
}

#[cfg(test)]
mod tests;
