//! Stored telemetry.

use std::collections::BTreeSet;

use async_trait::async_trait;
use novagate_access::TenantScope;
use novagate_kernel::{BootId, ServiceId, Timestamp};
use novagate_ports_base::PortError;
use novagate_ports_control::outbound::{
    ErrorRow, HealthRow, Ingested, LogFilter, LogRow, MetricsRow, TelemetryBatch, TelemetryStore,
};
use novagate_ports_control::{Page, PageRequest};
use novagate_records::Batch;

use crate::error::StoreError;
use crate::placement::{DayTable, Mode, TenantTx};
use crate::store::SqlStore;
use crate::tenant;
use crate::tenant::errors::ErrorFilter;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Of how many days one batch may have rows: nodes keep theirs for a week.
const MAX_DAYS: usize = 32;

#[async_trait]
impl TelemetryStore for SqlStore {
    async fn ingest(&self, scope: &TenantScope, batch: &TelemetryBatch) -> Result<Ingested, PortError> {
        self.call("store.ingest", scope, || async {
            if let Some((table, days)) = days(batch)? {
                self.placement().prepare_days(scope, table, &days).await?;
            }
            let outcome = self.store_batch(scope, batch).await;
            if outcome.as_ref().is_err_and(StoreError::is_missing_day) {
                self.placement().forget_days(scope);
            }
            outcome
        })
        .await
    }

    async fn received(&self, scope: &TenantScope, boot: BootId) -> Result<u64, PortError> {
        self.call("store.received", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(0) };
            let upto = tenant::cursors::received(&tx, boot).await?;
            tx.end().await?;
            Ok(upto)
        })
        .await
    }

    async fn logs(
        &self,
        scope: &TenantScope,
        filter: &LogFilter,
        page: &PageRequest,
    ) -> Result<Page<LogRow>, PortError> {
        self.call("store.logs", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let found = tenant::logs::list(&tx, filter, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn errors(
        &self,
        scope: &TenantScope,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        service: Option<ServiceId>,
        page: &PageRequest,
    ) -> Result<Page<ErrorRow>, PortError> {
        self.call("store.errors", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let found = tenant::errors::list(&tx, &ErrorFilter { from, to, service }, page).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn health(&self, scope: &TenantScope) -> Result<Vec<HealthRow>, PortError> {
        self.call("store.health", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(Vec::new()) };
            let found = tenant::health::list(&tx).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn metrics(
        &self,
        scope: &TenantScope,
        from: Timestamp,
        to: Timestamp,
        bucket_seconds: u32,
    ) -> Result<Vec<MetricsRow>, PortError> {
        self.call("store.metrics", scope, || async {
            let Some(tx) = self.begin_in(scope, Mode::Read).await? else { return Ok(Vec::new()) };
            let found = tenant::metrics::read(&tx, from, to, bucket_seconds).await?;
            tx.end().await?;
            Ok(found)
        })
        .await
    }

    async fn prune(&self, scope: &TenantScope, before: Timestamp) -> Result<u64, PortError> {
        let mut sum = 0;
        while let Some(gone) = self.call("store.prune", scope, || self.prune_some(scope, before)).await? {
            sum += gone;
        }
        Ok(sum)
    }
}

impl SqlStore {
    async fn store_batch(&self, scope: &TenantScope, batch: &TelemetryBatch) -> Result<Ingested, StoreError> {
        let tx = self.write_in(scope).await?;
        if !tenant::cursors::take(&tx, batch.node, batch.boot, batch.batch_seq).await? {
            tx.end().await?;
            return Ok(Ingested::AlreadyHave);
        }
        store(&tx, batch).await?;
        tx.commit().await?;
        Ok(Ingested::New)
    }

    /// Removes some rows; `None` when there are none to remove. Whole days go first.
    async fn prune_some(&self, scope: &TenantScope, before: Timestamp) -> Result<Option<u64>, StoreError> {
        if let Some(gone) = self.placement().retire_day(scope, before).await? {
            return Ok(Some(gone));
        }
        let Some(tx) = self.begin_in(scope, Mode::Write).await? else { return Ok(None) };
        let gone = tenant::census::prune_some(&tx, before).await?;
        tx.commit().await?;
        Ok((gone > 0).then_some(gone))
    }
}

/// Which days of which table a batch has rows of.
fn days(batch: &TelemetryBatch) -> Result<Option<(DayTable, Vec<i32>)>, StoreError> {
    let (table, times): (DayTable, Vec<Timestamp>) = match &batch.batch {
        Batch::Logs(logs) => (DayTable::RequestLogs, logs.entries.iter().map(|entry| entry.at).collect()),
        Batch::Errors(events) => (DayTable::ErrorEvents, events.iter().map(|event| event.at).collect()),
        Batch::Metrics(window) => (DayTable::MetricsWindows, vec![window.from]),
        Batch::Health(_) => return Ok(None),
    };
    let days: BTreeSet<i64> = times.into_iter().map(|at| at.as_micros().div_euclid(MICROS_PER_DAY)).collect();
    if days.len() > MAX_DAYS {
        return Err(StoreError::Misuse("a batch has rows of too many days"));
    }
    let days = days.into_iter().map(i32::try_from).collect::<Result<_, _>>();
    Ok(Some((table, days.map_err(|_| StoreError::Misuse("a row is of a day that is out of range"))?)))
}

async fn store(tx: &TenantTx, source: &TelemetryBatch) -> Result<(), StoreError> {
    match &source.batch {
        Batch::Logs(logs) => tenant::logs::insert(tx, source, logs).await,
        Batch::Errors(events) => tenant::errors::insert(tx, source, events).await,
        Batch::Health(snapshot) => tenant::health::keep(tx, source.node, snapshot).await,
        Batch::Metrics(window) => tenant::metrics::insert(tx, source, window).await,
    }
}
