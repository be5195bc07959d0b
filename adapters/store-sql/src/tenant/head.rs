//! The newest revision: one row, moved by compare-and-set.

use novagate_kernel::Head;
use sea_orm::IntoActiveModel as _;
use sea_orm::entity::prelude::*;

use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::{Place, stored, stored_epoch};

const ROW: i64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "config_head")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: i64,
    epoch: i64,
    seq: i64,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The head; `None` before the first revision.
pub(crate) async fn read(tx: &TenantTx) -> Result<Option<Head>, StoreError> {
    let Some(row) = Entity::find_by_id(ROW).one(tx).await? else { return Ok(None) };
    let place = Place::of("config_head", &row.id);
    let revision = place.revision(row.epoch, row.seq)?;
    Ok(Some(Head { revision, digest: place.digest("digest", &row.digest)? }))
}

/// Writes the first head.
pub(crate) async fn insert(tx: &TenantTx, head: Head) -> Result<(), StoreError> {
    let row = Model {
        id: ROW,
        epoch: stored_epoch(head.revision.epoch),
        seq: stored(head.revision.seq)?,
        digest: head.digest.as_bytes().to_vec(),
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Replaces `base` by `next`; `false` when the head is another one.
pub(crate) async fn replace(tx: &TenantTx, base: Head, next: Head) -> Result<bool, StoreError> {
    let moved = Entity::update_many()
        .filter(Column::Epoch.eq(stored_epoch(base.revision.epoch)))
        .filter(Column::Seq.eq(stored(base.revision.seq)?))
        .filter(Column::Digest.eq(base.digest.as_bytes().to_vec()))
        .col_expr(Column::Epoch, Expr::value(stored_epoch(next.revision.epoch)))
        .col_expr(Column::Seq, Expr::value(stored(next.revision.seq)?))
        .col_expr(Column::Digest, Expr::value(next.digest.as_bytes().to_vec()))
        .exec(tx)
        .await?;
    Ok(moved.rows_affected > 0)
}
