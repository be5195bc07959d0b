//! Stored telemetry and the audit log.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{BootId, ConsumerId, ErrorCode, LogId, Name, NodeId, RequestId, RouteId, ServiceId, Timestamp};
use novagate_ports_base::PortError;
use novagate_records::{AuditRecord, Batch, ErrorEvent, HealthSnapshot, MethodLabel, RouteWindow};

use crate::{Page, PageRequest};

/// A decoded batch with the place it has among its node's batches.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryBatch {
    /// From which node.
    pub node: NodeId,
    /// From which run of it.
    pub boot: BootId,
    /// Which one, counted from 1 over all kinds.
    pub batch_seq: u64,
    /// What.
    pub batch: Batch,
}

/// Whether a batch was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ingested {
    /// Stored and committed.
    New,
    /// Its (boot, `batch_seq`) had been committed before; nothing changed.
    AlreadyHave,
}

/// A stored request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its id.
    pub id: LogId,
    /// When.
    pub at: Timestamp,
    /// Its `X-Request-ID`.
    pub request_id: RequestId,
    /// The method.
    pub method: MethodLabel,
    /// The route's template; `None`: unmatched.
    pub template: Option<String>,
    /// The route.
    pub route: Option<RouteId>,
    /// The name of the route's service.
    pub service: Option<Name>,
    /// The status.
    pub status: u16,
    /// The whole exchange, microseconds.
    pub latency_us: u32,
    /// The upstream's share.
    pub upstream_us: Option<u32>,
    /// The consumer.
    pub consumer: Option<ConsumerId>,
    /// The node.
    pub node: NodeId,
    /// The code, when the gateway answered by itself.
    pub code: Option<ErrorCode>,
}

/// Which rows are wanted; all that are given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Of this route.
    pub route: Option<RouteId>,
    /// Of this service, by name.
    pub service: Option<Name>,
    /// With this method.
    pub method: Option<MethodLabel>,
    /// With a status in this range, both ends included (503..=503, 500..=599).
    pub status: Option<(u16, u16)>,
    /// Of this consumer.
    pub consumer: Option<ConsumerId>,
    /// With this request id.
    pub request_id: Option<RequestId>,
    /// At least this slow, microseconds.
    pub min_latency_us: Option<u32>,
}

/// A stored error event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// Its id.
    pub id: LogId,
    /// From which node.
    pub node: NodeId,
    /// What.
    pub event: ErrorEvent,
}

/// The newest health of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRow {
    /// Which node.
    pub node: NodeId,
    /// Its state.
    pub snapshot: HealthSnapshot,
}

/// Counts of one route in one bucket of time, over all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsRow {
    /// Begin of the bucket.
    pub from: Timestamp,
    /// The counts.
    pub window: RouteWindow,
    /// The service of the route at that time, where it was known.
    pub service: Option<ServiceId>,
}

/// Telemetry of a tenant. Contract: a batch is stored whole and at most once per (boot, `batch_seq`), together with its
/// cursor; lists are newest first with a stable order; filters combine; nothing of another tenant is ever seen.
#[async_trait]
pub trait TelemetryStore: Send + Sync + 'static {
    /// Stores a batch.
    async fn ingest(&self, scope: &TenantScope, batch: &TelemetryBatch) -> Result<Ingested, PortError>;

    /// The highest `batch_seq` of this boot up to which everything is committed; 0: nothing.
    async fn received(&self, scope: &TenantScope, boot: BootId) -> Result<u64, PortError>;

    /// Stored requests, newest first.
    async fn logs(
        &self,
        scope: &TenantScope,
        filter: &LogFilter,
        page: &PageRequest,
    ) -> Result<Page<LogRow>, PortError>;

    /// Stored error events, newest first; with a service only that one's.
    async fn errors(
        &self,
        scope: &TenantScope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        service: Option<ServiceId>,
        page: &PageRequest,
    ) -> Result<Page<ErrorRow>, PortError>;

    /// The newest health of each node.
    async fn health(&self, scope: &TenantScope) -> Result<Vec<HealthRow>, PortError>;

    /// Request counts from `from` (inclusive) to `to` (exclusive), added up into buckets of `bucket_seconds` and per
    /// route, oldest first. The caller keeps the number of buckets at 1,000 or below.
    async fn metrics(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
        bucket_seconds: u32,
    ) -> Result<Vec<MetricsRow>, PortError>;

    /// Removes telemetry older than `before`; answers how many rows went.
    async fn prune(&self, scope: &TenantScope, before: Timestamp) -> Result<u64, PortError>;
}

/// The audit log of a tenant. Contract: entries are never changed; newest first.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Adds an entry for something that has no other write of its own.
    async fn append_audit(&self, scope: &TenantScope, record: &AuditRecord) -> Result<(), PortError>;

    /// Entries, newest first.
    async fn audit(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditRecord>, PortError>;
}
