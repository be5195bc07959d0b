//! Which route a request belongs to: services and routes, host and path patterns, the normal form of paths, the table.
//!
//! Always: the most specific match wins whatever the order of the routes; what is matched is what is forwarded; a lookup
//! that finds its route allocates nothing. Not here: who may use a route and how often (`policies`), the text the objects
//! come from (`adapters/documents`).

mod action;
mod balance;
mod condition;
mod config;
mod content;
mod health;
mod host;
mod label;
mod normal;
mod octets;
mod pattern;
mod resilience;
mod table;
mod target;
mod template;
mod upstream_tls;

pub use self::{
    action::{
        Forward, ForwardHost, ForwardPath, ForwardTo, MAX_SPLIT, Mirror, Redirect, RedirectStatus, RequestOrigin,
        RouteAction, Scheme, Split, WeightedService,
    },
    balance::{HashOn, HashOnError, LoadBalancing, Preference, is_zone},
    condition::{
        Condition, ConditionError, ConditionOn, Expression, MAX_CONDITION_NAME, MAX_CONDITION_VALUE,
        MAX_EXPRESSION_BYTES, RequestView, ValueTest,
    },
    config::{EncodedSlashes, Protocol, Route, RouteMatch, Service, Target, TargetUrl},
    content::{Compression, ContentCoding, Decompression, MediaRange, MediaRangeError},
    health::{HealthCheck, HttpProbe, ProbeKind, StatusRange, StatusRangeError},
    host::{HostPattern, HostPatternError, without_port},
    label::label,
    normal::{NormalPath, PathError, normalise, normalise_bytes},
    pattern::{MAX_PARAMETER_BYTES, MAX_PATTERN_BYTES, MAX_PATTERN_SEGMENTS, PathPattern, PathPatternError, Segment},
    resilience::{CircuitBreaker, ErrorRate, Hedge, OutlierDetection, Resilience, Retries, RetryGround},
    table::{
        AllowedMethods, Conflict, Found, Lookup, MAX_CONFLICTS, MAX_RANKED, MAX_TABLE_BYTES, RouteIndex, RouteTable,
        RouteTableBuilder, TableFull, TableWarning,
    },
    target::TargetUrlError,
    template::{HostTemplate, PathTemplate, TemplateError, Unwritable},
    upstream_tls::{
        KeyPin, TlsFileName, TlsFileNameError, TlsIdentity, TlsServerName, TlsServerNameError, TlsVersion, UpstreamTls,
    },
};
