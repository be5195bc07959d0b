//! Tenant rows: which tenants exist, and the platform's copies of their heads.

use novagate_access::KeyDigest;
use novagate_kernel::{Head, Revision, TenantId, Timestamp};
use novagate_migrations::TenantMigrator;
use novagate_ports_control::outbound::{Account, NewTenant, TenantState};
use novagate_ports_control::{Cursor, Page, PageRequest};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{IntoActiveModel as _, QueryOrder as _, QuerySelect as _};

use super::plans;
use crate::error::{CorruptRow, PlatformError, StoreError};
use crate::pages;
use crate::placement::PlatformTx;
use crate::values::{Place, stored, stored_epoch};

/// The version of the tenants' tables that this program makes: the number of their steps.
#[expect(clippy::cast_possible_wrap, reason = "there are few steps")]
const SCHEMA_VERSION: i64 = TenantMigrator::STEPS.len() as i64;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenants")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) email_key: String,
    pub(super) password_hash: Option<String>,
    pub(super) state: String,
    pub(super) plan_id: Uuid,
    pub(super) token_generation: i64,
    pub(super) reset_hash: Option<Vec<u8>>,
    pub(super) reset_expires_at: Option<i64>,
    pub(super) verify_hash: Option<Vec<u8>>,
    pub(super) verify_expires_at: Option<i64>,
    pub(super) epoch: Option<i64>,
    pub(super) seq: Option<i64>,
    pub(super) schema_version: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) claim_key: Option<Vec<u8>>,
    pub(super) claim_request: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    /// What the tenant has bought.
    #[sea_orm(belongs_to = "super::plans::Entity", from = "Column::PlanId", to = "super::plans::Column::Id")]
    Plan,
}

impl Related<plans::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Plan.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// A registration whose address is not proven yet.
pub(crate) struct PendingTenant<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) verify: &'a KeyDigest,
    pub(crate) expires_at: Timestamp,
    pub(crate) now: Timestamp,
}

/// Whether the tenant exists with storage of its own.
pub(crate) async fn is_provisioned(tx: &PlatformTx, tenant: TenantId) -> Result<bool, PlatformError> {
    let found = Entity::find_by_id(tenant.as_uuid()).filter(provisioned()).count(tx).await?;
    Ok(found > 0)
}

/// Whether a provisioned tenant has this id or this address.
pub(crate) async fn is_taken(tx: &PlatformTx, tenant: TenantId, email: &str) -> Result<bool, PlatformError> {
    let same = Column::Id.eq(tenant.as_uuid()).or(Column::EmailKey.eq(email));
    Ok(Entity::find().filter(same).filter(provisioned()).count(tx).await? > 0)
}

/// Removes the pending registrations of an address and of an id.
pub(crate) async fn delete_pending(tx: &PlatformTx, tenant: TenantId, email: &str) -> Result<(), PlatformError> {
    let same = Column::Id.eq(tenant.as_uuid()).or(Column::EmailKey.eq(email));
    Entity::delete_many().filter(same).filter(provisioned().not()).exec(tx).await?;
    Ok(())
}

/// Adds a provisioned tenant.
pub(crate) async fn insert(tx: &PlatformTx, tenant: TenantId, new: &NewTenant) -> Result<(), PlatformError> {
    let Head { revision, .. } = new.head;
    let row = Model {
        password_hash: Some(new.password.as_str().to_owned()),
        epoch: Some(stored_epoch(revision.epoch)),
        seq: Some(stored(revision.seq)?),
        claim_key: new.claim.map(|claim| claim.key.as_bytes().to_vec()),
        claim_request: new.claim.map(|claim| claim.request.as_bytes().to_vec()),
        ..blank(tenant, &new.name, new.email.as_str(), TenantState::Active, new.at)
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Adds a pending registration.
pub(crate) async fn insert_pending(tx: &PlatformTx, pending: &PendingTenant<'_>) -> Result<(), PlatformError> {
    let row = Model {
        verify_hash: Some(pending.verify.as_bytes().to_vec()),
        verify_expires_at: Some(pending.expires_at.as_micros()),
        ..blank(pending.tenant, pending.name, pending.email, TenantState::Unverified, pending.now)
    };
    Entity::insert(row.into_active_model()).exec_without_returning(tx).await?;
    Ok(())
}

/// Removes a tenant's rows; those that refer to them go with them.
pub(crate) async fn delete(tx: &PlatformTx, tenant: TenantId) -> Result<(), PlatformError> {
    Entity::delete_by_id(tenant.as_uuid()).exec(tx).await?;
    Ok(())
}

/// Every provisioned tenant with the platform's copy of its head.
pub(crate) async fn heads(tx: &PlatformTx) -> Result<Vec<(TenantId, Option<Revision>)>, PlatformError> {
    let rows: Vec<(Uuid, Option<i64>, Option<i64>)> = Entity::find()
        .select_only()
        .columns([Column::Id, Column::Epoch, Column::Seq])
        .filter(provisioned())
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(tx)
        .await?;
    let head = |(id, epoch, seq)| {
        // An unreadable copy counts as none: the tenant's own tables are the truth.
        (TenantId::from_uuid(id), Place::of("tenants", &id).revision_opt(epoch, seq).unwrap_or_default())
    };
    Ok(rows.into_iter().map(head).collect())
}

/// Provisioned tenants by id.
pub(crate) async fn list(tx: &PlatformTx, page: &PageRequest) -> Result<Page<TenantId>, PlatformError> {
    let mut find = Entity::find().select_only().column(Column::Id).filter(provisioned()).order_by_asc(Column::Id);
    if let Some(after) = &page.after {
        find = find.filter(Column::Id.gt(pages::read_id(after)?));
    }
    let rows: Vec<Uuid> = find.limit(pages::probe(page)?).into_tuple().all(tx).await?;
    Ok(pages::cut(rows, page, |id| Cursor::new(id.to_string())).map(TenantId::from_uuid))
}

/// Rows of tenants with storage of their own.
pub(super) fn provisioned() -> Expr {
    Column::State.ne(TenantState::Unverified.as_str())
}

fn blank(tenant: TenantId, name: &str, email: &str, state: TenantState, at: Timestamp) -> Model {
    Model {
        id: tenant.as_uuid(),
        name: name.to_owned(),
        email_key: email.to_owned(),
        password_hash: None,
        state: state.as_str().to_owned(),
        plan_id: plans::FREE.as_uuid(),
        token_generation: 0,
        reset_hash: None,
        reset_expires_at: None,
        verify_hash: None,
        verify_expires_at: None,
        epoch: None,
        seq: None,
        schema_version: SCHEMA_VERSION,
        created_at: at.as_micros(),
        updated_at: at.as_micros(),
        claim_key: None,
        claim_request: None,
    }
}

/// An account from its row and its plan's.
pub(super) fn account((row, plan): (Model, Option<plans::Model>)) -> Result<Account, CorruptRow> {
    use novagate_access::{EmailKey, PasswordHash};

    let place = Place::of("tenants", &row.id);
    Ok(Account {
        tenant: TenantId::from_uuid(row.id),
        email: EmailKey::from_stored(&row.email_key),
        password: row.password_hash.as_deref().map(PasswordHash::from_modular_crypt),
        state: place.word("state", TenantState::parse(&row.state))?,
        generation: place.count("token_generation", row.token_generation)?,
        limits: place.word("plan_id", plan)?.limits()?,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
        name: row.name.clone(),
    })
}

/// A page must have been asked for correctly.
impl From<pages::BadPage> for PlatformError {
    fn from(bad: pages::BadPage) -> Self {
        StoreError::from(bad).into()
    }
}
