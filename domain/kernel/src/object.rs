//! Kinds of config objects and references to them.

use std::fmt;

use uuid::Uuid;

use crate::{ConsumerId, ConsumerKeyId, RouteId, ServiceId};

/// What a config object is. The order is the order in which a configuration is compiled: parents first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// An upstream service with its targets.
    Service,
    /// A route.
    Route,
    /// A consumer.
    Consumer,
    /// A credential of a consumer (its digest, never the key).
    ConsumerKey,
}

impl ObjectKind {
    /// Every kind, in compile order.
    pub const ALL: [Self; 4] = [Self::Service, Self::Route, Self::Consumer, Self::ConsumerKey];

    /// The word used in frames, storage and digests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Route => "route",
            Self::Consumer => "consumer",
            Self::ConsumerKey => "consumer_key",
        }
    }

    /// The opposite of [`Self::as_str`]; `None` for a word this version does not know.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Names one config object of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: Uuid,
}

impl From<ServiceId> for ObjectRef {
    fn from(id: ServiceId) -> Self {
        Self { kind: ObjectKind::Service, id: id.as_uuid() }
    }
}

impl From<RouteId> for ObjectRef {
    fn from(id: RouteId) -> Self {
        Self { kind: ObjectKind::Route, id: id.as_uuid() }
    }
}

impl From<ConsumerId> for ObjectRef {
    fn from(id: ConsumerId) -> Self {
        Self { kind: ObjectKind::Consumer, id: id.as_uuid() }
    }
}

impl From<ConsumerKeyId> for ObjectRef {
    fn from(id: ConsumerKeyId) -> Self {
        Self { kind: ObjectKind::ConsumerKey, id: id.as_uuid() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.kind, self.id.as_hyphenated())
    }
}
