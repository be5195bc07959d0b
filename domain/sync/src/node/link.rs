//! The state of the connection, and when to dial again.

use std::time::Duration;

use novagate_kernel::{Head, Timestamp};

use crate::ByeCode;
use crate::backoff::{Backoff, REFUSED_PERIOD, jitter};

/// Longest wait for a welcome; the hub answers or closes before that.
pub(super) const WELCOME_WITHIN: Duration = Duration::from_secs(30);
/// Heartbeats that may stay unanswered.
pub(super) const MISSED_HEARTBEATS: u8 = 2;
/// What a hub may ask for as heartbeat.
const HEARTBEAT_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Where the link is. Times are steady.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// No connection; the next attempt is due at a time.
    Idle { dial_at: Timestamp },
    /// An attempt is running; it has a deadline of its own.
    Dialling,
    /// Hello is sent.
    Greeting { welcome_by: Timestamp },
    /// Welcomed.
    Live(Heartbeat),
    /// For good.
    Stopped,
}

/// The heartbeat of a live connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heartbeat {
    interval: Duration,
    ping_at: Timestamp,
    unanswered: u8,
}

/// What a due heartbeat asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    NotYet,
    Ping,
    Dead,
}

impl Heartbeat {
    pub(super) fn start(interval: Duration, now: Timestamp) -> Self {
        let interval = interval.clamp(HEARTBEAT_RANGE.0, HEARTBEAT_RANGE.1);
        Self { interval, ping_at: now.plus(interval), unanswered: 0 }
    }

    pub(super) const fn due(&self) -> Timestamp {
        self.ping_at
    }

    /// Any frame is a sign of life.
    pub(super) const fn heard(&mut self) {
        self.unanswered = 0;
    }

    pub(super) fn beat(&mut self, now: Timestamp) -> Beat {
        if now < self.ping_at {
            return Beat::NotYet;
        }
        if self.unanswered >= MISSED_HEARTBEATS {
            return Beat::Dead;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        self.ping_at = now.plus(self.interval);
        Beat::Ping
    }
}

/// When to dial next: fast back-off, or once in every period of 15 minutes after a refusal.
#[derive(Debug, Clone)]
pub(super) struct Redial {
    backoff: Backoff,
    refusal: Option<Refusal>,
    /// The key changed while an attempt with the old one was running.
    fresh_key: bool,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    code: ByeCode,
    /// End of the period whose attempt has been made.
    period_ends: Timestamp,
}

impl Redial {
    pub(super) const fn new() -> Self {
        Self { backoff: Backoff::new(), refusal: None, fresh_key: false }
    }

    /// How the control plane refused, as long as that holds.
    pub(super) fn refused(&self) -> Option<ByeCode> {
        self.refusal.map(|refusal| refusal.code)
    }

    pub(super) const fn dialling(&mut self) {
        self.fresh_key = false;
    }

    pub(super) const fn welcomed(&mut self) {
        self.refusal = None;
        self.backoff.reset();
    }

    /// Forgets a refusal; `busy`: an attempt or session with the old key is under way.
    pub(super) const fn key_changed(&mut self, busy: bool) {
        self.fresh_key = busy;
        self.refusal = None;
        self.backoff.reset();
    }

    /// When to dial after a connection or attempt ended.
    pub(super) fn after(
        &mut self,
        code: Option<ByeCode>,
        requested: Option<Duration>,
        now: Timestamp,
        entropy: u64,
    ) -> Timestamp {
        let refusal = code.filter(|code| code.is_refusal() && !self.fresh_key);
        if let Some(code) = refusal.or(self.refused()) {
            // One attempt in each period, at a random moment of it: a fleet with a revoked key is no load.
            let begins = self.refusal.map_or(now, |earlier| earlier.period_ends.max(now));
            self.refusal = Some(Refusal { code, period_ends: begins.plus(REFUSED_PERIOD) });
            let soonest = requested.map_or(now, |wait| now.plus(wait.min(REFUSED_PERIOD)));
            return begins.plus(jitter(REFUSED_PERIOD, entropy)).max(soonest);
        }
        if code == Some(ByeCode::Replaced) {
            // Two processes with one node id would otherwise throw each other out several times a second.
            self.backoff.slow_down();
        }
        now.plus(self.backoff.next(requested, entropy))
    }
}

/// Whether `offered` leads forwards from `serving`: another history, or a later place in the same one.
pub(super) fn leads_forward(serving: Option<Head>, offered: Head) -> bool {
    serving.is_none_or(|serving| {
        serving.revision.epoch != offered.revision.epoch || serving.revision.seq < offered.revision.seq
    })
}
