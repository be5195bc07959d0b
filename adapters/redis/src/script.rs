//! Scripts that run inside Redis, each as one atomic step.
//!
//! Always: a script is called by its digest and sent once to a server that does not know it. A bucket is a list of times in
//! microseconds, oldest first. The clock of limits is that of Redis (`TIME`), so that nodes need not agree about theirs;
//! counters of attempts bring the caller's.

use redis::Cmd;

const LOG: &str = include_str!("lua/log.lua");
const SERVER_CLOCK: &str = include_str!("lua/server_clock.lua");
const CALLER_CLOCK: &str = include_str!("lua/caller_clock.lua");
const ADMIT: &str = include_str!("lua/admit.lua");
const LEASE: &str = include_str!("lua/lease.lua");
const COUNT: &str = include_str!("lua/count.lua");
const NODES: &str = include_str!("lua/nodes.lua");

/// One script.
#[derive(Debug)]
pub(crate) struct Script {
    digest: String,
    load: Cmd,
}

impl Script {
    /// Decides about one request in one or two buckets, by the clock of Redis.
    pub(crate) fn admit() -> Self {
        Self::new(&[SERVER_CLOCK, LOG, ADMIT])
    }

    /// The same by a clock that the caller brings as its last argument.
    pub(crate) fn admit_at() -> Self {
        Self::new(&[CALLER_CLOCK, LOG, ADMIT])
    }

    /// How many count in one bucket, by a clock that the caller brings.
    pub(crate) fn count_at() -> Self {
        Self::new(&[CALLER_CLOCK, LOG, COUNT])
    }

    /// Settles and grants leases.
    pub(crate) fn lease() -> Self {
        Self::new(&[SERVER_CLOCK, LOG, LEASE])
    }

    /// The same by a clock that the caller brings.
    #[cfg(test)]
    pub(crate) fn lease_at() -> Self {
        Self::new(&[CALLER_CLOCK, LOG, LEASE])
    }

    /// Notes a node and counts those that were noted lately.
    pub(crate) fn nodes() -> Self {
        Self::new(&[SERVER_CLOCK, NODES])
    }

    fn new(parts: &[&str]) -> Self {
        let text = parts.concat();
        let digest = redis::Script::new(&text).get_hash().to_owned();
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(text);
        Self { digest, load }
    }

    /// A call of it, to which keys and arguments are added.
    pub(crate) fn call(&self, keys: usize, room: usize) -> Cmd {
        let mut call = Cmd::with_capacity(3 + room, 96 + 40 * room);
        call.arg("EVALSHA").arg(&self.digest).arg(keys);
        call
    }

    pub(crate) const fn load(&self) -> &Cmd {
        &self.load
    }
}
