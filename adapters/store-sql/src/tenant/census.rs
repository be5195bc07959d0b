//! How much there is, and the removal of old telemetry.

use novagate_kernel::{ObjectKind, Timestamp};
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query};

use super::objects::table;
use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::Place;

/// Tables of telemetry with the column that says how old a row is and the one that names a row.
const TELEMETRY: [Kept; 4] = [
    Kept { table: "request_logs", age: "at", keys: &["id"] },
    Kept { table: "error_events", age: "at", keys: &["id"] },
    Kept { table: "health_snapshots", age: "at", keys: &["node_id"] },
    Kept { table: "metrics_windows", age: "from_at", keys: &["boot_id", "batch_seq", "position"] },
];

/// How many rows one transaction removes, so that nobody waits long for the tenant's tables.
const PRUNED_AT_ONCE: u64 = 5_000;

struct Kept {
    table: &'static str,
    age: &'static str,
    keys: &'static [&'static str],
}

/// The number of config objects.
pub(crate) async fn objects(tx: &TenantTx) -> Result<u64, StoreError> {
    let mut sum = 0;
    for kind in ObjectKind::ALL {
        sum += count(tx, table(kind)).await?;
    }
    Ok(sum)
}

/// The number of telemetry rows.
pub(crate) async fn telemetry(tx: &TenantTx) -> Result<u64, StoreError> {
    let mut sum = 0;
    for kept in TELEMETRY {
        sum += count(tx, kept.table).await?;
    }
    Ok(sum)
}

/// Removes some telemetry older than `before`; answers how many rows went, 0 when none is left.
pub(crate) async fn prune_some(tx: &TenantTx, before: Timestamp) -> Result<u64, StoreError> {
    for kept in TELEMETRY {
        let mut old = Query::select();
        old.columns(kept.keys.iter().copied()).from(kept.table);
        old.and_where(Expr::col(kept.age).lt(before.as_micros())).limit(PRUNED_AT_ONCE);
        let key = Expr::tuple(kept.keys.iter().map(|&key| Expr::col(key)));
        let mut delete = Query::delete();
        delete.from_table(kept.table).and_where(key.in_subquery(old));
        let gone = tx.execute(&delete).await?.rows_affected();
        if gone > 0 {
            return Ok(gone);
        }
    }
    Ok(0)
}

async fn count(tx: &TenantTx, table: &'static str) -> Result<u64, StoreError> {
    let mut select = Query::select();
    select.expr(Func::count(Expr::val(1))).from(table);
    let Some(row) = tx.query_one(&select).await? else { return Ok(0) };
    Ok(Place::of(table, &"count").count("count", row.try_get_by_index(0)?)?)
}
