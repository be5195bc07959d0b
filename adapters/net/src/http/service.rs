//! Between hyper and the handler: tells the handler who is calling, and the phase what is going on.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::phase::PhaseCell;

/// The other end of the connection that a request came on, in the request's extensions. Behind a proxy it is the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Whether the request came through TLS that this process terminated, in the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted(pub bool);

/// One connection's handler.
#[derive(Debug, Clone)]
pub(super) struct Handler<S> {
    pub(super) service: S,
    pub(super) peer: PeerAddr,
    pub(super) encrypted: Encrypted,
    pub(super) phase: PhaseCell,
}

/// A response body that reports its end.
#[derive(Debug)]
pub(super) struct ReportingBody<B> {
    body: Pin<Box<B>>,
    phase: PhaseCell,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Handler<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
{
    type Response = Response<ReportingBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        self.phase.request_began();
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.encrypted);
        let (service, phase) = (self.service.clone(), self.phase.clone());
        Box::pin(async move {
            let response = service.oneshot(request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                phase.upgraded();
            }
            Ok(response.map(|body| ReportingBody { body: Box::pin(body), phase }))
        })
    }
}

impl<B: Body> Body for ReportingBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for ReportingBody<B> {
    fn drop(&mut self) {
        self.phase.response_ended();
    }
}
