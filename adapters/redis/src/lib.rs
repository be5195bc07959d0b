//! Redis: what the nodes of a fleet count, remember and tell each other.
//!
//! Decides: names of keys, scripts, deadlines, and when a server that failed is asked again. Always: each call ends within
//! its deadline; a server that is away costs one deadline for each probe; names hold nothing personal; every key but the
//! cached configuration expires by itself. Not here: what is decided without Redis (callers), which of two answers counts.

mod adapters;
mod bus;
mod circuit;
mod counters;
mod fault;
mod key;
mod link;
mod pool;
mod presence;
mod script;
mod seal;
mod server;
mod snapshots;
#[cfg(test)]
mod testing;
mod throttle;

pub use self::{
    adapters::Redis,
    bus::RedisBus,
    counters::{RedisCounters, RedisLedger},
    presence::RedisPresence,
    server::{RedisTarget, RedisTargetError},
    snapshots::RedisSnapshots,
    throttle::RedisThrottle,
};
