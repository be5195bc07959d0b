//! The contracts of the storage ports over SQLite files.

mod support;

use novagate_contracts::StoreFixture;
use novagate_store_sql::SqlStore;
use support::{Directory, open};

/// A store in a directory of its own.
pub struct SqliteFiles {
    // Before its directory, so that no file is closed after it has gone.
    store: SqlStore,
    directory: Directory,
}

impl StoreFixture for SqliteFiles {
    type Store = SqlStore;

    async fn fresh() -> Self {
        let directory = Directory::new();
        Self { store: open(directory.path()).await, directory }
    }

    fn store(&self) -> &SqlStore {
        &self.store
    }

    async fn reopened(self) -> Option<Self> {
        let Self { store, directory } = self;
        drop(store);
        Some(Self { store: open(directory.path()).await, directory })
    }
}

novagate_contracts::store_contracts!(SqliteFiles);
