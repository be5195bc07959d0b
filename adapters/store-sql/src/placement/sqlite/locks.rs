//! Who else has the files open. Always: what a crash left behind is cleared only by a process that is alone with the
//! files, so that nobody's unfinished work is taken for remains. The operating system drops the locks of a dead process.

use std::fs::{File, TryLockError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::layout::Layout;
use super::open;
use crate::error::StoreError;

const RETRY: Duration = Duration::from_millis(20);

/// The right to bring a store up; one process at a time.
pub(super) struct Setup {
    // Closing the file gives the lock back.
    _lock: File,
    presence: File,
    alone: bool,
}

/// A sign that this process has the store open.
pub(super) struct Presence {
    _lock: File,
}

impl Setup {
    /// Waits until no other process is bringing the store up.
    pub(super) async fn enter(layout: &Layout, patience: Duration) -> Result<Self, StoreError> {
        let lock = open::create_file(&layout.setup_lock()).map_err(StoreError::io("open the setup lock"))?;
        let until = Instant::now() + patience;
        while !taken(lock.try_lock())? {
            if Instant::now() >= until {
                return Err(StoreError::Deadline);
            }
            sleep(RETRY).await;
        }
        let presence = open::create_file(&layout.presence_lock()).map_err(StoreError::io("open the store lock"))?;
        let alone = taken(presence.try_lock())?;
        Ok(Self { _lock: lock, presence, alone })
    }

    /// Whether no other process has the store open.
    pub(super) const fn is_alone(&self) -> bool {
        self.alone
    }

    /// From here on this process counts as having the store open. While the setup lasts nobody else can take the lock for
    /// itself alone, so a shared one is free.
    pub(super) fn presence(&mut self) -> Result<Presence, StoreError> {
        let failed = StoreError::io("take the store lock");
        let shared = self.presence.try_clone().and_then(|file| {
            file.unlock()?;
            file.lock_shared()?;
            Ok(file)
        });
        shared.map(|lock| Presence { _lock: lock }).map_err(failed)
    }
}

fn taken(outcome: Result<(), TryLockError>) -> Result<bool, StoreError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { step: "take a lock", source }),
    }
}
