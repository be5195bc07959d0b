//! The platform's own tables: exactly `tenants`, `api_keys`, `plans` and `pending_config_updates`, beside the ledger.

mod m0001_accounts;
mod m0002_claims;

use sea_orm_migration::{MigrationTrait, MigratorTrait, async_trait::async_trait};

use crate::step::Step;

/// Migrations of the platform's schema or file.
pub struct PlatformMigrator;

impl PlatformMigrator {
    /// The steps, in order.
    pub const STEPS: [Step; 2] = [m0001_accounts::STEP, m0002_claims::STEP];
}

#[async_trait]
impl MigratorTrait for PlatformMigrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Self::STEPS.into_iter().map(|step| Box::new(step) as Box<dyn MigrationTrait>).collect()
    }
}
