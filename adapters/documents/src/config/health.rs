//! How targets are probed: bodies, tables and conversion.

use std::time::Duration;

use novagate_ports_control::inbound::FieldFault;
use novagate_routing::{HealthCheck, HttpProbe, ProbeKind, StatusRange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::convert::{at_pointer, millis};
use super::rules;
use super::shapes::{HOUR_MS, nullable, optional};
use crate::shape::Shape;

/// An active health probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckBody {
    /// What is asked.
    #[serde(default, skip_serializing_if = "ProbeWord::is_usual")]
    pub kind: ProbeWord,
    /// Path that is asked for; with `http`, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "/health")]
    pub path: Option<String>,
    /// Time between probes of one target, milliseconds.
    #[serde(default = "ten_seconds")]
    #[schema(minimum = 1000, maximum = 3_600_000, default = 10_000)]
    pub interval_ms: u64,
    /// The value of `Host`, with `http` only; missing: the target's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Good statuses, with `http` only: numbers, and ranges like `200-299`; missing: `200-299`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub expect_status: Vec<StatusBody>,
    /// The service that is asked for, with `grpc` only; missing: the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "shop.Users")]
    pub grpc_service: Option<String>,
    /// How long a probe may take, its connection included, milliseconds; missing: 5000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 60_000)]
    pub timeout_ms: Option<u64>,
    /// Bad probes in a row after which a target is taken out; missing: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub unhealthy_threshold: Option<u8>,
    /// Good probes in a row after which it is taken in again; missing: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub healthy_threshold: Option<u8>,
    /// By how many percent of `intervalMs` a pause is shorter or longer, by chance; missing: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 100)]
    pub jitter_percent: Option<u8>,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeWord {
    /// A GET of `path`.
    #[default]
    Http,
    /// A connection, over TLS where the target is `https`.
    Tcp,
    /// `grpc.health.v1.Health/Check`.
    Grpc,
}

/// A status, or a range of statuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StatusBody {
    /// One, 200 to 599.
    One(u16),
    /// From one to another, both included, as `200-299`.
    Range(String),
}

const AT_MOST_100: Shape = Shape::Integer { min: 1, max: 100 };

static STATUS: Shape = Shape::NumberOrText { min: 200, max: 599, rule: rules::status_range };

pub(super) const CHECK: Shape = Shape::Object(&[
    optional("kind", Shape::Word(&["http", "tcp", "grpc"])),
    nullable("path", Shape::Text(rules::probe_path)),
    optional("intervalMs", Shape::Integer { min: 1_000, max: HOUR_MS }),
    nullable("host", Shape::Text(rules::authority)),
    optional("expectStatus", Shape::List { of: &STATUS, min: 0, max: 16, distinct: true }),
    nullable("grpcService", Shape::Text(rules::grpc_service)),
    nullable("timeoutMs", Shape::Integer { min: 1, max: 60_000 }),
    nullable("unhealthyThreshold", AT_MOST_100),
    nullable("healthyThreshold", AT_MOST_100),
    nullable("jitterPercent", Shape::Integer { min: 0, max: 100 }),
]);

pub(super) fn health_check(body: HealthCheckBody) -> Result<HealthCheck, FieldFault> {
    let interval = Duration::from_millis(body.interval_ms);
    Ok(HealthCheck {
        timeout: body.timeout_ms.map_or(HealthCheck::TIMEOUT, Duration::from_millis),
        unhealthy_threshold: body.unhealthy_threshold.unwrap_or(HealthCheck::UNHEALTHY),
        healthy_threshold: body.healthy_threshold.unwrap_or(HealthCheck::HEALTHY),
        jitter_percent: body.jitter_percent.unwrap_or(HealthCheck::JITTER),
        ..HealthCheck::every(interval, kind(body)?)
    })
}

fn kind(body: HealthCheckBody) -> Result<ProbeKind, FieldFault> {
    let fault = |field: &str, code, message: &str| FieldFault::new(pointer(field), code, message.to_owned());
    if body.kind != ProbeWord::Http {
        let given = [
            ("path", body.path.is_some()),
            ("host", body.host.is_some()),
            ("expectStatus", !body.expect_status.is_empty()),
        ];
        if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return Err(fault(field, "not_allowed", "is of use only with kind http"));
        }
    }
    if body.kind != ProbeWord::Grpc && body.grpc_service.is_some() {
        return Err(fault("grpcService", "not_allowed", "is of use only with kind grpc"));
    }
    match body.kind {
        ProbeWord::Tcp => Ok(ProbeKind::Tcp),
        ProbeWord::Grpc => Ok(ProbeKind::Grpc { service: body.grpc_service.map(Into::into) }),
        ProbeWord::Http => {
            let path = body.path.ok_or_else(|| fault("path", "required", "is required with kind http"))?;
            let expect = body.expect_status.iter().enumerate().map(status).collect::<Result<_, _>>()?;
            Ok(ProbeKind::Http(HttpProbe { path: path.into(), host: body.host.map(Into::into), expect }))
        }
    }
}

