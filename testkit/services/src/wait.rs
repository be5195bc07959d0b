//! Waiting for something that another process does.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Looks until there is something, and returns it. Panics, naming `what`, when there is nothing within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain until {what}");
        std::thread::sleep(INTERVAL);
    }
}

/// Looks until `holds` says so; [`wait_for`] of a yes.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    wait_for(what, limit, || holds().then_some(()));
}
