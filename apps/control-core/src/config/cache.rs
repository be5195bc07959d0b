//! A tenant's present configuration in decoded form, kept for the next edit.
//!
//! The cache is never trusted: an edit built on a stale copy fails its compare-and-set and starts over from storage.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use novagate_kernel::{Head, Name, ObjectKind, ObjectRef, TenantId};
use novagate_policies::ConfigObject;
use novagate_ports_base::{FaultKind, ObjectCodec, PortError};
use novagate_ports_control::{inbound::ObjectView, outbound::StoredObject};

/// Most tenants whose configuration is kept decoded.
const CACHED_TENANTS: usize = 64;

/// One object with its place in history.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) view: ObjectView,
    pub(crate) stored: StoredObject,
}

/// A whole configuration at one revision. Cloning shares the entries.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub(crate) head: Head,
    pub(crate) entries: BTreeMap<ObjectRef, Arc<Entry>>,
}

impl Current {
    /// Decodes what a store has loaded.
    pub(crate) fn decode(codec: &dyn ObjectCodec, head: Head, objects: Vec<StoredObject>) -> Result<Self, PortError> {
        let entries = objects
            .into_iter()
            .map(|stored| Ok((stored.reference, Arc::new(Entry { view: decode_view(codec, &stored)?, stored }))))
            .collect::<Result<_, PortError>>()?;
        Ok(Self { head, entries })
    }

    /// The object with this kind and name.
    pub(crate) fn named(&self, kind: ObjectKind, name: &Name) -> Option<&Arc<Entry>> {
        self.of_kind(kind).find(|entry| entry.view.object.name() == Some(name))
    }

    /// All objects of a kind.
    pub(crate) fn of_kind(&self, kind: ObjectKind) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().filter(move |entry| entry.stored.reference.kind == kind)
    }

    /// The objects, parents first.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &ConfigObject> {
        self.entries.values().map(|entry| &entry.view.object)
    }
}

/// A stored object as callers see it.
pub(crate) fn decode_view(codec: &dyn ObjectCodec, stored: &StoredObject) -> Result<ObjectView, PortError> {
    let object = codec
        .decode(stored.reference.kind, stored.reference.id, &stored.body)
        .map_err(PortError::wrap("config.decode", FaultKind::Corrupt))?;
    Ok(ObjectView { object, seq: stored.seq, created_at: stored.created_at, updated_at: stored.updated_at })
}

/// Queues in which the edits of tenants wait for each other; two tenants share one now and then.
const TURNS: usize = 64;

/// Decoded configurations of the tenants that were edited last, and whose turn it is to edit.
pub(crate) struct ConfigCache {
    tenants: Mutex<HashMap<TenantId, Current>>,
    turns: [tokio::sync::Mutex<()>; TURNS],
}

impl Default for ConfigCache {
    fn default() -> Self {
        Self { tenants: Mutex::default(), turns: std::array::from_fn(|_| tokio::sync::Mutex::default()) }
    }
}

impl ConfigCache {
    pub(crate) fn get(&self, tenant: TenantId) -> Option<Current> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    pub(crate) fn put(&self, tenant: TenantId, current: Current) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= CACHED_TENANTS && !tenants.contains_key(&tenant) {
            tenants.clear();
        }
        tenants.insert(tenant, current);
    }

    pub(crate) fn forget(&self, tenant: TenantId) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
    }

    /// Forgets a copy that lies behind `head`.
    pub(crate) fn forget_behind(&self, tenant: TenantId, head: Head) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.get(&tenant).is_some_and(|current| is_behind(current.head, head)) {
            tenants.remove(&tenant);
        }
    }

    pub(crate) fn clear(&self) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until no other edit of the tenant runs in this process; first come, first served.
    pub(crate) async fn turn(&self, tenant: TenantId) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let place = tenant.as_u128() % TURNS as u128;
        let queue = self.turns.get(usize::try_from(place).unwrap_or_default())?;
        Some(queue.lock().await)
    }
}

/// Whether a copy at `known` is not the newest any more once `heard` exists. Wake-ups may be older than the copy.
pub(crate) fn is_behind(known: Head, heard: Head) -> bool {
    known.revision.epoch != heard.revision.epoch || known.revision.seq < heard.revision.seq
}
