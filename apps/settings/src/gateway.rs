//! The settings of `novagate-gateway`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use novagate_access::GatewayKey;

use crate::{
    ControlPlaneUrl, LogLevel, Problems, Program, RedisSettings, Secret, Source, TlsFiles, parse, reader::Reader,
};

/// More threads than this only take turns.
const WORKERS_MAX: usize = 256;

/// Everything a gateway is told from outside.
#[derive(Debug)]
pub struct GatewaySettings {
    /// Where the configuration comes from.
    pub origin: ConfigOrigin,
    /// This node's labels.
    pub labels: BTreeMap<String, String>,
    /// Where this node is.
    pub zone: Option<String>,
    /// After how long without the control plane the node stops serving.
    pub max_config_age: Option<Duration>,
    /// How tokens of clients are verified.
    pub tokens: EdgeTokens,
    /// Where traffic is accepted.
    pub listen: SocketAddr,
    /// How clients speak TLS; none: they do not.
    pub tls: Option<EdgeTls>,
    /// Where operators look.
    pub admin_addr: SocketAddr,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// The node's own limits, and where requests are counted.
    pub rate_limit: RateLimitSettings,
    /// What this node shares with others; always there unless requests are counted locally.
    pub fleet: Option<FleetSettings>,
    /// What a client and an upstream may cost.
    pub limits: EdgeLimits,
    /// Peers whose connections begin with a header of the PROXY protocol.
    pub proxy_protocol: Vec<IpNet>,
    /// Proxies whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Addresses that no upstream may resolve to.
    pub upstream_deny: Vec<IpNet>,
    /// The authorities that may vouch for upstreams, in place of the public ones.
    pub upstream_ca_file: Option<PathBuf>,
    /// Where the files are that services name.
    pub upstream_tls_dir: Option<PathBuf>,
    /// Threads that carry traffic.
    pub workers: NonZeroUsize,
    /// What is logged.
    pub log_level: LogLevel,
}

/// Where a gateway's configuration comes from.
#[derive(Debug)]
pub enum ConfigOrigin {
    /// A control plane.
    ControlPlane(ControlPlaneSettings),
    /// A file on this machine.
    File(PathBuf),
}

/// How the control plane is reached.
#[derive(Debug)]
pub struct ControlPlaneSettings {
    /// Where.
    pub url: ControlPlaneUrl,
    /// With which key.
    pub api_key: GatewayKey,
    /// The file the key came from: when it changes, the node dials again at once.
    pub api_key_file: Option<PathBuf>,
    /// The authorities that may vouch for it, in place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// How tokens of clients are verified; at least one of the two keys is there.
#[derive(Debug)]
pub struct EdgeTokens {
    /// The HS256 key: its UTF-8 bytes.
    pub secret: Option<Secret>,
    /// PEM file of a public key.
    pub public_key_file: Option<PathBuf>,
    /// The required `iss`.
    pub issuer: Option<String>,
    /// The required `aud`.
    pub audience: Option<String>,
    /// Tolerance for the clocks of issuers.
    pub leeway: Duration,
}

/// How clients speak TLS to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTls {
    /// Certificates with their keys; the first one is for clients that name nobody or somebody unknown.
    pub files: Vec<TlsFiles>,
    /// What clients have to show of themselves.
    pub clients: ClientCertificates,
}

/// What clients have to show of themselves in TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Nothing, and they are not asked.
    NotAsked,
    /// Nothing; a certificate that they show has to be signed by an authority in this PEM file.
    Optional(PathBuf),
    /// A certificate that is signed by an authority in this PEM file.
    Required(PathBuf),
}

/// What the gateways of a fleet share.
#[derive(Debug)]
pub struct FleetSettings {
    /// Where.
    pub redis: RedisSettings,
    /// Hides and seals it: the same on all of them.
    pub key: Secret,
}

/// Where requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitMode {
    /// On each node for itself.
    Local,
    /// By the fleet together, with leases: no request waits.
    Leased,
    /// By the fleet together, request by request.
    Exact,
}

