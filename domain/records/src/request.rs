//! One request, as a fixed-size value.

use novagate_kernel::{ConsumerId, ErrorCode, RequestId, Timestamp};

use crate::MethodLabel;

/// Stands for "no route" or "no service" in [`RequestRecord`].
pub const NO_INDEX: u32 = u32::MAX;

/// What is remembered of one request: 72 bytes, no text. A worker writes it; the control thread resolves `table` and
/// `route` to names through the compiled configuration that the request was served under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRecord {
    /// When its head had been read.
    pub at: Timestamp,
    /// Its `X-Request-ID`.
    pub request_id: RequestId,
    /// The verified consumer, if there was one.
    pub consumer: Option<ConsumerId>,
    /// Number of the compiled configuration, counted per process from 1.
    pub table: u32,
    /// Index of the route in that configuration, or [`NO_INDEX`].
    pub route: u32,
    /// Index of the service that the route sends it to, or [`NO_INDEX`].
    pub service: u32,
    /// From the request's head to the last byte of its answer, in microseconds; saturates after 71 minutes.
    pub latency_us: u32,
    /// From the upstream write to the upstream's head, in microseconds; [`NO_INDEX`] when no upstream answered.
    pub upstream_us: u32,
    /// The status that was sent.
    pub status: u16,
    /// The method.
    pub method: MethodLabel,
    /// The code, when the gateway answered by itself or the exchange broke.
    pub code: Option<ErrorCode>,
}
