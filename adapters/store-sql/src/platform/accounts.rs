//! Accounts: finding them, and what changes in one by name, state, password, tokens and links.

use novagate_access::{EmailKey, KeyDigest, PasswordHash};
use novagate_kernel::{TenantId, Timestamp};
use novagate_ports_control::outbound::{Account, TenantState};
use sea_orm::UpdateMany;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;

use super::plans;
use super::tenants::{Column, Entity, account, provisioned};
use crate::error::PlatformError;
use crate::placement::PlatformTx;
use crate::values::Place;

/// The account of a tenant.
pub(crate) async fn of_tenant(tx: &PlatformTx, tenant: TenantId) -> Result<Option<Account>, PlatformError> {
    let row = Entity::find_by_id(tenant.as_uuid()).find_also_related(plans::Entity).one(tx).await?;
    Ok(row.map(account).transpose()?)
}

/// The account of an address.
pub(crate) async fn of_email(tx: &PlatformTx, email: &EmailKey) -> Result<Option<Account>, PlatformError> {
    let find = Entity::find().filter(Column::EmailKey.eq(email.as_str())).find_also_related(plans::Entity);
    Ok(find.one(tx).await?.map(account).transpose()?)
}

/// The pending registration with this token; an expired one is removed.
pub(crate) async fn of_verification(
    tx: &PlatformTx,
    verify: &KeyDigest,
    now: Timestamp,
) -> Result<Option<Account>, PlatformError> {
    let same = Column::VerifyHash.eq(verify.as_bytes().to_vec());
    let find = Entity::find().filter(same).filter(provisioned().not()).find_also_related(plans::Entity);
    let Some(row) = find.one(tx).await? else { return Ok(None) };
    if row.0.verify_expires_at.is_none_or(|expires_at| expires_at <= now.as_micros()) {
        Entity::delete_by_id(row.0.id).exec(tx).await?;
        return Ok(None);
    }
    Ok(Some(account(row)?))
}

/// Changes the name; `false` when there is no such tenant.
pub(crate) async fn rename(
    tx: &PlatformTx,
    tenant: TenantId,
    name: &str,
    at: Timestamp,
) -> Result<bool, PlatformError> {
    let update = update_of(tenant)
        .col_expr(Column::Name, Expr::value(name))
        .col_expr(Column::UpdatedAt, Expr::value(at.as_micros()));
    Ok(update.exec(tx).await?.rows_affected > 0)
}

/// Changes the state; `false` when there is no such tenant.
pub(crate) async fn set_state(
    tx: &PlatformTx,
    tenant: TenantId,
    state: TenantState,
    at: Timestamp,
) -> Result<bool, PlatformError> {
    let update = update_of(tenant)
        .col_expr(Column::State, Expr::value(state.as_str()))
        .col_expr(Column::UpdatedAt, Expr::value(at.as_micros()));
    Ok(update.exec(tx).await?.rows_affected > 0)
}

/// Changes the password, ends all tokens and any reset link; answers the new generation.
pub(crate) async fn set_password(
    tx: &PlatformTx,
    tenant: TenantId,
    password: &PasswordHash,
) -> Result<Option<u64>, PlatformError> {
    let update = update_of(tenant)
        .col_expr(Column::PasswordHash, Expr::value(password.as_str()))
        .col_expr(Column::ResetHash, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::ResetExpiresAt, Expr::value(None::<i64>));
    next_generation(tx, tenant, update).await
}

/// Ends all tokens; answers the new generation.
pub(crate) async fn end_tokens(tx: &PlatformTx, tenant: TenantId) -> Result<Option<u64>, PlatformError> {
    next_generation(tx, tenant, update_of(tenant)).await
}

/// Remembers a reset link; `false` when there is no such tenant.
pub(crate) async fn set_reset(
    tx: &PlatformTx,
    tenant: TenantId,
    reset: &KeyDigest,
    expires_at: Timestamp,
) -> Result<bool, PlatformError> {
    let update = update_of(tenant)
        .col_expr(Column::ResetHash, Expr::value(reset.as_bytes().to_vec()))
        .col_expr(Column::ResetExpiresAt, Expr::value(expires_at.as_micros()));
    Ok(update.exec(tx).await?.rows_affected > 0)
}

/// Uses a reset link up. Of any number of callers with one link, one gets the tenant.
pub(crate) async fn take_reset(
    tx: &PlatformTx,
    reset: &KeyDigest,
    now: Timestamp,
) -> Result<Option<TenantId>, PlatformError> {
    let same = Column::ResetHash.eq(reset.as_bytes().to_vec());
    let Some(row) = Entity::find().filter(same.clone()).one(tx).await? else { return Ok(None) };
    let taken = Entity::update_many()
        .filter(Column::Id.eq(row.id))
        .filter(same)
        .col_expr(Column::ResetHash, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::ResetExpiresAt, Expr::value(None::<i64>))
        .exec(tx)
        .await?;
    let works = row.reset_expires_at.is_some_and(|expires_at| expires_at > now.as_micros());
    Ok((taken.rows_affected > 0 && works).then(|| TenantId::from_uuid(row.id)))
}

fn update_of(tenant: TenantId) -> UpdateMany<Entity> {
    Entity::update_many().filter(Column::Id.eq(tenant.as_uuid())).filter(provisioned())
}

async fn next_generation(
    tx: &PlatformTx,
    tenant: TenantId,
    update: UpdateMany<Entity>,
) -> Result<Option<u64>, PlatformError> {
    let next = Expr::col(Column::TokenGeneration).add(1);
    let changed = update.col_expr(Column::TokenGeneration, next).exec(tx).await?;
    if changed.rows_affected == 0 {
        return Ok(None);
    }
    let row = Entity::find_by_id(tenant.as_uuid()).one(tx).await?;
    Ok(row.map(|row| Place::of("tenants", &row.id).count("token_generation", row.token_generation)).transpose()?)
}
