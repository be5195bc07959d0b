//! The records inside telemetry frames: closed shapes, so that nothing a node adds can reach storage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{BatchKind, ConsumerId, ErrorCode, Name, RequestId, RouteId, ServiceId, Timestamp};
use novagate_ports_edge::BatchCodec;
use novagate_records::{
    Batch, ErrorEvent, HealthSnapshot, LATENCY_CELLS, LogBatch, LogEntry, MethodLabel, MetricsWindow, RouteLabel,
    RouteWindow, ServiceHealth,
};
use serde::{Deserialize, Serialize};

use super::head::{HeadV1, head_v1, optional_head};
use super::{FrameError, MAX_BATCH_RECORDS, MAX_NODE_FRAME_BYTES, at_most, malformed, read};
use crate::word::{As, Known};

/// The longest route template in a batch, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 2_048;

/// The most rows in one metrics window: the routes of the largest plan, and `unmatched`.
pub const MAX_WINDOW_ROWS: usize = 20_000;

/// The most services in one health snapshot.
pub const MAX_HEALTH_SERVICES: usize = 10_000;

/// The JSON encoding of batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct JsonBatchCodec;

#[derive(Serialize, Deserialize)]
struct LogsV1 {
    #[serde(default)]
    routes: Vec<LabelV1>,
    records: Vec<LogV1>,
}

