//! The link to the control plane.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use novagate_access::GatewayKey;
use novagate_edge_core::Edge;
use novagate_kernel::{BootId, NodeId};
use novagate_net::{Resolver, Tasks, client_config};
use novagate_ports_base::{BoxError, Clock, Entropy};
use novagate_ports_edge::TelemetryItem;
use novagate_settings::ControlPlaneSettings;
use novagate_sync::{ConfigSet, NodeIdentity, NodeMachine, SpoolLimits};
use novagate_sync_client::{Endpoint, KeySource, LinkStatus, NodeDriver, PlainText, WebSocketDialer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::StartError;

/// Program and version, as the control plane shows them.
const BUILD: &str = concat!("novagate-gateway/", env!("CARGO_PKG_VERSION"));

/// What a link starts from.
pub(crate) struct LinkStart {
    pub(crate) control: ControlPlaneSettings,
    pub(crate) resolver: Resolver,
    pub(crate) node: NodeId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) serving: Option<ConfigSet>,
    pub(crate) batches: mpsc::Receiver<TelemetryItem>,
}

/// Starts the link on the control thread; it dials until the program stops.
pub(crate) fn start(
    start: LinkStart,
    edge: &Edge,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    tasks: &Tasks,
) -> Result<LinkStatus, StartError> {
    let tls = client_config(start.control.ca_file.as_deref())?;
    let endpoint = Endpoint {
        secure: start.control.url.is_secure(),
        host: start.control.url.host().to_owned(),
        port: start.control.url.port(),
    };
    let key = key_source(&start.control.api_key, start.control.api_key_file);
    // A URL in plain text to another machine passes the settings only with ALLOW_INSECURE_CONTROL_PLANE.
    let exposed = !endpoint.secure && !is_loopback(&endpoint.host);
    if exposed {
        tasks.spawn("plain-text-warning", each_minute(tasks.soft(), warn_of_plain_text));
    }
    let plain = if exposed { PlainText::Allowed } else { PlainText::Loopback };
    let dialer = WebSocketDialer::new(endpoint, tls, start.resolver, plain, Arc::clone(&key))
        .map_err(|error| StartError::Setting(format!("CONTROL_PLANE_URL: {error}")))?;
    let identity = NodeIdentity {
        node: start.node,
        boot: BootId::from_entropy(entropy.bytes()),
        build: BUILD.to_owned(),
        features: Vec::new(),
        labels: start.labels,
    };
    let machine = NodeMachine::new(identity, SpoolLimits::default(), start.serving, clock.now());
    let host = Arc::new(edge.clone());
    let driver = NodeDriver::new(Arc::new(dialer), host, Some(key), Arc::clone(clock), Arc::clone(entropy), tasks);
    let status = driver.status();
    tasks.spawn("sync-link", driver.run(machine, start.batches, tasks.soft()));
    Ok(status)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Nobody should forget that the key and the configuration travel in plain text.
fn warn_of_plain_text() {
    tracing::warn!("the link to the control plane is not encrypted (ALLOW_INSECURE_CONTROL_PLANE)");
}

/// At once, and then each minute.
async fn each_minute(stop: CancellationToken, work: impl Fn()) {
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = minutes.tick() => work(),
        }
    }
}

/// The key as it is at each attempt: a file is read again, so that a rotated key is noticed.
fn key_source(key: &GatewayKey, file: Option<impl AsRef<Path> + Send + Sync + 'static>) -> KeySource {
    let fixed = key.expose().to_owned();
    Arc::new(move || {
        let text = match &file {
            Some(path) => novagate_system::read_secret_file(path.as_ref())?,
            None => fixed.clone().into(),
        };
        GatewayKey::parse(text.trim_end_matches(['\n', '\r'])).map_err(BoxError::from)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_done_each_minute_begins_at_once_and_ends_with_the_program() {
        let (stop, count) = (CancellationToken::new(), AtomicU32::new(0));
        let work = each_minute(stop.clone(), || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let story = async {
            for (seconds, times) in [(1, 1), (58, 1), (2, 2), (60, 3), (600, 13)] {
                tokio::time::advance(Duration::from_secs(seconds)).await;
                tokio::task::yield_now().await;
                assert!(count.load(Ordering::Relaxed) <= times);
            }
            stop.cancel();
        };
        tokio::join!(work, story);
        assert_eq!(count.load(Ordering::Relaxed), 13);
    }
}
