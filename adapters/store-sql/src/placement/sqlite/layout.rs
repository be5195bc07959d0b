//! Which file is where. Always: names are made from ids alone. Not here: what is in the files.

use std::fs::{DirBuilder, read_dir};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use novagate_kernel::TenantId;

/// The paths of one store.
pub(super) struct Layout {
    root: PathBuf,
}

/// What a file in the tenants' directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// A tenant's tables.
    Tenant(TenantId),
    /// Tables of a tenant that was not finished.
    Fresh,
    /// An announced erasure.
    Erasure(TenantId),
}

const FRESH: &str = ".new-";
const ERASURE: &str = ".erase-";

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The platform's tables.
    pub(super) fn platform(&self) -> PathBuf {
        self.root.join("platform.db")
    }

    /// Held by whoever brings a store up.
    pub(super) fn setup_lock(&self) -> PathBuf {
        self.root.join("setup.lock")
    }

    /// Held, shared, by every process that has the store open.
    pub(super) fn presence_lock(&self) -> PathBuf {
        self.root.join("store.lock")
    }

    /// The tenants' directory.
    pub(super) fn tenants(&self) -> PathBuf {
        self.root.join("tenants")
    }

    /// A tenant's tables.
    pub(super) fn tenant(&self, tenant: TenantId) -> PathBuf {
        self.tenants().join(format!("{}.db", tenant.schema_name()))
    }

    /// Tables of a tenant that is being made; no two calls of one process share a number, no two processes an id.
    pub(super) fn fresh(&self, tenant: TenantId, number: u64) -> PathBuf {
        self.tenants().join(format!("{FRESH}{}-{}-{number}.db", tenant.schema_name(), std::process::id()))
    }

    /// Says that a tenant is being erased.
    pub(super) fn erasure(&self, tenant: TenantId) -> PathBuf {
        self.tenants().join(format!("{ERASURE}{}", tenant.schema_name()))
    }

    /// Makes the directories, closed to other users.
    pub(super) fn create_directories(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.tenants())
    }

    /// What lies in the tenants' directory; files that are none of ours are left out.
    pub(super) fn entries(&self) -> io::Result<Vec<(Entry, PathBuf)>> {
        let mut found = Vec::new();
        for entry in read_dir(self.tenants())? {
            let entry = entry?;
            if let Some(kind) = entry.file_name().to_str().and_then(kind_of) {
                found.push((kind, entry.path()));
            }
        }
        Ok(found)
    }
}

/// A file and those that SQLite puts beside it.
pub(super) fn with_companions(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

fn kind_of(name: &str) -> Option<Entry> {
    if name.starts_with(FRESH) {
        return Some(Entry::Fresh);
    }
    if let Some(stem) = name.strip_prefix(ERASURE) {
        return tenant_of(stem).map(Entry::Erasure);
    }
    name.strip_suffix(".db").and_then(tenant_of).map(Entry::Tenant)
}

fn tenant_of(stem: &str) -> Option<TenantId> {
    let id = TenantId::parse(&stem.strip_prefix("tenant_")?.replace('_', "-")).ok()?;
    (id.schema_name() == stem).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_and_others_left_alone() {
        let tenant = TenantId::from_entropy([7; 16]);
        let layout = Layout::new(Path::new("/x"));
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(kind_of(&name(layout.tenant(tenant))), Some(Entry::Tenant(tenant)));
        assert_eq!(kind_of(&name(layout.fresh(tenant, 3))), Some(Entry::Fresh));
        assert_eq!(kind_of(&name(layout.erasure(tenant))), Some(Entry::Erasure(tenant)));
        for other in ["notes.txt", "tenant_x.db", "TENANT.db", "tenant_.db", "backup.db", "..", ""] {
            assert_eq!(kind_of(other), None, "{other}");
        }
    }
}
