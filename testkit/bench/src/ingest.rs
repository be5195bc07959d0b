//! P11: storing telemetry through the store beside raw COPY into the same table.
//!
//! Always: both write the same columns of the same number of rows into a day's partition of one tenant, in a transaction
//! for each batch; rounds alternate. Not here: the way of the batch to the control plane.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Result, ensure};
use novagate_access::TenantScope;
use novagate_fixtures::{Mint, START, log_entry, logs, new_tenant};
use novagate_ports_control::outbound::{Ingested, Inserted, TelemetryBatch, TelemetryStore as _, TenantStore as _};
use novagate_store_sql::SqlStore;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::database::Prepared;
use crate::machine;
use crate::report::{Goal, Report, table};
use crate::stats::{Summary, percentile};
use crate::workspace::Scope;

const ROWS: usize = 1_000;
/// Batches of each side in one round.
const BATCHES: u64 = 20;
/// Half of COPY's rate.
const GOAL: f64 = 2.0;

/// Rows per second of both, and how much longer the store takes.
///
/// # Errors
/// The server does not start, or a call fails.
pub fn ingest(scope: &Scope) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(scope))
}

async fn measure(scope: &Scope) -> Result<Report> {
    let prepared = Prepared::new().await?;
    let store = prepared.store().await?;
    let mint = Mint::new(1);
    let (tenant, fresh) = new_tenant(&mint, START);
    ensure!(store.provision(&tenant, &fresh).await? == Inserted::New, "a tenant is there already");
    let mut copy = Copy::connect(&prepared, &tenant).await?;
    let (mut stored, mut copied, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    // The first round makes the day's partition and warms both sides up.
    for round in 0..=scope.rounds {
        let ours = through_the_store(&store, &tenant, &mint).await?;
        let theirs = copy.round(&mint).await?;
        if round > 0 {
            stored.push(ours);
            copied.push(theirs);
            ratios.push(ours / theirs);
        }
    }
    let rows_of = |seconds: f64| format!("{:.0}", f64::from(u32::try_from(ROWS).unwrap_or(u32::MAX)) / seconds);
    let row = |what: &str, samples: &[f64]| {
        let median = percentile(samples, 50).unwrap_or_default();
        vec![what.to_owned(), format!("{:.2}", median * 1e3), rows_of(median)]
    };
    let rows = [row("the store", &stored), row("COPY, text", &copied)];
    let text = format!(
        "{}; PostgreSQL on the same machine, without waiting for the disk. Batches of {ROWS} requests, {BATCHES} per side and \
         round; encoding, begin and commit are counted on both sides, and the store also moves the cursor of the node.\n\n{}",
        machine::describe(),
        table(&["way", "ms for a batch", "rows/s"], &rows)
    );
    let measured = Summary::of(&ratios).map(|summary| summary.median);
    let goals = vec![Goal { id: "P11", what: "time of the store / of COPY".into(), measured, at_most: GOAL, unit: "" }];
    Ok(Report { key: "ingest", title: "Storing telemetry in PostgreSQL", text, goals })
}

/// Seconds for a batch.
async fn through_the_store(store: &SqlStore, tenant: &TenantScope, mint: &Mint) -> Result<f64> {
    let (node, boot) = (mint.node(), mint.boot());
    let batch = |seq| -> TelemetryBatch {
        let entries: Vec<_> = (0..ROWS).map(|_| log_entry(mint, START)).collect();
        logs(node, boot, seq, &[], &entries)
    };
    let batches: Vec<_> = (1..=BATCHES).map(batch).collect();
    let begin = Instant::now();
    for batch in &batches {
        ensure!(store.ingest(tenant, batch).await? == Ingested::New, "a batch is there already");
    }
    Ok(begin.elapsed().as_secs_f64() / seconds_of(BATCHES))
}

struct Copy {
    connection: PgConnection,
    statement: String,
}

impl Copy {
    async fn connect(prepared: &Prepared, tenant: &TenantScope) -> Result<Self> {
        let table = format!("{}.request_logs", tenant.tenant().schema_name());
        let statement = format!(
            "COPY {table} (id, at, request_id, method, template, route_id, service, status, latency_us, upstream_us, \
             consumer_id, node_id, code) FROM STDIN"
        );
        Ok(Self { connection: PgConnection::connect(prepared.url()).await?, statement })
    }

    /// Seconds for a batch.
    async fn round(&mut self, mint: &Mint) -> Result<f64> {
        let node = mint.node();
        let batches: Vec<Vec<_>> =
            (0..BATCHES).map(|_| (0..ROWS).map(|_| (mint.node(), log_entry(mint, START))).collect()).collect();
        let begin = Instant::now();
        for batch in &batches {
            let mut text = String::new();
            for (id, entry) in batch {
                let upstream = entry.upstream_us.map_or_else(|| "\\N".to_owned(), |us| us.to_string());
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "{id}\t{}\t{}\t{}\t\\N\t\\N\t\\N\t{}\t{}\t{upstream}\t\\N\t{node}\t\\N",
                    entry.at.as_micros(),
                    entry.request_id,
                    entry.method.as_str(),
                    entry.status,
                    entry.latency_us,
                );
            }
            self.connection.execute("BEGIN").await?;
            let mut copy = self.connection.copy_in_raw(&self.statement).await?;
            copy.send(text.into_bytes()).await?;
            ensure!(copy.finish().await? == u64::try_from(ROWS)?, "COPY lost rows");
            self.connection.execute("COMMIT").await?;
        }
        Ok(begin.elapsed().as_secs_f64() / seconds_of(BATCHES))
    }
}

fn seconds_of(batches: u64) -> f64 {
    f64::from(u32::try_from(batches).unwrap_or(u32::MAX))
}
