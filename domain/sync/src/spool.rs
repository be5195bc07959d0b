//! Telemetry that waits to be sent, and telemetry that waits to be confirmed.
//!
//! A batch gets its number when it is first sent, not when it is made: what is dropped before that leaves no gap, so the
//! numbers of a boot are continuous and "everything up to n" stays true. **Invariant:** a batch that has a number is kept
//! until it is confirmed; a batch without one may be dropped, the oldest first, and is counted; so a record is either
//! counted as dropped and never sent, or sent until it is confirmed.

use std::collections::VecDeque;

use bytes::Bytes;
use novagate_kernel::{BatchKind, BootId};

use crate::BatchFrame;

/// Most batches that are sent and not confirmed.
pub(crate) const WINDOW_BATCHES: usize = 8;
/// Most bytes that are sent and not confirmed; a single batch may exceed it.
pub(crate) const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// The largest body that fits into a frame of a node with its head.
const MAX_BODY: usize = 8 * 1024 * 1024 - 1024;

/// How much a node keeps for a control plane that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Records.
    pub records: u64,
    /// Bytes of encoded bodies.
    pub bytes: usize,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { records: 200_000, bytes: 32 * 1024 * 1024 }
    }
}

/// Records that were lost because they did not fit, by kind, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DroppedRecords {
    /// Request logs.
    pub logs: u64,
    /// Error events.
    pub errors: u64,
    /// Health snapshots.
    pub health: u64,
    /// Metrics windows.
    pub metrics: u64,
}

impl DroppedRecords {
    /// Those of one kind.
    pub const fn of(&self, kind: BatchKind) -> u64 {
        match kind {
            BatchKind::Logs => self.logs,
            BatchKind::Errors => self.errors,
            BatchKind::Health => self.health,
            BatchKind::Metrics => self.metrics,
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.logs.saturating_add(self.errors).saturating_add(self.health).saturating_add(self.metrics)
    }

    const fn add(&mut self, kind: BatchKind, records: u32) {
        let count = match kind {
            BatchKind::Logs => &mut self.logs,
            BatchKind::Errors => &mut self.errors,
            BatchKind::Health => &mut self.health,
            BatchKind::Metrics => &mut self.metrics,
        };
        *count = count.saturating_add(records as u64);
    }
}

/// The spool of one boot.
#[derive(Debug)]
pub(crate) struct Spool {
    boot: BootId,
    limits: SpoolLimits,
    /// Sent at least once, oldest first.
    numbered: VecDeque<BatchFrame>,
    numbered_bytes: usize,
    /// How many of `numbered` this connection has carried.
    carried: usize,
    waiting: VecDeque<Waiting>,
    last_seq: u64,
    records: u64,
    bytes: usize,
    dropped: DroppedRecords,
}

#[derive(Debug)]
struct Waiting {
    kind: BatchKind,
    body: Bytes,
    records: u32,
}

impl Spool {
    pub(crate) const fn new(boot: BootId, limits: SpoolLimits) -> Self {
        Self {
            boot,
            limits,
            numbered: VecDeque::new(),
            numbered_bytes: 0,
            carried: 0,
            waiting: VecDeque::new(),
            last_seq: 0,
            records: 0,
            bytes: 0,
            dropped: DroppedRecords { logs: 0, errors: 0, health: 0, metrics: 0 },
        }
    }

    /// Adds a batch; the oldest ones that were never sent make room for it.
    pub(crate) fn push(&mut self, kind: BatchKind, body: Bytes, records: u32) {
        if body.len() > MAX_BODY {
            self.dropped.add(kind, records);
            return;
        }
        self.records = self.records.saturating_add(u64::from(records));
        self.bytes = self.bytes.saturating_add(body.len());
        self.waiting.push_back(Waiting { kind, body, records });
        while self.records > self.limits.records || self.bytes > self.limits.bytes {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.forget(oldest.records, oldest.body.len());
            self.dropped.add(oldest.kind, oldest.records);
        }
    }

    /// The next batch for this connection, while there are credits.
    pub(crate) fn next_to_send(&mut self) -> Option<BatchFrame> {
        if self.carried == self.numbered.len() {
            self.number_next()?;
        }
        let frame = self.numbered.get(self.carried)?.clone();
        self.carried = self.carried.saturating_add(1);
        Some(frame)
    }