/// The node's own limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitSettings {
    /// Where requests are counted.
    pub mode: RateLimitMode,
    /// Their window.
    pub window: Duration,
    /// Requests of a client without credentials.
    pub unauth_max: u32,
    /// Requests of a client with credentials.
    pub auth_max: u32,
}

/// What a client and an upstream may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Until an upstream's response head.
    pub proxy_timeout: Duration,
    /// Without progress of a body.
    pub body_idle_timeout: Duration,
    /// From a request's first byte to the end of its head.
    pub header_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// Without a byte of a WebSocket.
    pub websocket_idle_timeout: Duration,
    /// For running requests to finish when the program stops.
    pub drain: Duration,
    /// Request line and headers, bytes.
    pub max_header_bytes: usize,
    /// Headers of a request.
    pub max_headers: usize,
    /// Body of a request, bytes.
    pub max_body_bytes: Option<u64>,
    /// Open client connections.
    pub max_connections: usize,
    /// Those of one client's address.
    pub max_connections_per_address: Option<u32>,
    /// `OVERLOAD_DELAY_MS`; zero: nothing is refused for it.
    pub overload_delay: Duration,
    /// HTTP/2 with clients.
    pub http2: bool,
    /// Open requests of one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

impl GatewaySettings {
    /// Reads all settings from the defaults, the file that `--config` names, and the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(source: &dyn Source, config_file: Option<&Path>) -> Result<Self, Problems> {
        let mut reader = Reader::new(Program::Gateway, source, config_file);
        let settings = Self::take(&mut reader);
        reader.finish(settings)
    }

    pub(crate) fn take(reader: &mut Reader<'_>) -> Option<Self> {
        let origin = origin(reader);
        let labels = reader.optional("NODE_LABELS", parse::labels).unwrap_or_default();
        let zone = reader.optional("ZONE", parse::zone);
        let max_config_age = reader.required("MAX_CONFIG_AGE", parse::age);
        let tokens = tokens(reader);
        let tls = tls(reader);
        let host = reader.parsed::<IpAddr>("HOST", "must be an IP address");
        let port = reader.number("PORT");
        let admin_addr = reader.parsed("ADMIN_ADDR", "must be address:port");
        let data_dir = reader.required("DATA_DIR", parse::path);
        let fleet = fleet(reader);
        let rate_limit = rate_limit(reader);
        let limits = limits(reader);
        let proxy_protocol = reader.required("PROXY_PROTOCOL_CIDRS", parse::networks);
        let trusted_proxies = reader.required("TRUSTED_PROXY_CIDRS", parse::networks);
        let upstream_deny = reader.required("UPSTREAM_DENY_CIDRS", parse::networks);
        let upstream_ca_file = reader.optional("UPSTREAM_CA_FILE", parse::path);
        let upstream_tls_dir = reader.optional("UPSTREAM_TLS_DIR", parse::path);
        let workers = reader.number::<usize>("WORKERS").and_then(NonZeroUsize::new);
        let log_level = reader.required("LOG_LEVEL", parse::log_level);
        Some(Self {
            origin: origin?,
            labels,
            zone,
            max_config_age: max_config_age?,
            tokens: tokens?,
            listen: SocketAddr::new(host?, port?),
            tls,
            admin_addr: admin_addr?,
            data_dir: data_dir?,
            rate_limit: rate_limit?,
            fleet,
            limits: limits?,
            proxy_protocol: proxy_protocol?,
            trusted_proxies: trusted_proxies?,
            upstream_deny: upstream_deny?,
            upstream_ca_file,
            upstream_tls_dir,
            workers: workers.unwrap_or_else(cpus),
            log_level: log_level?,
        })
    }
}

