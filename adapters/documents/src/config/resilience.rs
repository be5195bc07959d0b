//! What a service does about upstreams that fail: bodies, tables and conversion.

use std::time::Duration;

use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{CircuitBreaker, ErrorRate, Hedge, OutlierDetection, Resilience, Retries, RetryGround};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::ServiceBody;
use super::convert::{at_pointer, millis};
use super::rules;
use super::shapes::{DAY_MS, HOUR_MS, needed, nullable, optional};
use crate::shape::Shape;

/// Requests of which a share says something, unless said otherwise.
const MIN_REQUESTS: u32 = 20;
/// The longest ejection, unless said otherwise or the first one is longer.
const MAX_EJECT_MS: u64 = 300_000;

/// Which requests are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetriesBody {
    /// Further tries after the first.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 5, default = 1)]
    pub attempts: u8,
    /// After which failures; missing: `connect` and `reset`.
    #[serde(default = "GroundWord::usual")]
    #[schema(max_items = 3)]
    pub on: Vec<GroundWord>,
    /// After which statuses of an upstream.
    #[serde(default)]
    #[schema(max_items = 16, example = json!([502, 503, 504]))]
    pub statuses: Vec<u16>,
    /// Methods that may be sent more than once; missing: the idempotent ones.
    #[serde(default = "idempotent")]
    #[schema(min_items = 1, max_items = 16)]
    pub methods: Vec<String>,
    /// Until the response head of one try, its connection included, milliseconds; missing: as `timeoutMs` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub per_try_timeout_ms: Option<u64>,
    /// Retries as a share of the requests of the last ten seconds.
    #[serde(default = "twenty")]
    #[schema(minimum = 1, maximum = 100, default = 20)]
    pub budget_percent: u8,
    /// Bytes of a request's body that are kept so that it can be sent again; a longer one is sent once.
    #[serde(default = "usually_kept", skip_serializing_if = "is_usually_kept")]
    #[schema(maximum = 1_048_576, default = 65_536)]
    pub max_body_bytes: u32,
}

/// Which requests go to another target too when there is no response in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HedgeBody {
    /// How long a request that was sent waits for its response head before the next target is asked, milliseconds.
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub delay_ms: u64,
    /// Further targets that are asked, each after another delay.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 3, default = 1)]
    pub max_extra: u8,
    /// Methods that may be sent more than once; missing: GET, HEAD and OPTIONS.
    #[serde(default = "safe")]
    #[schema(min_items = 1, max_items = 16)]
    pub methods: Vec<String>,
}

/// A failure without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroundWord {
    /// No connection could be made.
    Connect,
    /// The connection ended, or what came on it was no response.
    Reset,
    /// There was no response head in time.
    Timeout,
}

/// Which targets are ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetectionBody {
    /// Failures in a row after which a target is ejected.
    #[serde(default = "five")]
    #[schema(minimum = 1, maximum = 100, default = 5)]
    pub consecutive_failures: u8,
    /// Failures in a hundred requests of the last ten seconds after which a target is ejected; missing: their share makes
    /// no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub error_rate_percent: Option<u8>,
    /// Requests of those ten seconds below which a share says nothing; with `errorRatePercent`, and only then; missing: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub min_requests: Option<u32>,
    /// How long the first ejection lasts, milliseconds; each one in a row lasts longer by as much.
    #[serde(default = "half_a_minute")]
    #[schema(minimum = 1000, maximum = 3_600_000, default = 30_000)]
    pub eject_ms: u64,
    /// The longest ejection, milliseconds; missing: 300000, or `ejectMs` when that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1000, maximum = 86_400_000)]
    pub max_eject_ms: Option<u64>,
    /// The most targets of a hundred that are ejected at the same time; of two or more at least one, unless it is 0.
    #[serde(default = "fifty")]
    #[schema(maximum = 100, default = 50)]
    pub max_ejected_percent: u8,
}

