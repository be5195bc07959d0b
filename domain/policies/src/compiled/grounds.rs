//! What an admission rests on, for exchanges that outlive the configuration they were admitted under.
//!
//! Always: names what was proven, never the credential itself. Not here: what changes of a rule mean for exchanges that
//! were admitted under the old one: nothing.

use std::fmt;

use novagate_access::{ConsumerKey, KeyDigest};
use novagate_kernel::{ConsumerId, RouteId};

use super::CompiledConfig;
use crate::Presented;

/// What an admission rests on: its route, and who was admitted by which key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Grounds {
    route: RouteId,
    consumer: Option<ConsumerId>,
    key: Option<KeyDigest>,
    /// The name that has made a certificate the consumer's.
    certificate: Option<KeyDigest>,
}

impl Grounds {
    /// Of a request of this route that was admitted as `consumer`. `presented` is what the route has read.
    pub fn new(route: RouteId, consumer: Option<ConsumerId>, presented: Presented<'_>) -> Self {
        let key = match presented {
            Presented::Key(key) => ConsumerKey::digest_of_presented(key),
            Presented::Nothing | Presented::Token(_) | Presented::Malformed(_) => None,
        };
        Self { route, consumer, key, certificate: None }
    }

    /// The same of a request that was admitted by a certificate because of this name of it
    /// ([`CompiledConfig::deciding_name`]).
    pub const fn by_certificate(self, name: Option<KeyDigest>) -> Self {
        Self { certificate: name, ..self }
    }
}

impl CompiledConfig {
    /// Whether an admission still has its grounds: route and consumer exist, and key or certificate are the same consumer's.
    pub fn upholds(&self, grounds: &Grounds) -> bool {
        let has_route = self.route_by_id(grounds.route).is_some();
        let has_consumer = grounds.consumer.is_none_or(|consumer| self.consumer(consumer).is_some());
        let has_key = grounds.key.is_none_or(|digest| {
            self.consumer_of_key(&digest).is_some_and(|consumer| Some(consumer.id) == grounds.consumer)
        });
        let has_certificate = grounds.certificate.is_none_or(|name| {
            self.consumer_of_certificate(&name).is_some_and(|consumer| Some(consumer.id) == grounds.consumer)
        });
        has_route && has_consumer && has_key && has_certificate
    }
}

impl fmt::Debug for Grounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Grounds").field("route", &self.route).finish_non_exhaustive()
    }
}
