//! Looking at telemetry and the audit log.

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{ServiceId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::{
    Page, PageRequest,
    inbound::{FieldFault, Fleet, HealthView, Insight, MetricsQuery, Refusal},
    outbound::{ErrorRow, LogFilter, LogRow, MetricsRow},
};
use novagate_records::AuditRecord;

use crate::Control;

/// Most buckets of one metrics answer.
const MAX_BUCKETS: i64 = 1_000;
/// Narrowest and widest bucket, seconds.
const BUCKET_SECONDS: std::ops::RangeInclusive<u32> = 10..=86_400;

#[async_trait]
impl Insight for Control {
    async fn logs(&self, scope: &TenantScope, filter: &LogFilter, page: &PageRequest) -> Result<Page<LogRow>, Refusal> {
        self.deps.telemetry.logs(scope, filter, page).await.map_err(page_fault)
    }

    async fn errors(
        &self,
        scope: &TenantScope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        service: Option<ServiceId>,
        page: &PageRequest,
    ) -> Result<Page<ErrorRow>, Refusal> {
        self.deps.telemetry.errors(scope, from, to, service, page).await.map_err(page_fault)
    }

    async fn metrics(&self, scope: &TenantScope, query: MetricsQuery) -> Result<Vec<MetricsRow>, Refusal> {
        let MetricsQuery { from, to, bucket_seconds } = query;
        let fault =
            |pointer: &str, code: &str, rule: &str| Refusal::invalid(vec![FieldFault::new(pointer, code, rule)]);
        if !BUCKET_SECONDS.contains(&bucket_seconds) {
            return Err(fault("/bucketSeconds", "out_of_range", "must be 10 to 86400 seconds"));
        }
        if from >= to {
            return Err(fault("/to", "out_of_range", "must be later than `from`"));
        }
        let span = to.as_micros().saturating_sub(from.as_micros());
        // Counted from `from`; the last one may be cut short.
        if span > MAX_BUCKETS * i64::from(bucket_seconds) * 1_000_000 {
            return Err(fault("/bucketSeconds", "too_many_buckets", "must leave at most 1000 buckets"));
        }
        Ok(self.deps.telemetry.metrics(scope, from, to, bucket_seconds).await?)
    }

    async fn health(&self, scope: &TenantScope) -> Result<HealthView, Refusal> {
        let head = self.deps.configs.head(scope).await?.ok_or_else(Refusal::not_found)?;
        Ok(HealthView { head, nodes: self.gateways(scope).await?, snapshots: self.deps.telemetry.health(scope).await? })
    }

    async fn audit(&self, scope: &TenantScope, page: &PageRequest) -> Result<Page<AuditRecord>, Refusal> {
        self.deps.audits.audit(scope, page).await.map_err(page_fault)
    }
}

/// A cursor that a store cannot read came from the client.
pub(crate) fn page_fault(error: PortError) -> Refusal {
    if error.kind == novagate_ports_base::FaultKind::Misuse {
        Refusal::invalid(vec![FieldFault::new("/cursor", "invalid_cursor", "is not a cursor of this list")])
    } else {
        error.into()
    }
}
