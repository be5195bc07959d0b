//! Request records on their way from a worker to the control thread.
//!
//! Always: a worker never waits; what does not fit is counted. The queue's lock is taken by the worker only when it is free,
//! which it is but for the moment in which the control thread takes records out; what comes in that moment waits in the
//! worker. A free lock is two atomic operations on a cache line that nobody else touches.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use novagate_ports_edge::RecordSource;
use novagate_records::RequestRecord;

/// Records that a worker's queue holds.
const CAPACITY: usize = 8192;
/// Records that wait in the worker while its queue is in use.
const WAITING: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct RecordQueue {
    queue: Mutex<VecDeque<RequestRecord>>,
    dropped: AtomicU64,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Recorder {
    shared: Arc<RecordQueue>,
    waiting: RefCell<Vec<RequestRecord>>,
}

/// The control thread's end of all queues.
#[derive(Debug)]
pub(crate) struct Records {
    queues: Box<[Arc<RecordQueue>]>,
    /// The queue that comes first, so that a busy one cannot starve the others.
    first: AtomicUsize,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), waiting: RefCell::default() }
    }

    pub(crate) fn queue(&self) -> Arc<RecordQueue> {
        Arc::clone(&self.shared)
    }

    /// Hands a record over.
    pub(crate) fn push(&self, record: RequestRecord) {
        let Some(mut queue) = self.shared.try_lock() else {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.len() < WAITING {
                waiting.push(record);
            } else {
                self.shared.count_dropped(1);
            }
            return;
        };
        if !self.waiting.borrow().is_empty() {
            self.hand_over(&mut queue);
        }
        if queue.len() < CAPACITY {
            queue.push_back(record);
        } else {
            self.shared.count_dropped(1);
        }
    }

    /// Hands over what waits, if it can; called on every tick.
    pub(crate) fn flush(&self) {
        if !self.waiting.borrow().is_empty()
            && let Some(mut queue) = self.shared.try_lock()
        {
            self.hand_over(&mut queue);
        }
    }

    fn hand_over(&self, queue: &mut VecDeque<RequestRecord>) {
        let mut waiting = self.waiting.borrow_mut();
        let fitting = waiting.len().min(CAPACITY.saturating_sub(queue.len()));
        self.shared.count_dropped(waiting.len() - fitting);
        queue.extend(waiting.drain(..).take(fitting));
    }
}

impl RecordQueue {
    fn try_lock(&self) -> Option<MutexGuard<'_, VecDeque<RequestRecord>>> {
        match self.queue.try_lock() {
            Ok(queue) => Some(queue),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn count_dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Records {
    pub(crate) fn new(queues: Vec<Arc<RecordQueue>>) -> Self {
        Self { queues: queues.into(), first: AtomicUsize::new(0) }
    }
}

impl RecordSource for Records {
    fn drain(&self, into: &mut Vec<RequestRecord>, max: usize) {
        let wanted = into.len().saturating_add(max);
        let first = self.first.fetch_add(1, Ordering::Relaxed).checked_rem(self.queues.len()).unwrap_or(0);
        for queue in self.queues.iter().cycle().skip(first).take(self.queues.len()) {
            let mut queue = queue.queue.lock().unwrap_or_else(PoisonError::into_inner);
            let count = queue.len().min(wanted.saturating_sub(into.len()));
            into.extend(queue.drain(..count));
        }
    }

    fn dropped(&self) -> u64 {
        self.queues.iter().map(|queue| queue.dropped.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use novagate_kernel::{RequestId, Timestamp};
    use novagate_records::{MethodLabel, NO_INDEX};

    use super::*;

    fn record(number: u32) -> RequestRecord {
        RequestRecord {
            at: Timestamp::UNIX_EPOCH,
            request_id: RequestId::from_u128(0),
            consumer: None,
            table: 1,
            route: number,
            service: NO_INDEX,
            latency_us: 0,
            upstream_us: NO_INDEX,
            status: 200,
            method: MethodLabel::Get,
            code: None,
        }
    }

    fn numbers(records: &[RequestRecord]) -> Vec<u32> {
        records.iter().map(|record| record.route).collect()
    }

    #[test]
    fn records_are_drained_once_and_in_order() {
        let recorder = Recorder::new();
        let records = Records::new(vec![recorder.queue()]);
        (0..5).for_each(|number| recorder.push(record(number)));
        let mut drained = Vec::new();
        records.drain(&mut drained, 3);
        records.drain(&mut drained, 3);
        records.drain(&mut drained, 3);
        assert_eq!(numbers(&drained), [0, 1, 2, 3, 4]);
        assert_eq!(records.dropped(), 0);
    }

    #[test]
    fn a_full_queue_counts_the_newest_as_dropped() {
        let recorder = Recorder::new();
        let records = Records::new(vec![recorder.queue()]);
        let all = u32::try_from(CAPACITY).unwrap() + 7;
        (0..all).for_each(|number| recorder.push(record(number)));
        let mut drained = Vec::new();
        records.drain(&mut drained, usize::MAX);
        assert_eq!((drained.len(), drained[0].route, records.dropped()), (CAPACITY, 0, 7));
    }

    #[test]
    fn a_worker_does_not_wait_for_a_drain_and_loses_nothing_by_it() {
        let recorder = Recorder::new();
        let queue = recorder.queue();
        let records = Records::new(vec![Arc::clone(&queue)]);
        let held = queue.queue.lock().unwrap();
        recorder.push(record(1));
        recorder.push(record(2));
        drop(held);
        recorder.push(record(3));
        let mut drained = Vec::new();
        records.drain(&mut drained, 10);
        assert_eq!(numbers(&drained), [1, 2, 3]);
    }

    #[test]
    fn every_worker_gets_its_turn() {
        let workers = [Recorder::new(), Recorder::new()];
        let records = Records::new(workers.iter().map(Recorder::queue).collect());
        for number in 0..4 {
            workers[0].push(record(number));
        }
        workers[1].push(record(100));
        let mut drained = Vec::new();
        records.drain(&mut drained, 2);
        records.drain(&mut drained, 2);
        assert!(numbers(&drained).contains(&100));
    }
}
