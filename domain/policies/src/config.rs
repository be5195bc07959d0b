//! The config objects of a tenant, in the form that decisions are made from.

use std::time::Duration;

use novagate_access::KeyDigest;
use novagate_kernel::{ConsumerId, ConsumerKeyId, Name, ObjectKind, ObjectRef, RouteId, ServiceId};
use novagate_routing::{Route, Service};

use crate::CertificateName;

/// One config object: the unit that is edited, versioned, digested and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigObject {
    /// An upstream service.
    Service(Service),
    /// A route with its rules.
    Route(RouteConfig),
    /// A consumer.
    Consumer(Consumer),
    /// A consumer's credential.
    ConsumerKey(ConsumerKeyGrant),
}

/// A route: what it takes, and on which terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConfig {
    /// Matching and forwarding.
    pub route: Route,
    /// Who may call it.
    pub auth: AuthRule,
    /// The route's own limit, beside the client's.
    pub rate_limit: Option<RouteLimit>,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in the config language")]
pub struct AuthRule {
    /// Whether a request without a credential is refused. An invalid credential always is.
    pub required: bool,
    /// Whether JWTs are accepted.
    pub accept_jwt: bool,
    /// Whether consumer keys are accepted.
    pub accept_key: bool,
    /// Whether certificates of consumers are accepted.
    pub accept_certificate: bool,
}

impl Default for AuthRule {
    /// Open to everybody; keys and tokens are accepted.
    fn default() -> Self {
        Self { required: false, accept_jwt: true, accept_key: true, accept_certificate: false }
    }
}

/// At most `max` requests in any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Requests; 1 to 1,000,000.
    pub max: u32,
    /// Length of the window; 1 s to 24 h, in whole milliseconds.
    pub window: Duration,
}

/// A route's limit: one bucket per `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteLimit {
    /// How much.
    pub limit: RateLimit,
    /// Who shares a bucket.
    pub by: LimitBy,
}

/// Who shares a bucket of a route's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitBy {
    /// One per consumer; without one per token subject; without one per address.
    #[default]
    Consumer,
    /// One per token subject; without one per address.
    Subject,
    /// One per IPv4 address or IPv6 /64.
    Ip,
    /// One for everybody.
    Route,
}

/// Somebody who calls a tenant's API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// Its id.
    pub id: ConsumerId,
    /// Its name, unique in the tenant. A JWT belongs to the consumer whose id or name is its `sub`.
    pub name: Name,
    /// Groups, sorted, without duplicates; at most 32.
    pub groups: Vec<Name>,
    /// Its own limit, in place of the node's tier for authenticated clients.
    pub rate_limit: Option<RateLimit>,
    /// What its certificates have: no other consumer has the same; at most 16.
    pub certificates: Vec<CertificateName>,
}

/// A consumer's key, as its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerKeyGrant {
    /// Its id.
    pub id: ConsumerKeyId,
    /// Whose key it is.
    pub consumer: ConsumerId,
    /// SHA-256 of the key.
    pub digest: KeyDigest,
}

impl ConfigObject {
    /// Kind and id.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Service(service) => service.id.into(),
            Self::Route(route) => route.route.id.into(),
            Self::Consumer(consumer) => consumer.id.into(),
            Self::ConsumerKey(key) => key.id.into(),
        }
    }

    /// The same object under another id of its kind.
    pub fn with_id(self, id: uuid::Uuid) -> Self {
        match self {
            Self::Service(service) => Self::Service(Service { id: ServiceId::from_uuid(id), ..service }),
            Self::Route(route) => {
                Self::Route(RouteConfig { route: Route { id: RouteId::from_uuid(id), ..route.route }, ..route })
            }
            Self::Consumer(consumer) => Self::Consumer(Consumer { id: ConsumerId::from_uuid(id), ..consumer }),
            Self::ConsumerKey(key) => Self::ConsumerKey(ConsumerKeyGrant { id: ConsumerKeyId::from_uuid(id), ..key }),
        }
    }

    /// The kind.
    pub const fn kind(&self) -> ObjectKind {
        match self {
            Self::Service(_) => ObjectKind::Service,
            Self::Route(_) => ObjectKind::Route,
            Self::Consumer(_) => ObjectKind::Consumer,
            Self::ConsumerKey(_) => ObjectKind::ConsumerKey,
        }
    }

    /// The name; keys have none.
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Service(service) => Some(&service.name),
            Self::Route(route) => Some(&route.route.name),
            Self::Consumer(consumer) => Some(&consumer.name),
            Self::ConsumerKey(_) => None,
        }
    }

    /// The object this one belongs to and goes with: a key's consumer.
    pub fn parent(&self) -> Option<ObjectRef> {
        match self {
            Self::ConsumerKey(key) => Some(key.consumer.into()),
            Self::Service(_) | Self::Route(_) | Self::Consumer(_) => None,
        }
    }
}
