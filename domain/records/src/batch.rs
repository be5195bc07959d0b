//! What a node sends to the control plane.

use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::{BatchKind, ConsumerId, ErrorCode, Head, Name, RequestId, RouteId, ServiceId, Timestamp};

use crate::{MethodLabel, MetricsWindow};

/// One telemetry batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// Request logs.
    Logs(LogBatch),
    /// Error events.
    Errors(Vec<ErrorEvent>),
    /// The node's health.
    Health(HealthSnapshot),
    /// Request counts of a period.
    Metrics(MetricsWindow),
}

impl Batch {
    /// Its kind.
    pub const fn kind(&self) -> BatchKind {
        match self {
            Self::Logs(_) => BatchKind::Logs,
            Self::Errors(_) => BatchKind::Errors,
            Self::Health(_) => BatchKind::Health,
            Self::Metrics(_) => BatchKind::Metrics,
        }
    }

    /// How many records it holds, for counting losses.
    pub const fn len(&self) -> usize {
        match self {
            Self::Logs(batch) => batch.entries.len(),
            Self::Errors(events) => events.len(),
            Self::Health(_) | Self::Metrics(_) => 1,
        }
    }

    /// Whether it holds nothing.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A route as the tenant wrote it, for records that point to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLabel {
    /// Its id.
    pub id: RouteId,
    /// Its path template.
    pub template: Arc<str>,
    /// The name of the service it sends requests to; `None`: to none.
    pub service: Option<Name>,
}

/// Request logs of one compiled configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBatch {
    /// The routes that entries point to.
    pub routes: Vec<RouteLabel>,
    /// The requests, oldest first; at most 1,000.
    pub entries: Vec<LogEntry>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry {
    /// When its head had been read.
    pub at: Timestamp,
    /// Its `X-Request-ID`.
    pub request_id: RequestId,
    /// Index into [`LogBatch::routes`]; `None`: unmatched.
    pub route: Option<u32>,
    /// The verified consumer.
    pub consumer: Option<ConsumerId>,
    /// The whole exchange, microseconds.
    pub latency_us: u32,
    /// The upstream's share, microseconds.
    pub upstream_us: Option<u32>,
    /// The status that was sent.
    pub status: u16,
    /// The method.
    pub method: MethodLabel,
    /// The code, when the gateway answered by itself or the exchange broke.
    pub code: Option<ErrorCode>,
}

/// Something that went wrong: which code, where. Never what the request carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub code: ErrorCode,
    /// On which route.
    pub route: Option<RouteId>,
    /// At which service.
    pub service: Option<ServiceId>,
    /// In which request.
    pub request_id: RequestId,
}

/// A node's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSnapshot {
    /// When.
    pub at: Timestamp,
    /// How long the process has run.
    pub uptime: Duration,
    /// What it serves; `None`: nothing yet.
    pub serving: Option<Head>,
    /// Open client connections.
    pub active_connections: u32,
    /// Telemetry records lost since start.
    pub dropped: u64,
    /// Each service's targets.
    pub services: Vec<ServiceHealth>,
}

/// How many targets of a service answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceHealth {
    /// Which service.
    pub id: ServiceId,
    /// Its name.
    pub name: Name,
    /// Targets that take traffic.
    pub healthy: u16,
    /// All targets.
    pub total: u16,
}
