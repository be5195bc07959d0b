//! The audit log: rows are added and read, never changed.

use novagate_kernel::{AuditId, Timestamp};
use novagate_ports_control::{Page, PageRequest};
use novagate_records::{Actor, AuditAction, AuditRecord};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _};

use crate::error::{CorruptRow, StoreError};
use crate::pages;
use crate::placement::TenantTx;
use crate::values::{Place, batches, stored, stored_epoch};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    at: i64,
    actor: String,
    action: String,
    object_kind: Option<String>,
    object_id: Option<Uuid>,
    name: Option<String>,
    subject: Option<Uuid>,
    epoch: Option<i64>,
    seq: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds an entry.
pub(crate) async fn append(tx: &TenantTx, record: &AuditRecord) -> Result<(), StoreError> {
    append_all(tx, std::slice::from_ref(record)).await
}

/// Adds entries.
pub(crate) async fn append_all(tx: &TenantTx, records: &[AuditRecord]) -> Result<(), StoreError> {
    for batch in batches(records) {
        let rows = batch.iter().map(|record| Ok(row(record)?.into_active_model()));
        let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
        Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Entries, newest first.
pub(crate) async fn list(tx: &TenantTx, page: &PageRequest) -> Result<Page<AuditRecord>, StoreError> {
    let mut find = Entity::find().order_by_desc(Column::At).order_by_desc(Column::Id);
    if let Some(after) = &page.after {
        find = find.filter(pages::before(Column::At, Column::Id, after)?);
    }
    let rows = find.limit(pages::probe(page)?).all(tx).await?;
    let page = pages::cut(rows, page, |row| pages::time_and_id(row.at, row.id));
    Ok(pages::try_map(page, AuditRecord::try_from)?)
}

fn row(record: &AuditRecord) -> Result<Model, StoreError> {
    Ok(Model {
        id: record.id.as_uuid(),
        at: record.at.as_micros(),
        actor: record.actor.as_str().to_owned(),
        action: record.action.as_str().to_owned(),
        object_kind: record.object.map(|object| object.kind.as_str().to_owned()),
        object_id: record.object.map(|object| object.id),
        name: record.name.as_ref().map(|name| name.as_str().to_owned()),
        subject: record.subject,
        epoch: record.revision.map(|revision| stored_epoch(revision.epoch)),
        seq: record.revision.map(|revision| stored(revision.seq)).transpose()?,
    })
}

impl TryFrom<Model> for AuditRecord {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("audit_log", &row.id);
        Ok(Self {
            id: AuditId::from_uuid(row.id),
            at: Timestamp::from_micros(row.at),
            actor: place.word("actor", Actor::parse(&row.actor))?,
            action: place.word("action", AuditAction::parse(&row.action))?,
            object: place.reference("object_id", row.object_kind.as_deref(), row.object_id)?,
            name: row.name.as_deref().map(|name| place.name("name", name)).transpose()?,
            subject: row.subject,
            revision: place.revision_opt(row.epoch, row.seq)?,
        })
    }
}
