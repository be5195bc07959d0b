//! All meters of a node, shared by its workers.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use novagate_kernel::Timestamp;

use super::shard::{Change, Shard};
use super::{Admission, Decision, Meter};
use crate::{ClientKey, RateLimit, Window};

/// Number of independently locked parts.
const SHARDS: usize = 256;

/// Meters that a shard keeps whatever the total is: those of the request in hand.
const KEPT: usize = 2;

/// Meters of a shard that may wait for attention; another one calls again at its next request.
const MOST_CALLS: usize = 1024;

/// Clients that one node tracks at most.
const CAPACITY: usize = 200_000;

/// Sliding windows by client, in 256 shards. A lock is held for one probe and never waits for another thread's work of
/// another kind; a request with two buckets holds two locks, always in the order of their shards.
///
/// At most [`Self::CAPACITY`] clients are tracked. Beyond that a new client takes the place of the one in its shard that
/// was idle longest, which is counted: a client that was given up starts with an empty window when it comes back.
pub struct LimitTable(Table<Window>);

impl LimitTable {
    /// Clients that one node tracks at most.
    pub const CAPACITY: usize = CAPACITY;

    /// An empty table for at most `capacity` clients, but no fewer than 1,024 and no more than [`Self::CAPACITY`].
    pub fn new(capacity: usize) -> Self {
        Self(Table::new(capacity))
    }

    /// Decides about one request under the client's and the route's limit and charges both buckets when both admit it;
    /// neither otherwise. The two keys must differ.
    pub fn admit_two(
        &self,
        client: Option<(ClientKey, RateLimit)>,
        route: Option<(ClientKey, RateLimit)>,
        now: Timestamp,
    ) -> Admission {
        self.0.admit_two(client, route, now)
    }

    /// Clients tracked at this moment.
    pub fn tracked(&self) -> usize {
        self.0.tracked.load(Ordering::Relaxed)
    }

    /// Clients given up for lack of room since the start.
    pub fn evicted(&self) -> u64 {
        self.0.evicted.load(Ordering::Relaxed)
    }
}

impl Default for LimitTable {
    fn default() -> Self {
        Self::new(Self::CAPACITY)
    }
}

impl fmt::Debug for LimitTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LimitTable")
            .field("tracked", &self.tracked())
            .field("evicted", &self.evicted())
            .finish_non_exhaustive()
    }
}

/// Meters of one kind by client.
pub(super) struct Table<M> {
    shards: Box<[Mutex<Shard<M>>]>,
    /// Clients beyond which insertions evict; below the capacity by what shards keep in any case.
    threshold: usize,
    tracked: AtomicUsize,
    evicted: AtomicU64,
}

/// A bucket to ask: its key and its terms.
type Ask<'a, M> = (ClientKey, <M as Meter>::Terms<'a>);

