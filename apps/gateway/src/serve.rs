//! Starting, serving, stopping.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use novagate_disk::{DataDir, DiskSnapshots};
use novagate_documents::{frames::JsonBatchCodec, stored::JsonObjectCodec};
use novagate_edge_core::{Edge, EdgeDeps, Recorder, RecorderDeps};
use novagate_http_edge::EdgeHandle;
use novagate_kernel::Head;
use novagate_net::{
    HttpLimits, HttpListener, Resolver, ResolverFiles, Tasks, bind, bind_shared, serve_http, share_socket,
};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::{SnapshotStore, TelemetryItem};
use novagate_settings::{ConfigOrigin, GatewaySettings};
use novagate_sync::ConfigSet;
use novagate_sync_client::LinkStatus;
use novagate_system::{OsEntropy, PassedListeners, SystemClock};
use novagate_telemetry::StdoutRequestLog;
use tokio::sync::{mpsc, oneshot};

use crate::fleet::{Counting, Fleet, counting};
use crate::{StartError, file, link, manager, ops::GatewayOps, plane};

/// Telemetry batches that may wait for the link.
const UPLINK_QUEUE: usize = 256;

/// A gateway that serves.
pub struct RunningGateway {
    /// Where traffic is taken.
    pub addr: SocketAddr,
    /// Where operators look.
    pub admin_addr: SocketAddr,
    edge: Edge,
    plane: Arc<EdgeHandle>,
    tasks: Tasks,
    recorder_stop: oneshot::Sender<()>,
    recorder_done: oneshot::Receiver<()>,
    stopping: Arc<AtomicBool>,
    drain: Duration,
}

/// Starts a gateway on the current runtime. It serves its kept configuration before it dials. Sockets that were passed take
/// the place of those that the settings name.
pub async fn start(settings: GatewaySettings, passed: PassedListeners) -> Result<RunningGateway, StartError> {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(SystemClock), Arc::new(OsEntropy));
    manager::provide_descriptors(settings.limits.max_connections);
    // Addresses first: a taken port is known before anything is made.
    let (listeners, admin) = listen(&settings, passed)?;
    let data_dir = Arc::new(DataDir::open(&settings.data_dir)?);
    let node = data_dir.node_id(entropy.as_ref())?;
    let tenant = match &settings.origin {
        ConfigOrigin::ControlPlane(control) => Some(control.api_key.tenant()),
        ConfigOrigin::File(_) => None,
    };
    let fleet = settings.fleet.as_ref().map(|fleet| Fleet::open(fleet, &entropy)).transpose()?;
    let live = Arc::new(ArcSwapOption::empty());
    let tasks = Tasks::new();
    let edge = Edge::new(EdgeDeps {
        live: Arc::clone(&live),
        codec: Arc::new(JsonObjectCodec),
        snapshots: snapshots(data_dir, fleet.as_ref().filter(|_| tenant.is_some()), &tasks)?,
        clock: Arc::clone(&clock),
        tenant,
        max_config_age: settings.max_config_age,
    });
    let serving = first_config(&edge, &settings.origin).await?;
    let own = admin.local_addr().into_iter().collect();
    let Counting { counters, driver, errors } = counting(settings.rate_limit.mode, fleet.as_ref(), node, &clock);
    let resolver = Resolver::new(ResolverFiles::default())?;
    let parts = plane::PlaneStart { listeners, own, live, counters, resolver: resolver.clone() };
    let plane = Arc::new(plane::start(&settings, parts, &tasks, Arc::clone(&clock), Arc::clone(&entropy))?);
    manager::watch(&plane, &tasks);
    if let Some(driver) = driver {
        tasks.spawn("fleet-counting", tasks.soft().run_until_cancelled_owned(driver.run()));
    }
    let (uplink, batches) = mpsc::channel(UPLINK_QUEUE);
    let (drain, addr) = (settings.limits.drain, plane.local_addr());
    let (uplink, gauges) = match settings.origin {
        ConfigOrigin::File(_) => (None, LinkStatus::default()),
        ConfigOrigin::ControlPlane(control) => {
            let start = link::LinkStart { control, resolver, node, labels: settings.labels, serving, batches };
            (Some(uplink), link::start(start, &edge, &clock, &entropy, &tasks)?)
        }
    };
    let recorder = recorder(&edge, &plane, uplink, &clock);
    let stopping = Arc::new(AtomicBool::new(false));
    let (dropped, stops) = (recorder.dropped(), Arc::clone(&stopping));
    let ops = GatewayOps::new(edge.clone(), Arc::clone(&plane), node, gauges, dropped, errors, stops);
    let ops = novagate_http_ops::router(Arc::new(ops.map_err(|error| StartError::Internal(error.to_string()))?));
    let listener = HttpListener { name: "gateway-admin", socket: admin, tls: None };
    let admin_addr = serve_http(listener, ops, HttpLimits::default(), &tasks)
        .map_err(|error| StartError::Internal(format!("the admin listener does not start: {error}")))?;
    let (recorder_stop, stop) = oneshot::channel();
    let (done, recorder_done) = oneshot::channel();
    tasks.spawn("recorder", record(recorder, edge.clone(), stop, done));
    tracing::info!(%addr, %admin_addr, %node, "the gateway serves");
    Ok(RunningGateway { addr, admin_addr, edge, plane, tasks, recorder_stop, recorder_done, stopping, drain })
}

