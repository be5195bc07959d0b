//! Telemetry of one session: in order, one batch at a time, bounded.

use std::collections::VecDeque;
use std::time::Duration;

use novagate_kernel::Timestamp;

use crate::spool::{WINDOW_BATCHES, WINDOW_BYTES};
use crate::{BatchFrame, ProtocolFault};

/// How long to wait before a batch that could not be stored is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// What to answer to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It waits to be stored, or did already.
    Waits,
    /// It is committed: say so again.
    Committed(u64),
}

/// Batches on their way into the store.
#[derive(Debug, Default)]
pub(super) struct Intake {
    committed: u64,
    /// The number that must come next; `None` before the first new batch of the session.
    expected: Option<u64>,
    pending: VecDeque<BatchFrame>,
    pending_bytes: usize,
    running: bool,
    retry_at: Option<Timestamp>,
}

impl Intake {
    /// Everything up to `seq` is committed already.
    pub(super) const fn resume(&mut self, seq: u64) {
        self.committed = seq;
    }

    /// Up to where everything is committed, if anything is.
    pub(super) fn committed(&self) -> Option<u64> {
        (self.committed > 0).then_some(self.committed)
    }

    pub(super) fn take(&mut self, batch: BatchFrame) -> Result<Taken, ProtocolFault> {
        let seq = batch.batch_seq;
        if seq == 0 {
            return Err(ProtocolFault::BatchOrder);
        }
        if seq <= self.committed {
            return Ok(Taken::Committed(self.committed));
        }
        // The first one may come after a gap: a node lets go of what was confirmed, and a restored store has forgotten it.
        let expected = self.expected.unwrap_or(seq);
        if seq < expected {
            return Ok(Taken::Waits);
        }
        if seq > expected {
            return Err(ProtocolFault::BatchOrder);
        }
        let bytes = self.pending_bytes.saturating_add(batch.body.len());
        let over = self.pending.len() >= WINDOW_BATCHES || bytes > WINDOW_BYTES;
        if over && !self.pending.is_empty() {
            return Err(ProtocolFault::Credits);
        }
        self.expected = Some(seq.saturating_add(1));
        self.pending_bytes = bytes;
        self.pending.push_back(batch);
        Ok(Taken::Waits)
    }

    /// The batch to store now.
    pub(super) fn next(&mut self) -> Option<BatchFrame> {
        if self.running || self.retry_at.is_some() {
            return None;
        }
        let batch = self.pending.front()?.clone();
        self.running = true;
        Some(batch)
    }

    /// The running batch is committed; answers up to where everything is.
    pub(super) fn stored(&mut self) -> Option<u64> {
        if !std::mem::take(&mut self.running) {
            return None;
        }
        let batch = self.pending.pop_front()?;
        self.pending_bytes = self.pending_bytes.saturating_sub(batch.body.len());
        self.committed = batch.batch_seq;
        Some(self.committed)
    }

    /// The running batch could not be stored; it stays first.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.running = false;
        self.retry_at = Some(now.plus(RETRY_AFTER));
    }

    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.retry_at
    }

    pub(super) fn on_deadline(&mut self, now: Timestamp) {
        self.retry_at = self.retry_at.filter(|at| *at > now);
    }
}