fn origin(reader: &mut Reader<'_>) -> Option<ConfigOrigin> {
    let insecure = reader.required("ALLOW_INSECURE_CONTROL_PLANE", parse::boolean);
    let url = reader.optional("CONTROL_PLANE_URL", |text| ControlPlaneUrl::parse(text, insecure == Some(true)));
    let key = reader.secret("GATEWAY_API_KEY");
    let ca_file = reader.optional("CONTROL_PLANE_CA_FILE", parse::path);
    let file = reader.optional("CONFIG_FILE", parse::path);
    let key_file = key.as_ref().and_then(|found| found.file.clone());
    let key = key.and_then(|found| match GatewayKey::parse(&found.text) {
        Ok(key) => Some(key),
        Err(fault) => {
            reader.problem("GATEWAY_API_KEY", format!("is {fault}"));
            None
        }
    });
    let dials = reader.is_set("CONTROL_PLANE_URL") || reader.is_set("GATEWAY_API_KEY");
    if reader.is_set("CONFIG_FILE") {
        if dials {
            reader.problem("CONFIG_FILE", "must not be set beside CONTROL_PLANE_URL or GATEWAY_API_KEY");
        }
        return file.map(ConfigOrigin::File);
    }
    let when = if dials { "" } else { "unless CONFIG_FILE is set" };
    reader.demand("CONTROL_PLANE_URL", when);
    reader.demand("GATEWAY_API_KEY", when);
    let settings = ControlPlaneSettings { url: url?, api_key: key?, api_key_file: key_file, ca_file };
    Some(ConfigOrigin::ControlPlane(settings))
}

fn tokens(reader: &mut Reader<'_>) -> Option<EdgeTokens> {
    let secret = reader.signing_secret("JWT_SECRET");
    reader.distinct_secrets();
    let public_key_file = reader.optional("JWT_PUBLIC_KEY_FILE", parse::path);
    if !reader.is_set("JWT_PUBLIC_KEY_FILE") {
        reader.demand("JWT_SECRET", "unless JWT_PUBLIC_KEY_FILE is set");
    }
    let issuer = reader.optional("JWT_ISSUER", parse::claim);
    let audience = reader.optional("JWT_AUDIENCE", parse::claim);
    let leeway = reader.number("JWT_LEEWAY_S").map(Duration::from_secs)?;
    Some(EdgeTokens { secret, public_key_file, issuer, audience, leeway })
}

fn tls(reader: &mut Reader<'_>) -> Option<EdgeTls> {
    let certificates = reader.optional("TLS_CERT_FILE", parse::paths);
    let keys = reader.optional("TLS_KEY_FILE", parse::paths);
    let clients = client_certificates(reader);
    if !reader.is_set("TLS_CERT_FILE") && !reader.is_set("TLS_KEY_FILE") {
        for name in ["TLS_CLIENT_CA_FILE", "TLS_CLIENT_AUTH"] {
            if reader.is_set(name) {
                reader.problem(name, "is of use only with TLS_CERT_FILE and TLS_KEY_FILE");
            }
        }
        return None;
    }
    reader.demand("TLS_CERT_FILE", "with TLS_KEY_FILE");
    reader.demand("TLS_KEY_FILE", "with TLS_CERT_FILE");
    if reader.is_set("TLS_CLIENT_AUTH") {
        reader.demand("TLS_CLIENT_CA_FILE", "with TLS_CLIENT_AUTH");
    }
    let (certificates, keys) = (certificates?, keys?);
    if certificates.len() != keys.len() {
        reader.problem("TLS_KEY_FILE", "must name as many files as TLS_CERT_FILE, in the same order");
        return None;
    }
    let files = certificates.into_iter().zip(keys).map(|(cert, key)| TlsFiles { cert, key });
    Some(EdgeTls { files: files.collect(), clients })
}

fn client_certificates(reader: &mut Reader<'_>) -> ClientCertificates {
    let ca = reader.optional("TLS_CLIENT_CA_FILE", parse::path);
    let is_optional = reader.optional("TLS_CLIENT_AUTH", |text| match text {
        "required" => Ok(false),
        "optional" => Ok(true),
        _ => Err("must be required or optional".to_owned()),
    });
    match (ca, is_optional) {
        (None, _) => ClientCertificates::NotAsked,
        (Some(ca), Some(true)) => ClientCertificates::Optional(ca),
        (Some(ca), Some(false) | None) => ClientCertificates::Required(ca),
    }
}

