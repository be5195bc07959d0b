//! The config language as tables: every field, whether it is needed, and its range.

use novagate_kernel::ObjectKind;

use super::{content, health, resilience, rules, tls};
use crate::shape::{Field, Need, Shape};

/// The lists of a whole configuration, in compile order.
pub(super) const LISTS: [(&str, ObjectKind); 3] =
    [("services", ObjectKind::Service), ("routes", ObjectKind::Route), ("consumers", ObjectKind::Consumer)];

/// No list of a configuration is longer, whatever a plan allows.
const MAX_OBJECTS: usize = 200_000;

pub(super) const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) const fn needed(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Required, shape }
}

pub(super) const fn optional(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Optional, shape }
}

pub(super) const fn nullable(name: &'static str, shape: Shape) -> Field {
    Field { name, need: Need::Nullable, shape }
}

const NAME: Shape = Shape::Text(rules::name);
const MAX: Shape = Shape::Integer { min: 1, max: 1_000_000 };
const WINDOW: Shape = Shape::Integer { min: 1_000, max: DAY_MS };

static TARGET: Shape = Shape::Object(&[
    needed("url", Shape::Text(rules::url)),
    optional("weight", Shape::Integer { min: 1, max: 100 }),
    nullable("zone", Shape::Text(rules::zone)),
]);

static SERVICE: Shape = Shape::Object(&[
    needed("name", NAME),
    needed("targets", Shape::List { of: &TARGET, min: 1, max: 256, distinct: false }),
    nullable("timeoutMs", Shape::Integer { min: 1, max: HOUR_MS }),
    nullable("totalTimeoutMs", Shape::Integer { min: 1, max: DAY_MS }),
    nullable("protocol", Shape::Word(&["http1", "http2"])),
    nullable("healthCheck", health::CHECK),
    optional("loadBalancing", Shape::Word(&["round-robin", "least-connections", "latency", "consistent-hash"])),
    nullable("hashOn", Shape::Text(rules::hash_on)),
    nullable("slowStartMs", Shape::Integer { min: 1_000, max: HOUR_MS }),
    nullable("zoneMinPercent", Shape::Integer { min: 0, max: 100 }),
    nullable("retries", resilience::RETRIES),
    nullable("hedge", resilience::HEDGE),
    nullable("outlierDetection", resilience::OUTLIERS),
    nullable("panicPercent", resilience::PANIC),
    nullable("circuitBreaker", resilience::BREAKER),
    nullable("tls", tls::TLS),
]);

static HOST: Shape = Shape::Text(rules::host);
static METHOD: Shape = Shape::Text(rules::method);
static ACCEPTED: Shape = Shape::Word(&["jwt", "key", "certificate"]);

static HEADER: Shape = Shape::Object(&[
    needed("name", Shape::Text(rules::header_name)),
    nullable("value", Shape::Text(rules::condition_value)),
    nullable("regex", Shape::Text(rules::expression)),
]);

static PARAMETER: Shape = Shape::Object(&[
    needed("name", Shape::Text(rules::query_name)),
    nullable("value", Shape::Text(rules::condition_value)),
    nullable("regex", Shape::Text(rules::expression)),
]);

static SHARE: Shape =
    Shape::Object(&[needed("service", NAME), needed("weight", Shape::Integer { min: 0, max: 1_000 })]);

