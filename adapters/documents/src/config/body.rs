//! The bodies of config objects as they are written: field order, names and defaults.
//!
//! Both the config language and the stored form use them; golden files hold the stored bytes in place.

use novagate_policies::ConfigObject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{CompressionBody, DecompressionBody};
use super::health::HealthCheckBody;
use super::resilience::{CircuitBreakerBody, HedgeBody, OutlierDetectionBody, RetriesBody};
use super::route_body::{MatchBody, MirrorBody, RedirectBody, RewriteBody, SplitBody, is_false};
use super::tls::UpstreamTlsBody;

/// An upstream service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBody {
    /// Unique among the tenant's services.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "users")]
    pub name: String,
    /// Where requests go.
    #[schema(min_items = 1, max_items = 256)]
    pub targets: Vec<TargetBody>,
    /// Until the upstream's response head, milliseconds; missing: the node's `PROXY_TIMEOUT_MS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub timeout_ms: Option<u64>,
    /// For the whole exchange, milliseconds; missing: unbounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub total_timeout_ms: Option<u64>,
    /// What is spoken with targets; missing: `http1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolWord>,
    /// How targets are probed; missing: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckBody>,
    /// How one of several targets is chosen.
    #[serde(default)]
    pub load_balancing: BalancingWord,
    /// What requests have in common that go to the same target: `consumer`, `header:NAME` or `cookie:NAME`; with
    /// `consistent-hash`, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(consumer|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})$", example = "header:x-user")]
    pub hash_on: Option<String>,
    /// For how long a target that has come, or come back, gets less than its share, milliseconds; not with
    /// `consistent-hash`. Missing: it gets all of it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 3_600_000)]
    pub slow_start_ms: Option<u64>,
    /// Targets in the gateway's own zone are preferred while so many percent of them take traffic; missing: 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub zone_min_percent: Option<u8>,
    /// Which requests are tried again; missing: on one other target, when no connection could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetriesBody>,
    /// Which requests go to another target too when there is no response in time; missing: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<HedgeBody>,
    /// Which targets are ejected; missing: those that three connections in a row could not be made to, for 5 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetectionBody>,
    /// While fewer of a hundred targets take traffic, all do; missing: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub panic_percent: Option<u8>,
    /// What may be asked at the same time; missing: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreakerBody>,
    /// How TLS is spoken to its targets, all of which are `https` then; missing: as the gateway is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTlsBody>,
}

/// One upstream address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetBody {
    /// `http` or `https`, a host and a port; no path, credentials, query or fragment. Or `http+srv` or `https+srv` and the
    /// name of SRV records, `_service._tcp.domain`.
    #[schema(example = "http://10.0.0.5:8080")]
    pub url: String,
    /// Share of requests relative to the other targets.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub weight: u8,
    /// Where it is: gateways whose `ZONE` is the same prefer it. Missing: nowhere in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9._-]{1,63}$", example = "eu-west-1a")]
    pub zone: Option<String>,
}

/// What is spoken with targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProtocolWord {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: over TLS agreed on by ALPN, in clear by prior knowledge.
    Http2,
}

/// How one of several targets is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BalancingWord {
    /// Smooth weighted round-robin.
    #[default]
    RoundRobin,
    /// The target with the fewest running requests for its weight, as each worker of a gateway sees them.
    LeastConnections,
    /// Of two targets picked by weight, the one that is expected to answer sooner.
    Latency,
    /// The same target for the same value of `hashOn`, as long as it takes traffic.
    ConsistentHash,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteBody {
    /// Unique among the tenant's routes.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "get-user")]
    pub name: String,
    /// Which requests it takes.
    pub r#match: MatchBody,
    /// The name of its service; a route has this, or `split`, or `redirect`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "users")]
    pub service: Option<String>,
    /// Several services, each with a share of the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitBody>,
    /// Where clients are told to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectBody>,
    /// A service that gets copies of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorBody>,
    /// Whether the literal prefix of a `/a/*` path is removed before forwarding.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Whether the service is told the client's `Host` in place of its target's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preserve_host: bool,
    /// Another path or `Host` for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteBody>,
    /// In place of the service's `timeoutMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub timeout_ms: Option<u64>,
    /// In place of the service's `totalTimeoutMs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub total_timeout_ms: Option<u64>,
    /// Bytes of a request's body, below the gateway's `MAX_BODY_BYTES`; missing: that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_099_511_627_776_u64)]
    pub max_body_bytes: Option<u64>,
    /// Whether the service is told the certificate that the client has shown (`Client-Cert`, RFC 9440).
    #[serde(default, skip_serializing_if = "is_false")]
    pub forward_client_cert: bool,
    /// How responses are compressed; missing: they pass as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionBody>,
    /// How bodies of requests are decoded for the service; missing: they pass as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decompression: Option<DecompressionBody>,
    /// What `%2F` in a request path means.
    #[serde(default)]
    pub encoded_slashes: SlashesWord,
    /// Who may call it; missing: everybody.
    #[serde(default = "AuthBody::open")]
    pub auth: AuthBody,
    /// The route's own limit, beside the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RouteLimitBody>,
    /// Further policies; none are known in this version.
    #[serde(default)]
    #[schema(max_items = 0)]
    pub policies: Vec<NoPolicy>,
}

