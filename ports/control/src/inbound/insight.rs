//! Looking at telemetry.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{Head, ServiceId, Timestamp};
use novagate_records::AuditRecord;

use super::{NodeView, Refusal};
use crate::{
    Page, PageRequest,
    outbound::{ErrorRow, HealthRow, LogFilter, LogRow, MetricsRow},
};

/// Which metrics are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsQuery {
    /// Begin, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// Width of a bucket; 10 s to 1 day, and at most 1,000 buckets.
    pub bucket_seconds: u32,
}

/// How a tenant's gateways are.
#[derive(Debug, Clone)]
pub struct HealthView {
    /// The newest revision.
    pub head: Head,
    /// All known nodes.
    pub nodes: Vec<NodeView>,
    /// The newest snapshot of each.
    pub snapshots: Vec<HealthRow>,
}

/// Looking at telemetry and the audit log.
#[async_trait]
pub trait Insight: Send + Sync + 'static {
    /// Requests, newest first.
    async fn logs(&self, scope: &TenantScope, filter: &LogFilter, page: &PageRequest) -> Result<Page<LogRow>, Refusal>;

    /// Error events, newest first.
    async fn errors(
        &self,
        scope: &TenantScope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        service: Option<ServiceId>,
        page: &PageRequest,
    ) -> Result<Page<ErrorRow>, Refusal>;

    /// Request counts over time.
    async fn metrics(&self, scope: &TenantScope, query: MetricsQuery) -> Result<Vec<MetricsRow>, Refusal>;

    /// Nodes and upstream health.
    async fn health(&self, scope: &TenantScope) -> Result<HealthView, Refusal>;

    /// The audit log, newest first.
    async fn audit(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditRecord>, Refusal>;
}
