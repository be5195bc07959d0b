//! The config objects this crate routes by: services with their targets, and the matching half of routes.
//!
//! Values are plain data; whoever builds them from outside text (`adapters/documents`) has checked each field against the
//! rule beside it. Which values fit together is decided when a configuration is compiled.

use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::{Name, RouteId, ServiceId};

use crate::{
    Condition, ConditionOn, Expression, HealthCheck, HostPattern, LoadBalancing, PathPattern, Preference, Resilience,
    RouteAction, UpstreamTls, ValueTest,
};

/// Something that answers requests: one or more targets behind one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its id; kept when it is renamed.
    pub id: ServiceId,
    /// Its name, unique in the tenant; routes refer to it by this.
    pub name: Name,
    /// Where requests go; 1 to 256.
    pub targets: Vec<Target>,
    /// How long an upstream may take until its response head; 1 ms to 1 h. `None`: the node's `PROXY_TIMEOUT_MS`.
    pub timeout: Option<Duration>,
    /// Bound on the whole exchange, bodies included; `None`: unbounded.
    pub total_timeout: Option<Duration>,
    /// What is spoken with its targets.
    pub protocol: Protocol,
    /// How its targets are probed; `None`: they are not.
    pub health_check: Option<Box<HealthCheck>>,
    /// How a target is chosen.
    pub load_balancing: LoadBalancing,
    /// Which targets are chosen rather than others, and which less often.
    pub preference: Preference,
    /// What is done about targets that fail.
    pub resilience: Resilience,
    /// How TLS is spoken to its targets, all of which then speak it; `None`: as their schemes and the gateway say.
    pub tls: Option<Box<UpstreamTls>>,
}

/// What is spoken with the targets of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112): a connection carries one request at a time.
    #[default]
    Http1,
    /// HTTP/2 (RFC 9113): a connection carries many requests. Over TLS it is agreed on, in clear it is known.
    Http2,
}

/// One upstream address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Scheme `http` or `https`, a host and a port, or what SRV records say; no path, credentials, query or fragment.
    pub url: TargetUrl,
    /// Share of requests relative to the other targets; 1 to 100.
    pub weight: u8,
    /// Where it is: a label of [`is_zone`](crate::is_zone). `None`: nowhere in particular.
    pub zone: Option<Arc<str>>,
}

impl Target {
    /// A target at no particular place.
    pub const fn new(url: TargetUrl, weight: u8) -> Self {
        Self { url, weight, zone: None }
    }
}

/// An upstream origin (RFC 6454): `http://host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A DNS name in lower case, an IPv4 address, or an IPv6 address without brackets; with port 0 the name of SRV records.
    pub host: Arc<str>,
    /// The port; the scheme's default when the text names none. 0: SRV records of `host` name hosts and ports.
    pub port: u16,
}

/// The routing half of a route: which requests it takes and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its id; kept when it is renamed.
    pub id: RouteId,
    /// Its name, unique in the tenant.
    pub name: Name,
    /// Which requests it takes.
    pub matcher: RouteMatch,
    /// What becomes of them.
    pub action: RouteAction,
    /// What `%2F` in a path means here.
    pub encoded_slashes: EncodedSlashes,
}

/// The criteria of a route; all that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteMatch {
    /// Hosts, exact or with a leading `*.`; empty: any host. At most 64.
    pub hosts: Vec<HostPattern>,
    /// Methods; empty: any method. At most 16, no duplicates.
    pub methods: Vec<http::Method>,
    /// The path pattern.
    pub path: PathPattern,
    /// Further criteria: at most one about the path, 16 about header fields, 16 about query parameters.
    pub conditions: Vec<Condition>,
    /// Which of several routes is served that all match and are equally specific: the one with the most.
    pub priority: u16,
}

impl RouteMatch {
    /// Every request with a path like this.
    pub const fn on(path: PathPattern) -> Self {
        Self { hosts: Vec::new(), methods: Vec::new(), path, conditions: Vec::new(), priority: 0 }
    }

    /// The expression for the path.
    pub fn expression(&self) -> Option<&Expression> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition { on: ConditionOn::Path, test: ValueTest::Matches(expression) } => Some(expression),
            _ => None,
        })
    }
}

/// What an encoded slash in a request path means for a route (decided per route, after matching).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EncodedSlashes {
    /// Such a request is refused with 400.
    #[default]
    Reject,
    /// `%2F` is decoded before it is matched and forwarded.
    Decode,
    /// `%2F` is left as it is: part of a segment.
    Keep,
}