static ROUTE: Shape = Shape::Object(&[
    needed("name", NAME),
    needed(
        "match",
        Shape::Object(&[
            optional("hosts", Shape::List { of: &HOST, min: 0, max: 64, distinct: true }),
            optional("methods", Shape::List { of: &METHOD, min: 0, max: 16, distinct: true }),
            needed("path", Shape::Text(rules::path)),
            nullable("pathRegex", Shape::Text(rules::expression)),
            optional("headers", Shape::List { of: &HEADER, min: 0, max: 16, distinct: false }),
            optional("query", Shape::List { of: &PARAMETER, min: 0, max: 16, distinct: false }),
            optional("priority", Shape::Integer { min: 0, max: 1_000 }),
        ]),
    ),
    Field { name: "service", need: Need::Unless(&["split", "redirect"]), shape: NAME },
    nullable(
        "split",
        Shape::Object(&[
            optional("on", Shape::Text(rules::hash_on)),
            needed("services", Shape::List { of: &SHARE, min: 2, max: 16, distinct: false }),
        ]),
    ),
    nullable(
        "redirect",
        Shape::Object(&[
            optional("status", Shape::Integer { min: 301, max: 308 }),
            nullable("scheme", Shape::Word(&["http", "https"])),
            nullable("host", Shape::Text(rules::host)),
            nullable("port", Shape::Integer { min: 1, max: 65_535 }),
            nullable("path", Shape::Text(rules::template)),
            optional("dropQuery", Shape::Flag),
        ]),
    ),
    nullable(
        "mirror",
        Shape::Object(&[
            needed("service", NAME),
            optional("percent", Shape::Integer { min: 1, max: 100 }),
            optional("maxBodyBytes", resilience::KEPT),
        ]),
    ),
    optional("stripPrefix", Shape::Flag),
    optional("preserveHost", Shape::Flag),
    nullable(
        "rewrite",
        Shape::Object(&[
            nullable("path", Shape::Text(rules::template)),
            nullable("host", Shape::Text(rules::told_host)),
        ]),
    ),
    nullable("timeoutMs", Shape::Integer { min: 1, max: HOUR_MS }),
    nullable("totalTimeoutMs", Shape::Integer { min: 1, max: DAY_MS }),
    nullable("maxBodyBytes", Shape::Integer { min: 0, max: 1 << 40 }),
    optional("forwardClientCert", Shape::Flag),
    nullable("compression", content::COMPRESSION),
    nullable("decompression", content::DECOMPRESSION),
    optional("encodedSlashes", Shape::Word(&["reject", "decode", "keep"])),
    optional(
        "auth",
        Shape::Object(&[
            optional("required", Shape::Flag),
            optional("accept", Shape::List { of: &ACCEPTED, min: 0, max: 3, distinct: true }),
        ]),
    ),
    nullable(
        "rateLimit",
        Shape::Object(&[
            needed("max", MAX),
            needed("windowMs", WINDOW),
            optional("by", Shape::Word(&["consumer", "subject", "ip", "route"])),
        ]),
    ),
    optional("policies", Shape::NoPolicies),
]);

static GROUP: Shape = NAME;
static CERTIFICATE: Shape = Shape::Text(rules::certificate);

static CONSUMER: Shape = Shape::Object(&[
    needed("name", NAME),
    optional("groups", Shape::List { of: &GROUP, min: 0, max: 32, distinct: true }),
    nullable("rateLimit", Shape::Object(&[needed("max", MAX), needed("windowMs", WINDOW)])),
    optional("certificates", Shape::List { of: &CERTIFICATE, min: 0, max: 16, distinct: true }),
]);

static CONSUMER_KEY: Shape = Shape::Object(&[
    needed("consumer", Shape::Text(rules::consumer_id)),
    needed("sha256", Shape::Text(rules::key_digest)),
]);

pub(super) static DOCUMENT: Shape = Shape::Object(&[
    optional("services", Shape::List { of: &SERVICE, min: 0, max: MAX_OBJECTS, distinct: false }),
    optional("routes", Shape::List { of: &ROUTE, min: 0, max: MAX_OBJECTS, distinct: false }),
    optional("consumers", Shape::List { of: &CONSUMER, min: 0, max: MAX_OBJECTS, distinct: false }),
]);

/// The shape of an object's body.
pub(crate) fn shape_of(kind: ObjectKind) -> &'static Shape {
    match kind {
        ObjectKind::Service => &SERVICE,
        ObjectKind::Route => &ROUTE,
        ObjectKind::Consumer => &CONSUMER,
        ObjectKind::ConsumerKey => &CONSUMER_KEY,
    }
}
