//! Listening, serving, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use novagate_control_core::Control;
use novagate_http_admin::{AdminOptions, AdminState};
use novagate_net::{HttpLimits, HttpListener, Tasks, bind, serve_http};
use novagate_settings::ControlSettings;
use novagate_store_sql::SqlStore;
use novagate_sync_hub::HubState;

use crate::{Built, StartError, World, build, ops::ControlOps, tls};

/// How long telemetry is kept.
const RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long a gateway is known without a sign of life.
const SILENCE: Duration = Duration::from_hours(24);
/// How often old telemetry and silent gateways are looked for.
const RETENTION_TURN: Duration = Duration::from_hours(1);

/// A control plane that serves.
pub struct RunningControl {
    /// Where API and sync listen.
    pub addr: SocketAddr,
    /// Where operators look.
    pub ops_addr: SocketAddr,
    /// The use cases, for a program that seeds data.
    pub control: Control,
    tasks: Tasks,
    store: Arc<SqlStore>,
    drain: Duration,
}

/// Starts a control plane on the current runtime.
pub async fn start(settings: &ControlSettings) -> Result<RunningControl, StartError> {
    let world = World::default();
    // Addresses first: a taken port is known before anything is made.
    let public = bind(settings.listen, "LISTEN_ADDR")?;
    let private = bind(settings.ops_addr, "OPS_ADDR")?;
    let (listener, shown) = tls::listener(settings, public, world.clock.as_ref())?;
    let tasks = Tasks::new();
    let Built { control, mail, store } = build(settings, &world, &tasks).await?;
    let hub = HubState::start(Arc::new(control.clone()), Arc::clone(&world.clock), Arc::clone(&world.entropy), &tasks)
        .await
        .map_err(|error| StartError::Internal(format!("the sync hub does not start: {error}")))?;
    let admin = AdminState {
        accounts: Arc::new(control.clone()),
        config: Arc::new(control.clone()),
        fleet: Arc::new(control.clone()),
        insight: Arc::new(control.clone()),
        idempotency: Arc::clone(&store) as _,
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy),
        options: Arc::new(AdminOptions {
            trusted_proxies: settings.trusted_proxies.clone(),
            ..AdminOptions::default()
        }),
    };
    let public_paths = novagate_http_admin::router(admin).merge(novagate_sync_hub::router(Arc::clone(&hub)));
    let ops = ControlOps::new(hub, tasks.clone(), Arc::clone(&world.clock));
    let ops = novagate_http_ops::router(Arc::new(ops.map_err(|error| StartError::Internal(error.to_string()))?));
    let addr =
        serve_http(listener, public_paths, HttpLimits::default(), &tasks).map_err(|error| unstartable(&error))?;
    let listener = HttpListener { name: "control-ops", socket: private, tls: None };
    let ops_addr = serve_http(listener, ops, HttpLimits::default(), &tasks).map_err(|error| unstartable(&error))?;
    let stop = tasks.soft();
    tasks.spawn("mail", mail.run_until(async move { stop.cancelled().await }));
    if let Some(shown) = shown {
        tasks.spawn("certificate", tls::renew(shown, Arc::clone(&world.clock), tasks.clone()));
    }
    tasks.spawn("retention", retention(control.clone(), tasks.clone()));
    tracing::info!(%addr, %ops_addr, "the control plane serves");
    Ok(RunningControl { addr, ops_addr, control, tasks, store, drain: settings.drain })
}

impl RunningControl {
    /// Finishes what runs, within `DRAIN_MS`, and closes the storage.
    pub async fn stop(self) {
        let drained = self.tasks.shutdown(self.drain).await;
        if drained.aborted > 0 || drained.stuck > 0 {
            tracing::warn!(aborted = drained.aborted, stuck = drained.stuck, "not everything finished in time");
        }
        self.store.close().await;
    }

    /// Cancels what runs at once: for a second signal.
    pub fn abort(&self) -> impl Fn() + Send + 'static {
        let hard = self.tasks.hard();
        move || hard.cancel()
    }
}

async fn retention(control: Control, tasks: Tasks) {
    let mut turns = tokio::time::interval(RETENTION_TURN);
    let stop = tasks.soft();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        match control.prune_telemetry(RETENTION).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old telemetry was removed"),
            Err(error) => tracing::warn!(error = %error, cause = %error.source, "old telemetry was not removed"),
        }
        match control.forget_silent_nodes(SILENCE).await {
            Ok(0) => {}
            Ok(nodes) => tracing::info!(nodes, "silent gateways were forgotten"),
            Err(error) => tracing::warn!(error = %error, cause = %error.source, "silent gateways were not forgotten"),
        }
    }
}

fn unstartable(error: &std::io::Error) -> StartError {
    StartError::Internal(format!("the listener does not start: {error}"))
}
