//! Limits counted in Redis: request by request, and by leases.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_kernel::NodeId;
use novagate_policies::{Admission, Decision, LeaseAnswer, LeaseAsk, RateLimit, SharedAsk, SharedKey, SharedKeyHasher};
use novagate_ports_base::{Entropy, PortError};
use novagate_ports_edge::{LeaseLedger, SharedCounter, SharedCounters};
use redis::{Cmd, Value};

use crate::fault::strange;
use crate::key::Key;
use crate::link::Link;
use crate::script::Script;
use crate::server::Server;

/// A request does not wait for longer.
const REQUEST_DEADLINE: Duration = Duration::from_millis(100);
/// Nor do leases, which no request waits for.
const LEASE_DEADLINE: Duration = Duration::from_millis(500);
/// A node that did not tell for so long does not count.
const NODE_LIFE: Duration = Duration::from_secs(15);

const ADMIT: &str = "counter.admit";
const EXCHANGE: &str = "leases.exchange";
const NODES: &str = "leases.nodes";

/// Counts each request in Redis: sliding windows that are exact to the microsecond.
#[derive(Clone)]
pub struct RedisCounters {
    server: Server,
    entropy: Arc<dyn Entropy>,
    script: Arc<Script>,
}

impl RedisCounters {
    pub(crate) fn new(server: Server, entropy: Arc<dyn Entropy>) -> Self {
        Self { server, entropy, script: Arc::new(Script::admit()) }
    }
}

impl SharedCounters for RedisCounters {
    fn for_worker(&self) -> Arc<dyn SharedCounter> {
        let link = Link::new(self.server.clone(), REQUEST_DEADLINE, Arc::clone(&self.entropy));
        Arc::new(RedisCounter { link, script: Arc::clone(&self.script) })
    }
}

impl fmt::Debug for RedisCounters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisCounters").finish_non_exhaustive()
    }
}

/// One worker's way to the counters.
#[derive(Debug)]
struct RedisCounter {
    link: Link,
    script: Arc<Script>,
}

#[async_trait]
impl SharedCounter for RedisCounter {
    async fn admit(&self, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Result<Admission, PortError> {
        if client.is_none() && route.is_none() {
            return Ok(Admission::default());
        }
        let call = admit_call(&self.script, client, route);
        let answer = self.link.run(ADMIT, &self.script, &call).await?;
        admission(&answer, client, route)
    }
}

/// The call of an admitting script, without the clock of a caller.
fn admit_call(script: &Script, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Cmd {
    let asks = [client, route];
    let buckets = asks.iter().flatten().count();
    let mut call = script.call(buckets, 3 * buckets + 1);
    for ask in asks.iter().flatten() {
        call.arg(Key::bucket(ask.key));
    }
    for ask in asks.iter().flatten() {
        push_limit(&mut call, ask.limit);
    }
    call
}

fn admission(answer: &Value, client: Option<SharedAsk>, route: Option<SharedAsk>) -> Result<Admission, PortError> {
    let mut numbers = Numbers::of(answer);
    let mut decide = |ask: Option<SharedAsk>| ask.map(|ask| numbers.decision(ask.limit)).transpose();
    Ok(Admission { client: decide(client)?, route: decide(route)? })
}

/// The ledger of leases in Redis.
#[derive(Debug)]
pub struct RedisLedger {
    link: Link,
    lease: Script,
    nodes: Script,
    /// Where the nodes of the fleet tell of themselves.
    fleet: SharedKey,
}

impl RedisLedger {
    pub(crate) fn new(server: Server, entropy: Arc<dyn Entropy>, keys: &SharedKeyHasher) -> Self {
        Self {
            link: Link::new(server, LEASE_DEADLINE, entropy),
            lease: Script::lease(),
            nodes: Script::nodes(),
            fleet: keys.of("f", "nodes", b""),
        }
    }
}

#[async_trait]
impl LeaseLedger for RedisLedger {
    async fn exchange(&self, asks: &[LeaseAsk]) -> Result<Vec<LeaseAnswer>, PortError> {
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let call = lease_call(&self.lease, asks);
        let answer = self.link.run(EXCHANGE, &self.lease, &call).await?;
        let mut numbers = Numbers::of(&answer);
        asks.iter().map(|_| numbers.lease()).collect()
    }

    async fn nodes(&self, node: NodeId) -> Result<u32, PortError> {
        let mut call = self.nodes.call(1, 3);
        call.arg(Key::bucket(self.fleet)).arg(node.to_string()).arg(micros(NODE_LIFE));
        let answer = self.link.run(NODES, &self.nodes, &call).await?;
        count_of(&answer).ok_or_else(|| strange(NODES))
    }
}

/// The call of a lease script, without the clock of a caller.
fn lease_call(script: &Script, asks: &[LeaseAsk]) -> Cmd {
    let mut call = script.call(asks.len(), 8 * asks.len() + 1);
    for ask in asks {
        call.arg(Key::bucket(ask.key));
    }
    for ask in asks {
        let (stamp, permits) = ask.returned.map_or((0, 0), |returned| (returned.stamp, returned.permits));
        push_limit(&mut call, ask.limit);
        call.arg(micros(ask.life)).arg(ask.debt).arg(ask.want).arg(stamp).arg(permits);
    }
    call
}

pub(crate) fn push_limit(call: &mut Cmd, limit: RateLimit) {
    call.arg(limit.max).arg(micros(limit.window));
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The answer, when it is a number of things.
pub(crate) fn count_of(answer: &Value) -> Option<u32> {
    if let Value::Int(count) = answer { u32::try_from(*count).ok() } else { None }
}

/// The numbers of an answer, one after the other.
pub(crate) struct Numbers<'a>(std::slice::Iter<'a, Value>);

impl<'a> Numbers<'a> {
    pub(crate) fn of(answer: &'a Value) -> Self {
        let values = if let Value::Array(values) = answer { values.as_slice() } else { &[] };
        Self(values.iter())
    }

    fn next(&mut self, op: &'static str) -> Result<i64, PortError> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(strange(op)),
        }
    }

    pub(crate) fn decision(&mut self, limit: RateLimit) -> Result<Decision, PortError> {
        let admitted = self.next(ADMIT)? == 1;
        let remaining = u32::try_from(self.next(ADMIT)?).unwrap_or(0);
        let reset_after = self.duration(ADMIT)?;
        Ok(Decision { admitted, limit, remaining, reset_after })
    }

    fn lease(&mut self) -> Result<LeaseAnswer, PortError> {
        let granted = u32::try_from(self.next(EXCHANGE)?).unwrap_or(0);
        let stamp = self.next(EXCHANGE)?;
        let room = u32::try_from(self.next(EXCHANGE)?).unwrap_or(0);
        Ok(LeaseAnswer { granted, stamp, room, wait: self.duration(EXCHANGE)? })
    }

    fn duration(&mut self, op: &'static str) -> Result<Duration, PortError> {
        Ok(Duration::from_micros(u64::try_from(self.next(op)?).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests;
