//! Objects as they were: each version is valid from its first revision on and before the revision that replaced it.

use std::collections::BTreeMap;

use novagate_kernel::{Digest, ObjectKind, ObjectRef};
use novagate_ports_control::outbound::StoredObject;
use sea_orm::sea_query::{Cond, Condition, Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ConnectionTrait as _, QueryResult};
use uuid::Uuid;

use super::objects::{ObjectRow, object};
use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::{Place, stored};

/// The net difference between two revisions.
pub(crate) struct Difference {
    /// Objects that are new or different, as they stand now.
    pub(crate) upserts: Vec<StoredObject>,
    /// Objects that are gone.
    pub(crate) deletes: Vec<ObjectRef>,
}

/// The objects as they were at revision `seq`, in the order of their references.
pub(crate) async fn at(tx: &TenantTx, seq: u64) -> Result<Vec<StoredObject>, StoreError> {
    let mut select = select();
    select.cond_where(standing_at(stored(seq)?));
    let rows = tx.query_all(&select).await?;
    let mut objects = rows.iter().map(version).collect::<Result<Vec<_>, _>>()?;
    objects.sort_by_key(|object| object.reference);
    Ok(objects)
}

/// What has changed since revision `seq`.
pub(crate) async fn since(tx: &TenantTx, seq: u64) -> Result<Difference, StoreError> {
    let seq = stored(seq)?;
    let mut before = replaced(tx, seq).await?;
    let mut select = select();
    select.and_where(Expr::col("seq_from").gt(seq)).and_where(Expr::col("seq_to").is_null());
    let mut upserts = Vec::new();
    for row in tx.query_all(&select).await? {
        let object = version(&row)?;
        if before.remove(&object.reference) != Some(object.digest) {
            upserts.push(object);
        }
    }
    upserts.sort_by_key(|object| object.reference);
    Ok(Difference { upserts, deletes: before.into_keys().collect() })
}

/// Objects of revision `seq` that have been changed or deleted since, with the digests they had.
async fn replaced(tx: &TenantTx, seq: i64) -> Result<BTreeMap<ObjectRef, Digest>, StoreError> {
    let mut select = Query::select();
    select.columns(["kind", "id", "digest"]).from("object_versions");
    select.and_where(Expr::col("seq_from").lte(seq)).and_where(Expr::col("seq_to").gt(seq));
    let mut found = BTreeMap::new();
    for row in tx.query_all(&select).await? {
        let (kind, id, digest): (String, Uuid, Vec<u8>) =
            (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let place = Place::of("object_versions", &id);
        let reference = ObjectRef { kind: place.kind("kind", &kind)?, id };
        found.insert(reference, place.digest("digest", &digest)?);
    }
    Ok(found)
}

fn standing_at(seq: i64) -> Condition {
    let not_yet_replaced = Cond::any().add(Expr::col("seq_to").is_null()).add(Expr::col("seq_to").gt(seq));
    Cond::all().add(Expr::col("seq_from").lte(seq)).add(not_yet_replaced)
}

fn select() -> SelectStatement {
    let mut select = Query::select();
    // The order of the object tables' columns, then the kind.
    select.column("id").expr(Expr::col("seq_from")).from("object_versions");
    select.columns(["name", "parent_kind", "parent_id", "body", "digest", "created_at", "updated_at", "kind"]);
    select
}

fn version(row: &QueryResult) -> Result<StoredObject, StoreError> {
    let columns = ObjectRow::read(row)?;
    let word: String = row.try_get_by_index(9)?;
    let kind: ObjectKind = Place::of("object_versions", &columns.id).kind("kind", &word)?;
    object(kind, columns)
}
