//! The contract of kept configurations, over a real directory.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use novagate_contracts::SnapshotFixture;
use novagate_disk::{DataDir, DiskSnapshots};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A directory that goes with the case.
struct Folder(PathBuf);

struct OnDisk {
    store: DiskSnapshots,
    folder: Folder,
}

impl OnDisk {
    fn open(folder: Folder) -> Self {
        let store = DiskSnapshots::new(Arc::new(DataDir::open(&folder.0).unwrap()));
        Self { store, folder }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl SnapshotFixture for OnDisk {
    type Store = DiskSnapshots;

    async fn fresh() -> Self {
        let name = format!("novagate-disk-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::open(Folder(std::env::temp_dir().join(name)))
    }

    fn store(&self) -> &DiskSnapshots {
        &self.store
    }

    async fn reopened(self) -> Self {
        let Self { store, folder } = self;
        drop(store);
        Self::open(folder)
    }

    fn damage_newest(&mut self) -> bool {
        let slots = ["snapshot-a", "snapshot-b"].map(|name| self.folder.0.join(name));
        let newest = slots.into_iter().filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).max();
        let Some((_, path)) = newest else { return false };
        let mut content = std::fs::read(&path).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 0x20;
        std::fs::write(path, content).is_ok()
    }
}

novagate_contracts::snapshot_store_contract!(OnDisk);

#[test]
fn a_directory_is_locked_for_the_life_of_its_value() {
    let folder = Folder(std::env::temp_dir().join(format!("novagate-disk-lock-{}", std::process::id())));
    let first = DataDir::open(&folder.0).unwrap();
    let refused = DataDir::open(&folder.0).unwrap_err();
    assert!(refused.to_string().contains("is in use by another running gateway"), "{refused}");
    drop(first);
    DataDir::open(&folder.0).unwrap();
}

#[test]
fn a_node_id_is_drawn_once_and_a_damaged_one_is_replaced() {
    let folder = Folder(std::env::temp_dir().join(format!("novagate-disk-node-{}", std::process::id())));
    let data_dir = DataDir::open(&folder.0).unwrap();
    let entropy = novagate_fixtures::SeededEntropy::new(7);
    let id = data_dir.node_id(&entropy).unwrap();
    assert_eq!(data_dir.node_id(&entropy).unwrap(), id);
    std::fs::write(folder.0.join("node-id"), b"\xff\xff").unwrap();
    let fresh = data_dir.node_id(&entropy).unwrap();
    assert_ne!(fresh, id);
    assert_eq!(data_dir.node_id(&entropy).unwrap(), fresh);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let refused = DataDir::open(std::path::Path::new("/proc/novagate")).unwrap_err();
    assert!(refused.to_string().starts_with("DATA_DIR /proc/novagate: cannot be made"), "{refused}");
}
