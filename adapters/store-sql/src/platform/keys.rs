//! Gateway keys.

use novagate_access::{GatewayKeyRecord, KeyDigest};
use novagate_kernel::{GatewayKeyId, TenantId, Timestamp};
use novagate_ports_control::outbound::{Inserted, KeyRevocation};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel as _, QueryOrder as _};

use crate::error::{CorruptRow, PlatformError};
use crate::placement::PlatformTx;
use crate::values::Place;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    tenant_id: Uuid,
    digest: Vec<u8>,
    created_at: i64,
    revoked_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The key with this digest, of whatever tenant.
pub(crate) async fn find(tx: &PlatformTx, digest: &KeyDigest) -> Result<Option<GatewayKeyRecord>, PlatformError> {
    let row = Entity::find().filter(Column::Digest.eq(digest.as_bytes().to_vec())).one(tx).await?;
    Ok(row.map(GatewayKeyRecord::try_from).transpose()?)
}

/// A tenant's keys, oldest first.
pub(crate) async fn list(tx: &PlatformTx, tenant: TenantId) -> Result<Vec<GatewayKeyRecord>, PlatformError> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.as_uuid()))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id);
    Ok(find.all(tx).await?.into_iter().map(GatewayKeyRecord::try_from).collect::<Result<_, _>>()?)
}

/// How many keys a tenant has.
pub(crate) async fn count(tx: &PlatformTx, tenant: TenantId) -> Result<u64, PlatformError> {
    Ok(Entity::find().filter(Column::TenantId.eq(tenant.as_uuid())).count(tx).await?)
}

/// Adds a key to a tenant; a known id or digest changes nothing.
pub(crate) async fn insert(
    tx: &PlatformTx,
    tenant: TenantId,
    key: &GatewayKeyRecord,
) -> Result<Inserted, PlatformError> {
    let row = Model {
        id: key.id.as_uuid(),
        tenant_id: tenant.as_uuid(),
        digest: key.digest.as_bytes().to_vec(),
        created_at: key.created_at.as_micros(),
        revoked_at: key.revoked_at.map(Timestamp::as_micros),
    };
    let insert =
        Entity::insert(row.into_active_model()).try_insert().on_conflict(OnConflict::new().do_nothing().to_owned());
    let rows = insert.exec_without_returning(tx).await?;
    Ok(if rows > 0 { Inserted::New } else { Inserted::AlreadyThere })
}

/// Revokes a tenant's key.
pub(crate) async fn revoke(
    tx: &PlatformTx,
    tenant: TenantId,
    id: GatewayKeyId,
    at: Timestamp,
) -> Result<KeyRevocation, PlatformError> {
    let own = Column::TenantId.eq(tenant.as_uuid());
    let revoked = Entity::update_many()
        .filter(Column::Id.eq(id.as_uuid()))
        .filter(own.clone())
        .filter(Column::RevokedAt.is_null())
        .col_expr(Column::RevokedAt, Expr::value(at.as_micros()))
        .exec(tx)
        .await?;
    let Some(row) = Entity::find_by_id(id.as_uuid()).filter(own).one(tx).await? else {
        return Ok(KeyRevocation::Unknown);
    };
    let record = GatewayKeyRecord::try_from(row)?;
    Ok(if revoked.rows_affected > 0 { KeyRevocation::Revoked(record) } else { KeyRevocation::AlreadyRevoked(record) })
}

impl TryFrom<Model> for GatewayKeyRecord {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        Ok(Self {
            id: GatewayKeyId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            digest: Place::of("api_keys", &row.id).key_digest("digest", &row.digest)?,
            created_at: Timestamp::from_micros(row.created_at),
            revoked_at: row.revoked_at.map(Timestamp::from_micros),
        })
    }
}
