//! What a data plane is started with.
//!
//! Always: values are taken as they are; the ranges of the settings behind them are checked in `apps/settings`.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use novagate_framing::Limits;
use novagate_net::Resolver;
use novagate_policies::{JwtRules, NodeLimits};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::{LiveConfig, TokenVerifier};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use crate::{Counters, UpstreamTlsFiles};

/// Everything that a data plane needs.
pub struct EdgeOptions {
    /// One listening, non-blocking socket per worker; all of one address and port (`novagate_net::bind_shared`).
    pub listeners: Vec<TcpListener>,
    /// The configuration to serve; `None` in it: requests are answered with `NOT_READY`.
    pub live: Arc<ArcSwapOption<LiveConfig>>,
    /// Verifies tokens; `None`: this node accepts no token.
    pub verifier: Option<Arc<dyn TokenVerifier>>,
    /// Where requests are counted; all workers count together.
    pub counters: Counters,
    /// Numbers and lists.
    pub settings: EdgeSettings,
    /// How TLS is spoken to clients (`novagate_net::CertificateFiles`); `None`: it is not.
    pub client_tls: Option<Arc<ServerConfig>>,
    /// How TLS is spoken to upstreams (`novagate_net::client_config`).
    pub upstream_tls: Arc<ClientConfig>,
    /// The same for services with rules of their own.
    pub upstream_tls_files: Arc<UpstreamTlsFiles>,
    /// Finds the addresses of upstreams.
    pub resolver: Resolver,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness for request ids and keyed hashes.
    pub entropy: Arc<dyn Entropy>,
}

/// Settings of a data plane.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// How much a client may send (`MAX_HEADER_BYTES`, `MAX_HEADERS`, `MAX_BODY_BYTES`).
    pub framing: Limits,
    /// How long things may take.
    pub timeouts: EdgeTimeouts,
    /// Open client connections, over all workers (`MAX_CONNECTIONS`).
    pub max_connections: usize,
    /// Open connections of one client's address, but of trusted proxies (`MAX_CONNECTIONS_PER_ADDRESS`); `None`: no bound.
    pub max_connections_per_address: Option<u32>,
    /// How late a worker may be before it refuses a part of new requests (`OVERLOAD_DELAY_MS`); `None`: it refuses none.
    pub overload_delay: Option<Duration>,
    /// Peers whose connections begin with a header of the PROXY protocol (`PROXY_PROTOCOL_CIDRS`).
    pub proxy_protocol: Vec<IpNet>,
    /// Clients may speak HTTP/2 (`HTTP2`).
    pub http2: bool,
    /// Streams that a connection may have open at a time (`MAX_CONCURRENT_STREAMS`).
    pub max_concurrent_streams: u32,
    /// Peers whose `X-Forwarded-*` fields are believed (`TRUSTED_PROXY_CIDRS`).
    pub trusted_proxies: Vec<IpNet>,
    /// Where upstreams must not be (`UPSTREAM_DENY_CIDRS`).
    pub denied_upstreams: Vec<IpNet>,
    /// Listeners of this process beside those of the data plane, which upstreams must not be either.
    pub own_listeners: Vec<std::net::SocketAddr>,
    /// Where this gateway is (`ZONE`): targets there are preferred.
    pub zone: Option<Arc<str>>,
    /// Limits for clients without one of their own (`RATE_LIMIT_*`).
    pub node_limits: NodeLimits,
    /// What is demanded of every token (`JWT_*`).
    pub jwt: JwtRules,
}

/// Time limits; they pass within 40 ms after their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeTimeouts {
    /// From the first byte of a head to its last (`HEADER_TIMEOUT_MS`).
    pub header: Duration,
    /// Between two requests of a connection (`IDLE_TIMEOUT_MS`).
    pub idle: Duration,
    /// Between two pieces of a body, in either direction (`BODY_IDLE_TIMEOUT_MS`).
    pub body_idle: Duration,
    /// Until an upstream's response head, where the service says nothing (`PROXY_TIMEOUT_MS`).
    pub proxy: Duration,
    /// Without a byte of an upstream that speaks HTTP/2, while requests are open: then it is asked whether it is there, and
    /// after as long again it is not.
    pub upstream_silence: Duration,
    /// Without a byte of a WebSocket, in either direction (`WEBSOCKET_IDLE_TIMEOUT_MS`).
    pub websocket_idle: Duration,
}

impl Default for EdgeTimeouts {
    /// The documented defaults.
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_idle: Duration::from_secs(30),
            proxy: Duration::from_secs(10),
            upstream_silence: Duration::from_secs(10),
            websocket_idle: Duration::from_hours(1),
        }
    }
}

impl Default for EdgeSettings {
    /// The documented defaults.
    fn default() -> Self {
        let link_local = ["169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"];
        Self {
            framing: Limits::default(),
            timeouts: EdgeTimeouts::default(),
            max_connections: 100_000,
            max_connections_per_address: None,
            overload_delay: Some(Duration::from_millis(500)),
            proxy_protocol: Vec::new(),
            http2: true,
            max_concurrent_streams: 128,
            trusted_proxies: Vec::new(),
            denied_upstreams: link_local.iter().filter_map(|net| net.parse().ok()).collect(),
            own_listeners: Vec::new(),
            zone: None,
            node_limits: NodeLimits { window: Duration::from_mins(1), unauth_max: 100, auth_max: 500 },
            jwt: JwtRules::default(),
        }
    }
}

impl fmt::Debug for EdgeOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EdgeOptions")
            .field("workers", &self.listeners.len())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
