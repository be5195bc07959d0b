//! The contracts of the storage ports over PostgreSQL, a database for each case.

#[path = "support/postgres.rs"]
mod postgres;

use novagate_contracts::StoreFixture;
use novagate_store_sql::SqlStore;
use postgres::Prepared;

/// A store in a database of its own.
pub struct Schemas {
    store: SqlStore,
    prepared: Prepared,
}

impl StoreFixture for Schemas {
    type Store = SqlStore;

    async fn fresh() -> Self {
        let Some(prepared) = Prepared::migrated() else { novagate_contracts::leave_out() };
        Self { store: prepared.open().await, prepared }
    }

    fn store(&self) -> &SqlStore {
        &self.store
    }

    fn seed(&self) -> u64 {
        self.prepared.seed()
    }

    async fn reopened(self) -> Option<Self> {
        let Self { store, prepared } = self;
        drop(store);
        Some(Self { store: prepared.open().await, prepared })
    }
}

novagate_contracts::store_contracts!(Schemas);
