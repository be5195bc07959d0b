//! `/tenants/{t}/logs`, `/errors`, `/metrics`, `/health` and `/audit`.

use std::time::Duration;

use axum::extract::State;
use novagate_access::TenantScope;
use novagate_documents::{
    logs::LogItem,
    time::{format_timestamp, parse_timestamp},
};
use novagate_kernel::{ConsumerId, Name, RequestId, RouteId, ServiceId, Timestamp};
use novagate_ports_control::{
    inbound::MetricsQuery,
    outbound::{ErrorRow, HealthRow, LogFilter, MetricsRow},
};
use novagate_records::{AuditRecord, LATENCY_BOUNDS_US, MethodLabel};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::gateways::{GatewayBody, HeadBody, gateway_body};
use crate::{
    AdminState,
    web::{Problem, ProblemBody, Query, Reply, Scoped, page_of},
};

/// A page of requests.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogPage {
    items: Vec<LogItem>,
    next_cursor: Option<String>,
}

/// An error event: a code and where, never what a request carried.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorItem {
    id: String,
    at: String,
    code: &'static str,
    route_id: Option<String>,
    service_id: Option<String>,
    request_id: String,
    node_id: String,
}

/// A page of error events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorPage {
    items: Vec<ErrorItem>,
    next_cursor: Option<String>,
}

/// Request counts over time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsBody {
    from: String,
    to: String,
    bucket_seconds: u32,
    /// Upper bounds of the latency cells, microseconds; a last cell takes the rest.
    latency_bounds_us: Vec<u32>,
    items: Vec<MetricsItem>,
}

/// One route in one bucket of time.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsItem {
    from: String,
    /// `null`: requests that matched no route.
    route_id: Option<String>,
    requests: u64,
    /// Requests per status class, `1xx` to `5xx`.
    classes: [u64; 5],
    /// Requests per latency cell.
    latency: Vec<u64>,
    latency_sum_us: u64,
    p50_us: Option<u32>,
    p95_us: Option<u32>,
    p99_us: Option<u32>,
}

/// How the tenant's gateways are.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// The newest revision.
    head: HeadBody,
    gateways: Vec<GatewayBody>,
    snapshots: Vec<SnapshotBody>,
}

/// What a gateway last said of itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SnapshotBody {
    node_id: String,
    at: String,
    uptime_seconds: u64,
    active_connections: u32,
    dropped_records: u64,
    services: Vec<ServiceHealthBody>,
}

/// How many targets of a service take traffic.
#[derive(Serialize, ToSchema)]
pub(crate) struct ServiceHealthBody {
    id: String,
    name: String,
    healthy: u16,
    total: u16,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditItem {
    id: String,
    at: String,
    actor: &'static str,
    #[schema(example = "object.updated")]
    action: &'static str,
    kind: Option<&'static str>,
    object_id: Option<String>,
    name: Option<String>,
    seq: Option<u64>,
}

/// A page of audit entries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    items: Vec<AuditItem>,
    next_cursor: Option<String>,
}

