//! Records and metrics that the control thread pulls from the workers, and where they go.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use novagate_kernel::{BatchKind, ConsumerId, ErrorCode, Name, RequestId, ServiceId, Timestamp};
use novagate_records::{Batch, LATENCY_CELLS, MethodLabel, RequestRecord, StatusClass};
use novagate_routing::TargetUrl;

/// Request records of all workers. Contract: each record is drained once; the order is that of each worker; a full ring
/// loses the newest and counts it.
pub trait RecordSource: Send + Sync + 'static {
    /// Moves up to `max` records to the end of `into`.
    fn drain(&self, into: &mut Vec<RequestRecord>, max: usize);

    /// Records lost since start because nobody drained in time.
    fn dropped(&self) -> u64;
}

/// What happens between a gateway and a service beside requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// A request was tried again.
    Retry,
    /// A request was not tried again, or at another target too, because too many were already.
    RetryOverBudget,
    /// A request went to another target too because the first one was slow.
    Hedge,
    /// The other target's response came first.
    HedgeWon,
    /// A target was ejected.
    Ejection,
    /// A request was refused because too many ran already.
    CircuitOpen,
    /// A connection was not made because TLS was not agreed on, or could not be spoken for want of files.
    TlsFailure,
}

impl UpstreamEvent {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Retry,
        Self::RetryOverBudget,
        Self::Hedge,
        Self::HedgeWon,
        Self::Ejection,
        Self::CircuitOpen,
        Self::TlsFailure,
    ];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What becomes of contents and their codings; counted by coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEvent {
    /// A response was compressed.
    Compressed,
    /// Bytes of responses before they were compressed.
    CompressedFrom,
    /// The same afterwards.
    CompressedTo,
    /// A response was not compressed because too many were at the same time.
    LeftOut,
    /// A request's body was decoded.
    Decoded,
    /// Bytes of bodies before they were decoded.
    DecodedFrom,
    /// The same afterwards.
    DecodedTo,
}

impl ContentEvent {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Compressed,
        Self::CompressedFrom,
        Self::CompressedTo,
        Self::LeftOut,
        Self::Decoded,
        Self::DecodedFrom,
        Self::DecodedTo,
    ];

    /// Its place in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Receives metric values, cell by cell, of the kinds that it takes; route labels are `host-or-*` + template, or `unmatched`.
pub trait MetricVisitor {
    /// Requests of a route by method and status class, since start.
    fn requests(&mut self, _route: &str, _method: MethodLabel, _status: StatusClass, _count: u64) {}

    /// Latencies of a route by method, since start: counts per cell of `LATENCY_BOUNDS_US` (not cumulative) and their sum
    /// in microseconds.
    fn latency(&mut self, _route: &str, _method: MethodLabel, _cells: &[u64; LATENCY_CELLS], _sum_us: u64) {}

    /// Upstream latencies of a service, likewise.
    fn upstream(&mut self, _service: &str, _cells: &[u64; LATENCY_CELLS], _sum_us: u64) {}

    /// Upstream timeouts of a service.
    fn upstream_timeouts(&mut self, _service: &str, _count: u64) {}

    /// Events of a service, since start.
    fn upstream_events(&mut self, _service: &str, _event: UpstreamEvent, _count: u64) {}

    /// Requests refused by a limit; `tier` is `unauth`, `auth`, `consumer` or `route`.
    fn rate_limit_hits(&mut self, _tier: &'static str, _count: u64) {}

    /// Contents, or bytes of them, since start; `coding` is `zstd`, `br` or `gzip`.
    fn contents(&mut self, _event: ContentEvent, _coding: &'static str, _count: u64) {}

    /// Open client connections.
    fn active_connections(&mut self, _count: u64) {}

    /// Those of them that are WebSockets.
    fn active_websockets(&mut self, _count: u64) {}
}

/// Metric cells of all workers. Contract: a visit takes no lock that a request could wait for.
pub trait MetricSource: Send + Sync + 'static {
    /// Visits every cell that has ever counted.
    fn visit(&self, visitor: &mut dyn MetricVisitor);
}

/// How the upstream side of a service is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamState {
    /// Targets that are well.
    pub healthy: u16,
    /// All targets.
    pub total: u16,
    /// Those that are ejected, and for how long yet.
    pub ejected: Vec<(TargetUrl, Duration)>,
    /// Targets that are well and get less than their share yet: they have come, or come back, a short while ago.
    pub warming: u16,
    /// Enough targets in the gateway's zone are well: only they take traffic.
    pub own_zone_only: bool,
    /// So few are well that all take traffic.
    pub panics: bool,
    /// Requests that run, where their number has a bound.
    pub running: Option<u32>,
    /// Connections that are open, where their number has a bound.
    pub connections: Option<u32>,
    /// What keeps the files of its TLS from being used as they are now; names the file and nothing that is in it.
    pub tls_problem: Option<Arc<str>>,
}

/// Which upstream targets take traffic.
pub trait UpstreamHealth: Send + Sync + 'static {
    /// How a service of the live configuration is.
    fn state(&self, service: ServiceId) -> Option<UpstreamState>;

    /// Targets that are well, and all targets, of a service of the live configuration.
    fn targets(&self, service: ServiceId) -> Option<(u16, u16)> {
        self.state(service).map(|state| (state.healthy, state.total))
    }
}

/// A request as one structured log line: names resolved, still nothing personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest<'a> {
    /// When.
    pub at: Timestamp,
    /// Its `X-Request-ID`.
    pub request_id: RequestId,
    /// The method.
    pub method: MethodLabel,
    /// The route's template, or `unmatched`.
    pub path: &'a str,
    /// The route's name.
    pub route: Option<&'a Name>,
    /// The service's name.
    pub service: Option<&'a Name>,
    /// The status.
    pub status: u16,
    /// The whole exchange, microseconds.
    pub latency_us: u32,
    /// The upstream's share.
    pub upstream_us: Option<u32>,
    /// The consumer.
    pub consumer: Option<ConsumerId>,
    /// The code, when the gateway answered by itself.
    pub code: Option<ErrorCode>,
}

/// Writes request logs on this machine: structured JSON on stdout.
pub trait RecordSink: Send + Sync + 'static {
    /// Writes one line.
    fn write(&self, request: &LoggedRequest<'_>);

    /// Makes what was written visible; called after each drained batch.
    fn flush(&self);
}

/// One encoded batch on its way to the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryItem {
    /// What it holds.
    pub kind: BatchKind,
    /// Its encoded body.
    pub body: Bytes,
    /// How many records.
    pub records: u32,
}

/// Encodes telemetry for the wire.
pub trait BatchCodec: Send + Sync + 'static {
    /// The body of the batch's frame: a JSON object with `records` and, for logs, `routes`.
    fn encode(&self, batch: &Batch) -> Bytes;
}
