//! Config objects as they are now: one table per kind, all of one shape.

use bytes::Bytes;
use novagate_kernel::{ObjectKind, ObjectRef, RouteId, ServiceId, Timestamp};
use novagate_ports_control::outbound::StoredObject;
use novagate_ports_control::{Page, PageRequest};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait as _, DbErr, QueryResult};
use uuid::Uuid;

use crate::error::StoreError;
use crate::pages;
use crate::placement::TenantTx;
use crate::values::{Place, key_lists};

/// The columns every kind has.
pub(super) const COLUMNS: [&str; 9] =
    ["id", "seq", "name", "parent_kind", "parent_id", "body", "digest", "created_at", "updated_at"];

/// A row of one of the object tables.
#[derive(Debug)]
pub(super) struct ObjectRow {
    pub(super) id: Uuid,
    pub(super) seq: i64,
    pub(super) name: Option<String>,
    pub(super) parent_kind: Option<String>,
    pub(super) parent_id: Option<Uuid>,
    pub(super) body: String,
    pub(super) digest: Vec<u8>,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
}

impl ObjectRow {
    /// Reads the columns in the order of [`COLUMNS`]: by position, which a large configuration notices.
    pub(super) fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(0)?,
            seq: row.try_get_by_index(1)?,
            name: row.try_get_by_index(2)?,
            parent_kind: row.try_get_by_index(3)?,
            parent_id: row.try_get_by_index(4)?,
            body: row.try_get_by_index(5)?,
            digest: row.try_get_by_index(6)?,
            created_at: row.try_get_by_index(7)?,
            updated_at: row.try_get_by_index(8)?,
        })
    }
}

/// The table of a kind.
pub(super) const fn table(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Service => "services",
        ObjectKind::Route => "routes",
        ObjectKind::Consumer => "consumers",
        ObjectKind::ConsumerKey => "consumer_keys",
    }
}

/// All objects, in the order of their references.
pub(crate) async fn load(tx: &TenantTx) -> Result<Vec<StoredObject>, StoreError> {
    let mut objects = Vec::new();
    for kind in ObjectKind::ALL {
        let mut select = select(kind);
        select.order_by("id", Order::Asc);
        for row in tx.query_all(&select).await? {
            objects.push(object(kind, ObjectRow::read(&row)?)?);
        }
    }
    Ok(objects)
}

/// One object.
pub(crate) async fn find(tx: &TenantTx, reference: ObjectRef) -> Result<Option<StoredObject>, StoreError> {
    let mut select = select(reference.kind);
    select.and_where(Expr::col("id").eq(reference.id));
    let Some(row) = tx.query_one(&select).await? else { return Ok(None) };
    object(reference.kind, ObjectRow::read(&row)?).map(Some)
}

/// Objects of a kind by creation time, then id.
pub(crate) async fn list(
    tx: &TenantTx,
    kind: ObjectKind,
    parent: Option<ObjectRef>,
    page: &PageRequest,
) -> Result<Page<StoredObject>, StoreError> {
    let mut select = select(kind);
    if let Some(parent) = parent {
        select.and_where(Expr::col("parent_id").eq(parent.id));
        select.and_where(Expr::col("parent_kind").eq(parent.kind.as_str()));
    }
    if let Some(after) = &page.after {
        let (at, id) = pages::read_time_and_id(after)?;
        let later = Expr::tuple([Expr::col("created_at"), Expr::col("id")]).gt(Expr::tuple([at.into(), id.into()]));
        select.and_where(later);
    }
    select.order_by("created_at", Order::Asc).order_by("id", Order::Asc).limit(pages::probe(page)?);
    let rows = tx.query_all(&select).await?;
    let rows = rows.iter().map(ObjectRow::read).collect::<Result<Vec<_>, _>>()?;
    let page = pages::cut(rows, page, |row| pages::time_and_id(row.created_at, row.id));
    pages::try_map(page, |row| object(kind, row))
}

/// The services that these routes forward to, as far as they are known.
pub(crate) async fn services_of(tx: &TenantTx, routes: &[RouteId]) -> Result<Vec<(RouteId, ServiceId)>, StoreError> {
    let ids: Vec<Uuid> = routes.iter().map(|route| route.as_uuid()).collect();
    let mut found = Vec::with_capacity(ids.len());
    for list in key_lists(&ids) {
        let mut select = Query::select();
        select.columns([("routes", "id"), ("services", "id")]).from("routes");
        select.inner_join("services", Expr::col(("services", "name")).equals(("routes", "service")));
        select.and_where(Expr::col(("routes", "id")).is_in(list));
        for row in tx.query_all(&select).await? {
            let (route, service): (Uuid, Uuid) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
            found.push((RouteId::from_uuid(route), ServiceId::from_uuid(service)));
        }
    }
    Ok(found)
}

fn select(kind: ObjectKind) -> SelectStatement {
    let mut select = Query::select();
    select.columns(COLUMNS).from(table(kind));
    select
}

/// An object from its row.
pub(super) fn object(kind: ObjectKind, row: ObjectRow) -> Result<StoredObject, StoreError> {
    let place = Place::of(table(kind), &row.id);
    let name = row.name.as_deref().map(|name| place.name("name", name)).transpose()?;
    let parent = place.reference("parent_id", row.parent_kind.as_deref(), row.parent_id)?;
    let digest = place.digest("digest", &row.digest)?;
    let seq = place.count("seq", row.seq)?;
    Ok(StoredObject {
        reference: ObjectRef { kind, id: row.id },
        name,
        parent,
        body: Bytes::from(row.body),
        digest,
        seq,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
    })
}
