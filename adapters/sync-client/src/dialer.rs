//! Dialling: name, TCP, TLS, upgrade, each attempt under one deadline and with the key as it is then.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderValue, Request, header};
use novagate_access::GatewayKey;
use novagate_documents::frames::{MAX_FRAME_BYTES, SUB_PROTOCOL};
use novagate_net::Resolver;
use novagate_ports_base::BoxError;
use novagate_ports_edge::{DialError, SyncConnection, SyncDialer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::{Error, client::IntoClientRequest, protocol::WebSocketConfig};

use crate::connection::{WebSocketConnection, Wire};
use crate::refusal::dial_error;

const PATH: &str = "/sync/v1";
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for one address, so that one that leads nowhere leaves time for the next.
const ADDRESS_LIMIT: Duration = Duration::from_secs(3);
/// One connection a process: small buffers cost nothing, and big messages grow them.
const BUFFER: usize = 16 * 1024;

/// Gives the gateway's key as it is now: from its setting, or from its file.
pub type KeySource = Arc<dyn Fn() -> Result<GatewayKey, BoxError> + Send + Sync>;

/// Where the control plane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// A name, or an IP address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Where `ws://` may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainText {
    /// To a loopback address only.
    Loopback,
    /// Anywhere: somebody has permitted it on purpose.
    Allowed,
}

/// `ws://` to another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ws:// leads only to a loopback address, unless plain text is permitted on purpose")]
pub struct InsecureEndpoint;

/// Dials the control plane.
pub struct WebSocketDialer {
    endpoint: Endpoint,
    tls: TlsConnector,
    resolver: Resolver,
    key: KeySource,
}

impl WebSocketDialer {
    /// A dialer of `endpoint`; `tls` is not used for `ws://`.
    pub fn new(
        endpoint: Endpoint,
        tls: Arc<ClientConfig>,
        resolver: Resolver,
        plain: PlainText,
        key: KeySource,
    ) -> Result<Self, InsecureEndpoint> {
        if !endpoint.secure && plain == PlainText::Loopback && !endpoint.is_loopback() {
            return Err(InsecureEndpoint);
        }
        Ok(Self { endpoint, tls: TlsConnector::from(tls), resolver, key })
    }

    async fn attempt(&self) -> Result<Box<dyn SyncConnection>, DialError> {
        let request = self.request().map_err(DialError::Unreachable)?;
        let wire = self.wire().await.map_err(DialError::Unreachable)?;
        let upgraded = client_async_with_config(request, wire, Some(config())).await;
        let (socket, response) = upgraded.map_err(|fault| {
            if let Error::Http(response) = fault { dial_error(&response) } else { DialError::Unreachable(fault.into()) }
        })?;
        // tungstenite has compared the sub-protocol already; an upgrade without one is not ours either.
        if response.headers().get(header::SEC_WEBSOCKET_PROTOCOL).is_none_or(|echoed| echoed != SUB_PROTOCOL) {
            return Err(DialError::NotReady { retry_after: None });
        }
        Ok(Box::new(WebSocketConnection::new(socket)))
    }

    fn request(&self) -> Result<Request<()>, BoxError> {
        let Endpoint { secure, host, port } = &self.endpoint;
        let scheme = if *secure { "wss" } else { "ws" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut request = format!("{scheme}://{host}:{port}{PATH}").into_client_request()?;
        let key = (self.key)()?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUB_PROTOCOL));
        Ok(request)
    }

    /// The first of the control plane's addresses that accepts.
    async fn reach(&self) -> Result<TcpStream, BoxError> {
        let found = self.resolver.resolve(&self.endpoint.host, self.endpoint.port).await?;
        let mut fault: BoxError = "there is no address".into();
        for address in found.addresses {
            match timeout(ADDRESS_LIMIT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(refused)) => fault = refused.into(),
                Err(late) => fault = late.into(),
            }
        }
        Err(fault)
    }

    async fn wire(&self) -> Result<Box<dyn Wire>, BoxError> {
        let tcp = self.reach().await?;
        tcp.set_nodelay(true)?;
        if !self.endpoint.secure {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(self.endpoint.host.clone())?;
        Ok(Box::new(self.tls.connect(name, tcp).await?))
    }
}

impl std::fmt::Debug for WebSocketDialer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WebSocketDialer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[async_trait]
impl SyncDialer for WebSocketDialer {
    async fn dial(&self) -> Result<Box<dyn SyncConnection>, DialError> {
        let late = |_elapsed| DialError::Unreachable("no connection within the deadline".into());
        timeout(DEADLINE, self.attempt()).await.map_err(late)?
    }
}

impl Endpoint {
    fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES))
}

#[cfg(test)]
mod tests {
    use novagate_kernel::TenantId;
    use novagate_net::{ResolverFiles, client_config};

    use super::*;

    fn dialer(secure: bool, host: &str, plain: PlainText) -> Result<WebSocketDialer, InsecureEndpoint> {
        let key: KeySource = Arc::new(|| Ok(GatewayKey::generate(TenantId::from_u128(1), [7; 16])));
        let endpoint = Endpoint { secure, host: host.to_owned(), port: 9 };
        let resolver = Resolver::new(ResolverFiles::default()).unwrap();
        WebSocketDialer::new(endpoint, client_config(None).unwrap(), resolver, plain, key)
    }

    #[test]
    fn promise_x2_plain_text_to_another_machine_needs_permission() {
        for host in ["127.0.0.1", "::1", "localhost"] {
            assert!(dialer(false, host, PlainText::Loopback).is_ok(), "{host}");
        }
        for host in ["example.org", "10.0.0.1", "localhost.example.org", "2001:db8::1"] {
            assert_eq!(dialer(false, host, PlainText::Loopback).err(), Some(InsecureEndpoint), "{host}");
            assert!(dialer(false, host, PlainText::Allowed).is_ok(), "{host}");
            assert!(dialer(true, host, PlainText::Loopback).is_ok(), "{host}");
        }
    }

    #[test]
    fn the_upgrade_carries_the_key_and_offers_the_sub_protocol() {
        let request = dialer(true, "::1", PlainText::Loopback).unwrap().request().unwrap();
        let bearer = &request.headers()[header::AUTHORIZATION];
        assert!(bearer.is_sensitive() && bearer.to_str().unwrap().starts_with("Bearer gw_"));
        assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], SUB_PROTOCOL);
        assert_eq!(request.headers()[header::HOST], "[::1]:9");
        assert_eq!(request.uri().path(), PATH);
    }

    #[test]
    fn a_dialer_prints_no_key() {
        assert!(!format!("{:?}", dialer(true, "a", PlainText::Loopback).unwrap()).contains("gw_"));
    }
}