/// Search the request log, newest first.
#[utoipa::path(get, path = "/tenants/{t}/logs", tag = "telemetry",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query),
        ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("route" = Option<String>, Query, description = "route id"),
        ("service" = Option<String>, Query, description = "service name"), ("method" = Option<String>, Query),
        ("status" = Option<String>, Query, description = "503 or 5xx"), ("consumer" = Option<String>, Query, description = "consumer id"),
        ("requestId" = Option<String>, Query), ("minLatencyMs" = Option<u32>, Query)),
    responses((status = 200, body = LogPage), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn logs(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    let filter = LogFilter {
        from: take_time(&mut query, "from"),
        to: take_time(&mut query, "to"),
        route: query.take("route", RouteId::parse),
        service: query.take("service", Name::parse),
        method: query.take("method", parse_method),
        status: query.take("status", parse_status),
        consumer: query.take("consumer", ConsumerId::parse),
        request_id: query.take("requestId", RequestId::parse),
        min_latency_us: query.take("minLatencyMs", parse_latency),
    };
    query.finish()?;
    let rows = state.insight.logs(&scope, &filter, &page).await?;
    Ok(Reply::ok(&page_of(&rows.map(|row| LogItem::from(&row)))))
}

/// Search the error events, newest first.
#[utoipa::path(get, path = "/tenants/{t}/errors", tag = "telemetry",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query),
        ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("service" = Option<String>, Query, description = "service id")),
    responses((status = 200, body = ErrorPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn errors(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    let (from, to) = (take_time(&mut query, "from"), take_time(&mut query, "to"));
    let service = query.take("service", ServiceId::parse);
    query.finish()?;
    let rows = state.insight.errors(&scope, from, to, service, &page).await?;
    Ok(Reply::ok(&page_of(&rows.map(|row| error_item(&row)))))
}

/// Request counts per route over time. Without parameters: the last hour in minutes.
#[utoipa::path(get, path = "/tenants/{t}/metrics", tag = "telemetry",
    params(("t" = String, Path, description = "tenant id"), ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("bucketSeconds" = Option<u32>, Query)),
    responses((status = 200, body = MetricsBody), (status = 404, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn metrics(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let to = take_time(&mut query, "to").unwrap_or_else(|| state.clock.now());
    let from = take_time(&mut query, "from").unwrap_or_else(|| to.minus(Duration::from_hours(1)));
    let whole = |text: &str| text.parse::<u32>().map_err(|_| "must be a whole number of seconds");
    let bucket_seconds = query.take("bucketSeconds", whole).unwrap_or(60);
    query.finish()?;
    Ok(Reply::ok(&metrics_body(&state, &scope, MetricsQuery { from, to, bucket_seconds }).await?))
}

pub(super) async fn metrics_body(
    state: &AdminState,
    scope: &TenantScope,
    query: MetricsQuery,
) -> Result<MetricsBody, Problem> {
    let rows = state.insight.metrics(scope, query).await?;
    Ok(MetricsBody {
        from: format_timestamp(query.from),
        to: format_timestamp(query.to),
        bucket_seconds: query.bucket_seconds,
        latency_bounds_us: LATENCY_BOUNDS_US.to_vec(),
        items: rows.iter().map(metrics_item).collect(),
    })
}

/// How the gateways and their upstreams are.
#[utoipa::path(get, path = "/tenants/{t}/health", tag = "telemetry", params(("t" = String, Path, description = "tenant id")),
    responses((status = 200, body = HealthBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn health(Scoped(scope): Scoped, State(state): State<AdminState>) -> Result<Reply, Problem> {
    let view = state.insight.health(&scope).await?;
    Ok(Reply::ok(&HealthBody {
        head: HeadBody::of(view.head),
        gateways: view.nodes.iter().map(gateway_body).collect(),
        snapshots: view.snapshots.iter().map(snapshot_body).collect(),
    }))
}

/// Read the audit log, newest first.
#[utoipa::path(get, path = "/tenants/{t}/audit", tag = "audit",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = AuditPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn audit(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let entries = state.insight.audit(&scope, &page).await?;
    Ok(Reply::ok(&page_of(&entries.map(|entry| json!(audit_item(&entry))))))
}

fn take_time(query: &mut Query, name: &str) -> Option<Timestamp> {
    query.take(name, |text| parse_timestamp(text).ok_or("must be a time as in RFC 3339, e.g. 2026-01-02T03:04:05Z"))
}

fn parse_method(text: &str) -> Result<MethodLabel, &'static str> {
    let known = MethodLabel::ALL.into_iter().find(|label| label.as_str() == text);
    known.ok_or("must be a method in upper case, or OTHER")
}

/// `503` or `5xx`.
fn parse_status(text: &str) -> Result<(u16, u16), &'static str> {
    const RULE: &str = "must be a status such as 503 or a class such as 5xx";
    if let Some(class) = text.strip_suffix("xx") {
        return match class.parse::<u16>() {
            Ok(class @ 1..=5) if text.len() == 3 => Ok((class * 100, class * 100 + 99)),
            Ok(_) | Err(_) => Err(RULE),
        };
    }
    match text.parse::<u16>() {
        Ok(status @ 100..=599) => Ok((status, status)),
        Ok(_) | Err(_) => Err(RULE),
    }
}

fn parse_latency(text: &str) -> Result<u32, &'static str> {
    const RULE: &str = "must be a whole number of milliseconds up to 4294967";
    text.parse::<u32>().ok().and_then(|millis| millis.checked_mul(1000)).ok_or(RULE)
}

fn error_item(row: &ErrorRow) -> ErrorItem {
    ErrorItem {
        id: row.id.to_string(),
        at: format_timestamp(row.event.at),
        code: row.event.code.as_str(),
        route_id: row.event.route.map(|id| id.to_string()),
        service_id: row.event.service.map(|id| id.to_string()),
        request_id: row.event.request_id.to_string(),
        node_id: row.node.to_string(),
    }
}

fn metrics_item(row: &MetricsRow) -> MetricsItem {
    let window = &row.window;
    MetricsItem {
        from: format_timestamp(row.from),
        route_id: window.route.map(|id| id.to_string()),
        requests: window.requests(),
        classes: window.classes,
        latency: window.latency.to_vec(),
        latency_sum_us: window.latency_sum_us,
        p50_us: window.quantile_us(500),
        p95_us: window.quantile_us(950),
        p99_us: window.quantile_us(990),
    }
}

fn snapshot_body(row: &HealthRow) -> SnapshotBody {
    let services = row.snapshot.services.iter().map(|service| ServiceHealthBody {
        id: service.id.to_string(),
        name: service.name.to_string(),
        healthy: service.healthy,
        total: service.total,
    });
    SnapshotBody {
        node_id: row.node.to_string(),
        at: format_timestamp(row.snapshot.at),
        uptime_seconds: row.snapshot.uptime.as_secs(),
        active_connections: row.snapshot.active_connections,
        dropped_records: row.snapshot.dropped,
        services: services.collect(),
    }
}

fn audit_item(entry: &AuditRecord) -> AuditItem {
    AuditItem {
        id: entry.id.to_string(),
        at: format_timestamp(entry.at),
        actor: entry.actor.as_str(),
        action: entry.action.as_str(),
        kind: entry.object.map(|object| object.kind.as_str()),
        object_id: entry.object.map(|object| object.id).or(entry.subject).map(|id| id.to_string()),
        name: entry.name.as_ref().map(ToString::to_string),
        seq: entry.revision.map(|revision| revision.seq),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_filter_is_one_code_or_one_class() {
        assert_eq!(parse_status("503"), Ok((503, 503)));
        assert_eq!(parse_status("5xx"), Ok((500, 599)));
        for bad in ["", "xx", "6xx", "0xx", "05xx", "99", "600", "5XX", "+5xx"] {
            assert!(parse_status(bad).is_err(), "{bad}");
        }
    }
}
