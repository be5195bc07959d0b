//! The gateway's metrics, as `interfaces` names them.

use std::sync::Arc;

use novagate_kernel::Revision;
use novagate_ports_edge::{ContentEvent, MetricSource, MetricVisitor, UpstreamEvent};
use novagate_records::{LATENCY_BOUNDS_US, LATENCY_CELLS, MethodLabel, StatusClass};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::{Exporter, MetricsError, Sample, Series};

/// What the gateway knows of itself beside its workers' cells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GatewayGauges {
    /// What it serves.
    pub revision: Option<Revision>,
    /// How long the newest configuration took to compile, seconds.
    pub apply_seconds: Option<f64>,
    /// Whether the link to the control plane stands.
    pub connected: bool,
    /// Telemetry records waiting for confirmation.
    pub spool_records: u64,
    /// Telemetry records lost since start.
    pub dropped_records: u64,
    /// Limit decisions made without the shared counter, since start.
    pub limit_errors: u64,
}

type Read = Arc<dyn Fn() -> GatewayGauges + Send + Sync>;

/// Registers every metric of a gateway.
pub fn register_gateway(
    exporter: &Exporter,
    cells: &Arc<dyn MetricSource>,
    read: impl Fn() -> GatewayGauges + Send + Sync + 'static,
) -> Result<(), MetricsError> {
    let read: Read = Arc::new(read);
    register_counters(exporter, cells);
    register_gauges(exporter, cells, &read);
    let histogram = |kind, name, help| CellHistogram::new(Arc::clone(cells), kind, name, help);
    exporter.collector(histogram(
        HistogramKind::Request,
        "http_request_duration_seconds",
        "Time from a request's head to the last byte of its answer.",
    )?)?;
    exporter.collector(histogram(
        HistogramKind::Upstream,
        "upstream_request_duration_seconds",
        "Time from the upstream request to the upstream's response head.",
    )?)
}

fn register_counters(exporter: &Exporter, cells: &Arc<dyn MetricSource>) {
    let source = Arc::clone(cells);
    exporter.counter(
        Series::PerRoute,
        "http_requests_total",
        "Requests by route, method and class of status.",
        move |observe| {
            source.visit(&mut Requests(observe));
        },
    );
    let source = Arc::clone(cells);
    exporter.counter(
        Series::PerService,
        "upstream_timeouts_total",
        "Upstream requests that got no response head in time.",
        move |observe| {
            source.visit(&mut Timeouts(observe));
        },
    );
    for event in UpstreamEvent::ALL {
        let (source, (name, help)) = (Arc::clone(cells), family(event));
        exporter.counter(Series::PerService, name, help, move |observe| source.visit(&mut Events(event, observe)));
    }
    for event in ContentEvent::ALL {
        let (source, (name, help)) = (Arc::clone(cells), content_family(event));
        exporter.counter(Series::Few, name, help, move |observe| source.visit(&mut Contents(event, observe)));
    }
    let source = Arc::clone(cells);
    exporter.counter(
        Series::Few,
        "rate_limit_hits_total",
        "Requests refused by a rate limit, by tier.",
        move |observe| {
            source.visit(&mut LimitHits(observe));
        },
    );
}

