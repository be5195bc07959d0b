//! Which buckets a request is counted in: the client's, and the route's when it has a limit.
//!
//! Always: at most two; the client's is shared by all routes; an address counts as IPv4 or as IPv6 /64, for whoever has one
//! address of a /64 has them all. Not here: counting (`limits`, counter adapters).

use std::fmt;
use std::net::IpAddr;

use novagate_kernel::{ConsumerId, RouteId};

use crate::{Identity, LimitBy, RateLimit, RouteLimit};

/// Limits of this node for clients without one of their own (`RATE_LIMIT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Length of the window.
    pub window: std::time::Duration,
    /// Requests of one address without a credential.
    pub unauth_max: u32,
    /// Requests of one consumer or token subject.
    pub auth_max: u32,
}

/// Whose limit refused or binds; label of metrics and name of the policy in header fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The node's, for clients without a credential.
    Unauth,
    /// The node's, for clients with one.
    Auth,
    /// The consumer's own.
    Consumer,
    /// The route's.
    Route,
}

impl Tier {
    /// Every tier.
    pub const ALL: [Self; 4] = [Self::Unauth, Self::Auth, Self::Consumer, Self::Route];

    /// The word in metrics and header fields.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauth => "unauth",
            Self::Auth => "auth",
            Self::Consumer => "consumer",
            Self::Route => "route",
        }
    }
}

/// One bucket: what is shared, by whom, and how much there is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bucket<'a> {
    scope: Scope,
    who: Who<'a>,
    limit: RateLimit,
    tier: Tier,
}

/// What tells a bucket from all others, where that has a bounded size.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BucketName {
    scope: Scope,
    is_unauth: bool,
    who: Who<'static>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All routes.
    Client,
    Route(RouteId),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who<'a> {
    Consumer(ConsumerId),
    Subject(&'a str),
    Ipv4([u8; 4]),
    /// The first half of the address.
    Ipv6([u8; 8]),
    Everybody,
}

impl<'a> Bucket<'a> {
    /// The client's bucket.
    pub fn of_client(identity: &Identity<'a>, client_ip: IpAddr, node: &NodeLimits) -> Self {
        let node_tier = |max| RateLimit { max, window: node.window };
        let (limit, tier) = match identity {
            Identity::Anonymous => (node_tier(node.unauth_max), Tier::Unauth),
            Identity::Subject(_) => (node_tier(node.auth_max), Tier::Auth),
            Identity::Consumer { consumer, .. } => match consumer.rate_limit {
                Some(own) => (own, Tier::Consumer),
                None => (node_tier(node.auth_max), Tier::Auth),
            },
        };
        Self { scope: Scope::Client, who: consumer_or_less(identity, client_ip), limit, tier }
    }

    /// The bucket of a route's own limit.
    pub fn of_route(route: RouteId, limit: &RouteLimit, identity: &Identity<'a>, client_ip: IpAddr) -> Self {
        let who = match limit.by {
            LimitBy::Consumer => consumer_or_less(identity, client_ip),
            LimitBy::Subject => subject_or_less(identity, client_ip),
            LimitBy::Ip => Who::address(client_ip),
            LimitBy::Route => Who::Everybody,
        };
        Self { scope: Scope::Route(route), who, limit: limit.limit, tier: Tier::Route }
    }

    /// How much.
    pub const fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Whose limit it is.
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// What [`Self::feed`] tells of it, unless its subject is a token's, which is of any length.
    pub(crate) fn name(&self) -> Option<BucketName> {
        let who = match self.who {
            Who::Subject(_) => return None,
            Who::Consumer(consumer) => Who::Consumer(consumer),
            Who::Ipv4(address) => Who::Ipv4(address),
            Who::Ipv6(prefix) => Who::Ipv6(prefix),
            Who::Everybody => Who::Everybody,
        };
        Some(BucketName { scope: self.scope, is_unauth: self.is_unauth(), who })
    }

    fn is_unauth(&self) -> bool {
        matches!(self.tier, Tier::Unauth)
    }

    /// Hands scope, NUL, kind, NUL and subject to a keyed hash, in parts: what names the bucket. Different buckets give
    /// different bytes: scope and kind fix the length of what follows them, and the subject comes last.
    pub fn feed(&self, mut sink: impl FnMut(&[u8])) {
        match self.scope {
            // A token without a subject is counted by address, but not together with requests without a token.
            Scope::Client => sink(if self.is_unauth() { b"a\0" } else { b"c\0" }),
            Scope::Route(route) => {
                sink(b"r");
                sink(&route.as_u128().to_be_bytes());
                sink(b"\0");
            }
        }
        match self.who {
            Who::Consumer(consumer) => {
                sink(b"consumer\0");
                sink(&consumer.as_u128().to_be_bytes());
            }
            Who::Subject(subject) => {
                sink(b"subject\0");
                sink(subject.as_bytes());
            }
            Who::Ipv4(address) => {
                sink(b"ip\0");
                sink(&address);
            }
            Who::Ipv6(prefix) => {
                sink(b"ip\0");
                sink(&prefix);
            }
            Who::Everybody => sink(b"route\0"),
        }
    }
}

impl fmt::Debug for Bucket<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bucket").field("tier", &self.tier).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Who<'_> {
    fn address(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(address) => Self::Ipv4(address.octets()),
            // A dual-stack socket shows IPv4 clients this way; their /64 would be one bucket for all of them.
            IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(
                || Self::Ipv6(address.octets().first_chunk().copied().unwrap_or_default()),
                |mapped| Self::Ipv4(mapped.octets()),
            ),
        }
    }
}

fn consumer_or_less<'a>(identity: &Identity<'a>, client_ip: IpAddr) -> Who<'a> {
    match identity.consumer() {
        Some(consumer) => Who::Consumer(consumer.id),
        None => subject_or_less(identity, client_ip),
    }
}

fn subject_or_less<'a>(identity: &Identity<'a>, client_ip: IpAddr) -> Who<'a> {
    identity.subject().map_or_else(|| Who::address(client_ip), Who::Subject)
}

#[cfg(test)]
mod tests;
