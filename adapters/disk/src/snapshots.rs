//! [`SnapshotStore`] over two alternating slots and a journal.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use novagate_access::KeyDigest;
use novagate_kernel::{ObjectKind, TenantId};
use novagate_ports_base::{FaultKind, PortError};
use novagate_ports_edge::{LoadReport, LoadedSnapshot, QuarantinedSlot, SnapshotStore};
use novagate_sync::ConfigSet;

use crate::{DataDir, data_dir::write_durably, journal, slot::Slot};

const SLOTS: [&str; 2] = ["snapshot-a", "snapshot-b"];
const JOURNAL: &str = "revoked";
/// Up to here the journal only grows: 270 KiB.
const KEPT_REVOCATIONS: usize = 4_096;

/// Keeps configurations in a data directory.
#[derive(Debug, Clone)]
pub struct DiskSnapshots {
    state: Arc<Mutex<State>>,
}

/// One thread at a time works on the files.
#[derive(Debug)]
struct State {
    folder: PathBuf,
    /// Which generation each slot holds, 0 for one that is empty or damaged; known once they were read.
    generations: Option<[u64; 2]>,
    /// Held so that the directory stays locked for as long as somebody may write to it.
    _data_dir: Arc<DataDir>,
}

impl DiskSnapshots {
    /// Keeps configurations in this directory.
    pub fn new(data_dir: Arc<DataDir>) -> Self {
        let folder = data_dir.path().to_owned();
        Self { state: Arc::new(Mutex::new(State { folder, generations: None, _data_dir: data_dir })) }
    }

    /// File work leaves the runtime's threads; a caller that goes away does not interrupt it.
    async fn on_files<T: Send + 'static>(
        &self,
        op: &'static str,
        work: impl FnOnce(&mut State) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PortError> {
        let state = Arc::clone(&self.state);
        let job = move || work(&mut state.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = tokio::task::spawn_blocking(job).await.map_err(PortError::wrap(op, FaultKind::Unavailable))?;
        outcome.map_err(PortError::wrap(op, FaultKind::Unavailable))
    }
}

#[async_trait]
impl SnapshotStore for DiskSnapshots {
    async fn load(&self, tenant: Option<TenantId>) -> Result<LoadReport, PortError> {
        self.on_files("snapshots.load", move |state| state.load(tenant)).await
    }

    async fn save(&self, tenant: TenantId, config: &ConfigSet) -> Result<(), PortError> {
        let config = config.clone();
        self.on_files("snapshots.save", move |state| state.save(tenant, config)).await
    }

    async fn note_revoked(&self, keys: &[KeyDigest]) -> Result<(), PortError> {
        let keys = keys.to_vec();
        self.on_files("snapshots.note_revoked", move |state| journal::append(&state.file(JOURNAL), &keys)).await
    }
}

impl State {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn load(&mut self, tenant: Option<TenantId>) -> io::Result<LoadReport> {
        let mut report = LoadReport::default();
        let mut newest: Option<Slot> = None;
        let mut generations = [0; 2];
        for (name, generation) in SLOTS.into_iter().zip(&mut generations) {
            let read = self.read_slot(name)?;
            if let Some(Ok(slot)) = &read {
                *generation = slot.generation;
            }
            match read {
                None => {}
                Some(Ok(slot)) if tenant.is_some_and(|wanted| wanted != slot.tenant) => {
                    let reason = "it belongs to another tenant".to_owned();
                    report.quarantined.push(QuarantinedSlot { slot: name.to_owned(), reason });
                }
                Some(Ok(slot)) if newest.as_ref().is_some_and(|known| known.generation >= slot.generation) => {}
                Some(Ok(slot)) => newest = Some(slot),
                Some(Err(reason)) => {
                    set_aside(&self.file(name))?;
                    report.quarantined.push(QuarantinedSlot { slot: name.to_owned(), reason });
                }
            }
        }
        self.generations = Some(generations);
        if let Some(slot) = newest {
            let revoked = journal::read(&self.file(JOURNAL))?.into_iter().collect();
            report.newest = Some(LoadedSnapshot { tenant: slot.tenant, config: slot.config, revoked });
        }
        Ok(report)
    }

    /// Writes over the older or damaged slot, never over the newest valid one.
    fn save(&mut self, tenant: TenantId, config: ConfigSet) -> io::Result<()> {
        // Nobody else writes here, so what was read or written once is known; what a failed write has left is not.
        let generations = self.generations.take().unwrap_or_else(|| self.read_generations());
        let [first, second] = generations;
        let next = first.max(second) + 1;
        let [first_name, second_name] = SLOTS;
        let (target, after) = if first <= second { (first_name, [next, second]) } else { (second_name, [first, next]) };
        let slot = Slot { generation: next, tenant, config };
        write_durably(&self.file(target), &slot.encode()?)?;
        self.generations = Some(after);
        self.trim_journal(&slot.config)
    }

    fn read_generations(&self) -> [u64; 2] {
        SLOTS.map(|name| match self.read_slot(name) {
            Ok(Some(Ok(slot))) => slot.generation,
            Ok(Some(Err(_)) | None) | Err(_) => 0,
        })
    }

    /// Once there are many, forgets revocations of keys that the configuration does not hold any more.
    fn trim_journal(&self, config: &ConfigSet) -> io::Result<()> {
        let noted = journal::read(&self.file(JOURNAL))?;
        if noted.len() <= KEPT_REVOCATIONS {
            return Ok(());
        }
        journal::replace(&self.file(JOURNAL), &noted.intersection(&known_keys(config)).copied().collect())
    }

    fn read_slot(&self, name: &str) -> io::Result<Option<Result<Slot, String>>> {
        match fs::read(self.file(name)) {
            Ok(content) => Ok(Some(Slot::decode(&content).map_err(|fault| fault.to_string()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The digests that key objects of a configuration hold. The body of a key is ours alone to write, and the digest is its
/// only text of 64 hexadecimal characters; a key that cannot be found this way stays noted for ever, which is harmless.
fn known_keys(config: &ConfigSet) -> BTreeSet<KeyDigest> {
    let keys = config.objects().filter(|object| object.reference().kind == ObjectKind::ConsumerKey);
    keys.flat_map(|object| {
        String::from_utf8_lossy(object.body())
            .split('"')
            .filter_map(|part| KeyDigest::parse(part).ok())
            .collect::<Vec<_>>()
    })
    .collect()
}

fn set_aside(file: &Path) -> io::Result<()> {
    fs::rename(file, file.with_extension("damaged"))?;
    crate::data_dir::sync_parent(file)
}
