//! What the gateway tells its operators.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use novagate_edge_core::{Edge, EdgeStatus};
use novagate_http_edge::EdgeHandle;
use novagate_http_ops::OpsSource;
use novagate_kernel::NodeId;
use novagate_policies::CompiledService;
use novagate_sync_client::LinkStatus;
use novagate_telemetry::{Exporter, GatewayGauges, MetricsError, Series, register_gateway};
use serde_json::{Value, json};

/// Services that `/status` tells of.
const MAX_UPSTREAMS: usize = 100;

/// Health, readiness and metrics of a gateway.
pub(crate) struct GatewayOps {
    exporter: Exporter,
    edge: Edge,
    plane: Arc<EdgeHandle>,
    node: NodeId,
    stopping: Arc<AtomicBool>,
}

/// A counter of the workers: name, meaning, how to read it.
type Counter = (&'static str, &'static str, fn(&EdgeHandle) -> u64);

/// What the workers count beside requests.
const COUNTERS: [Counter; 7] = [
    ("request_panics_total", "Requests and connections lost to a panic.", EdgeHandle::panics),
    ("tls_handshake_failures_total", "Connections on which TLS was not agreed.", EdgeHandle::tls_failures),
    ("connections_turned_away_total", "Connections that were one too many.", EdgeHandle::turned_away),
    (
        "proxy_header_failures_total",
        "Connections without the PROXY header that they had to begin with.",
        EdgeHandle::proxy_header_failures,
    ),
    ("requests_shed_total", "Requests refused because the worker was late.", EdgeHandle::requests_shed),
    ("mirror_left_out_total", "Copies of requests for a mirror that were not made.", EdgeHandle::mirrors_left_out),
    ("mirror_failures_total", "Copies of requests for a mirror without an answer.", EdgeHandle::mirrors_failed),
];

impl GatewayOps {
    pub(crate) fn new(
        edge: Edge,
        plane: Arc<EdgeHandle>,
        node: NodeId,
        link: LinkStatus,
        dropped: Arc<AtomicU64>,
        limit_errors: Arc<AtomicU64>,
        stopping: Arc<AtomicBool>,
    ) -> Result<Self, MetricsError> {
        let exporter = Exporter::new()?;
        let (source, records) = (edge.clone(), plane.record_source());
        register_gateway(&exporter, &plane.metric_source(), move || {
            let status = source.status();
            GatewayGauges {
                revision: status.serving.map(|head| head.revision),
                apply_seconds: status.compile.map(|compile| compile.as_secs_f64()),
                connected: status.connected,
                spool_records: link.spooled_records(),
                dropped_records: link.dropped_total() + records.dropped() + dropped.load(Ordering::Relaxed),
                limit_errors: limit_errors.load(Ordering::Relaxed),
            }
        })?;
        for (name, help, read) in COUNTERS {
            let plane = Arc::clone(&plane);
            exporter.counter(Series::Few, name, help, move |observe| observe((read(&plane), Vec::new())));
        }
        Ok(Self { exporter, edge, plane, node, stopping })
    }

    /// Services with targets that are not all well and used alike, with a bound on their requests, or with TLS files that
    /// cannot be used; at most so many that a person can read them.
    fn upstreams(&self) -> Vec<Value> {
        let Some(live) = self.edge.live() else { return Vec::new() };
        let health = self.plane.upstream_health();
        let told = |service: &Arc<CompiledService>| {
            let state = health.state(service.id)?;
            let ejected = state.ejected.iter().map(|(url, rest)| {
                json!({ "url": url.to_string(), "returnsInMs": u64::try_from(rest.as_millis()).unwrap_or(u64::MAX) })
            });
            let is_usual = state.healthy == state.total && state.warming == 0 && !state.own_zone_only;
            let is_plain = is_usual && state.running.is_none() && state.tls_problem.is_none();
            (!is_plain).then(|| {
                json!({
                    "service": service.name.as_str(),
                    "targets": state.total,
                    "healthy": state.healthy,
                    "ejected": ejected.collect::<Vec<_>>(),
                    "slowStarting": state.warming,
                    "ownZoneOnly": state.own_zone_only,
                    "panics": state.panics,
                    "runningRequests": state.running,
                    "tlsProblem": state.tls_problem.as_deref(),
                    "maxRequests": service.resilience.circuit_breaker.map(|rule| rule.max_requests),
                    "openConnections": state.connections,
                    "maxConnections": service.resilience.circuit_breaker.and_then(|rule| rule.max_connections),
                })
            })
        };
        live.services().iter().filter_map(told).take(MAX_UPSTREAMS).collect()
    }

    fn config(status: &EdgeStatus) -> Value {
        match status.serving {
            None => Value::Null,
            Some(head) => json!({
                "epoch": head.revision.epoch.get(),
                "seq": head.revision.seq,
                "digest": head.digest.to_string(),
            }),
        }
    }
}

impl OpsSource for GatewayOps {
    fn health(&self) -> Value {
        let status = self.edge.status();
        json!({
            "status": if status.serving.is_some() { "ok" } else { "waiting" },
            "controlPlaneConnected": status.connected,
            "controlPlaneRefused": status.refused.map(|code| format!("{code:?}")),
            "configSource": status.source.as_str(),
            "config": Self::config(&status),
            "uptimeSeconds": status.uptime.as_secs(),
        })
    }

    fn ready(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("it is stopping".to_owned());
        }
        match self.edge.status().serving {
            Some(_) => Ok(()),
            None => Err("no configuration yet".to_owned()),
        }
    }

    fn metrics(&self) -> Result<String, String> {
        self.exporter.render().map_err(|error| error.to_string())
    }

    fn status(&self) -> Value {
        let status = self.edge.status();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "nodeId": self.node.to_string(),
            "config": Self::config(&status),
            "configSource": status.source.as_str(),
            "configSince": status.serving_since.map(novagate_documents::time::format_timestamp),
            "compileMicros": status.compile.map(|compile| compile.as_micros()),
            "snapshotFailures": status.snapshot_failures,
            "controlPlaneConnected": status.connected,
            "controlPlaneSince": novagate_documents::time::format_timestamp(status.link_since),
            "controlPlaneRefused": status.refused.map(|code| format!("{code:?}")),
            "upstreams": self.upstreams(),
            "activeConnections": self.plane.active_connections(),
            "uptimeSeconds": status.uptime.as_secs(),
        })
    }
}
