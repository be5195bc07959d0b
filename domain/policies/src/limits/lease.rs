//! One bucket of a limit that the nodes of a fleet share by leases.
//!
//! The ledger that the fleet shares (`adapters/redis`) charges a lease when it grants it and keeps the charge for the
//! lease's life and one window more; a permit is used within the life or not at all. So every permit used in any stretch of
//! one window was charged at its end, and permits alone never exceed `max`.
//!
//! While a node holds no permit and does not know the bucket to be exhausted it admits on credit: at most its share of the
//! limit in any window. What it admitted so is charged at the next exchange. So a fleet never admits more than `max` and
//! one share for each node, and a node that cannot ask at all never more than its share.
//!
//! Not here: the table and who carries asks and answers (`keeper`).

use std::time::Duration;

use novagate_kernel::Timestamp;

use super::{FleetSize, Meter};
use crate::{Bucket, Decision, RateLimit, SharedKey, SharedKeyHasher, Window};

/// A lease lives for this part of its window: what it is charged longer than a request would be.
const LIFE_PART: u32 = 20;
/// And never for longer than this.
const LIFE_MOST: Duration = Duration::from_secs(10);
/// A lease is this part of a node's share: as many leases as a client in steady use takes of it.
const SLICE_PART: u32 = 10;
/// A lease is never for more permits: the ledger's work is one step for each, used or returned.
const SLICE_MOST: u32 = 2_000;
/// Told to a client that outran its node's share before the ledger could answer.
const SHORTLY: Duration = Duration::from_secs(1);

const LONG_AGO: Timestamp = Timestamp::from_micros(i64::MIN);

/// What a node asks of the ledger for one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseAsk {
    /// Which bucket.
    pub key: SharedKey,
    /// Its limit.
    pub limit: RateLimit,
    /// How long the permits may be used, from before the ask.
    pub life: Duration,
    /// Admitted on credit since the last exchange: to be charged whatever there is.
    pub debt: u32,
    /// Permits that are wanted; none: the ask only settles.
    pub want: u32,
    /// Permits of a lease that was not used up in time.
    pub returned: Option<ReturnedLease>,
}

/// Permits that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnedLease {
    /// The lease.
    pub stamp: i64,
    /// How many of it.
    pub permits: u32,
}

/// What the ledger answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseAnswer {
    /// Permits, charged already; never more than wanted.
    pub granted: u32,
    /// The ledger's name of the lease.
    pub stamp: i64,
    /// What is left to everybody after this.
    pub room: u32,
    /// Time until one charge more has left.
    pub wait: Duration,
}

/// What a request brings to a bucket.
#[derive(Clone, Copy)]
pub(super) struct LeaseTerms<'a> {
    pub(super) bucket: &'a Bucket<'a>,
    pub(super) keys: &'a SharedKeyHasher,
    pub(super) fleet: &'a FleetSize,
    /// Whether the ledger answered when it was asked last.
    pub(super) linked: bool,
}

/// Whether a bucket has something to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// It is to be asked about at this time again.
    Later(Timestamp),
    Ask(LeaseAsk),
}

/// Permits to be used until a time.
#[derive(Debug, Clone, Copy)]
struct Lease {
    left: u32,
    stamp: i64,
    until: Timestamp,
}

/// One bucket on one node.
#[derive(Debug)]
pub(super) struct LeaseMeter {
    /// What was admitted without a permit.
    credit: Window,
    /// Made at the first request.
    key: Option<SharedKey>,
    limit: RateLimit,
    share: RateLimit,
    /// The one in use and the next.
    leases: [Lease; 2],
    /// When the ledger was asked last; before it, what it told means nothing.
    asked_at: Timestamp,
    /// The ledger has nothing before this time.
    closed_until: Timestamp,
    /// What the ledger had left, and when one more leaves it.
    room: u32,
    turn_at: Timestamp,
    /// Admitted on credit and not yet reported; and reported in the ask that is under way.
    debt: u32,
    reporting: u32,
    /// An answer is awaited.
    is_asking: bool,
    /// It has called and was not looked after yet.
    has_called: bool,
    /// A request found fewer permits than it should.
    wants: bool,
}