fn status((at, body): (usize, &StatusBody)) -> Result<StatusRange, FieldFault> {
    match body {
        StatusBody::One(status) => Ok(StatusRange { first: *status, last: *status }),
        StatusBody::Range(text) => at_pointer(StatusRange::parse(text), || pointer(&format!("expectStatus/{at}"))),
    }
}

fn pointer(field: &str) -> String {
    format!("/healthCheck/{field}")
}

impl From<&HealthCheck> for HealthCheckBody {
    fn from(check: &HealthCheck) -> Self {
        let mut body = Self {
            kind: ProbeWord::Http,
            path: None,
            interval_ms: millis(check.interval),
            host: None,
            expect_status: Vec::new(),
            grpc_service: None,
            timeout_ms: Some(millis(check.timeout)).filter(|_| check.timeout != HealthCheck::TIMEOUT),
            unhealthy_threshold: Some(check.unhealthy_threshold).filter(|count| *count != HealthCheck::UNHEALTHY),
            healthy_threshold: Some(check.healthy_threshold).filter(|count| *count != HealthCheck::HEALTHY),
            jitter_percent: Some(check.jitter_percent).filter(|percent| *percent != HealthCheck::JITTER),
        };
        match &check.kind {
            ProbeKind::Tcp => body.kind = ProbeWord::Tcp,
            ProbeKind::Grpc { service } => {
                (body.kind, body.grpc_service) = (ProbeWord::Grpc, service.as_deref().map(str::to_owned));
            }
            ProbeKind::Http(probe) => {
                body.path = Some(probe.path.to_string());
                body.host = probe.host.as_deref().map(str::to_owned);
                body.expect_status = probe.expect.iter().map(StatusBody::from).collect();
            }
        }
        body
    }
}

impl From<&StatusRange> for StatusBody {
    fn from(range: &StatusRange) -> Self {
        if range.first == range.last { Self::One(range.first) } else { Self::Range(range.to_string()) }
    }
}

impl ProbeWord {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

const fn ten_seconds() -> u64 {
    10_000
}

#[cfg(test)]
mod tests {
    use novagate_kernel::ObjectKind;
    use novagate_policies::ConfigObject;
    use novagate_routing::Service;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::config::{parse_object, render_object};

    use super::*;

    fn service(check: &Value) -> Value {
        json!({"name": "users", "targets": [{"url": "http://10.0.0.5:8080"}], "healthCheck": check})
    }

    fn read(body: &Value) -> Service {
        let object = parse_object(ObjectKind::Service, Uuid::nil(), body).unwrap();
        let ConfigObject::Service(service) = object else { panic!("{object:?}") };
        service
    }