impl<M: Meter> Table<M> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            threshold: capacity.clamp(1024, CAPACITY) - SHARDS * KEPT,
            tracked: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    pub(super) fn admit_two<'a>(
        &self,
        client: Option<Ask<'a, M>>,
        route: Option<Ask<'a, M>>,
        now: Timestamp,
    ) -> Admission {
        match (client, route) {
            (None, None) => Admission::default(),
            (Some(ask), None) => Admission { client: self.admit(ask, now), route: None },
            (None, Some(ask)) => Admission { client: None, route: self.admit(ask, now) },
            (Some(client), Some(route)) => self.admit_both(client, route, now),
        }
    }

    /// Works on the meter of `key`, when there is one.
    pub(super) fn with<T>(&self, key: ClientKey, work: impl FnOnce(&mut M) -> T) -> Option<T> {
        self.lock(key)?.find(key).map(work)
    }

    /// Takes the keys of meters that call, shard by shard.
    pub(super) fn take_calls(&self, into: &mut Vec<ClientKey>) {
        for shard in &self.shards {
            into.append(&mut shard.lock().unwrap_or_else(PoisonError::into_inner).calling);
        }
    }

    fn admit(&self, (key, terms): Ask<'_, M>, now: Timestamp) -> Option<Decision> {
        let mut shard = self.lock(key)?;
        let at = self.seat(&mut shard, key, now);
        let meter = shard.meter(at)?;
        let before = meter.check(terms, now);
        let decision = if before.admitted { meter.charge(before, now) } else { before };
        listen(&mut shard, at, key);
        Some(decision)
    }

    fn admit_both<'a>(&self, client: Ask<'a, M>, route: Ask<'a, M>, now: Timestamp) -> Admission {
        let (client_shard, route_shard) = (client.0.shard(), route.0.shard());
        if client_shard == route_shard {
            let Some(mut shard) = self.lock(client.0) else { return Admission::default() };
            let client_at = self.seat(&mut shard, client.0, now);
            let route_at = self.seat(&mut shard, route.0, now);
            let mut admission = Admission {
                client: shard.meter(client_at).map(|meter| meter.check(client.1, now)),
                route: shard.meter(route_at).map(|meter| meter.check(route.1, now)),
            };
            if admission.admitted() {
                admission.client = charge(&mut shard, client_at, admission.client, now);
                admission.route = charge(&mut shard, route_at, admission.route, now);
            }
            listen(&mut shard, client_at, client.0);
            listen(&mut shard, route_at, route.0);
            return admission;
        }
        // Two threads with the same two shards must not wait for each other: the lower shard first.
        let (first, second) = if client_shard < route_shard { (client, route) } else { (route, client) };
        let (first, second) = self.admit_in_two_shards(first, second, now);
        if client_shard < route_shard {
            Admission { client: first, route: second }
        } else {
            Admission { client: second, route: first }
        }
    }

    fn admit_in_two_shards<'a>(
        &self,
        first: Ask<'a, M>,
        second: Ask<'a, M>,
        now: Timestamp,
    ) -> (Option<Decision>, Option<Decision>) {
        let (Some(mut first_shard), Some(mut second_shard)) = (self.lock(first.0), self.lock(second.0)) else {
            return (None, None);
        };
        let first_at = self.seat(&mut first_shard, first.0, now);
        let second_at = self.seat(&mut second_shard, second.0, now);
        let mut admission = Admission {
            client: first_shard.meter(first_at).map(|meter| meter.check(first.1, now)),
            route: second_shard.meter(second_at).map(|meter| meter.check(second.1, now)),
        };
        if admission.admitted() {
            admission.client = charge(&mut first_shard, first_at, admission.client, now);
            admission.route = charge(&mut second_shard, second_at, admission.route, now);
        }
        listen(&mut first_shard, first_at, first.0);
        listen(&mut second_shard, second_at, second.0);
        (admission.client, admission.route)
    }

    fn seat(&self, shard: &mut Shard<M>, key: ClientKey, now: Timestamp) -> u32 {
        let (at, Change { added, expired }) = shard.seat(key, now);
        if added != 0 {
            let tracked = self.tracked.fetch_add(added, Ordering::Relaxed) + added;
            let mut gone = expired;
            if tracked.saturating_sub(expired) > self.threshold && shard.len() > KEPT {
                shard.evict_oldest();
                self.evicted.fetch_add(1, Ordering::Relaxed);
                gone += 1;
            }
            self.tracked.fetch_sub(gone, Ordering::Relaxed);
        }
        at
    }

    /// `None` cannot happen: a shard number is below 256.
    fn lock(&self, key: ClientKey) -> Option<MutexGuard<'_, Shard<M>>> {
        let shard = self.shards.get(usize::from(key.shard()))?;
        // A shard has no invariant that a panic could leave broken and that would matter more than answering.
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn charge<M: Meter>(shard: &mut Shard<M>, at: u32, before: Option<Decision>, now: Timestamp) -> Option<Decision> {
    let meter = shard.meter(at)?;
    before.map(|decision| meter.charge(decision, now))
}

/// Notes a meter that calls; for kinds that never do, nothing is left of this.
fn listen<M: Meter>(shard: &mut Shard<M>, at: u32, key: ClientKey) {
    if shard.calling.len() < MOST_CALLS && shard.meter(at).is_some_and(Meter::calls) {
        shard.calling.push(key);
    }
}
