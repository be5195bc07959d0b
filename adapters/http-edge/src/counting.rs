//! Where requests are counted, and what counting says to a client.
//!
//! Always: only a data plane that counts request by request with its fleet waits for a decision, and not for longer than
//! the counter's deadline; when nobody answers, the node decides by its share, which is counted. Not here: which buckets a
//! request has (`novagate_policies`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use novagate_kernel::{ErrorCode, Timestamp};
use novagate_policies::{
    Admission, Bucket, BucketSide, ClientKey, FieldText, FleetSize, LeaseTable, LimitTable, RateLimit, SharedAsk,
    SharedKeyHasher, Tier,
};
use novagate_ports_edge::{SharedCounter, SharedCounters};

use crate::observe::cells::add;
use crate::refusal::Refusal;
use crate::wire::response::push_line;
use crate::worker::Worker;

/// Where requests are counted.
#[derive(Debug, Clone)]
pub enum Counters {
    /// In this process.
    Local(Arc<LimitTable>),
    /// In this process, by leases of limits that a fleet shares.
    Leased(Arc<LeaseTable>),
    /// Where all gateways of a fleet see it, request by request.
    Exact(ExactCounters),
}

/// What it takes to count request by request.
#[derive(Clone)]
pub struct ExactCounters {
    /// The shared counter.
    pub shared: Arc<dyn SharedCounters>,
    /// Makes the keys that the fleet shares.
    pub keys: SharedKeyHasher,
    /// Counts while the shared counter does not answer.
    pub own: Arc<LimitTable>,
    /// Among how many nodes limits are shared out then.
    pub fleet: FleetSize,
    /// Requests that were decided without the shared counter.
    pub errors: Arc<AtomicU64>,
}

impl fmt::Debug for ExactCounters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExactCounters").field("fleet", &self.fleet).finish_non_exhaustive()
    }
}

/// A request that is still to be counted by others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uncounted {
    client: Option<Ask>,
    route: Option<Ask>,
    at: Timestamp,
}

/// One of its buckets.
#[derive(Debug, Clone, Copy)]
struct Ask {
    shared: SharedAsk,
    own: ClientKey,
    tier: Tier,
}

impl Uncounted {
    pub(crate) fn new(
        keys: &SharedKeyHasher,
        client: Option<(ClientKey, &Bucket<'_>)>,
        route: Option<(ClientKey, &Bucket<'_>)>,
        at: Timestamp,
    ) -> Self {
        let ask = |(own, bucket): (ClientKey, &Bucket<'_>)| Ask {
            shared: SharedAsk { key: keys.key(bucket), limit: bucket.limit() },
            own,
            tier: bucket.tier(),
        };
        Self { client: client.map(ask), route: route.map(ask), at }
    }

    /// Counts it and writes what the buckets say.
    pub(crate) async fn count(self, worker: &Worker, extra: &mut Vec<u8>) -> Result<(), Refusal> {
        let Counters::Exact(exact) = &worker.shared.counters else { return Ok(()) };
        let admission = match &worker.counter {
            Some(counter) => self.ask(&**counter, exact).await,
            None => self.decide_alone(exact),
        };
        tell(worker, &admission, self.client.map(|ask| ask.tier), self.route.map(|ask| ask.tier), extra)
    }

    async fn ask(&self, counter: &dyn SharedCounter, exact: &ExactCounters) -> Admission {
        match counter.admit(self.client.map(|ask| ask.shared), self.route.map(|ask| ask.shared)).await {
            Ok(admission) => admission,
            Err(_logged) => self.decide_alone(exact),
        }
    }

    fn decide_alone(&self, exact: &ExactCounters) -> Admission {
        exact.errors.fetch_add(1, Ordering::Relaxed);
        let share = |ask: Ask| (ask.own, exact.fleet.share(ask.shared.limit));
        exact.own.admit_two(self.client.map(share), self.route.map(share), self.at)
    }
}

/// The line about a limit that was written last: most requests of a worker are held against the same one.
#[derive(Debug, Default)]
pub(crate) struct PolicyLine {
    of: Option<(Tier, RateLimit)>,
    line: Vec<u8>,
}

impl PolicyLine {
    fn push(&mut self, tier: Tier, limit: RateLimit, extra: &mut Vec<u8>) {
        if self.of != Some((tier, limit)) {
            self.line.clear();
            push_line(&mut self.line, b"ratelimit-policy", FieldText::policy(tier, limit).as_bytes());
            self.of = Some((tier, limit));
        }
        extra.extend_from_slice(&self.line);
    }
}

/// Writes what the buckets say; a refusal is counted.
pub(crate) fn tell(
    worker: &Worker,
    admission: &Admission,
    client: Option<Tier>,
    route: Option<Tier>,
    extra: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let Some((side, decision)) = admission.tighter() else { return Ok(()) };
    let tier = match side {
        BucketSide::Client => client,
        BucketSide::Route => route,
    };
    let tier = tier.unwrap_or(Tier::Unauth);
    worker.policy.borrow_mut().push(tier, decision.limit, extra);
    push_line(extra, b"ratelimit", FieldText::remaining(tier, &decision).as_bytes());
    if decision.admitted {
        return Ok(());
    }
    push_line(extra, b"retry-after", FieldText::retry_after(decision.reset_after).as_bytes());
    let hits = Tier::ALL.iter().position(|each| *each == tier).and_then(|at| worker.cells.limit_hits.get(at));
    if let Some(hits) = hits {
        add(hits, 1);
    }
    Err(Refusal::of(ErrorCode::RateLimitExceeded))
}
