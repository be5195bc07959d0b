//! The listener side: from a bound socket to one task for each connection.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use rustls::ServerConfig;

use super::connection::Connections;
use crate::{
    listener::{Acceptor, Slots},
    tasks::Tasks,
};

/// What a client may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// Open connections, upgraded ones included; further clients wait in the kernel's backlog.
    pub max_connections: usize,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From a request's first byte (for the first request: from the open connection) to the end of its head.
    pub header_timeout: Duration,
    /// From the end of a response to the first byte of the next request.
    pub idle_timeout: Duration,
    /// Without progress of a write; holds for upgraded connections too.
    pub write_stall_timeout: Duration,
    /// Request line and headers, bytes.
    pub max_header_bytes: usize,
    /// Headers of a request.
    pub max_headers: usize,
}

/// A socket, how it is called in logs, and whether it speaks TLS.
#[derive(Debug)]
pub struct HttpListener {
    /// The name of the accept loop, as `control-api`.
    pub name: &'static str,
    /// The bound socket; see [`crate::bind()`].
    pub socket: std::net::TcpListener,
    /// The certificate to terminate TLS with; none: plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_stall_timeout: Duration::from_secs(30),
            max_header_bytes: 32 * 1024,
            max_headers: 100,
        }
    }
}

/// Starts serving HTTP/1.1 on a listener, upgrades included, and returns its address. `service` is cloned for each
/// request (an `axum::Router` fits) and finds [`super::PeerAddr`] and [`super::Encrypted`] in the request's extensions.
///
/// `tasks` owns the accept loop and every connection. When its first step is cancelled the socket closes, idle
/// connections end, running requests finish; an upgraded connection is its handler's to end.
///
/// Must be called inside a runtime.
pub fn serve_http<S, B>(listener: HttpListener, service: S, limits: HttpLimits, tasks: &Tasks) -> io::Result<SocketAddr>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let HttpListener { name, socket, tls } = listener;
    let acceptor = Acceptor::new(name, socket, Slots::new(limits.max_connections), tasks.soft())?;
    let addr = acceptor.local_addr()?;
    let connections = Connections { service, tls, limits, soft: tasks.soft() };
    let owner = tasks.clone();
    tasks.spawn(name, async move {
        while let Some(accepted) = acceptor.accept().await {
            owner.spawn("http-connection", connections.clone().serve(accepted));
        }
    });
    Ok(addr)
}
