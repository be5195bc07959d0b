//! Which POST a tenant came from, for as long as that POST may be repeated.

use novagate_kernel::{Digest, TenantId, Timestamp};
use novagate_ports_control::outbound::{CLAIM_LIFETIME, ClaimedTenant};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;

use super::tenants::{Column, Entity};
use crate::error::PlatformError;
use crate::placement::PlatformTx;
use crate::values::Place;

/// The tenant that a POST with this key has made.
pub(crate) async fn of_key(
    tx: &PlatformTx,
    key: Digest,
    now: Timestamp,
) -> Result<Option<ClaimedTenant>, PlatformError> {
    let find = Entity::find().filter(Column::ClaimKey.eq(key.as_bytes().to_vec()));
    let Some(row) = find.filter(has_ended(now).not()).one(tx).await? else { return Ok(None) };
    let request = row.claim_request.unwrap_or_default();
    let request = Place::of("tenants", &row.id).digest("claim_request", &request)?;
    Ok(Some(ClaimedTenant { tenant: TenantId::from_uuid(row.id), request }))
}

/// Forgets the POSTs that cannot be repeated any more.
pub(crate) async fn forget_ended(tx: &PlatformTx, now: Timestamp) -> Result<(), PlatformError> {
    Entity::update_many()
        .filter(Column::ClaimKey.is_not_null())
        .filter(has_ended(now))
        .col_expr(Column::ClaimKey, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::ClaimRequest, Expr::value(None::<Vec<u8>>))
        .exec(tx)
        .await?;
    Ok(())
}

fn has_ended(now: Timestamp) -> Expr {
    Column::CreatedAt.lte(now.minus(CLAIM_LIFETIME).as_micros())
}