#[derive(Serialize, Deserialize)]
struct LabelV1 {
    id: As<RouteId>,
    template: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<As<Name>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogV1 {
    at: i64,
    request_id: As<RequestId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consumer_id: Option<As<ConsumerId>>,
    latency_us: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_us: Option<u32>,
    status: u16,
    method: As<MethodLabel>,
    #[serde(default = "unknown", skip_serializing_if = "is_unknown")]
    code: Known<ErrorCode>,
}

#[derive(Serialize, Deserialize)]
struct ListV1<T> {
    records: Vec<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ErrorV1 {
    at: i64,
    code: Known<ErrorCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route_id: Option<As<RouteId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_id: Option<As<ServiceId>>,
    request_id: As<RequestId>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HealthV1 {
    at: i64,
    uptime_ms: u64,
    #[serde(default)]
    serving: Option<HeadV1>,
    active_connections: u32,
    dropped: u64,
    services: Vec<ServiceV1>,
}

#[derive(Serialize, Deserialize)]
struct ServiceV1 {
    id: As<ServiceId>,
    name: As<Name>,
    healthy: u16,
    total: u16,
}

#[derive(Serialize, Deserialize)]
struct WindowV1 {
    from: i64,
    to: i64,
    routes: Vec<RowV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowV1 {
    #[serde(default)]
    route_id: Option<As<RouteId>>,
    classes: [u64; 5],
    latency: [u64; LATENCY_CELLS],
    latency_sum_us: u64,
}

impl BatchCodec for JsonBatchCodec {
    fn encode(&self, batch: &Batch) -> Bytes {
        encode_batch(batch)
    }
}

/// The body of a batch's frame.
pub fn encode_batch(batch: &Batch) -> Bytes {
    let text = match batch {
        Batch::Logs(logs) => serde_json::to_vec(&logs_v1(logs)),
        Batch::Errors(events) => serde_json::to_vec(&ListV1 { records: events.iter().map(error_v1).collect() }),
        Batch::Health(health) => serde_json::to_vec(&ListV1 { records: vec![health_v1(health)] }),
        Batch::Metrics(window) => serde_json::to_vec(&ListV1 { records: vec![window_v1(window)] }),
    };
    Bytes::from(text.unwrap_or_default())
}

/// Reads the body of a batch's frame. Error events with a code that this version does not know are left out; in a log
/// entry such a code becomes none.
pub fn decode_batch(kind: BatchKind, body: &[u8]) -> Result<Batch, FrameError> {
    if body.len() > MAX_NODE_FRAME_BYTES {
        return Err(FrameError::TooLarge { limit: MAX_NODE_FRAME_BYTES });
    }
    match kind {
        BatchKind::Logs => logs(read(kind.as_str(), body)?).map(Batch::Logs),
        BatchKind::Errors => errors(read(kind.as_str(), body)?).map(Batch::Errors),
        BatchKind::Health => health(the_only("health", read(kind.as_str(), body)?)?).map(Batch::Health),
        BatchKind::Metrics => window(the_only("metrics", read(kind.as_str(), body)?)?).map(Batch::Metrics),
    }
}

fn logs_v1(batch: &LogBatch) -> LogsV1 {
    let label = |label: &RouteLabel| LabelV1 {
        id: As(label.id),
        template: label.template.to_string(),
        service: label.service.clone().map(As),
    };
    let entry = |entry: &LogEntry| LogV1 {
        at: entry.at.as_micros(),
        request_id: As(entry.request_id),
        route: entry.route,
        consumer_id: entry.consumer.map(As),
        latency_us: entry.latency_us,
        upstream_us: entry.upstream_us,
        status: entry.status,
        method: As(entry.method),
        code: Known(entry.code),
    };
    LogsV1 { routes: batch.routes.iter().map(label).collect(), records: batch.entries.iter().map(entry).collect() }
}

fn logs(body: LogsV1) -> Result<LogBatch, FrameError> {
    const NAME: &str = "logs";
    at_most(NAME, "records", body.records.len(), MAX_BATCH_RECORDS)?;
    at_most(NAME, "routes", body.routes.len(), MAX_BATCH_RECORDS)?;
    let label = |label: LabelV1| {
        at_most(NAME, "bytes in a template", label.template.len(), MAX_TEMPLATE_BYTES)?;
        if label.template.chars().any(char::is_control) {
            return Err(malformed(NAME));
        }
        Ok(RouteLabel {
            id: label.id.0,
            template: Arc::from(label.template),
            service: label.service.map(|service| service.0),
        })
    };
    let routes: Vec<RouteLabel> = body.routes.into_iter().map(label).collect::<Result<_, _>>()?;
    let entry = |entry: LogV1| {
        let points_outside = entry.route.is_some_and(|at| usize::try_from(at).map_or(true, |at| at >= routes.len()));
        if points_outside || entry.status > 999 {
            return Err(malformed(NAME));
        }
        Ok(LogEntry {
            at: Timestamp::from_micros(entry.at),
            request_id: entry.request_id.0,
            route: entry.route,
            consumer: entry.consumer_id.map(|id| id.0),
            latency_us: entry.latency_us,
            upstream_us: entry.upstream_us,
            status: entry.status,
            method: entry.method.0,
            code: entry.code.0,
        })
    };
    let entries = body.records.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(LogBatch { routes, entries })
}

fn error_v1(event: &ErrorEvent) -> ErrorV1 {
    ErrorV1 {
        at: event.at.as_micros(),
        code: Known(Some(event.code)),
        route_id: event.route.map(As),
        service_id: event.service.map(As),
        request_id: As(event.request_id),
    }
}

fn errors(body: ListV1<ErrorV1>) -> Result<Vec<ErrorEvent>, FrameError> {
    at_most("errors", "records", body.records.len(), MAX_BATCH_RECORDS)?;
    let event = |event: ErrorV1| {
        Some(ErrorEvent {
            at: Timestamp::from_micros(event.at),
            code: event.code.0?,
            route: event.route_id.map(|id| id.0),
            service: event.service_id.map(|id| id.0),
            request_id: event.request_id.0,
        })
    };
    Ok(body.records.into_iter().filter_map(event).collect())
}

fn health_v1(health: &HealthSnapshot) -> HealthV1 {
    let service = |service: &ServiceHealth| ServiceV1 {
        id: As(service.id),
        name: As(service.name.clone()),
        healthy: service.healthy,
        total: service.total,
    };
    HealthV1 {
        at: health.at.as_micros(),
        uptime_ms: u64::try_from(health.uptime.as_millis()).unwrap_or(u64::MAX),
        serving: health.serving.map(head_v1),
        active_connections: health.active_connections,
        dropped: health.dropped,
        services: health.services.iter().map(service).collect(),
    }
}

fn health(body: HealthV1) -> Result<HealthSnapshot, FrameError> {
    const NAME: &str = "health";
    at_most(NAME, "services", body.services.len(), MAX_HEALTH_SERVICES)?;
    let service = |service: ServiceV1| ServiceHealth {
        id: service.id.0,
        name: service.name.0,
        healthy: service.healthy,
        total: service.total,
    };
    Ok(HealthSnapshot {
        at: Timestamp::from_micros(body.at),
        uptime: Duration::from_millis(body.uptime_ms),
        serving: optional_head(NAME, body.serving)?,
        active_connections: body.active_connections,
        dropped: body.dropped,
        services: body.services.into_iter().map(service).collect(),
    })
}

fn window_v1(window: &MetricsWindow) -> WindowV1 {
    let row = |row: &RouteWindow| RowV1 {
        route_id: row.route.map(As),
        classes: row.classes,
        latency: row.latency,
        latency_sum_us: row.latency_sum_us,
    };
    WindowV1 {
        from: window.from.as_micros(),
        to: window.to.as_micros(),
        routes: window.routes.iter().map(row).collect(),
    }
}

fn window(body: WindowV1) -> Result<MetricsWindow, FrameError> {
    at_most("metrics", "routes", body.routes.len(), MAX_WINDOW_ROWS)?;
    // Sums over nodes and buckets must fit into an SQL bigint with room to add up.
    let fits = |count: &u64| *count <= u64::from(u32::MAX) * 1_000_000;
    let row = |row: RowV1| {
        let counts = row.classes.iter().chain(&row.latency).chain([&row.latency_sum_us]);
        if !counts.into_iter().all(fits) {
            return Err(malformed("metrics"));
        }
        Ok(RouteWindow {
            route: row.route_id.map(|id| id.0),
            classes: row.classes,
            latency: row.latency,
            latency_sum_us: row.latency_sum_us,
        })
    };
    let routes = body.routes.into_iter().map(row).collect::<Result<_, _>>()?;
    Ok(MetricsWindow { from: Timestamp::from_micros(body.from), to: Timestamp::from_micros(body.to), routes })
}

fn the_only<T>(frame: &'static str, body: ListV1<T>) -> Result<T, FrameError> {
    at_most(frame, "records", body.records.len(), 1)?;
    body.records.into_iter().next().ok_or(malformed(frame))
}

const fn unknown() -> Known<ErrorCode> {
    Known(None)
}

const fn is_unknown(code: &Known<ErrorCode>) -> bool {
    code.0.is_none()
}
