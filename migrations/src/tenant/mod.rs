//! The tables of one tenant. None of them has a tenant column.

mod m0001_config;
mod m0002_telemetry;
mod m0003_operations;

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait::async_trait};

use crate::step::Step;

/// Migrations of one tenant's schema or file.
pub struct TenantMigrator;

impl TenantMigrator {
    /// The steps, in order.
    pub const STEPS: [Step; 3] = [m0001_config::STEP, m0002_telemetry::STEP, m0003_operations::STEP];
}

#[async_trait]
impl MigratorTrait for TenantMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Self::STEPS.into_iter().map(|step| Box::new(step) as Box<dyn MigrationTrait>).collect()
    }
}
