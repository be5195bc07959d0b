//! What the service manager hears of a gateway, and whether the system lets it have as many connections as it is set to take.

use std::sync::Arc;
use std::time::Duration;

use novagate_http_edge::EdgeHandle;
use novagate_net::Tasks;
use novagate_system::{raise_descriptor_limit, tell_alive, watchdog_interval};

/// Descriptors beside those of connections: logs, idle upstream connections, the link, the disk.
const RESERVE: u64 = 1_024;

/// Says that all is well for as long as every worker turns; a worker that is stuck is the manager's to end.
pub(crate) fn watch(plane: &Arc<EdgeHandle>, tasks: &Tasks) {
    let Some(interval) = watchdog_interval() else { return };
    let plane = Arc::clone(plane);
    tasks.spawn("watchdog", tasks.soft().run_until_cancelled_owned(beat(plane, interval / 2)));
}

async fn beat(plane: Arc<EdgeHandle>, every: Duration) {
    let mut last = plane.turns();
    loop {
        tokio::time::sleep(every).await;
        let turns = plane.turns();
        // A worker that has ended after a drain does not turn any more, and is not stuck.
        if plane.is_draining() || turns.iter().zip(&last).all(|(now, before)| now != before) {
            tell_alive();
        } else {
            tracing::error!("a worker is stuck");
        }
        last = turns;
    }
}

/// Raises the limit of open files and says so when it may not do.
pub(crate) fn provide_descriptors(max_connections: usize) {
    // Each client may have an upstream's connection beside it.
    let wanted = (max_connections as u64).saturating_mul(2).saturating_add(RESERVE);
    match raise_descriptor_limit() {
        Ok(limit) if limit < wanted => {
            tracing::warn!(
                limit,
                wanted,
                "MAX_CONNECTIONS may need more open files than the system allows; beyond the limit accepting pauses"
            );
        }
        Ok(_enough) => {}
        Err(fault) => tracing::warn!(%fault, "the limit of open files cannot be raised"),
    }
}