impl Default for LeaseMeter {
    fn default() -> Self {
        let nothing = RateLimit { max: 0, window: Duration::ZERO };
        Self {
            credit: Window::default(),
            key: None,
            limit: nothing,
            share: nothing,
            leases: [Lease::NONE; 2],
            asked_at: LONG_AGO,
            closed_until: LONG_AGO,
            room: u32::MAX,
            turn_at: LONG_AGO,
            debt: 0,
            reporting: 0,
            is_asking: false,
            has_called: false,
            wants: false,
        }
    }
}

impl LeaseMeter {
    /// What is to be asked now.
    pub(super) fn turn(&mut self, now: Timestamp) -> Turn {
        self.has_called = false;
        let Some(key) = self.key.filter(|_| !self.is_asking) else { return Turn::Nothing };
        let returned = self.take_unused(now);
        // What was admitted on credit longer ago than a window does not count any more.
        let debt = self.debt.min(self.credit.counted(self.share, now));
        self.debt = 0;
        let want = if self.wants && self.closed_for(now).is_zero() { self.shortage(now) } else { 0 };
        if returned.is_none() && debt == 0 && want == 0 {
            // It calls again only after it was looked at: once for as long as it is closed.
            self.has_called = self.wants && self.shortage(now) > 0;
            self.wants = self.has_called;
            return if self.has_called { Turn::Later(self.closed_until) } else { Turn::Nothing };
        }
        (self.is_asking, self.reporting) = (true, debt);
        self.wants = self.wants && want == 0;
        Turn::Ask(LeaseAsk { key, limit: self.limit, life: life_of(self.limit.window), debt, want, returned })
    }

    /// Takes an answer. `sent_at` is before the ask left, `got_at` after the answer came. Returns when the bucket is to be
    /// looked at again.
    pub(super) fn settle(
        &mut self,
        want: u32,
        answer: LeaseAnswer,
        sent_at: Timestamp,
        got_at: Timestamp,
    ) -> Option<Timestamp> {
        (self.is_asking, self.reporting) = (false, 0);
        self.asked_at = sent_at;
        self.room = answer.room;
        self.turn_at = got_at.plus(answer.wait);
        self.closed_until = if answer.room == 0 && answer.granted < want { self.turn_at } else { LONG_AGO };
        if answer.granted == 0 {
            return None;
        }
        let until = sent_at.plus(life_of(self.limit.window));
        let lease = Lease { left: answer.granted, stamp: answer.stamp, until };
        let [current, next] = &mut self.leases;
        if current.left == 0 {
            *current = lease;
        } else {
            *next = lease;
        }
        Some(until)
    }

    /// The ask that is under way has failed: what it said is to be said again. Permits it returned are lost; the ledger
    /// forgets them in time.
    pub(super) fn fail(&mut self) {
        self.is_asking = false;
        self.debt = self.debt.saturating_add(std::mem::take(&mut self.reporting));
        (self.wants, self.has_called) = (true, true);
    }

    /// Permits of one lease that has run out.
    fn take_unused(&mut self, now: Timestamp) -> Option<ReturnedLease> {
        let asked_at = self.asked_at;
        let gone = self.leases.iter_mut().find(|lease| lease.left > 0 && !lease.is_usable(asked_at, now))?;
        let returned = ReturnedLease { stamp: gone.stamp, permits: gone.left };
        *gone = Lease::NONE;
        Some(returned)
    }

    fn permits(&self, now: Timestamp) -> u32 {
        self.leases.iter().filter(|lease| lease.is_usable(self.asked_at, now)).map(|lease| lease.left).sum()
    }

    /// How many permits should be asked for: none while half a slice is left or no place for a lease.
    fn shortage(&self, now: Timestamp) -> u32 {
        let slice = (self.share.max / SLICE_PART).clamp(1, SLICE_MOST);
        let has_place = self.leases.iter().any(|lease| lease.left == 0);
        if has_place && self.permits(now) <= slice / 2 { slice } else { 0 }
    }

