//! How the link is, for `/metrics` and `/health`: read at any time, without waiting for the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use novagate_kernel::BatchKind;
use novagate_sync::{ByeCode, DroppedRecords, NodeMachine};

/// A cheap view of the link. Clones see the same link.
#[derive(Debug, Clone, Default)]
pub struct LinkStatus(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    connected: AtomicBool,
    refused: AtomicU16,
    spooled: AtomicU64,
    dropped: [AtomicU64; 4],
}

impl LinkStatus {
    /// Whether a session is live: `control_plane_connected`.
    pub fn connected(&self) -> bool {
        self.0.connected.load(Ordering::Relaxed)
    }

    /// How the control plane refuses this gateway, while it does.
    pub fn refused(&self) -> Option<ByeCode> {
        ByeCode::from_u16(self.0.refused.load(Ordering::Relaxed))
    }

    /// Records that wait to be confirmed: `telemetry_spool_records`.
    pub fn spooled_records(&self) -> u64 {
        self.0.spooled.load(Ordering::Relaxed)
    }

    /// Records lost because the spool was full, of one kind: `telemetry_dropped_total`.
    pub fn dropped_records(&self, kind: BatchKind) -> u64 {
        self.0.dropped.get(place(kind)).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Records lost because the spool was full, of all kinds.
    pub fn dropped_total(&self) -> u64 {
        BatchKind::ALL.into_iter().map(|kind| self.dropped_records(kind)).sum()
    }

    pub(crate) fn update(&self, machine: &NodeMachine) {
        let refused = machine.refused().map_or(0, ByeCode::as_u16);
        let dropped: DroppedRecords = machine.dropped_records();
        self.0.connected.store(machine.is_connected(), Ordering::Relaxed);
        self.0.refused.store(refused, Ordering::Relaxed);
        self.0.spooled.store(machine.spooled_records(), Ordering::Relaxed);
        for (kind, count) in BatchKind::ALL.into_iter().zip(&self.0.dropped) {
            count.store(dropped.of(kind), Ordering::Relaxed);
        }
    }
}

const fn place(kind: BatchKind) -> usize {
    match kind {
        BatchKind::Logs => 0,
        BatchKind::Errors => 1,
        BatchKind::Health => 2,
        BatchKind::Metrics => 3,
    }
}
