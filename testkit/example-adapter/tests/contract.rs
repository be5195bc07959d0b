//! The contract of presence over a folder.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use novagate_contracts::PresenceFixture;
use novagate_example_adapter::FolderPresence;
use novagate_fixtures::ManualClock;
use novagate_kernel::Timestamp;
use novagate_ports_base::Clock as _;
use novagate_ports_control::outbound::Presence;

/// A folder of one case's own.
pub struct Mine {
    folder: PathBuf,
    clock: ManualClock,
}

impl Mine {
    fn node(&self) -> Arc<dyn Presence> {
        Arc::new(FolderPresence::new(&self.folder, Arc::new(self.clock.clone())))
    }
}

impl PresenceFixture for Mine {
    async fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("novagate-example-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { folder: std::env::temp_dir().join(name), clock: ManualClock::default() }
    }

    fn presence(&self) -> Arc<dyn Presence> {
        self.node()
    }

    fn other_node(&self) -> Arc<dyn Presence> {
        self.node()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapse(&self, duration: Duration) -> bool {
        self.clock.advance(duration);
        true
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

novagate_contracts::presence_contract!(Mine);
