//! The table of a node that shares its limits by leases, and who looks after its leases beside the request path.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use novagate_kernel::Timestamp;

use super::lease::{LeaseMeter, LeaseTerms, Turn};
use super::table::Table;
use super::{Admission, FleetSize, LeaseAnswer, LeaseAsk};
use crate::{Bucket, ClientKey, LimitTable, SharedKeyHasher};

/// Buckets that may wait for their turn; beyond, they call again at their next requests.
const MOST_WAITING: usize = LimitTable::CAPACITY;

/// Buckets whose limits a fleet shares by leases. Decides without waiting: a [`LeaseKeeper`] fetches permits beside it.
///
/// Contract: with `N` nodes a fleet never admits more than `max` and one share (`max / N`, rounded up) for each node in any
/// window; a node that has no ledger, never more than its share. `max` at once is admitted when one node counts alone,
/// otherwise a node's share at once and the rest as soon as the ledger has answered.
pub struct LeaseTable {
    meters: Table<LeaseMeter>,
    keys: SharedKeyHasher,
    fleet: FleetSize,
    linked: AtomicBool,
}

impl LeaseTable {
    /// An empty table for at most `capacity` clients, within the bounds of [`LimitTable::new`].
    pub fn new(capacity: usize, keys: SharedKeyHasher, fleet: FleetSize) -> Self {
        Self { meters: Table::new(capacity), keys, fleet, linked: AtomicBool::new(false) }
    }

    /// Decides about one request; both buckets are charged or neither. The two keys must differ.
    pub fn admit_two(
        &self,
        client: Option<(ClientKey, &Bucket<'_>)>,
        route: Option<(ClientKey, &Bucket<'_>)>,
        now: Timestamp,
    ) -> Admission {
        let linked = self.linked.load(Ordering::Relaxed);
        let client = client.map(|(key, bucket)| (key, self.terms(bucket, linked)));
        let route = route.map(|(key, bucket)| (key, self.terms(bucket, linked)));
        self.meters.admit_two(client, route, now)
    }

    const fn terms<'a>(&'a self, bucket: &'a Bucket<'a>, linked: bool) -> LeaseTerms<'a> {
        LeaseTerms { bucket, keys: &self.keys, fleet: &self.fleet, linked }
    }
}

impl fmt::Debug for LeaseTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LeaseTable").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

/// An ask on its way, with the bucket it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    bucket: ClientKey,
    /// What is asked.
    pub ask: LeaseAsk,
}

/// Looks after the leases of a table. One at a time; whoever drives it carries asks to the ledger and answers back.
#[derive(Debug)]
pub struct LeaseKeeper {
    table: Arc<LeaseTable>,
    /// Buckets to be looked at, in the order in which they called.
    waiting: Vec<ClientKey>,
    /// Buckets to be looked at from a time on.
    due: BinaryHeap<Reverse<(Timestamp, ClientKey)>>,
}

impl LeaseKeeper {
    /// A keeper of this table's leases.
    pub const fn new(table: Arc<LeaseTable>) -> Self {
        Self { table, waiting: Vec::new(), due: BinaryHeap::new() }
    }

    /// What is to be asked now, at most `max` asks. Each must be settled or failed before its bucket asks again.
    pub fn collect(&mut self, now: Timestamp, max: usize) -> Vec<Asked> {
        if self.waiting.len() < MOST_WAITING {
            self.table.meters.take_calls(&mut self.waiting);
        }
        while let Some(Reverse((at, _))) = self.due.peek()
            && *at <= now
        {
            self.waiting.extend(self.due.pop().map(|Reverse((_, bucket))| bucket));
        }
        let mut asks = Vec::new();
        let mut looked_at = 0;
        for &bucket in &self.waiting {
            if asks.len() == max {
                break;
            }
            looked_at += 1;
            match self.table.meters.with(bucket, |meter| meter.turn(now)) {
                Some(Turn::Ask(ask)) => asks.push(Asked { bucket, ask }),
                Some(Turn::Later(at)) => self.due.push(Reverse((at, bucket))),
                Some(Turn::Nothing) | None => {}
            }
        }
        self.waiting.drain(..looked_at);
        asks
    }

    /// The ledger has answered, in the order of the asks. `sent_at` is before they left, `got_at` after the answers came.
    pub fn settle(&mut self, asked: Vec<Asked>, answers: &[LeaseAnswer], sent_at: Timestamp, got_at: Timestamp) {
        self.table.linked.store(true, Ordering::Relaxed);
        let unanswered = asked.get(answers.len()..).unwrap_or_default().to_vec();
        for (Asked { bucket, ask }, answer) in asked.into_iter().zip(answers) {
            let due =
                self.table.meters.with(bucket, |meter| meter.settle(ask.want, *answer, sent_at, got_at)).flatten();
            if let Some(due) = due {
                self.due.push(Reverse((due, bucket)));
            }
        }
        self.put_back(unanswered);
    }

    /// The ledger has not answered: the node decides by its share until it does.
    pub fn fail(&mut self, asked: Vec<Asked>) {
        self.table.linked.store(false, Ordering::Relaxed);
        self.put_back(asked);
    }

    /// Whether the ledger answered when it was asked last.
    pub fn is_linked(&self) -> bool {
        self.table.linked.load(Ordering::Relaxed)
    }

    fn put_back(&mut self, asked: Vec<Asked>) {
        for Asked { bucket, .. } in asked {
            if self.table.meters.with(bucket, LeaseMeter::fail).is_some() {
                self.waiting.push(bucket);
            }
        }
    }
}