    fn faults(body: &Value) -> Vec<(String, String)> {
        let found = parse_object(ObjectKind::Service, Uuid::nil(), body).unwrap_err();
        found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn what_is_not_said_has_the_documented_default() {
        let check = read(&service(&json!({"path": "/health"}))).health_check.unwrap();
        assert_eq!(*check, HealthCheck::every(Duration::from_secs(10), ProbeKind::get("/health")));
        assert_eq!((check.timeout, check.jitter_percent), (Duration::from_secs(5), 10));
        assert_eq!((check.unhealthy_threshold, check.healthy_threshold), (3, 2));
        let written = render_object(&ConfigObject::Service(read(&service(&json!({"path": "/health"})))));
        assert_eq!(written["healthCheck"], json!({"path": "/health", "intervalMs": 10_000}));
    }

    #[test]
    fn what_is_read_is_written_and_read_back() {
        for check in [
            json!({
                "path": "/h", "intervalMs": 1000, "host": "users.example:8080", "expectStatus": [204, "300-399"],
                "timeoutMs": 1, "unhealthyThreshold": 1, "healthyThreshold": 100, "jitterPercent": 0
            }),
            json!({"kind": "tcp", "intervalMs": 2000, "timeoutMs": 60_000}),
            json!({"kind": "grpc", "intervalMs": 1000}),
            json!({"kind": "grpc", "intervalMs": 1000, "grpcService": "shop.Users"}),
        ] {
            let object = ConfigObject::Service(read(&service(&check)));
            let written = render_object(&object);
            assert_eq!(written["healthCheck"], check);
            assert_eq!(parse_object(ObjectKind::Service, Uuid::nil(), &written).unwrap(), object);
        }
    }

    #[test]
    fn every_bad_value_is_refused_at_its_pointer() {
        let long = "a".repeat(256);
        for (check, pointer, code) in [
            (json!({}), "/path", "required"),
            (json!({"kind": "http"}), "/path", "required"),
            (json!({"kind": "udp"}), "/kind", "unknown_value"),
            (json!({"path": "health"}), "/path", "invalid_path"),
            (json!({"kind": "tcp", "path": "/"}), "/path", "not_allowed"),
            (json!({"kind": "grpc", "host": "a"}), "/host", "not_allowed"),
            (json!({"kind": "tcp", "expectStatus": [200]}), "/expectStatus", "not_allowed"),
            (json!({"path": "/", "grpcService": "a"}), "/grpcService", "not_allowed"),
            (json!({"kind": "grpc", "grpcService": ""}), "/grpcService", "invalid_service"),
            (json!({"kind": "grpc", "grpcService": long}), "/grpcService", "invalid_service"),
            (json!({"kind": "grpc", "grpcService": "a b"}), "/grpcService", "invalid_service"),
            (json!({"path": "/", "host": "a/b"}), "/host", "invalid_host"),
            (json!({"path": "/", "expectStatus": [199]}), "/expectStatus/0", "out_of_range"),
            (json!({"path": "/", "expectStatus": [200, 600]}), "/expectStatus/1", "out_of_range"),
            (json!({"path": "/", "expectStatus": ["2xx"]}), "/expectStatus/0", "invalid_status"),
            (json!({"path": "/", "expectStatus": ["299-200"]}), "/expectStatus/0", "invalid_status"),
            (json!({"path": "/", "expectStatus": [true]}), "/expectStatus/0", "wrong_type"),
            (json!({"path": "/", "expectStatus": [200, 200]}), "/expectStatus/1", "duplicate"),
            (json!({"path": "/", "intervalMs": 999}), "/intervalMs", "out_of_range"),
            (json!({"path": "/", "timeoutMs": 0}), "/timeoutMs", "out_of_range"),
            (json!({"path": "/", "timeoutMs": 60_001}), "/timeoutMs", "out_of_range"),
            (json!({"path": "/", "unhealthyThreshold": 0}), "/unhealthyThreshold", "out_of_range"),
            (json!({"path": "/", "healthyThreshold": 101}), "/healthyThreshold", "out_of_range"),
            (json!({"path": "/", "jitterPercent": 101}), "/jitterPercent", "out_of_range"),
            (json!({"path": "/", "jitter": 1}), "/jitter", "unknown_field"),
        ] {
            assert_eq!(faults(&service(&check)), [(format!("/healthCheck{pointer}"), code.to_owned())], "{check}");
        }
    }

    #[test]
    fn preferences_are_read_written_and_refused_at_their_pointers() {
        let mut body = service(&Value::Null);
        (body["slowStartMs"], body["zoneMinPercent"]) = (json!(30_000), json!(70));
        body["targets"] = json!([{"url": "http://10.0.0.5:8080", "weight": 1, "zone": "eu-1"}]);
        let made = read(&body);
        assert_eq!(made.preference.slow_start, Some(Duration::from_secs(30)));
        assert_eq!((made.preference.zone_min_percent, made.targets[0].zone.as_deref()), (70, Some("eu-1")));
        let written = render_object(&ConfigObject::Service(made));
        for field in ["slowStartMs", "zoneMinPercent", "targets"] {
            assert_eq!(written[field], body[field]);
        }
        let plain = render_object(&ConfigObject::Service(read(&service(&Value::Null))));
        assert!(plain.get("slowStartMs").is_none() && plain.get("zoneMinPercent").is_none());
        for (field, value, pointer, code) in [
            ("slowStartMs", json!(999), "/slowStartMs", "out_of_range"),
            ("slowStartMs", json!("1s"), "/slowStartMs", "wrong_type"),
            ("zoneMinPercent", json!(101), "/zoneMinPercent", "out_of_range"),
            ("targets", json!([{"url": "http://a", "zone": ""}]), "/targets/0/zone", "invalid_zone"),
            ("targets", json!([{"url": "http://a", "zone": "a b"}]), "/targets/0/zone", "invalid_zone"),
        ] {
            let mut body = service(&Value::Null);
            body[field] = value;
            assert_eq!(faults(&body), [(pointer.to_owned(), code.to_owned())], "{field}");
        }
        let mut hashed = service(&Value::Null);
        (hashed["loadBalancing"], hashed["hashOn"]) = (json!("consistent-hash"), json!("consumer"));
        hashed["slowStartMs"] = json!(1000);
        assert_eq!(faults(&hashed), [("/slowStartMs".to_owned(), "not_allowed".to_owned())]);
    }
}
