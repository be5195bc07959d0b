//! One connection from its handshake to its end.

use std::{convert::Infallible, pin::pin, sync::Arc};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    io::GuardedIo,
    phase::PhaseCell,
    server::HttpLimits,
    service::{Encrypted, Handler, PeerAddr},
};
use crate::listener::Accepted;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What all connections of a listener share.
#[derive(Debug, Clone)]
pub(super) struct Connections<S> {
    pub(super) service: S,
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) limits: HttpLimits,
    pub(super) soft: CancellationToken,
}

impl<S, B> Connections<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// Serves one connection until it ends, is cut, or has drained after `soft`.
    pub(super) async fn serve(self, accepted: Accepted) {
        let Accepted { stream, peer, slot } = accepted;
        let phase = PhaseCell::open();
        let Some(tls) = self.tls.clone() else {
            let io = GuardedIo::new(stream, phase.clone(), self.limits.write_stall_timeout, slot);
            return self.drive(io, phase, PeerAddr(peer), Encrypted(false)).await;
        };
        match timeout(self.limits.handshake_timeout, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => {
                let phase = PhaseCell::open();
                let io = GuardedIo::new(stream, phase.clone(), self.limits.write_stall_timeout, slot);
                self.drive(io, phase, PeerAddr(peer), Encrypted(true)).await;
            }
            Ok(Err(fault)) => tracing::debug!(error = %fault, "TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn drive<I>(self, io: GuardedIo<I>, phase: PhaseCell, peer: PeerAddr, encrypted: Encrypted)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut expired = pin!(phase.expired(self.limits.header_timeout, self.limits.idle_timeout));
        let handler = Handler { service: self.service, peer, encrypted, phase };
        let mut builder = http1::Builder::new();
        // Deadlines are the phase's: hyper's own timer cannot tell an idle connection from a slow head.
        builder
            .header_read_timeout(None)
            .max_headers(self.limits.max_headers)
            .max_header_size(self.limits.max_header_bytes);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), handler).with_upgrades());
        let mut draining = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(fault) = ended {
                        tracing::debug!(error = %fault, "connection ended early");
                    }
                    return;
                }
                cut = expired.as_mut() => {
                    tracing::debug!(?cut, "connection cut");
                    return;
                }
                () = self.soft.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
