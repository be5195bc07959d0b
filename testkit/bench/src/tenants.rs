//! P12 and the costs of many tenants on PostgreSQL: provisioning, migrating, starting, reading, memory.
//!
//! Always: the server is a real one on this machine that does not wait for the disk; few and many tenants are on servers of
//! their own, and reads alternate between them. Not here: how the control plane is started and asked (`plane`).

mod plane;

use std::time::Instant;

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use novagate_access::TenantScope;
use novagate_fixtures::{Mint, START, new_tenant};
use novagate_ports_control::PageRequest;
use novagate_ports_control::outbound::{AuditStore as _, ConfigStore as _, Inserted, TenantStore as _};
use novagate_store_sql::SqlStore;

use self::plane::Plane;
use crate::database::Prepared;
use crate::machine;
use crate::report::{Goal, Report, table};
use crate::stats::percentile;
use crate::workspace::Scope;

const FEW: u32 = 10;
const PROVISIONED: usize = 40;
const AT_ONCE: usize = 20;
/// Reads of each side in one round.
const READS: usize = 300;

/// Milliseconds of provisioning, schemas migrated per second, milliseconds of a start, and reads among few and many tenants.
///
/// # Errors
/// The server or the control plane does not start, or a call fails.
pub fn tenants(scope: &Scope) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(scope))
}

/// Milliseconds, but for `migrating`, which is seconds, and `memory`, which is KiB for a tenant.
struct Measured {
    provisioning: Vec<f64>,
    at_once: f64,
    migrating: f64,
    starting: f64,
    memory: f64,
    among_few: Reads,
    among_many: Reads,
}

/// Milliseconds of each.
#[derive(Default)]
struct Reads {
    /// Over REST.
    requests: Vec<f64>,
    /// Of the store alone: two transactions.
    transactions: Vec<f64>,
}

async fn measure(scope: &Scope) -> Result<Report> {
    let (few, many) = (Prepared::new().await?, Prepared::new().await?);
    let store = many.store().await?;
    let provisioning = provision(&store).await?;
    let at_once = provision_at_once(&store).await?;
    let migrating = migrate(&many, scope.tenants).await?;
    few.store().await?;
    migrate(&few, FEW).await?;
    let (small, large) = (Plane::start(scope, &few)?, Plane::start(scope, &many)?);
    let (starting, memory) = (large.starting, (large.memory()? - small.memory()?) / f64::from(scope.tenants));
    let (among_few, among_many) = read(scope, Side::new(&few, small).await?, Side::new(&many, large).await?).await?;
    let measured = Measured { provisioning, at_once, migrating, starting, memory, among_few, among_many };
    Ok(measured.report(scope.tenants))
}

impl Measured {
    fn report(&self, tenants: u32) -> Report {
        let rate = f64::from(tenants) / self.migrating;
        let rows = [
            row("one tenant provisioned", &self.provisioning),
            row(&format!("{AT_ONCE} tenants provisioned at once, all of them"), &[self.at_once]),
            row(&format!("{tenants} schemas migrated, all of them"), &[self.migrating * 1e3]),
            row(&format!("control plane starts over {tenants} tenants"), &[self.starting]),
            row(&format!("admin read among {FEW} tenants"), &self.among_few.requests),
            row(&format!("admin read among {tenants} tenants"), &self.among_many.requests),
            row(&format!("two transactions among {FEW} tenants"), &self.among_few.transactions),
            row(&format!("two transactions among {tenants} tenants"), &self.among_many.transactions),
        ];
        let text = format!(
            "{}; PostgreSQL on the same machine, without waiting for the disk. An admin read is `GET` of the services of a \
             tenant picked at random, over HTTP. The two transactions are the head and the newest audit entries of such a \
             tenant, through the store alone. {rate:.0} schemas migrated per second. An idle tenant takes {:.2} KiB of the \
             control plane.\n\n{}",
            machine::describe(),
            self.memory,
            table(&["what", "p50 ms", "p99 ms", "samples"], &rows)
        );
        Report { key: "tenants", title: "Many tenants on PostgreSQL", text, goals: self.goals(rate) }
    }

