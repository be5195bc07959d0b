//! Counting attempts where every control node sees them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use novagate_access::FleetKey;
use novagate_kernel::Timestamp;
use novagate_policies::{RateLimit, SharedKeyHasher};
use novagate_ports_base::{Entropy, PortError};
use novagate_ports_control::outbound::{Throttle, ThrottleRule};

use crate::counters::{Numbers, count_of, micros, push_limit};
use crate::fault::strange;
use crate::key::Key;
use crate::link::Link;
use crate::script::Script;
use crate::server::Server;

const DEADLINE: Duration = Duration::from_secs(1);
/// A refusal with no wait at all would be an invitation.
const LEAST_WAIT: Duration = Duration::from_micros(1);

const ATTEMPT: &str = "throttle.attempt";
const COUNT: &str = "throttle.count";
const CLEAR: &str = "throttle.clear";

/// Remembers the time of every admitted attempt. Clones are the same throttle.
#[derive(Clone)]
pub struct RedisThrottle(Arc<Inner>);

struct Inner {
    link: Link,
    keys: SharedKeyHasher,
    admit: Script,
    count: Script,
}

impl RedisThrottle {
    /// What is counted is hashed once more, under a key of the control nodes: other users of the server learn nothing.
    pub(crate) fn new(server: Server, entropy: Arc<dyn Entropy>, fleet: &FleetKey) -> Self {
        let (link, keys) = (Link::new(server, DEADLINE, entropy), SharedKeyHasher::new(fleet));
        Self(Arc::new(Inner { link, keys, admit: Script::admit_at(), count: Script::count_at() }))
    }

    fn key(&self, key: &str) -> Key {
        Key::bucket(self.0.keys.of("t", "attempts", key.as_bytes()))
    }
}

#[async_trait]
impl Throttle for RedisThrottle {
    async fn attempt(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<Option<Duration>, PortError> {
        let limit = RateLimit { max: rule.max, window: rule.window };
        let mut call = self.0.admit.call(1, 4);
        call.arg(self.key(key));
        push_limit(&mut call, limit);
        call.arg(now.as_micros());
        let answer = self.0.link.run(ATTEMPT, &self.0.admit, &call).await?;
        let decision = Numbers::of(&answer).decision(limit)?;
        Ok((!decision.admitted).then(|| decision.reset_after.max(LEAST_WAIT)))
    }

    async fn count(&self, key: &str, rule: ThrottleRule, now: Timestamp) -> Result<u32, PortError> {
        let mut call = self.0.count.call(1, 3);
        call.arg(self.key(key)).arg(micros(rule.window)).arg(now.as_micros());
        let answer = self.0.link.run(COUNT, &self.0.count, &call).await?;
        count_of(&answer).ok_or_else(|| strange(COUNT))
    }

    async fn clear(&self, key: &str) -> Result<(), PortError> {
        let mut call = redis::cmd("DEL");
        call.arg(self.key(key));
        self.0.link.run(CLEAR, &self.0.admit, &call).await.map(drop)
    }
}

impl fmt::Debug for RedisThrottle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisThrottle").finish_non_exhaustive()
    }
}
