//! One sliding window: how many requests were admitted in the last `window`, and when the next one may be.
//!
//! Always: never more than `max` admitted in any stretch of `window`, whatever the clock does backwards; an entry stays
//! until its whole sub-bucket is older than the window, so at most 1/60 of a window longer than it must. Not here: whose
//! window it is (`table`).
//!
//! Time counts in slots of 1/60 window. Only slots with admissions are kept, as runs `(slot, count)` of four bytes: a client
//! with few requests costs few bytes, a busy one at most 61 runs.

use std::time::Duration;

use novagate_kernel::Timestamp;

use super::Meter;
use crate::{Decision, RateLimit};

/// Sub-buckets of a window.
const SLOTS: i64 = 60;

/// Positions of runs are slot numbers modulo this; larger than the 61 slots that can be alive.
const RING: u8 = 64;

/// The admissions of one bucket.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// The newest slot, counted from the epoch in slots of the length in `length_ms`.
    head: i64,
    /// Oldest first; the lower 6 bits are the position, the rest the count.
    runs: Vec<u32>,
    /// The sum over `runs`.
    total: u32,
    /// The length that `head` is counted in.
    length_ms: u32,
    /// The position of `head`.
    cursor: u8,
}

impl Window {
    /// Decides about one request and counts it when it is admitted.
    pub fn admit(&mut self, limit: RateLimit, now: Timestamp) -> Decision {
        let before = self.check(limit, now);
        if before.admitted { self.charge(before, now) } else { before }
    }

    /// How many count at this moment.
    pub(super) fn counted(&mut self, limit: RateLimit, now: Timestamp) -> u32 {
        self.advance(limit, now);
        self.total
    }

    fn advance(&mut self, limit: RateLimit, now: Timestamp) {
        let length = millis(limit);
        let slot = slot_at(now, slot_micros(length));
        if self.length_ms != length {
            self.adopt(length, slot);
        }
        if self.runs.is_empty() {
            self.head = slot;
            return;
        }
        let step = slot.saturating_sub(self.head);
        if step > 0 {
            self.turn(step);
        } else if step < -SLOTS {
            // The clock stepped back by more than a window. Waiting for it to catch up would freeze the limit; so
            // everything moves back with it. One slot further: how much of the newest slot had passed is unknown.
            self.head = slot.saturating_add(1);
        }
        // A step back by less counts as standing still: entries only stay longer.
    }

    /// The window's length was changed: all that counts is taken as admitted just now, which errs on the strict side.
    fn adopt(&mut self, length: u32, slot: i64) {
        self.length_ms = length;
        self.head = slot;
        self.runs.clear();
        if self.total > 0 {
            self.runs.push(run_of(self.cursor, self.total));
        }
    }

    /// Moves on by `step` slots and drops what has left.
    fn turn(&mut self, step: i64) {
        self.head = self.head.saturating_add(step);
        if step > SLOTS {
            self.runs.clear();
            self.total = 0;
            return;
        }
        let stay = u8::try_from(SLOTS - step).unwrap_or(0);
        let cursor = self.cursor;
        let gone = self.runs.iter().take_while(|run| age(cursor, **run) > stay).count();
        let left: u32 = self.runs.drain(..gone).map(count).sum();
        self.total = self.total.saturating_sub(left);
        self.cursor = cursor.wrapping_add(u8::try_from(step).unwrap_or(0)) % RING;
    }

    fn describe(&self, limit: RateLimit, now: Timestamp) -> Decision {
        Decision {
            admitted: self.total < limit.max,
            limit,
            remaining: limit.max.saturating_sub(self.total),
            reset_after: self.reset_after(limit, now),
        }
    }

    /// Time until one more than now may be admitted; zero when nothing counts.
    fn reset_after(&self, limit: RateLimit, now: Timestamp) -> Duration {
        // A limit that was lowered can be exceeded by more than one; then more than the oldest run has to leave.
        let mut excess = self.total.saturating_sub(limit.max.saturating_sub(1)).max(1);
        for &run in &self.runs {
            if count(run) >= excess {
                return self.leaves_after(run, now);
            }
            excess -= count(run);
        }
        Duration::ZERO
    }

    fn leaves_after(&self, run: u32, now: Timestamp) -> Duration {
        let slot = self.head.saturating_sub(i64::from(age(self.cursor, run)));
        let leaves = slot.saturating_add(SLOTS + 1).saturating_mul(slot_micros(self.length_ms));
        Timestamp::from_micros(leaves).since(now)
    }
}

impl Meter for Window {
    type Terms<'a> = RateLimit;

    fn check(&mut self, limit: RateLimit, now: Timestamp) -> Decision {
        self.advance(limit, now);
        self.describe(limit, now)
    }

    fn charge(&mut self, before: Decision, now: Timestamp) -> Decision {
        self.total = self.total.saturating_add(1);
        match self.runs.last_mut() {
            Some(run) if position(*run) == self.cursor => *run += u32::from(RING),
            _ => self.runs.push(run_of(self.cursor, 1)),
        }
        Decision { admitted: true, ..self.describe(before.limit, now) }
    }

    fn is_spent(&self, now: Timestamp) -> bool {
        self.runs.is_empty() || slot_at(now, slot_micros(self.length_ms)).saturating_sub(self.head) > SLOTS
    }
}

const fn position(run: u32) -> u8 {
    run.to_le_bytes()[0] % RING
}

fn count(run: u32) -> u32 {
    run / u32::from(RING)
}

fn run_of(position: u8, count: u32) -> u32 {
    count.saturating_mul(u32::from(RING)) | u32::from(position)
}

/// Slots from a run to the head.
const fn age(cursor: u8, run: u32) -> u8 {
    cursor.wrapping_sub(position(run)) % RING
}

fn millis(limit: RateLimit) -> u32 {
    u32::try_from(limit.window.as_millis()).unwrap_or(u32::MAX).max(1)
}

/// Rounded up, so that 60 slots are never shorter than the window.
fn slot_micros(length_ms: u32) -> i64 {
    (i64::from(length_ms) * 1000 + SLOTS - 1) / SLOTS
}

const fn slot_at(now: Timestamp, slot_micros: i64) -> i64 {
    now.as_micros().div_euclid(slot_micros)
}