/// What a service may be asked at the same time, by all workers of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreakerBody {
    /// Requests that run.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_requests: u32,
    /// Those of them that wait for a connection; missing: all may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_pending: Option<u32>,
    /// Connections that are open to its targets, idle ones included; missing: their number has no bound of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub max_connections: Option<u32>,
}

const AT_ONCE: Shape = Shape::Integer { min: 1, max: 1_000_000 };
const PERCENT: Shape = Shape::Integer { min: 1, max: 100 };
pub(super) const KEPT: Shape = Shape::Integer { min: 0, max: Retries::MAX_KEPT as u64 };

static GROUND: Shape = Shape::Word(&["connect", "reset", "timeout"]);
static STATUS: Shape = Shape::Integer { min: 500, max: 599 };
static METHOD: Shape = Shape::Text(rules::method);

pub(super) const RETRIES: Shape = Shape::Object(&[
    optional("attempts", Shape::Integer { min: 1, max: 5 }),
    optional("on", Shape::List { of: &GROUND, min: 0, max: 3, distinct: true }),
    optional("statuses", Shape::List { of: &STATUS, min: 0, max: 16, distinct: true }),
    optional("methods", Shape::List { of: &METHOD, min: 1, max: 16, distinct: true }),
    nullable("perTryTimeoutMs", Shape::Integer { min: 1, max: HOUR_MS }),
    optional("budgetPercent", PERCENT),
    optional("maxBodyBytes", KEPT),
]);

pub(super) const HEDGE: Shape = Shape::Object(&[
    needed("delayMs", Shape::Integer { min: 1, max: HOUR_MS }),
    optional("maxExtra", Shape::Integer { min: 1, max: 3 }),
    optional("methods", Shape::List { of: &METHOD, min: 1, max: 16, distinct: true }),
]);

pub(super) const OUTLIERS: Shape = Shape::Object(&[
    optional("consecutiveFailures", PERCENT),
    nullable("errorRatePercent", PERCENT),
    nullable("minRequests", Shape::Integer { min: 1, max: 100_000 }),
    optional("ejectMs", Shape::Integer { min: 1_000, max: HOUR_MS }),
    nullable("maxEjectMs", Shape::Integer { min: 1_000, max: DAY_MS }),
    optional("maxEjectedPercent", Shape::Integer { min: 0, max: 100 }),
]);

pub(super) const PANIC: Shape = Shape::Integer { min: 0, max: 100 };

pub(super) const BREAKER: Shape = Shape::Object(&[
    needed("maxRequests", AT_ONCE),
    nullable("maxPending", AT_ONCE),
    nullable("maxConnections", AT_ONCE),
]);

/// From the body of a service.
pub(super) fn resilience(body: &ServiceBody) -> Result<Resilience, FieldFault> {
    Ok(Resilience {
        retries: body.retries.as_ref().map(retries).transpose()?,
        hedge: body.hedge.as_ref().map(hedge).transpose()?,
        outlier_detection: body.outlier_detection.as_ref().map(outliers).transpose()?,
        panic_percent: body.panic_percent.unwrap_or_default(),
        circuit_breaker: body.circuit_breaker.as_ref().map(CircuitBreaker::from),
    })
}

fn retries(body: &RetriesBody) -> Result<Retries, FieldFault> {
    let ground = |word: &GroundWord| match word {
        GroundWord::Connect => RetryGround::Connect,
        GroundWord::Reset => RetryGround::Reset,
        GroundWord::Timeout => RetryGround::Timeout,
    };
    Ok(Retries {
        attempts: body.attempts,
        on: body.on.iter().map(ground).collect(),
        statuses: body.statuses.clone(),
        methods: methods(&body.methods, "/retries/methods")?,
        per_try_timeout: body.per_try_timeout_ms.map(Duration::from_millis),
        budget_percent: body.budget_percent,
        max_body: body.max_body_bytes,
    })
}