fn register_gauges(exporter: &Exporter, cells: &Arc<dyn MetricSource>, read: &Read) {
    let source = Arc::clone(cells);
    exporter.gauge("active_connections", "Open client connections.", move |observe| {
        let mut connections = Connections(0);
        source.visit(&mut connections);
        observe((as_f64(connections.0), Vec::new()));
    });
    let source = Arc::clone(cells);
    exporter.gauge("active_websockets", "Open client connections that are WebSockets.", move |observe| {
        let mut websockets = WebSockets(0);
        source.visit(&mut websockets);
        observe((as_f64(websockets.0), Vec::new()));
    });
    let gauges = Arc::clone(read);
    exporter.gauge("config_revision", "Sequence number of the served configuration.", move |observe| {
        if let Some(revision) = gauges().revision {
            observe((as_f64(revision.seq), vec![("epoch", revision.epoch.to_string())]));
        }
    });
    let gauges = Arc::clone(read);
    exporter.gauge("config_apply_seconds", "Time the served configuration took to compile.", move |observe| {
        if let Some(seconds) = gauges().apply_seconds {
            observe((seconds, Vec::new()));
        }
    });
    let gauges = Arc::clone(read);
    exporter.gauge("control_plane_connected", "1 while the link to the control plane stands.", move |observe| {
        observe((f64::from(u8::from(gauges().connected)), Vec::new()));
    });
    let gauges = Arc::clone(read);
    exporter.gauge("telemetry_spool_records", "Telemetry records waiting for confirmation.", move |observe| {
        observe((as_f64(gauges().spool_records), Vec::new()));
    });
    let gauges = Arc::clone(read);
    exporter.counter(
        Series::Few,
        "telemetry_dropped_total",
        "Telemetry records lost on this gateway.",
        move |observe| {
            observe((gauges().dropped_records, Vec::new()));
        },
    );
    let gauges = Arc::clone(read);
    exporter.counter(
        Series::Few,
        "rate_limit_errors_total",
        "Limit decisions made without the shared counter.",
        move |observe| {
            observe((gauges().limit_errors, Vec::new()));
        },
    );
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles; counts stay far below 2^53")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

struct Requests<'a>(&'a mut dyn FnMut(Sample<u64>));

impl MetricVisitor for Requests<'_> {
    fn requests(&mut self, route: &str, method: MethodLabel, status: StatusClass, count: u64) {
        let word = |text: &str| text.to_owned();
        let labels = vec![("method", word(method.as_str())), ("route", word(route)), ("status", word(status.as_str()))];
        (self.0)((count, labels));
    }
}

struct Timeouts<'a>(&'a mut dyn FnMut(Sample<u64>));

impl MetricVisitor for Timeouts<'_> {
    fn upstream_timeouts(&mut self, service: &str, count: u64) {
        (self.0)((count, vec![("service", service.to_owned())]));
    }
}

struct Events<'a>(UpstreamEvent, &'a mut dyn FnMut(Sample<u64>));

impl MetricVisitor for Events<'_> {
    fn upstream_events(&mut self, service: &str, event: UpstreamEvent, count: u64) {
        if event == self.0 {
            (self.1)((count, vec![("service", service.to_owned())]));
        }
    }
}

/// The name of an event's family, and what it counts.
const fn family(event: UpstreamEvent) -> (&'static str, &'static str) {
    match event {
        UpstreamEvent::Retry => ("upstream_retries_total", "Requests that were tried again."),
        UpstreamEvent::RetryOverBudget => {
            ("upstream_retries_over_budget_total", "Requests not tried again because too many were.")
        }
        UpstreamEvent::Hedge => ("upstream_hedges_total", "Requests that went to another target too."),
        UpstreamEvent::HedgeWon => ("upstream_hedges_won_total", "Requests that another target has answered first."),
        UpstreamEvent::Ejection => ("upstream_ejections_total", "Targets that were ejected."),
        UpstreamEvent::CircuitOpen => ("upstream_circuit_open_total", "Requests refused by a circuit breaker."),
        UpstreamEvent::TlsFailure => {
            ("upstream_tls_failures_total", "Connections to upstreams on which TLS was not agreed.")
        }
    }
}

struct Contents<'a>(ContentEvent, &'a mut dyn FnMut(Sample<u64>));

impl MetricVisitor for Contents<'_> {
    fn contents(&mut self, event: ContentEvent, coding: &'static str, count: u64) {
        if event == self.0 {
            (self.1)((count, vec![("coding", coding.to_owned())]));
        }
    }
}

