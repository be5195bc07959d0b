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
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::stream::UpstreamConn;
use super::target::UpstreamTarget;
use crate::http2::ALPN;
use crate::transport::Transport;

/// Longest wait for a connection, TLS included.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectFault {
    /// The target refused, or TLS failed.
    #[error("the target cannot be reached")]
    Unreachable,
    /// Not within the time.
    #[error("the target did not accept in time")]
    TimedOut,
    /// The name is not known.
    #[error("the name of the target cannot be resolved")]
    Unresolved,
    /// The address is one that must not be connected to.
    #[error("the address of the target is denied")]
    Denied,
}

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: TlsConnector,
    /// The same, for HTTP/2 only.
    tls_http2: TlsConnector,
    resolver: Resolver,
    denied: Arc<[IpNet]>,
    own: Arc<[SocketAddr]>,
}

impl Connector {
    /// `own` are the addresses that this process listens on.
    pub(crate) fn new(
        tls: Arc<ClientConfig>,
        resolver: Resolver,
        denied: Arc<[IpNet]>,
        own: Arc<[SocketAddr]>,
    ) -> Self {
        let mut http2 = ClientConfig::clone(&tls);
        http2.alpn_protocols = vec![ALPN.to_vec()];
        let (tls, tls_http2) = (TlsConnector::from(tls), TlsConnector::from(Arc::new(http2)));
        Self { tls, tls_http2, resolver, denied, own }
    }

    /// A new connection, within `limit` and never later than some seconds.
    pub(crate) async fn connect(
        &self,
        target: &Rc<UpstreamTarget>,
        limit: Duration,
    ) -> Result<UpstreamConn, ConnectFault> {
        let work = async {
            let stream = self.reach(target).await?;
            // Fails only on a connection that is gone already, which the exchange will tell.
            let _ = stream.set_nodelay(true);
            secure(&self.tls, target, stream).await.map(UpstreamConn::new)
        };
        timeout(limit.min(CONNECT_LIMIT), work).await.unwrap_or(Err(ConnectFault::TimedOut))
    }

    /// The bytes of a new connection for HTTP/2, which over TLS both sides have agreed on.
    pub(crate) async fn connect_http2(&self, target: &Rc<UpstreamTarget>) -> Result<Transport, ConnectFault> {
        let stream = self.reach(target).await?;
        // Fails only on a connection that is gone already, which the preface will tell.
        let _ = stream.set_nodelay(true);
        let transport = secure(&self.tls_http2, target, stream).await?;
        let is_agreed = !target.url.tls || transport.speaks_http2();
        if is_agreed { Ok(transport) } else { Err(ConnectFault::Unreachable) }
    }

    /// The first of the target's addresses that accepts.
    async fn reach(&self, target: &Rc<UpstreamTarget>) -> Result<TcpStream, ConnectFault> {
        let mut addresses = target.known_addresses();
        if addresses.is_empty() {
            addresses = target.ask(&self.resolver).await.map_err(|_unknown| ConnectFault::Unresolved)?;
        } else if target.wants_asking() {
            let (target, resolver) = (Rc::clone(target), self.resolver.clone());
            // The old addresses stay when there is no answer.
            tokio::task::spawn_local(async move { target.ask(&resolver).await.is_ok() });
        }
        let mut fault = ConnectFault::Unresolved;
        for address in addresses.iter() {
            match self.connect_to(*address).await {
                Ok(stream) => return Ok(stream),
                Err(cause) => fault = cause,
            }
        }
        Err(fault)
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
}

async fn secure(tls: &TlsConnector, target: &UpstreamTarget, stream: TcpStream) -> Result<Transport, ConnectFault> {
    if !target.url.tls {
        return Ok(Transport::plain(stream));
    }
    let name = target.server_name.clone().ok_or(ConnectFault::Unresolved)?;
    let stream = tls.connect(name, stream).await.map_err(|_refused| ConnectFault::Unreachable)?;
    Ok(Transport::tls(stream))
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