fn hedge(body: &HedgeBody) -> Result<Hedge, FieldFault> {
    let methods = methods(&body.methods, "/hedge/methods")?;
    Ok(Hedge { delay: Duration::from_millis(body.delay_ms), max_extra: body.max_extra, methods })
}

fn methods(texts: &[String], list: &str) -> Result<Vec<http::Method>, FieldFault> {
    let method = |(at, method): (usize, &String)| {
        at_pointer(http::Method::from_bytes(method.as_bytes()), || format!("{list}/{at}"))
    };
    texts.iter().enumerate().map(method).collect()
}

fn outliers(body: &OutlierDetectionBody) -> Result<OutlierDetection, FieldFault> {
    let error_rate = match (body.error_rate_percent, body.min_requests) {
        (None, Some(_)) => {
            let rule = "is of use only with errorRatePercent";
            return Err(FieldFault::new("/outlierDetection/minRequests".to_owned(), "not_allowed", rule.to_owned()));
        }
        (None, None) => None,
        (Some(percent), requests) => Some(ErrorRate { percent, min_requests: requests.unwrap_or(MIN_REQUESTS) }),
    };
    Ok(OutlierDetection {
        consecutive_failures: body.consecutive_failures,
        error_rate,
        eject: Duration::from_millis(body.eject_ms),
        max_eject: Duration::from_millis(body.max_eject_ms.unwrap_or_else(|| MAX_EJECT_MS.max(body.eject_ms))),
        max_ejected_percent: body.max_ejected_percent,
    })
}

impl From<&Retries> for RetriesBody {
    fn from(rule: &Retries) -> Self {
        Self {
            attempts: rule.attempts,
            on: rule.on.iter().map(GroundWord::from).collect(),
            statuses: rule.statuses.clone(),
            methods: rule.methods.iter().map(ToString::to_string).collect(),
            per_try_timeout_ms: rule.per_try_timeout.map(millis),
            budget_percent: rule.budget_percent,
            max_body_bytes: rule.max_body,
        }
    }
}

impl From<&Hedge> for HedgeBody {
    fn from(rule: &Hedge) -> Self {
        let methods = rule.methods.iter().map(ToString::to_string).collect();
        Self { delay_ms: millis(rule.delay), max_extra: rule.max_extra, methods }
    }
}

impl From<&RetryGround> for GroundWord {
    fn from(ground: &RetryGround) -> Self {
        match ground {
            RetryGround::Connect => Self::Connect,
            RetryGround::Reset => Self::Reset,
            RetryGround::Timeout => Self::Timeout,
        }
    }
}

impl From<&OutlierDetection> for OutlierDetectionBody {
    fn from(rule: &OutlierDetection) -> Self {
        Self {
            consecutive_failures: rule.consecutive_failures,
            error_rate_percent: rule.error_rate.map(|rate| rate.percent),
            min_requests: rule.error_rate.map(|rate| rate.min_requests),
            eject_ms: millis(rule.eject),
            max_eject_ms: Some(millis(rule.max_eject)),
            max_ejected_percent: rule.max_ejected_percent,
        }
    }
}

impl From<&CircuitBreaker> for CircuitBreakerBody {
    fn from(rule: &CircuitBreaker) -> Self {
        let CircuitBreaker { max_requests, max_pending, max_connections } = *rule;
        Self { max_requests, max_pending, max_connections }
    }
}

impl From<&CircuitBreakerBody> for CircuitBreaker {
    fn from(body: &CircuitBreakerBody) -> Self {
        let CircuitBreakerBody { max_requests, max_pending, max_connections } = *body;
        Self { max_requests, max_pending, max_connections }
    }
}

impl GroundWord {
    fn usual() -> Vec<Self> {
        vec![Self::Connect, Self::Reset]
    }
}

fn idempotent() -> Vec<String> {
    Retries::IDEMPOTENT.iter().map(ToString::to_string).collect()
}

