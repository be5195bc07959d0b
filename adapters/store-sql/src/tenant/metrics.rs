//! Request counts: one row per route and window of a node, added up by the database into buckets of time.

use std::collections::{BTreeMap, HashMap};
use std::iter;

use novagate_kernel::{RouteId, ServiceId, Timestamp};
use novagate_ports_control::outbound::{MetricsRow, TelemetryBatch};
use novagate_records::{LATENCY_CELLS, MetricsWindow, RouteWindow};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query, SelectStatement};
use sea_orm::{ConnectionTrait as _, QueryResult};
use uuid::Uuid;

use super::bulk::{self, Column};
use super::objects;
use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::{Place, stored};

const TABLE: &str = "metrics_windows";

/// The counts, in the order of [`counts`].
const COUNTS: [&str; 24] = [
    "latency_sum_us",
    "class_1",
    "class_2",
    "class_3",
    "class_4",
    "class_5",
    "cell_0",
    "cell_1",
    "cell_2",
    "cell_3",
    "cell_4",
    "cell_5",
    "cell_6",
    "cell_7",
    "cell_8",
    "cell_9",
    "cell_10",
    "cell_11",
    "cell_12",
    "cell_13",
    "cell_14",
    "cell_15",
    "cell_16",
    "cell_17",
];

/// Adds the counts of a batch, each with the service its route forwards to now.
pub(crate) async fn insert(tx: &TenantTx, source: &TelemetryBatch, window: &MetricsWindow) -> Result<(), StoreError> {
    let routes: Vec<RouteId> = window.routes.iter().filter_map(|row| row.route).collect();
    let services: HashMap<RouteId, ServiceId> = objects::services_of(tx, &routes).await?.into_iter().collect();
    let rows = window.routes.len();
    let (boot, node) = (source.boot.as_uuid(), source.node.as_uuid());
    let batch_seq = stored(source.batch_seq)?;
    let of_row = |row: &RouteWindow| row.route.and_then(|route| services.get(&route)).map(|service| service.as_uuid());
    let mut columns = vec![
        ("boot_id", Column::ids(iter::repeat_n(boot, rows))),
        ("batch_seq", Column::numbers(iter::repeat_n(batch_seq, rows))),
        ("position", Column::numbers((0..).take(rows))),
        ("from_at", Column::numbers(iter::repeat_n(window.from.as_micros(), rows))),
        ("to_at", Column::numbers(iter::repeat_n(window.to.as_micros(), rows))),
        ("node_id", Column::ids(iter::repeat_n(node, rows))),
        ("route_id", Column::Ids(window.routes.iter().map(|row| row.route.map(RouteId::as_uuid)).collect())),
        ("service_id", Column::Ids(window.routes.iter().map(of_row).collect())),
    ];
    let mut sums = vec![Vec::with_capacity(rows); COUNTS.len()];
    for row in &window.routes {
        for (sum, count) in sums.iter_mut().zip(counts(row)) {
            sum.push(Some(stored(count)?));
        }
    }
    columns.extend(COUNTS.into_iter().zip(sums.into_iter().map(Column::Numbers)));
    bulk::insert(tx, TABLE, columns).await
}

/// Counts from `from` to `to` per bucket and route, oldest first.
pub(crate) async fn read(
    tx: &TenantTx,
    from: Timestamp,
    to: Timestamp,
    bucket_seconds: u32,
) -> Result<Vec<MetricsRow>, StoreError> {
    let width = Ord::max(i64::from(bucket_seconds), 1) * 1_000_000;
    let select = sums(from, to, width);
    let mut rows: BTreeMap<(i64, Option<RouteId>), MetricsRow> = BTreeMap::new();
    for row in tx.query_all(&select).await? {
        let bucket: i64 = row.try_get_by_index(0)?;
        let route = row.try_get_by_index::<Option<Uuid>>(1)?.map(RouteId::from_uuid);
        let service = row.try_get_by_index::<Option<Uuid>>(2)?.map(ServiceId::from_uuid);
        let counted = counted(&row, route)?;
        // A route that changed its service within a bucket has two sums there.
        let begin = Timestamp::from_micros(bucket.saturating_mul(width));
        let merged = rows.entry((bucket, route)).or_insert_with(|| MetricsRow {
            from: begin,
            window: RouteWindow::empty(route),
            service,
        });
        merged.window.add(&counted);
        merged.service = merged.service.or(service);
    }
    Ok(rows.into_values().collect())
}

fn sums(from: Timestamp, to: Timestamp, width: i64) -> SelectStatement {
    let mut select = Query::select();
    select.expr_as(Expr::col("from_at").div(width), "bucket").columns(["route_id", "service_id"]).from(TABLE);
    for column in COUNTS {
        // PostgreSQL adds bigints up to a numeric.
        select.expr(Func::cast_as(Func::sum(Expr::col(column)), "bigint"));
    }
    select.and_where(Expr::col("from_at").gte(from.as_micros()));
    select.and_where(Expr::col("from_at").lt(to.as_micros()));
    select.group_by_col("bucket").group_by_col("route_id").group_by_col("service_id");
    select
}

fn counts(row: &RouteWindow) -> impl Iterator<Item = u64> {
    [row.latency_sum_us].into_iter().chain(row.classes).chain(row.latency)
}

fn counted(row: &QueryResult, route: Option<RouteId>) -> Result<RouteWindow, StoreError> {
    let label = "a sum";
    let place = Place::of(TABLE, &label);
    let count = |index: usize| -> Result<u64, StoreError> {
        Ok(place.count("counts", row.try_get_by_index::<i64>(index + 3)?)?)
    };
    let mut window = RouteWindow { latency_sum_us: count(0)?, ..RouteWindow::empty(route) };
    for (index, class) in window.classes.iter_mut().enumerate() {
        *class = count(1 + index)?;
    }
    for (index, cell) in window.latency.iter_mut().enumerate() {
        *cell = count(6 + index)?;
    }
    Ok(window)
}

const _: () = assert!(COUNTS.len() == 6 + LATENCY_CELLS, "every latency cell has its column");