    fn goals(&self, rate: f64) -> Vec<Goal> {
        let (few, many) = (percentile(&self.among_few.requests, 99), percentile(&self.among_many.requests, 99));
        let ratio = many.zip(few).map(|(many, few)| many / few);
        let goal =
            |id, what: &str, measured, at_most, unit| Goal { id, what: what.to_owned(), measured, at_most, unit };
        vec![
            goal("T5", "provisioning transaction, median", percentile(&self.provisioning, 50), 40.0, "ms"),
            goal("T5", "time per migrated schema", Some(1e3 / rate), 20.0, "ms"),
            goal("T5", "start of a control plane", Some(self.starting), 2_000.0, "ms"),
            goal("T5", "memory of the control plane for an idle tenant", Some(self.memory), 1.0, "KiB"),
            goal("P12", "admin read, 99th percentile, among many tenants / among few", ratio, 1.5, ""),
        ]
    }
}

fn row(what: &str, samples: &[f64]) -> Vec<String> {
    let at = |percent| percentile(samples, percent).map_or_else(String::new, |value| format!("{value:.1}"));
    vec![what.to_owned(), at(50), at(99), samples.len().to_string()]
}

async fn provision(store: &SqlStore) -> Result<Vec<f64>> {
    let mint = Mint::new(1);
    let mut samples = Vec::new();
    for _ in 0..PROVISIONED {
        let (tenant, fresh) = new_tenant(&mint, START);
        let begin = Instant::now();
        ensure!(store.provision(&tenant, &fresh).await? == Inserted::New, "a tenant is there already");
        samples.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

async fn provision_at_once(store: &SqlStore) -> Result<f64> {
    let mint = Mint::new(2);
    let fresh: Vec<_> = (0..AT_ONCE).map(|_| new_tenant(&mint, START)).collect();
    let begin = Instant::now();
    for outcome in join_all(fresh.iter().map(|(tenant, fresh)| store.provision(tenant, fresh))).await {
        ensure!(outcome? == Inserted::New, "a tenant is there already");
    }
    Ok(begin.elapsed().as_secs_f64() * 1e3)
}

/// Seconds.
async fn migrate(prepared: &Prepared, count: u32) -> Result<f64> {
    prepared.add_unmigrated(count);
    let owner = prepared.owner().await?;
    let begin = Instant::now();
    let report = owner.migrate().await?;
    ensure!(report.failed.is_empty() && report.migrated == u64::from(count), "{report:?}");
    Ok(begin.elapsed().as_secs_f64())
}

async fn read(scope: &Scope, mut small: Side, mut large: Side) -> Result<(Reads, Reads)> {
    let mint = Mint::new(3);
    for side in [&mut small, &mut large] {
        side.round(&mint, &mut Reads::default()).await?;
    }
    let (mut among_few, mut among_many) = (Reads::default(), Reads::default());
    for _ in 0..scope.rounds {
        small.round(&mint, &mut among_few).await?;
        large.round(&mint, &mut among_many).await?;
    }
    Ok((among_few, among_many))
}

struct Side {
    store: SqlStore,
    plane: Plane,
    tenants: Vec<TenantScope>,
}

impl Side {
    async fn new(prepared: &Prepared, plane: Plane) -> Result<Self> {
        let store = prepared.store().await?;
        let (mut tenants, mut page) = (Vec::new(), PageRequest::first(PageRequest::MAX_LIMIT));
        loop {
            let found = store.tenants(&page).await?;
            tenants.extend(found.items.into_iter().map(TenantScope::for_maintenance));
            let Some(next) = found.next else { return Ok(Self { store, plane, tenants }) };
            page.after = Some(next);
        }
    }

    async fn round(&mut self, mint: &Mint, reads: &mut Reads) -> Result<()> {
        for _ in 0..READS {
            let tenant = mint.entropy().pick(&self.tenants);
            reads.requests.push(self.plane.read(tenant.tenant())?);
        }
        for _ in 0..READS {
            let tenant = mint.entropy().pick(&self.tenants);
            let begin = Instant::now();
            self.store.head(tenant).await?;
            self.store.audit(tenant, &PageRequest::first(50)).await?;
            reads.transactions.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}