pub(super) const fn usually_kept() -> u32 {
    Retries::USUALLY_KEPT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(super) const fn is_usually_kept(value: &u32) -> bool {
    *value == Retries::USUALLY_KEPT
}

fn safe() -> Vec<String> {
    Hedge::SAFE.iter().map(ToString::to_string).collect()
}

const fn one() -> u8 {
    1
}

const fn five() -> u8 {
    5
}

const fn twenty() -> u8 {
    Retries::USUAL_BUDGET
}

const fn fifty() -> u8 {
    50
}

const fn half_a_minute() -> u64 {
    30_000
}

#[cfg(test)]
mod tests {
    use novagate_kernel::ObjectKind;
    use novagate_policies::ConfigObject;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::config::{parse_object, render_object};

    fn service(field: &str, value: &Value) -> Value {
        json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080"}], field: value})
    }

    fn read(field: &str, value: &Value) -> Resilience {
        let object = parse_object(ObjectKind::Service, Uuid::nil(), &service(field, value)).unwrap();
        let ConfigObject::Service(service) = object else { panic!("{object:?}") };
        service.resilience
    }

    fn faults(field: &str, value: &Value) -> Vec<(String, String)> {
        let found = parse_object(ObjectKind::Service, Uuid::nil(), &service(field, value)).unwrap_err();
        found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_is_not_said_has_the_documented_default() {
        let rule = read("retries", &json!({})).retries.unwrap();
        assert_eq!((rule.attempts, rule.budget_percent, rule.per_try_timeout), (1, 20, None));
        assert_eq!((rule.on, rule.statuses), (vec![RetryGround::Connect, RetryGround::Reset], vec![]));
        assert_eq!((rule.methods.as_slice(), rule.max_body), (&Retries::IDEMPOTENT[..], 65_536));
        let rule = read("outlierDetection", &json!({})).outlier_detection.unwrap();
        assert_eq!((rule.consecutive_failures, rule.error_rate, rule.max_ejected_percent), (5, None, 50));
        assert_eq!((rule.eject.as_secs(), rule.max_eject.as_secs()), (30, 300));
        let rule = read("outlierDetection", &json!({"errorRatePercent": 40, "ejectMs": 3_600_000}));
        let rule = rule.outlier_detection.unwrap();
        assert_eq!(rule.error_rate, Some(ErrorRate { percent: 40, min_requests: 20 }));
        assert_eq!(rule.max_eject.as_secs(), 3600);
        let rule = read("hedge", &json!({"delayMs": 40})).hedge.unwrap();
        assert_eq!((rule.delay.as_millis(), rule.max_extra, rule.methods.as_slice()), (40, 1, &Hedge::SAFE[..]));
        assert_eq!(read("retries", &Value::Null), Resilience::default());
        assert_eq!(read("panicPercent", &json!(0)), Resilience::default());
    }

    #[test]
    fn what_is_read_is_written_and_read_back() {
        for (field, value) in [
            (
                "retries",
                json!({
                    "attempts": 5, "on": ["timeout"], "statuses": [503], "methods": ["POST"], "perTryTimeoutMs": 250,
                    "budgetPercent": 100, "maxBodyBytes": 0
                }),
            ),
            (
                "outlierDetection",
                json!({
                    "consecutiveFailures": 1, "errorRatePercent": 50, "minRequests": 5, "ejectMs": 1000,
                    "maxEjectMs": 2000, "maxEjectedPercent": 0
                }),
            ),
            ("hedge", json!({"delayMs": 40, "maxExtra": 3, "methods": ["GET", "PUT"]})),
            ("panicPercent", json!(50)),
            ("circuitBreaker", json!({"maxRequests": 100, "maxPending": 10, "maxConnections": 20})),
        ] {
            let object = parse_object(ObjectKind::Service, Uuid::nil(), &service(field, &value)).unwrap();
            let written = render_object(&object);
            assert_eq!(written[field], value);
            assert_eq!(parse_object(ObjectKind::Service, Uuid::nil(), &written).unwrap(), object);
        }
    }

    #[test]
    fn every_bad_value_is_refused_at_its_pointer() {
        for (field, value, pointer, code) in [
            ("retries", json!(3), "", "wrong_type"),
            ("retries", json!({"attempts": 0}), "/attempts", "out_of_range"),
            ("retries", json!({"attempts": 6}), "/attempts", "out_of_range"),
            ("retries", json!({"attempts": Value::Null}), "/attempts", "wrong_type"),
            ("retries", json!({"on": ["status-503"]}), "/on/0", "unknown_value"),
            ("retries", json!({"on": ["reset", "reset"]}), "/on/1", "duplicate"),
            ("retries", json!({"statuses": [499]}), "/statuses/0", "out_of_range"),
            ("retries", json!({"statuses": [503, 600]}), "/statuses/1", "out_of_range"),
            ("retries", json!({"statuses": [503, 503]}), "/statuses/1", "duplicate"),
            ("retries", json!({"statuses": ["503"]}), "/statuses/0", "wrong_type"),
            ("retries", json!({"methods": []}), "/methods", "out_of_range"),
            ("retries", json!({"methods": ["get"]}), "/methods/0", "invalid_method"),
            ("retries", json!({"perTryTimeoutMs": 0}), "/perTryTimeoutMs", "out_of_range"),
            ("retries", json!({"budgetPercent": 101}), "/budgetPercent", "out_of_range"),
            ("retries", json!({"maxBodyBytes": 1_048_577}), "/maxBodyBytes", "out_of_range"),
            ("retries", json!({"maxBodyBytes": Value::Null}), "/maxBodyBytes", "wrong_type"),
            ("retries", json!({"backoffMs": 1}), "/backoffMs", "unknown_field"),
            ("hedge", json!({}), "/delayMs", "required"),
            ("hedge", json!({"delayMs": 0}), "/delayMs", "out_of_range"),
            ("hedge", json!({"delayMs": 1, "maxExtra": 4}), "/maxExtra", "out_of_range"),
            ("hedge", json!({"delayMs": 1, "methods": []}), "/methods", "out_of_range"),
            ("hedge", json!({"delayMs": 1, "methods": ["get"]}), "/methods/0", "invalid_method"),
            ("hedge", json!({"delayMs": 1, "percentile": 95}), "/percentile", "unknown_field"),
            ("outlierDetection", json!({"consecutiveFailures": 0}), "/consecutiveFailures", "out_of_range"),
            ("outlierDetection", json!({"errorRatePercent": 101}), "/errorRatePercent", "out_of_range"),
            ("outlierDetection", json!({"minRequests": 5}), "/minRequests", "not_allowed"),
            ("outlierDetection", json!({"minRequests": 0}), "/minRequests", "out_of_range"),
            ("outlierDetection", json!({"ejectMs": 999}), "/ejectMs", "out_of_range"),
            ("outlierDetection", json!({"maxEjectMs": 86_400_001_u64}), "/maxEjectMs", "out_of_range"),
            ("outlierDetection", json!({"maxEjectedPercent": 101}), "/maxEjectedPercent", "out_of_range"),
            ("panicPercent", json!(101), "", "out_of_range"),
            ("panicPercent", json!(1.5), "", "wrong_type"),
            ("circuitBreaker", json!({}), "/maxRequests", "required"),
            ("circuitBreaker", json!({"maxRequests": 0}), "/maxRequests", "out_of_range"),
            ("circuitBreaker", json!({"maxRequests": 1, "maxPending": 0}), "/maxPending", "out_of_range"),
            ("circuitBreaker", json!({"maxRequests": 1, "maxConnections": 0}), "/maxConnections", "out_of_range"),
            ("circuitBreaker", json!({"maxRequests": 1, "maxHosts": 1}), "/maxHosts", "unknown_field"),
        ] {
            assert_eq!(faults(field, &value), [(format!("/{field}{pointer}"), code.to_owned())], "{value}");
        }
    }
}
