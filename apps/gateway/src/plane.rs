//! The data plane: from settings to workers.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use novagate_framing::Limits;
use novagate_http_edge::{Counters, EdgeHandle, EdgeOptions, EdgeServer, EdgeSettings, EdgeTimeouts, UpstreamTlsFiles};
use novagate_net::{CertificateFile, CertificateFiles, ClientAuth, ClientRules, ClientTrust, Resolver, Tasks};
use novagate_policies::{JwtRules, NodeLimits};
use novagate_ports_base::{Clock, Entropy};
use novagate_ports_edge::{LiveConfig, TokenVerifier};
use novagate_settings::{ClientCertificates, EdgeTls, EdgeTokens, GatewaySettings, TlsFiles};
use novagate_tokens::{EdgeTokenVerifier, PublicKeyFile};

use crate::StartError;

/// Longest request target, bytes.
const MAX_TARGET_BYTES: usize = 8 * 1024;

/// What a data plane starts from.
pub(crate) struct PlaneStart {
    pub(crate) listeners: Vec<TcpListener>,
    /// Listeners of this process beside these.
    pub(crate) own: Vec<SocketAddr>,
    pub(crate) live: Arc<ArcSwapOption<LiveConfig>>,
    pub(crate) counters: Counters,
    pub(crate) resolver: Resolver,
}

/// Starts the workers.
pub(crate) fn start(
    settings: &GatewaySettings,
    start: PlaneStart,
    tasks: &Tasks,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<EdgeHandle, StartError> {
    let client_tls = match &settings.tls {
        None => None,
        Some(tls) => Some(certificates(tls, tasks)?.server_config(&clients(tls))?),
    };
    let trust = ClientTrust::load(settings.upstream_ca_file.as_deref())?;
    let files = UpstreamTlsFiles::new(trust.clone(), settings.upstream_tls_dir.clone());
    tasks.spawn("upstream-tls", tasks.soft().run_until_cancelled_owned(Arc::clone(&files).follow()));
    let verifier: Arc<dyn TokenVerifier> = Arc::new(verifier(&settings.tokens)?);
    let options = EdgeOptions {
        listeners: start.listeners,
        live: start.live,
        verifier: Some(verifier),
        counters: start.counters,
        settings: edge_settings(settings, start.own)?,
        client_tls,
        upstream_tls: trust.config(&ClientRules::default())?,
        upstream_tls_files: files,
        resolver: start.resolver,
        clock,
        entropy,
    };
    EdgeServer::start(options).map_err(|error| StartError::Internal(error.to_string()))
}

fn clients(tls: &EdgeTls) -> ClientAuth {
    match &tls.clients {
        ClientCertificates::NotAsked => ClientAuth::None,
        ClientCertificates::Optional(ca) => ClientAuth::Optional(ca.clone()),
        ClientCertificates::Required(ca) => ClientAuth::Required(ca.clone()),
    }
}

/// The certificates that clients are shown, kept fresh.
fn certificates(tls: &EdgeTls, tasks: &Tasks) -> Result<Arc<CertificateFiles>, StartError> {
    let pair = |files: &TlsFiles| CertificateFile { cert: files.cert.clone(), key: files.key.clone() };
    let files = CertificateFiles::load(tls.files.iter().map(pair).collect())?;
    tasks.spawn("certificates", tasks.soft().run_until_cancelled_owned(Arc::clone(&files).follow()));
    Ok(files)
}

fn edge_settings(settings: &GatewaySettings, own_listeners: Vec<SocketAddr>) -> Result<EdgeSettings, StartError> {
    let limits = &settings.limits;
    let max_target = MAX_TARGET_BYTES.min(limits.max_header_bytes);
    let framing = Limits::new(limits.max_header_bytes, limits.max_headers, max_target)
        .map_err(|error| StartError::Setting(format!("MAX_HEADER_BYTES, MAX_HEADERS: {error}")))?;
    Ok(EdgeSettings {
        framing: framing.with_max_body_bytes(limits.max_body_bytes),
        timeouts: EdgeTimeouts {
            header: limits.header_timeout,
            idle: limits.idle_timeout,
            body_idle: limits.body_idle_timeout,
            proxy: limits.proxy_timeout,
            websocket_idle: limits.websocket_idle_timeout,
            ..EdgeTimeouts::default()
        },
        max_connections: limits.max_connections,
        max_connections_per_address: limits.max_connections_per_address,
        overload_delay: Some(limits.overload_delay).filter(|delay| !delay.is_zero()),
        proxy_protocol: settings.proxy_protocol.clone(),
        http2: limits.http2,
        max_concurrent_streams: limits.max_concurrent_streams,
        trusted_proxies: settings.trusted_proxies.clone(),
        denied_upstreams: settings.upstream_deny.clone(),
        own_listeners,
        zone: settings.zone.as_deref().map(Into::into),
        node_limits: NodeLimits {
            window: settings.rate_limit.window,
            unauth_max: settings.rate_limit.unauth_max,
            auth_max: settings.rate_limit.auth_max,
        },
        jwt: JwtRules {
            leeway: settings.tokens.leeway,
            issuer: settings.tokens.issuer.as_deref().map(Into::into),
            audience: settings.tokens.audience.as_deref().map(Into::into),
        },
    })
}

fn verifier(tokens: &EdgeTokens) -> Result<EdgeTokenVerifier, StartError> {
    let pem = tokens.public_key_file.as_deref().map(read_pem).transpose()?;
    let keys: Vec<PublicKeyFile<'_>> =
        pem.iter().map(|(kid, pem)| PublicKeyFile { kid: kid.as_str(), pem: pem.as_str() }).collect();
    let secret = tokens.secret.as_ref().map(novagate_settings::Secret::expose);
    EdgeTokenVerifier::new(secret, &keys)
        .map_err(|error| StartError::Setting(format!("JWT_SECRET, JWT_PUBLIC_KEY_FILE: {error}")))
}

/// The key's id is its file's name without the ending.
fn read_pem(path: &Path) -> Result<(String, String), StartError> {
    let pem = std::fs::read_to_string(path).map_err(|error| {
        StartError::Setting(format!("JWT_PUBLIC_KEY_FILE: {} cannot be read: {error}", path.display()))
    })?;
    let kid = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((kid, pem))
}
