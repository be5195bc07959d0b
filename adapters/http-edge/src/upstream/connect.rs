//! Making connections to targets.
//!
//! Always: an address is checked after its name was resolved and right before it is connected to, so a name cannot lead
//! where the operator forbade; the gateway never connects to its own listeners. Not here: which target (`pool`).

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use novagate_net::Resolver;
use novagate_policies::CompiledService;
use novagate_ports_base::Entropy;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::eyeballs;
use super::stream::UpstreamConn;
use super::target::UpstreamTarget;
use super::tls::{TlsProfile, UpstreamTlsFiles};
use crate::http2::ALPN;
use crate::transport::{Socket, Transport};

/// Longest wait for a connection, TLS included.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectFault {
    /// The target refused.
    #[error("the target cannot be reached")]
    Unreachable,
    /// Not within the time.
    #[error("the target did not accept in time")]
    TimedOut,
    /// The name is not known.
    #[error("the name of the target cannot be resolved")]
    Unresolved,
    /// TLS was not agreed on: the certificate of one side does not hold for the other.
    #[error("TLS is not agreed on")]
    NotAgreed,
    /// The files of the service's TLS cannot be used; no target of it can be reached.
    #[error("the service's TLS files cannot be used")]
    NoTls,
    /// The address is one that must not be connected to.
    #[error("the address of the target is denied")]
    Denied,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Http1,
    Http2,
}

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
    /// The same, for HTTP/2 only.
    http2_tls: TlsConnector,
    files: Arc<UpstreamTlsFiles>,
    resolver: Resolver,
    /// Decides among the instances of a service.
    entropy: Arc<dyn Entropy>,
    denied: Arc<[IpNet]>,
    own: Arc<[SocketAddr]>,
}

impl Connector {
    /// `own` are the addresses that this process listens on.
    pub(crate) fn new(
        tls: Arc<ClientConfig>,
        files: Arc<UpstreamTlsFiles>,
        resolver: Resolver,
        entropy: Arc<dyn Entropy>,
        (denied, own): (Arc<[IpNet]>, Arc<[SocketAddr]>),
    ) -> Self {
        let (http2_tls, tls) = (http2_only(&tls), TlsConnector::from(tls));
        Self { tls, http2_tls, files, resolver, entropy, denied, own }
    }

    /// How TLS is spoken where a service says so.
    pub(crate) fn profile(&self, service: &CompiledService) -> Option<Arc<TlsProfile>> {
        service.tls.as_ref().map(|tls| self.files.profile(tls))
    }

    /// A new connection, within `limit` and never later than some seconds.
    pub(crate) async fn connect(
        &self,
        target: &Rc<UpstreamTarget>,
        limit: Duration,
    ) -> Result<UpstreamConn, ConnectFault> {
        self.make(target, Spoken::Http1, limit).await
    }

    /// The same for HTTP/2, which over TLS both sides have agreed on.
    pub(crate) async fn connect_http2(
        &self,
        target: &Rc<UpstreamTarget>,
        limit: Duration,
    ) -> Result<UpstreamConn, ConnectFault> {
        let conn = self.make(target, Spoken::Http2, limit).await?;
        let is_agreed = !target.url.tls || conn.transport.speaks_http2();
        if is_agreed { Ok(conn) } else { Err(ConnectFault::Unreachable) }
    }

    async fn make(
        &self,
        target: &Rc<UpstreamTarget>,
        spoken: Spoken,
        limit: Duration,
    ) -> Result<UpstreamConn, ConnectFault> {
        let work = async {
            let stream = self.reach(target).await?;
            // Fails only on a connection that is gone already, which the exchange will tell.
            let _ = stream.set_nodelay(true);
            self.secure(target, spoken, stream).await
        };
        timeout(limit.min(CONNECT_LIMIT), work).await.unwrap_or(Err(ConnectFault::TimedOut))
    }

    /// The first of the target's addresses that accepts.
    async fn reach(&self, target: &Rc<UpstreamTarget>) -> Result<TcpStream, ConnectFault> {
        if target.names.is_unknown() {
            target.names.ask(&target.url, &self.resolver).await.map_err(|_unknown| ConnectFault::Unresolved)?;
        } else if target.names.wants_asking() {
            let (target, resolver) = (Rc::clone(target), self.resolver.clone());
            // The old addresses stay when there is no answer.
            tokio::task::spawn_local(async move { target.names.ask(&target.url, &resolver).await.is_ok() });
        }
        let addresses = target.names.addresses(|| u64::from_ne_bytes(self.entropy.bytes()));
        eyeballs::first(&addresses, ConnectFault::Unresolved, |address| self.connect_to(address)).await
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<TcpStream, ConnectFault> {
        if self.is_denied(address) {
            return Err(ConnectFault::Denied);
        }
        let stream = TcpStream::connect(address).await.map_err(|_refused| ConnectFault::Unreachable)?;
        if self.is_own_wildcard(&stream) { Err(ConnectFault::Denied) } else { Ok(stream) }
    }

    fn is_denied(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.denied.iter().any(|net| net.contains(&ip))
            || self.own.iter().any(|own| own.port() == address.port() && own.ip().to_canonical() == ip)
    }

    /// Whether a connection leads to a listener of ours on all addresses: both ends then have the same address.
    fn is_own_wildcard(&self, stream: &TcpStream) -> bool {
        let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return false };
        let is_here = peer.ip() == local.ip() || is_loopback(peer.ip());
        is_here && self.own.iter().any(|own| own.ip().is_unspecified() && own.port() == peer.port())
    }

    async fn secure(
        &self,
        target: &UpstreamTarget,
        spoken: Spoken,
        stream: TcpStream,
    ) -> Result<UpstreamConn, ConnectFault> {
        if !target.url.tls {
            return Ok(UpstreamConn::new(Transport::plain(stream)));
        }
        let name = target.server_name.clone().ok_or(ConnectFault::Unresolved)?;
        let (connector, generation) = match (&target.profile, spoken) {
            (None, Spoken::Http1) => (self.tls.clone(), 0),
            (None, Spoken::Http2) => (self.http2_tls.clone(), 0),
            (Some(profile), spoken) => {
                let (config, generation) = profile.config().await.map_err(|_unusable| ConnectFault::NoTls)?;
                let connector = match spoken {
                    Spoken::Http1 => TlsConnector::from(config),
                    Spoken::Http2 => http2_only(&config),
                };
                (connector, generation)
            }
        };
        target.renew(generation);
        let stream = connector.connect(name, Socket::new(stream)).await.map_err(|_refused| ConnectFault::NotAgreed)?;
        Ok(UpstreamConn { generation, ..UpstreamConn::new(Transport::tls(stream)) })
    }
}

/// Speaks TLS by the same rules and offers HTTP/2 alone.
fn http2_only(config: &ClientConfig) -> TlsConnector {
    let mut config = config.clone();
    config.alpn_protocols = vec![ALPN.to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