    /// Everything up to `seq` is committed.
    pub(crate) fn confirm(&mut self, seq: u64) {
        while self.numbered.front().is_some_and(|oldest| oldest.batch_seq <= seq) {
            let Some(done) = self.numbered.pop_front() else { break };
            self.numbered_bytes = self.numbered_bytes.saturating_sub(done.body.len());
            self.carried = self.carried.saturating_sub(1);
            self.forget(done.records, done.body.len());
        }
    }

    /// A new connection has carried nothing yet.
    pub(crate) const fn rewind(&mut self) {
        self.carried = 0;
    }

    pub(crate) const fn records(&self) -> u64 {
        self.records
    }

    pub(crate) const fn dropped(&self) -> DroppedRecords {
        self.dropped
    }

    fn number_next(&mut self) -> Option<()> {
        let size = self.waiting.front()?.body.len();
        let bytes = self.numbered_bytes.saturating_add(size);
        let fits = self.numbered.len() < WINDOW_BATCHES && bytes <= WINDOW_BYTES;
        if !fits && !self.numbered.is_empty() {
            return None;
        }
        let Waiting { kind, body, records } = self.waiting.pop_front()?;
        self.last_seq = self.last_seq.saturating_add(1);
        self.numbered_bytes = bytes;
        self.numbered.push_back(BatchFrame { kind, boot: self.boot, batch_seq: self.last_seq, body, records });
        Some(())
    }

    fn forget(&mut self, records: u32, bytes: usize) {
        self.records = self.records.saturating_sub(u64::from(records));
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(records: u64) -> Spool {
        Spool::new(BootId::from_u128(1), SpoolLimits { records, bytes: 1_000_000 })
    }

    fn push(spool: &mut Spool, kind: BatchKind, records: u32) {
        spool.push(kind, Bytes::from_static(b"{\"records\":[]}"), records);
    }

    fn seqs(spool: &mut Spool) -> Vec<u64> {
        std::iter::from_fn(|| spool.next_to_send().map(|frame| frame.batch_seq)).collect()
    }

    #[test]
    fn numbers_are_continuous_over_all_kinds_and_credits_bound_what_is_in_flight() {
        let mut spool = spool(1_000);
        for kind in BatchKind::ALL.into_iter().cycle().take(10) {
            push(&mut spool, kind, 1);
        }
        assert_eq!(seqs(&mut spool), (1..=8).collect::<Vec<_>>());
        spool.confirm(3);
        assert_eq!(seqs(&mut spool), [9, 10]);
        assert_eq!(spool.records(), 7);
    }

    #[test]
    fn what_is_unconfirmed_is_sent_again_on_the_next_connection() {
        let mut spool = spool(1_000);
        (0..3).for_each(|_| push(&mut spool, BatchKind::Logs, 1));
        assert_eq!(seqs(&mut spool), [1, 2, 3]);
        spool.confirm(1);
        spool.rewind();
        push(&mut spool, BatchKind::Logs, 1);
        assert_eq!(seqs(&mut spool), [2, 3, 4]);
        spool.confirm(9);
        assert_eq!((spool.records(), seqs(&mut spool)), (0, vec![]));
    }

    #[test]
    fn the_oldest_unsent_make_room_are_counted_by_kind_and_leave_no_gap() {
        let mut spool = spool(10);
        push(&mut spool, BatchKind::Logs, 4);
        assert_eq!(seqs(&mut spool), [1]);
        push(&mut spool, BatchKind::Errors, 4);
        push(&mut spool, BatchKind::Logs, 4);
        assert_eq!(spool.dropped(), DroppedRecords { errors: 4, ..DroppedRecords::default() });
        assert_eq!(seqs(&mut spool), [2]);
        spool.confirm(2);
        assert_eq!(spool.dropped().total(), 4);
    }

    #[test]
    fn a_body_that_no_frame_can_hold_is_counted_as_dropped() {
        let mut spool = spool(10);
        spool.push(BatchKind::Metrics, Bytes::from(vec![b' '; MAX_BODY + 1]), 1);
        assert_eq!((spool.dropped().of(BatchKind::Metrics), spool.records()), (1, 0));
    }
}
