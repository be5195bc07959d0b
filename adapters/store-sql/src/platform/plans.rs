//! What plans allow.

use novagate_kernel::PlanId;
use novagate_ports_control::outbound::PlanLimits;
use sea_orm::IntoActiveModel as _;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use crate::error::{CorruptRow, PlatformError};
use crate::placement::PlatformTx;
use crate::values::{Place, stored};

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plans")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    id: Uuid,
    name: String,
    services: i64,
    routes: i64,
    consumers: i64,
    config_bytes: i64,
    nodes: i64,
    log_rows_per_second: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The plan every tenant starts with.
pub(crate) const FREE: PlanId = PlanId::from_u128(1);

/// Makes sure that the plan `free` exists; a plan that an operator has changed stays as it is.
pub(crate) async fn seed(tx: &PlatformTx) -> Result<(), PlatformError> {
    let limits = PlanLimits::FREE;
    let free = Model {
        id: FREE.as_uuid(),
        name: "free".to_owned(),
        services: i64::from(limits.services),
        routes: i64::from(limits.routes),
        consumers: i64::from(limits.consumers),
        config_bytes: stored(limits.config_bytes)?,
        nodes: i64::from(limits.nodes),
        log_rows_per_second: i64::from(limits.log_rows_per_second),
    };
    let insert = Entity::insert(free.into_active_model()).try_insert();
    insert.on_conflict(OnConflict::new().do_nothing().to_owned()).exec_without_returning(tx).await?;
    Ok(())
}

impl Model {
    /// The limits it holds.
    pub(crate) fn limits(&self) -> Result<PlanLimits, CorruptRow> {
        let place = Place::of("plans", &self.id);
        Ok(PlanLimits {
            services: place.small("services", self.services)?,
            routes: place.small("routes", self.routes)?,
            consumers: place.small("consumers", self.consumers)?,
            config_bytes: place.count("config_bytes", self.config_bytes)?,
            nodes: place.small("nodes", self.nodes)?,
            log_rows_per_second: place.small("log_rows_per_second", self.log_rows_per_second)?,
        })
    }
}
