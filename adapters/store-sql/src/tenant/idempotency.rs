//! Remembered POSTs.

use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{Digest, Timestamp, encode_hex};
use novagate_ports_control::outbound::{IdempotentBegin, IdempotentReply};
use sea_orm::IntoActiveModel as _;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait as _, OnConflict};

use crate::error::StoreError;
use crate::placement::TenantTx;
use crate::values::Place;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_hours(24);

/// How long work may take before its process counts as dead.
const UNFINISHED: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    key_hash: Vec<u8>,
    request_hash: Vec<u8>,
    began_at: i64,
    status: Option<i64>,
    body: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Claims a key; what has ended is removed on the way.
pub(crate) async fn begin(
    tx: &TenantTx,
    key: Digest,
    request: Digest,
    now: Timestamp,
) -> Result<IdempotentBegin, StoreError> {
    let ended = Column::BeganAt.lte(now.minus(KEPT).as_micros());
    let dead = Column::BeganAt.lte(now.minus(UNFINISHED).as_micros()).and(Column::Status.is_null());
    Entity::delete_many().filter(ended.or(dead)).exec(tx).await?;
    let row = Model {
        key_hash: key.as_bytes().to_vec(),
        request_hash: request.as_bytes().to_vec(),
        began_at: now.as_micros(),
        status: None,
        body: None,
    };
    let insert = Entity::insert(row.into_active_model()).try_insert();
    if insert.on_conflict(OnConflict::new().do_nothing().to_owned()).exec_without_returning(tx).await? > 0 {
        return Ok(IdempotentBegin::Started);
    }
    match Entity::find_by_id(key.as_bytes().to_vec()).one(tx).await? {
        Some(row) => answer(row, request),
        // Given up at this very moment: the caller tries again.
        None => Ok(IdempotentBegin::InProgress),
    }
}

/// Remembers the answer of a claim.
pub(crate) async fn finish(tx: &TenantTx, key: Digest, reply: &IdempotentReply) -> Result<(), StoreError> {
    Entity::update_many()
        .filter(Column::KeyHash.eq(key.as_bytes().to_vec()))
        .filter(Column::Status.is_null())
        .col_expr(Column::Status, Expr::value(i64::from(reply.status)))
        .col_expr(Column::Body, Expr::value(reply.body.to_vec()))
        .exec(tx)
        .await?;
    Ok(())
}

/// Forgets a claim that has no answer.
pub(crate) async fn abandon(tx: &TenantTx, key: Digest) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::KeyHash.eq(key.as_bytes().to_vec()))
        .filter(Column::Status.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

fn answer(row: Model, request: Digest) -> Result<IdempotentBegin, StoreError> {
    let label = encode_hex(&row.key_hash);
    let place = Place::of("idempotency", &label);
    if place.digest("request_hash", &row.request_hash)? != request {
        return Ok(IdempotentBegin::Reused);
    }
    let (Some(status), Some(body)) = (row.status, row.body) else { return Ok(IdempotentBegin::InProgress) };
    let reply = IdempotentReply { status: place.small("status", status)?, body: Bytes::from(body) };
    Ok(IdempotentBegin::Done(reply))
}
