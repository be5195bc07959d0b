//! Logs and metrics of both programs: diagnostics through `tracing`, request logs as JSON lines, metrics through
//! OpenTelemetry into one Prometheus registry.
//!
//! Always: a last line of defence blacks out keys, tokens and addresses in diagnostics; metric labels are routes' templates
//! and words of registries. Not here: what is measured (`ports/edge`), who asks (`adapters/http-ops`).

mod edge_metrics;
mod exporter;
mod logs;
mod redact;
mod request_log;

pub use self::{
    edge_metrics::{GatewayGauges, register_gateway},
    exporter::{Exporter, MetricsError, Sample, Series},
    logs::{LogFormat, LogLevel, install},
    redact::redact,
    request_log::StdoutRequestLog,
};
