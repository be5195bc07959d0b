//! The newest health report of each node.

use std::time::Duration;

use novagate_kernel::{NodeId, ServiceId, Timestamp};
use novagate_ports_control::outbound::HealthRow;
use novagate_records::{HealthSnapshot, ServiceHealth};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{IntoActiveModel as _, Iterable as _, QueryOrder as _};
use serde::{Deserialize, Serialize};

use crate::error::{CorruptRow, StoreError};
use crate::placement::TenantTx;
use crate::values::{Place, stored, stored_epoch};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "health_snapshots")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    node_id: Uuid,
    at: i64,
    uptime_us: i64,
    serving_epoch: Option<i64>,
    serving_seq: Option<i64>,
    serving_digest: Option<Vec<u8>>,
    active_connections: i64,
    dropped: i64,
    services: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A service's targets as the column holds them.
#[derive(Serialize, Deserialize)]
struct ServiceDoc {
    id: String,
    name: String,
    healthy: u16,
    total: u16,
}

/// Keeps a report unless a newer one of the node is there.
pub(crate) async fn keep(tx: &TenantTx, node: NodeId, snapshot: &HealthSnapshot) -> Result<(), StoreError> {
    let row = row(node, snapshot)?;
    let others = Column::iter().filter(|column| !matches!(column, Column::NodeId));
    let not_newer = Expr::col((Entity, Column::At)).lte(Expr::col(("excluded", Column::At)));
    let mut conflict = OnConflict::column(Column::NodeId);
    let conflict = conflict.update_columns(others).action_and_where(not_newer).to_owned();
    Entity::insert(row.into_active_model()).on_conflict(conflict).exec_without_returning(tx).await?;
    Ok(())
}

/// The newest report of each node.
pub(crate) async fn list(tx: &TenantTx) -> Result<Vec<HealthRow>, StoreError> {
    let rows = Entity::find().order_by_asc(Column::NodeId).all(tx).await?;
    Ok(rows.into_iter().map(HealthRow::try_from).collect::<Result<_, _>>()?)
}

fn row(node: NodeId, snapshot: &HealthSnapshot) -> Result<Model, StoreError> {
    let services: Vec<ServiceDoc> = snapshot.services.iter().map(ServiceDoc::from).collect();
    Ok(Model {
        node_id: node.as_uuid(),
        at: snapshot.at.as_micros(),
        uptime_us: i64::try_from(snapshot.uptime.as_micros()).unwrap_or(i64::MAX),
        serving_epoch: snapshot.serving.map(|head| stored_epoch(head.revision.epoch)),
        serving_seq: snapshot.serving.map(|head| stored(head.revision.seq)).transpose()?,
        serving_digest: snapshot.serving.map(|head| head.digest.as_bytes().to_vec()),
        active_connections: i64::from(snapshot.active_connections),
        dropped: stored(snapshot.dropped)?,
        services: serde_json::to_string(&services).map_err(|_| StoreError::Misuse("a report that is not JSON"))?,
    })
}

impl TryFrom<Model> for HealthRow {
    type Error = CorruptRow;

    fn try_from(row: Model) -> Result<Self, CorruptRow> {
        let place = Place::of("health_snapshots", &row.node_id);
        let docs: Vec<ServiceDoc> = place.word("services", serde_json::from_str(&row.services).ok())?;
        let services = docs.into_iter().map(|doc| place.word("services", doc.read())).collect::<Result<_, _>>()?;
        let snapshot = HealthSnapshot {
            at: Timestamp::from_micros(row.at),
            uptime: Duration::from_micros(place.count("uptime_us", row.uptime_us)?),
            serving: place.head_opt(row.serving_epoch, row.serving_seq, row.serving_digest.as_deref())?,
            active_connections: place.small("active_connections", row.active_connections)?,
            dropped: place.count("dropped", row.dropped)?,
            services,
        };
        Ok(Self { node: NodeId::from_uuid(row.node_id), snapshot })
    }
}

impl From<&ServiceHealth> for ServiceDoc {
    fn from(health: &ServiceHealth) -> Self {
        Self {
            id: health.id.to_string(),
            name: health.name.as_str().to_owned(),
            healthy: health.healthy,
            total: health.total,
        }
    }
}

impl ServiceDoc {
    fn read(self) -> Option<ServiceHealth> {
        Some(ServiceHealth {
            id: ServiceId::parse(&self.id).ok()?,
            name: novagate_kernel::Name::parse(&self.name).ok()?,
            healthy: self.healthy,
            total: self.total,
        })
    }
}
