//! What a service does about upstreams that fail, as data.
//!
//! Always: each part is there only when the service asks for it. Not here: deciding by it (`novagate_policies`), doing it
//! (`adapters/http-edge`).

use std::time::Duration;

/// What a service does about upstreams that fail; by default as little as without any of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Resilience {
    /// Which requests are tried again; `None`: those that nothing was sent of, on one other target.
    pub retries: Option<Retries>,
    /// Which requests a second target is asked too when the first one is slow; `None`: none.
    pub hedge: Option<Hedge>,
    /// Which targets are ejected; `None`: those that three connections in a row could not be made to, for 5 s.
    pub outlier_detection: Option<OutlierDetection>,
    /// While less than this share of the targets takes traffic, all do; 0 to 100, 0: never.
    pub panic_percent: u8,
    /// What the service may be asked at the same time; `None`: anything.
    pub circuit_breaker: Option<CircuitBreaker>,
}

/// Which requests are tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// Further tries after the first; 1 to 5.
    pub attempts: u8,
    /// After which failures; at most one of each.
    pub on: Vec<RetryGround>,
    /// After which statuses; 500 to 599, at most 16, no duplicates.
    pub statuses: Vec<u16>,
    /// Methods that may be sent more than once; at most 16, no duplicates.
    pub methods: Vec<http::Method>,
    /// How long one try may take until its response head; 1 ms to 1 h. `None`: as long as the service says.
    pub per_try_timeout: Option<Duration>,
    /// Retries as a share of the requests of the last ten seconds; 1 to 100.
    pub budget_percent: u8,
    /// Bytes of a body that are kept so that it can be sent again, as it is sent; at most [`Self::MAX_KEPT`]. 0: none.
    pub max_body: u32,
}

/// Which requests go to another target too when there is no response in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hedge {
    /// How long a request that was sent waits for its response head before the next target is asked; 1 ms to 1 h.
    pub delay: Duration,
    /// Further targets that are asked; 1 to 3.
    pub max_extra: u8,
    /// Methods that may be sent more than once; at most 16, no duplicates.
    pub methods: Vec<http::Method>,
}

/// A failure without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryGround {
    /// No connection could be made.
    Connect,
    /// The connection ended, or what came on it was no response.
    Reset,
    /// There was no response head in time.
    Timeout,
}

/// Which targets are ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Failures in a row after which a target is ejected; 1 to 100.
    pub consecutive_failures: u8,
    /// The share of failures from which on a target is ejected; `None`: their share makes no difference.
    pub error_rate: Option<ErrorRate>,
    /// How long the first ejection lasts; 1 s to 1 h.
    pub eject: Duration,
    /// The longest ejection; `eject` to 24 h.
    pub max_eject: Duration,
    /// The most targets that are ejected at the same time; 0 to 100.
    pub max_ejected_percent: u8,
}

/// A share of failures among the requests of ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRate {
    /// Failures in a hundred requests; 1 to 100.
    pub percent: u8,
    /// Fewer requests say nothing; 1 to 100000.
    pub min_requests: u32,
}

/// What a service may be asked at the same time, by all workers of one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Requests that run; 1 to 1000000.
    pub max_requests: u32,
    /// Those of them that wait for a connection; 1 to 1000000. `None`: all may.
    pub max_pending: Option<u32>,
    /// Connections that are open for it; 1 to 1000000. `None`: as many as there are requests, and idle ones.
    pub max_connections: Option<u32>,
}

impl Hedge {
    /// The methods that change nothing.
    pub const SAFE: [http::Method; 3] = [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS];
}

impl Retries {
    /// The share of the requests that further tries are, unless said otherwise.
    pub const USUAL_BUDGET: u8 = 20;
    /// Bytes of a body that are kept, unless said otherwise.
    pub const USUALLY_KEPT: u32 = 64 * 1024;
    /// The most of a body that can be kept.
    pub const MAX_KEPT: u32 = 1024 * 1024;
    /// The methods that do the same when they are done twice (RFC 9110, section 9.2.2).
    pub const IDEMPOTENT: [http::Method; 6] = [
        http::Method::GET,
        http::Method::HEAD,
        http::Method::OPTIONS,
        http::Method::PUT,
        http::Method::DELETE,
        http::Method::TRACE,
    ];
}