impl RunningGateway {
    /// Waits until the gateway serves `head`; `false` when it does not within `limit`.
    pub async fn serves_within(&self, head: Head, limit: Duration) -> bool {
        let poll = async {
            while self.edge.status().serving != Some(head) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(limit, poll).await.is_ok()
    }

    /// Not ready any more, then no new connections, then what runs is finished within `DRAIN_MS`, then the last records
    /// are written and sent.
    pub async fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        let cut = self.plane.drain(self.drain).await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut at the end of DRAIN_MS");
        }
        if self.recorder_stop.send(()).is_ok() && self.recorder_done.await.is_err() {
            tracing::warn!("the last records were not written");
        }
        let drained = self.tasks.shutdown(self.drain).await;
        if drained.aborted > 0 || drained.stuck > 0 {
            tracing::warn!(aborted = drained.aborted, stuck = drained.stuck, "not everything finished in time");
        }
    }
}

/// The sockets of the workers, and the operators' one.
fn listen(settings: &GatewaySettings, passed: PassedListeners) -> Result<(Vec<TcpListener>, TcpListener), StartError> {
    let listeners = match passed.data {
        Some(socket) => share_socket(&socket, settings.workers, "LISTEN_FDS")?,
        None => bind_shared(settings.listen, settings.workers, "PORT")?,
    };
    let admin = match passed.admin {
        Some(socket) => socket,
        None => bind(settings.admin_addr, "ADMIN_ADDR")?,
    };
    Ok((listeners, admin))
}

/// On the disk; and once more for the fleet, when there is one that a control plane configures.
fn snapshots(
    data_dir: Arc<DataDir>,
    fleet: Option<&Fleet>,
    tasks: &Tasks,
) -> Result<Arc<dyn SnapshotStore>, StartError> {
    let disk = Arc::new(DiskSnapshots::new(data_dir));
    let Some(fleet) = fleet else { return Ok(disk) };
    let (snapshots, writer) = fleet.snapshots(disk)?;
    tasks.spawn("cache-writer", tasks.soft().run_until_cancelled_owned(writer.run()));
    Ok(snapshots)
}

/// What is served before anything is dialled.
async fn first_config(edge: &Edge, origin: &ConfigOrigin) -> Result<Option<ConfigSet>, StartError> {
    match origin {
        ConfigOrigin::File(path) => {
            serve_file(edge, path)?;
            Ok(None)
        }
        ConfigOrigin::ControlPlane(_) => {
            let start = edge.cold_start().await;
            let start = start.map_err(|error| StartError::Setting(format!("DATA_DIR: {error}: {}", error.source)))?;
            for slot in &start.quarantined {
                tracing::warn!(slot = slot.slot, reason = slot.reason, "a kept configuration was set aside");
            }
            Ok(start.config)
        }
    }
}

fn serve_file(edge: &Edge, path: &Path) -> Result<(), StartError> {
    edge.serve_file(&file::read(path)?).map_err(|faults| file::object_faults(path, &faults))
}

fn recorder(
    edge: &Edge,
    plane: &EdgeHandle,
    uplink: Option<mpsc::Sender<TelemetryItem>>,
    clock: &Arc<dyn Clock>,
) -> Recorder {
    Recorder::new(
        edge.clone(),
        RecorderDeps {
            records: plane.record_source(),
            metrics: plane.metric_source(),
            upstreams: plane.upstream_health(),
            sink: Arc::new(StdoutRequestLog::default()),
            codec: Arc::new(JsonBatchCodec),
            uplink,
            clock: Arc::clone(clock),
        },
    )
}

/// Takes records until the workers have ended, then the last ones.
async fn record(mut recorder: Recorder, edge: Edge, mut stop: oneshot::Receiver<()>, done: oneshot::Sender<()>) {
    loop {
        tokio::select! {
            _ = &mut stop => break,
            () = tokio::time::sleep(recorder.pause()) => {
                recorder.turn();
                edge.enforce_age();
            }
        }
    }
    recorder.finish();
    // Nobody waits any more when the program was told twice to stop.
    let _ = done.send(());
}
