//! What the tests of this crate share: directories of their own, and a store in one.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use novagate_documents::stored::JsonObjectCodec;
use novagate_ports_base::PortError;
use novagate_store_sql::{SqlStore, SqliteSettings};

/// A directory that goes with the value.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("novagate-store-sql-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn try_open(path: &Path) -> Result<SqlStore, PortError> {
    SqlStore::open_sqlite(SqliteSettings::new(path), Arc::new(JsonObjectCodec)).await
}

pub(crate) async fn open(path: &Path) -> SqlStore {
    try_open(path).await.unwrap()
}
