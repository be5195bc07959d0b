//! Tenants whose newest revision is not confirmed by all nodes, and the platform's copy of each head.

use novagate_kernel::{Revision, TenantId, Timestamp};
use novagate_ports_control::outbound::PendingUpdate;
use novagate_ports_control::{Cursor, Page, PageRequest};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _};

use super::tenants;
use crate::error::{CorruptRow, PlatformError};
use crate::pages;
use crate::placement::PlatformTx;
use crate::values::{Place, stored, stored_epoch};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pending_config_updates")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    tenant_id: Uuid,
    epoch: i64,
    seq: i64,
    since: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A tenant's head is `revision`, since `at`. An older one than what is known changes nothing.
pub(crate) async fn note(
    tx: &PlatformTx,
    tenant: TenantId,
    revision: Revision,
    at: Timestamp,
) -> Result<(), PlatformError> {
    let (epoch, seq) = (stored_epoch(revision.epoch), stored(revision.seq)?);
    let older = tenants::Column::Epoch.ne(epoch).or(tenants::Column::Seq.lt(seq)).or(tenants::Column::Seq.is_null());
    let moved = tenants::Entity::update_many()
        .filter(tenants::Column::Id.eq(tenant.as_uuid()))
        .filter(older)
        .col_expr(tenants::Column::Epoch, Expr::value(epoch))
        .col_expr(tenants::Column::Seq, Expr::value(seq))
        .exec(tx)
        .await?;
    if moved.rows_affected == 0 {
        return Ok(());
    }
    let row = Model { tenant_id: tenant.as_uuid(), epoch, seq, since: at.as_micros() };
    let conflict =
        OnConflict::column(Column::TenantId).update_columns([Column::Epoch, Column::Seq, Column::Since]).to_owned();
    Entity::insert(row.into_active_model()).on_conflict(conflict).exec_without_returning(tx).await?;
    Ok(())
}

/// Pending updates by tenant.
pub(crate) async fn list(tx: &PlatformTx, page: &PageRequest) -> Result<Page<PendingUpdate>, PlatformError> {
    let mut find = Entity::find().order_by_asc(Column::TenantId);
    if let Some(after) = &page.after {
        find = find.filter(Column::TenantId.gt(pages::read_id(after)?));
    }
    let rows = find.limit(pages::probe(page)?).all(tx).await?;
    let page = pages::cut(rows, page, |row| Cursor::new(row.tenant_id.to_string()));
    Ok(pages::try_map(page, PendingUpdate::try_from)?)
}

/// Everything up to `revision` is confirmed.
pub(crate) async fn settle(tx: &PlatformTx, tenant: TenantId, revision: Revision) -> Result<(), PlatformError> {
    Entity::delete_many()
        .filter(Column::TenantId.eq(tenant.as_uuid()))
        .filter(Column::Epoch.eq(stored_epoch(revision.epoch)))
        .filter(Column::Seq.lte(stored(revision.seq)?))
        .exec(tx)
        .await?;
    Ok(())
}

impl TryFrom<Model> for PendingUpdate {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        Ok(Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            revision: Place::of("pending_config_updates", &row.tenant_id).revision(row.epoch, row.seq)?,
            since: Timestamp::from_micros(row.since),
        })
    }
}