/// The name of an event's family, and what it counts.
const fn content_family(event: ContentEvent) -> (&'static str, &'static str) {
    match event {
        ContentEvent::Compressed => ("compressed_responses_total", "Responses that were compressed, by coding."),
        ContentEvent::CompressedFrom => ("compression_in_bytes_total", "Bytes of responses that were compressed."),
        ContentEvent::CompressedTo => ("compression_out_bytes_total", "What they were compressed to, in bytes."),
        ContentEvent::LeftOut => ("compression_left_out_total", "Responses not compressed because too many were."),
        ContentEvent::Decoded => ("decompressed_requests_total", "Requests with a body that was decoded, by coding."),
        ContentEvent::DecodedFrom => ("decompression_in_bytes_total", "Bytes of bodies that were decoded."),
        ContentEvent::DecodedTo => ("decompression_out_bytes_total", "What they were decoded to, in bytes."),
    }
}

struct LimitHits<'a>(&'a mut dyn FnMut(Sample<u64>));

impl MetricVisitor for LimitHits<'_> {
    fn rate_limit_hits(&mut self, tier: &'static str, count: u64) {
        (self.0)((count, vec![("tier", tier.to_owned())]));
    }
}

struct Connections(u64);

impl MetricVisitor for Connections {
    fn active_connections(&mut self, count: u64) {
        self.0 = self.0.saturating_add(count);
    }
}

struct WebSockets(u64);

impl MetricVisitor for WebSockets {
    fn active_websockets(&mut self, count: u64) {
        self.0 = self.0.saturating_add(count);
    }
}

#[derive(Clone, Copy)]
enum HistogramKind {
    Request,
    Upstream,
}

/// A histogram family built from the workers' cells at each scrape.
struct CellHistogram {
    cells: Arc<dyn MetricSource>,
    kind: HistogramKind,
    name: &'static str,
    help: &'static str,
    desc: Desc,
}

impl CellHistogram {
    fn new(
        cells: Arc<dyn MetricSource>,
        kind: HistogramKind,
        name: &'static str,
        help: &'static str,
    ) -> Result<Self, MetricsError> {
        let labels: &[&str] = match kind {
            HistogramKind::Request => &["method", "route"],
            HistogramKind::Upstream => &["service"],
        };
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, std::collections::HashMap::new())?;
        Ok(Self { cells, kind, name, help, desc })
    }
}

impl Collector for CellHistogram {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut visitor = Histograms { kind: self.kind, metrics: Vec::new() };
        self.cells.visit(&mut visitor);
        if visitor.metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(visitor.metrics);
        vec![family]
    }
}

struct Histograms {
    kind: HistogramKind,
    metrics: Vec<Metric>,
}

impl MetricVisitor for Histograms {
    fn latency(&mut self, route: &str, method: MethodLabel, cells: &[u64; LATENCY_CELLS], sum_us: u64) {
        if matches!(self.kind, HistogramKind::Request) {
            self.metrics.push(histogram(&[("method", method.as_str()), ("route", route)], cells, sum_us));
        }
    }

    fn upstream(&mut self, service: &str, cells: &[u64; LATENCY_CELLS], sum_us: u64) {
        if matches!(self.kind, HistogramKind::Upstream) {
            self.metrics.push(histogram(&[("service", service)], cells, sum_us));
        }
    }
}

