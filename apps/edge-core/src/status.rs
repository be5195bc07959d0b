//! How the gateway is: for `/health`, `/ready`, `/status` and metrics.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use novagate_kernel::{Head, Timestamp};
use novagate_sync::ByeCode;

/// Where the served configuration came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// There is none yet.
    None,
    /// The control plane, in this run.
    Live,
    /// A disk slot, written in an earlier run.
    Disk,
    /// A file on this machine.
    File,
}

impl ConfigSource {
    /// The word in `/health`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Live => "live",
            Self::Disk => "disk",
            Self::File => "file",
        }
    }
}

/// How the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeStatus {
    /// What it serves.
    pub serving: Option<Head>,
    /// Where that came from.
    pub source: ConfigSource,
    /// When it went into service.
    pub serving_since: Option<Timestamp>,
    /// How long the newest compilation took.
    pub compile: Option<Duration>,
    /// Whether the link to the control plane stands.
    pub connected: bool,
    /// Since when it stands, or does not.
    pub link_since: Timestamp,
    /// Why the control plane refuses this gateway, if it does.
    pub refused: Option<ByeCode>,
    /// How often keeping a configuration or revocation on disk failed.
    pub snapshot_failures: u64,
    /// How long the process has run.
    pub uptime: Duration,
}

/// The parts of [`EdgeStatus`] that are remembered.
pub(crate) struct StatusCell {
    started: Timestamp,
    state: Mutex<EdgeStatus>,
}

impl StatusCell {
    pub(crate) const fn new(started: Timestamp) -> Self {
        let state = EdgeStatus {
            serving: None,
            source: ConfigSource::None,
            serving_since: None,
            compile: None,
            connected: false,
            link_since: started,
            refused: None,
            snapshot_failures: 0,
            uptime: Duration::ZERO,
        };
        Self { started, state: Mutex::new(state) }
    }

    pub(crate) fn read(&self, serving: Option<Head>, now: Timestamp) -> EdgeStatus {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        EdgeStatus { serving, uptime: now.since(self.started), ..state }
    }

    pub(crate) fn config_changed(&self, source: ConfigSource, now: Timestamp) {
        self.update(|state| {
            state.source = source;
            state.serving_since = Some(now);
        });
    }

    pub(crate) fn compiled_in(&self, compile: Duration) {
        self.update(|state| state.compile = Some(compile));
    }

    pub(crate) fn snapshot_failed(&self) {
        self.update(|state| state.snapshot_failures += 1);
    }

    pub(crate) fn link_changed(&self, connected: bool, refused: Option<ByeCode>, now: Timestamp) {
        self.update(|state| {
            if state.connected != connected {
                state.link_since = now;
            }
            state.connected = connected;
            state.refused = refused;
        });
    }

    fn update(&self, change: impl FnOnce(&mut EdgeStatus)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