fn fleet(reader: &mut Reader<'_>) -> Option<FleetSettings> {
    let redis = RedisSettings::take(reader);
    let own = reader.signing_secret("FLEET_KEY");
    if !reader.is_set("REDIS_URL") {
        return None;
    }
    // What is wrong with the others is said where they are read.
    let mut other = |name| if reader.is_set(name) { reader.secret(name) } else { None };
    let key = own.or_else(|| {
        let found = other("JWT_SECRET").or_else(|| other("GATEWAY_API_KEY"))?;
        Some(Secret::new(found.text))
    });
    if key.is_none() && !reader.is_set("JWT_SECRET") && !reader.is_set("GATEWAY_API_KEY") {
        reader.demand("FLEET_KEY", "with REDIS_URL where neither JWT_SECRET nor GATEWAY_API_KEY is set");
    }
    Some(FleetSettings { redis: redis?, key: key? })
}

fn rate_limit(reader: &mut Reader<'_>) -> Option<RateLimitSettings> {
    let mode = reader.optional("RATE_LIMIT_MODE", |text| match text {
        "local" => Ok(RateLimitMode::Local),
        "leased" => Ok(RateLimitMode::Leased),
        "exact" => Ok(RateLimitMode::Exact),
        _ => Err("must be local, leased or exact".to_owned()),
    });
    if matches!(mode, Some(RateLimitMode::Leased | RateLimitMode::Exact)) {
        reader.demand("REDIS_URL", "when RATE_LIMIT_MODE is leased or exact");
    }
    let shared = if reader.is_set("REDIS_URL") { RateLimitMode::Leased } else { RateLimitMode::Local };
    let window = reader.millis("RATE_LIMIT_WINDOW_MS");
    let unauth_max = reader.number("RATE_LIMIT_UNAUTH_MAX");
    let auth_max = reader.number("RATE_LIMIT_AUTH_MAX");
    Some(RateLimitSettings {
        mode: mode.unwrap_or(shared),
        window: window?,
        unauth_max: unauth_max?,
        auth_max: auth_max?,
    })
}

fn limits(reader: &mut Reader<'_>) -> Option<EdgeLimits> {
    let proxy_timeout = reader.millis("PROXY_TIMEOUT_MS");
    let body_idle_timeout = reader.millis("BODY_IDLE_TIMEOUT_MS");
    let header_timeout = reader.millis("HEADER_TIMEOUT_MS");
    let idle_timeout = reader.millis("IDLE_TIMEOUT_MS");
    let websocket_idle_timeout = reader.millis("WEBSOCKET_IDLE_TIMEOUT_MS");
    let drain = reader.millis("DRAIN_MS");
    let max_header_bytes = reader.number("MAX_HEADER_BYTES");
    let max_headers = reader.number("MAX_HEADERS");
    let max_body_bytes = reader.number("MAX_BODY_BYTES");
    let max_connections = reader.number("MAX_CONNECTIONS");
    let max_connections_per_address = reader.number("MAX_CONNECTIONS_PER_ADDRESS");
    let overload_delay = reader.millis("OVERLOAD_DELAY_MS");
    let http2 = reader.required("HTTP2", parse::boolean);
    let max_concurrent_streams = reader.number("MAX_CONCURRENT_STREAMS");
    Some(EdgeLimits {
        proxy_timeout: proxy_timeout?,
        body_idle_timeout: body_idle_timeout?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        websocket_idle_timeout: websocket_idle_timeout?,
        drain: drain?,
        max_header_bytes: max_header_bytes?,
        max_headers: max_headers?,
        max_body_bytes,
        max_connections: max_connections?,
        max_connections_per_address,
        overload_delay: overload_delay?,
        http2: http2?,
        max_concurrent_streams: max_concurrent_streams?,
    })
}

fn cpus() -> NonZeroUsize {
    let most = NonZeroUsize::MIN.saturating_add(WORKERS_MAX - 1);
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cpus| cpus.min(most))
}