/// What an encoded slash in a request path means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SlashesWord {
    /// The request is refused.
    #[default]
    Reject,
    /// It is decoded before it is matched and forwarded.
    Decode,
    /// It stays, as part of a segment.
    Keep,
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthBody {
    /// Whether a request without a credential is refused; true unless said otherwise. An invalid credential always is.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub required: bool,
    /// Which credentials are accepted; missing: `jwt` and `key`.
    #[serde(default = "AcceptWord::usual")]
    #[schema(max_items = 3)]
    pub accept: Vec<AcceptWord>,
}

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AcceptWord {
    /// A JWT.
    Jwt,
    /// A consumer key.
    Key,
    /// A consumer's certificate, shown in TLS.
    Certificate,
}

/// A route's limit: at most `max` requests in any `windowMs`, one bucket per `by`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteLimitBody {
    /// Requests.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max: u32,
    /// Length of the window, milliseconds.
    #[schema(minimum = 1000, maximum = 86_400_000)]
    pub window_ms: u64,
    /// Who shares a bucket.
    #[serde(default)]
    pub by: LimitByWord,
}

/// Who shares a bucket of a route's limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitByWord {
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

/// A policy; there is none in this version, so no value of this type exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum NoPolicy {}

/// Somebody who calls a tenant's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerBody {
    /// Unique among the tenant's consumers.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "mobile-app")]
    pub name: String,
    /// Groups it belongs to.
    #[serde(default)]
    #[schema(max_items = 32)]
    pub groups: Vec<String>,
    /// Its own limit, in place of the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitBody>,
    /// What its certificates have: `sha256:` a fingerprint, `dns:` or `uri:` an alternative name, `cn:` a common name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16, example = json!(["dns:mobile.example.com"]))]
    pub certificates: Vec<String>,
}

/// A client's limit: at most `max` requests in any `windowMs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitBody {
    /// Requests.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max: u32,
    /// Length of the window, milliseconds.
    #[schema(minimum = 1000, maximum = 86_400_000)]
    pub window_ms: u64,
}

/// A consumer's key as it is stored and sent to gateways; no part of the config language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsumerKeyBody {
    pub(crate) consumer: String,
    pub(crate) sha256: String,
}

/// A whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigDocument {
    /// Upstream services.
    #[serde(default)]
    pub services: Vec<ServiceBody>,
    /// Routes.
    #[serde(default)]
    pub routes: Vec<RouteBody>,
    /// Consumers.
    #[serde(default)]
    pub consumers: Vec<ConsumerBody>,
}

/// The body of any object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum AnyBody {
    Service(Box<ServiceBody>),
    Route(Box<RouteBody>),
    Consumer(ConsumerBody),
    ConsumerKey(ConsumerKeyBody),
}

impl ConfigDocument {
    pub(super) fn of<'a>(objects: impl IntoIterator<Item = &'a ConfigObject>) -> Self {
        let mut document = Self::default();
        for object in objects {
            match AnyBody::from(object) {
                AnyBody::Service(body) => document.services.push(*body),
                AnyBody::Route(body) => document.routes.push(*body),
                AnyBody::Consumer(body) => document.consumers.push(body),
                AnyBody::ConsumerKey(_) => {}
            }
        }
        document
    }
}

impl AuthBody {
    fn open() -> Self {
        Self { required: false, accept: AcceptWord::usual() }
    }
}

impl AcceptWord {
    fn usual() -> Vec<Self> {
        vec![Self::Jwt, Self::Key]
    }
}

const fn one() -> u8 {
    1
}

const fn yes() -> bool {
    true
}
