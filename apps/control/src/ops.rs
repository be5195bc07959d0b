//! What the control plane tells its operators.

use std::sync::Arc;

use novagate_http_ops::OpsSource;
use novagate_kernel::Timestamp;
use novagate_net::Tasks;
use novagate_ports_base::Clock;
use novagate_sync_hub::HubState;
use novagate_telemetry::{Exporter, MetricsError, Series};
use serde_json::{Value, json};

/// Health, readiness and metrics of a control plane.
pub(crate) struct ControlOps {
    exporter: Exporter,
    hub: Arc<HubState>,
    tasks: Tasks,
    clock: Arc<dyn Clock>,
    started: Timestamp,
}

impl ControlOps {
    pub(crate) fn new(hub: Arc<HubState>, tasks: Tasks, clock: Arc<dyn Clock>) -> Result<Self, MetricsError> {
        let exporter = Exporter::new()?;
        let sessions = Arc::clone(&hub);
        exporter.gauge("gateway_sessions", "Connected gateways.", move |observe| {
            observe((count(sessions.session_count()), Vec::new()));
        });
        let waking = Arc::clone(&hub);
        let help = "Times that wake-ups of other control nodes may have been lost; every session compared then.";
        exporter.counter(Series::Few, "wakeups_lost_total", help, move |observe| {
            observe((waking.stats().lost_wakes, Vec::new()));
        });
        let counted = tasks.clone();
        exporter.counter(Series::Few, "task_panics_total", "Tasks that ended in a panic.", move |observe| {
            observe((counted.panics(), Vec::new()));
        });
        let started = clock.now();
        Ok(Self { exporter, hub, tasks, clock, started })
    }
}

impl OpsSource for ControlOps {
    fn health(&self) -> Value {
        json!({ "status": "ok", "uptimeSeconds": self.clock.now().since(self.started).as_secs() })
    }

    fn ready(&self) -> Result<(), String> {
        if self.tasks.soft().is_cancelled() { Err("it is stopping".to_owned()) } else { Ok(()) }
    }

    fn metrics(&self) -> Result<String, String> {
        self.exporter.render().map_err(|error| error.to_string())
    }

    fn status(&self) -> Value {
        json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeSeconds": self.clock.now().since(self.started).as_secs(),
            "gatewaySessions": self.hub.session_count(),
            "tasks": self.tasks.running(),
            "taskPanics": self.tasks.panics(),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles; sessions stay far below 2^53")]
const fn count(sessions: usize) -> f64 {
    sessions as f64
}