fn histogram(labels: &[(&str, &str)], cells: &[u64; LATENCY_CELLS], sum_us: u64) -> Metric {
    let mut cumulative = 0;
    let mut buckets = Vec::with_capacity(LATENCY_BOUNDS_US.len());
    for (bound, count) in LATENCY_BOUNDS_US.iter().zip(cells) {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(f64::from(*bound) / 1e6);
        bucket.set_cumulative_count(cumulative);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(cells.iter().sum());
    histogram.set_sample_sum(as_f64(sum_us) / 1e6);
    let pair = |&(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut metric = Metric::from_label(labels.iter().map(pair).collect());
    metric.set_histogram(histogram);
    metric
}

#[cfg(test)]
mod tests {
    use novagate_kernel::Epoch;

    use super::*;

    /// Cells of one route after three requests.
    struct Cells;

    impl MetricSource for Cells {
        fn visit(&self, visitor: &mut dyn MetricVisitor) {
            let mut cells = [0; LATENCY_CELLS];
            cells[1] = 2;
            cells[LATENCY_CELLS - 1] = 1;
            visitor.requests("*/users/{id}", MethodLabel::Get, StatusClass::Success, 3);
            visitor.latency("*/users/{id}", MethodLabel::Get, &cells, 40_000_000);
            visitor.upstream("users", &cells, 40_000_000);
            visitor.upstream_timeouts("users", 4);
            for event in UpstreamEvent::ALL {
                visitor.upstream_events("users", event, 20 + event.index() as u64);
            }
            visitor.rate_limit_hits("unauth", 5);
            visitor.active_connections(6);
            visitor.active_connections(1);
            visitor.active_websockets(2);
            for (event, count) in ContentEvent::ALL.into_iter().zip(31..) {
                visitor.contents(event, "br", count);
            }
        }
    }

    fn rendered() -> String {
        let exporter = Exporter::new().unwrap();
        let cells: Arc<dyn MetricSource> = Arc::new(Cells);
        let revision = Revision { epoch: Epoch::try_from_u64(9).unwrap(), seq: 12 };
        let gauges = GatewayGauges {
            revision: Some(revision),
            apply_seconds: Some(0.25),
            connected: true,
            spool_records: 7,
            dropped_records: 8,
            limit_errors: 0,
        };
        register_gateway(&exporter, &cells, move || gauges).unwrap();
        exporter.render().unwrap()
    }

    #[test]
    fn every_documented_metric_is_exposed_under_its_exact_name() {
        let text = rendered();
        let lines = [
            "http_requests_total{method=\"GET\",route=\"*/users/{id}\",status=\"2xx\"} 3",
            "http_request_duration_seconds_bucket{method=\"GET\",route=\"*/users/{id}\",le=\"0.00025\"} 2",
            "http_request_duration_seconds_bucket{method=\"GET\",route=\"*/users/{id}\",le=\"+Inf\"} 3",
            "http_request_duration_seconds_sum{method=\"GET\",route=\"*/users/{id}\"} 40",
            "upstream_request_duration_seconds_count{service=\"users\"} 3",
            "upstream_timeouts_total{service=\"users\"} 4",
            "upstream_retries_total{service=\"users\"} 20",
            "upstream_retries_over_budget_total{service=\"users\"} 21",
            "upstream_hedges_total{service=\"users\"} 22",
            "upstream_hedges_won_total{service=\"users\"} 23",
            "upstream_ejections_total{service=\"users\"} 24",
            "upstream_circuit_open_total{service=\"users\"} 25",
            "upstream_tls_failures_total{service=\"users\"} 26",
            "rate_limit_hits_total{tier=\"unauth\"} 5",
            "rate_limit_errors_total 0",
            "active_connections 7",
            "active_websockets 2",
            "compressed_responses_total{coding=\"br\"} 31",
            "compression_in_bytes_total{coding=\"br\"} 32",
            "compression_out_bytes_total{coding=\"br\"} 33",
            "compression_left_out_total{coding=\"br\"} 34",
            "decompressed_requests_total{coding=\"br\"} 35",
            "decompression_in_bytes_total{coding=\"br\"} 36",
            "decompression_out_bytes_total{coding=\"br\"} 37",
            "config_revision{epoch=\"9\"} 12",
            "config_apply_seconds 0.25",
            "control_plane_connected 1",
            "telemetry_spool_records 7",
            "telemetry_dropped_total 8",
        ];
        for line in lines {
            assert!(text.lines().any(|found| found == line), "missing {line} in:\n{text}");
        }
    }

    #[test]
    fn nothing_but_the_documented_families_is_exposed() {
        let text = rendered();
        assert!(!text.contains("otel_") && !text.contains("target_info"), "{text}");
    }
}