    /// How long the bucket is known to be exhausted; a clock that stepped back knows nothing.
    fn closed_for(&self, now: Timestamp) -> Duration {
        if now < self.asked_at { Duration::ZERO } else { self.closed_until.since(now) }
    }

    /// Whether what the ledger told last is from this window.
    fn is_told(&self, now: Timestamp) -> bool {
        self.room != u32::MAX && now >= self.asked_at && now.since(self.asked_at) < self.limit.window
    }

    /// Whether the ledger has more than was admitted on credit since it told. Once another charge has left it, one more.
    fn has_room(&self, now: Timestamp) -> bool {
        let room = if now >= self.turn_at { self.room.max(1) } else { self.room };
        !self.is_told(now) || self.debt.saturating_add(self.reporting) < room
    }

    fn admitted(&self, on_credit: Decision, now: Timestamp) -> Decision {
        let (remaining, reset_after) = if self.is_told(now) {
            let known = self.room.saturating_add(self.permits(now)).saturating_sub(self.debt);
            (known.min(self.limit.max), self.turn_at.since(now))
        } else {
            (on_credit.remaining, on_credit.reset_after)
        };
        Decision { admitted: true, limit: self.limit, remaining, reset_after }
    }

    /// The wait ends when the ledger is known to have room, or when the node's own share has. Where neither is known
    /// because an answer is on its way, it is short.
    fn refused(&self, on_credit: Decision, closed_for: Duration, linked: bool, now: Timestamp) -> Decision {
        let own = if on_credit.admitted { Duration::ZERO } else { on_credit.reset_after };
        let turn = self.turn_at.since(now);
        let reset_after = match (closed_for.is_zero(), linked) {
            (true, true) if self.has_room(now) => own.min(SHORTLY),
            (true, true) if turn.is_zero() => SHORTLY,
            (true, true) => turn.max(own),
            (_, _) => own.max(closed_for),
        };
        Decision { admitted: false, limit: self.limit, remaining: 0, reset_after }
    }
}

impl Meter for LeaseMeter {
    type Terms<'a> = LeaseTerms<'a>;

    fn check(&mut self, terms: LeaseTerms<'_>, now: Timestamp) -> Decision {
        self.key.get_or_insert_with(|| terms.keys.key(terms.bucket));
        self.limit = terms.bucket.limit();
        self.share = terms.fleet.share(self.limit);
        let on_credit = self.credit.check(self.share, now);
        let closed_for = self.closed_for(now);
        let credited = on_credit.admitted && closed_for.is_zero() && (!terms.linked || self.has_room(now));
        if credited || self.permits(now) > 0 {
            return self.admitted(on_credit, now);
        }
        self.wants = true;
        self.refused(on_credit, closed_for, terms.linked, now)
    }

    fn charge(&mut self, before: Decision, now: Timestamp) -> Decision {
        let asked_at = self.asked_at;
        let usable = self.leases.iter_mut().find(|lease| lease.left > 0 && lease.is_usable(asked_at, now));
        let on_credit = if let Some(lease) = usable {
            lease.left -= 1;
            before
        } else {
            self.debt = self.debt.saturating_add(1);
            self.credit.charge(Decision { limit: self.share, ..before }, now)
        };
        self.wants = self.wants || self.debt > 0 || self.shortage(now) > 0;
        self.admitted(on_credit, now)
    }

    fn is_spent(&self, now: Timestamp) -> bool {
        !self.is_asking
            && self.debt == 0
            && self.closed_for(now).is_zero()
            && self.leases.iter().all(|lease| lease.left == 0 || lease.until <= now)
            && self.credit.is_spent(now)
    }

    fn calls(&mut self) -> bool {
        let calls = self.wants && !self.has_called && !self.is_asking;
        self.has_called |= calls;
        calls
    }
}

impl Lease {
    const NONE: Self = Self { left: 0, stamp: 0, until: LONG_AGO };

    fn is_usable(&self, asked_at: Timestamp, now: Timestamp) -> bool {
        asked_at <= now && now < self.until
    }
}

/// How long permits of a window of this length live.
fn life_of(window: Duration) -> Duration {
    (window / LIFE_PART).min(LIFE_MOST)
}
