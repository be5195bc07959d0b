//! One request to another target, up to its response head.
//!
//! Always: nothing of a response is taken that goes on; it is read when all of the request was sent. Not here: what its
//! answer means for the others (`hedge`).

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::HeaderMap;
use novagate_routing::Protocol;

use super::super::Asks;
use crate::upstream::breaker::Permit;
use crate::upstream::connect::{CONNECT_LIMIT, ConnectFault};
use crate::upstream::load::Running;
use crate::upstream::reach::connect;
use crate::upstream::slots::Slot;
use crate::upstream::stream::UpstreamConn;
use crate::upstream::target::UpstreamTarget;
use crate::wire::response::{MAX_RESPONSE_HEAD, ResponseParser};
use crate::worker::Worker;

/// A connection that is being made.
pub(super) type Reaching<'a> = Pin<Box<dyn Future<Output = Result<Box<UpstreamConn>, ConnectFault>> + 'a>>;

/// A request under way.
pub(super) struct Run<'a> {
    pub(super) candidate: usize,
    running: Running,
    _permit: Option<Permit<'a>>,
    /// When it had its connection.
    pub(super) begun: Instant,
    /// The tick until which its response head must come.
    pub(super) due: u32,
    bytes: Vec<u8>,
    stage: Stage<'a>,
}

enum Stage<'a> {
    Reaching(Reaching<'a>),
    Talking { conn: Box<UpstreamConn>, sent: usize },
}

/// What has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The head of a response that goes on is there.
    Good,
    /// Its target has failed.
    Failed { is_unconnected: bool },
    /// TLS was not agreed on.
    NoTls { is_targets: bool },
    /// Nothing that says something about its target.
    Useless,
}

/// Where it gets its connection.
pub(super) enum Place<'a> {
    Old(Box<UpstreamConn>),
    /// Room for a new one, and leave to wait for it.
    New(Option<Slot>, Option<Permit<'a>>),
}

/// A connection, and what stands behind a body of known length.
pub(super) fn reach<'a>(
    worker: &'a Worker,
    target: &'a Rc<UpstreamTarget>,
    protocol: Protocol,
    limit: Duration,
    place: Place<'a>,
    trailers: Option<HeaderMap>,
) -> Reaching<'a> {
    Box::pin(async move {
        let mut conn = match place {
            Place::Old(conn) => conn,
            Place::New(slot, _waits) => {
                let mut conn = connect(worker, target, protocol, limit.min(CONNECT_LIMIT)).await?;
                conn.slot = slot;
                conn
            }
        };
        if let Some(trailers) = trailers {
            conn.transport.trail(trailers);
        }
        Ok(conn)
    })
}

impl<'a> Run<'a> {
    pub(super) fn new(
        candidate: usize,
        running: Running,
        permit: Option<Permit<'a>>,
        due: u32,
        bytes: Vec<u8>,
        reaching: Reaching<'a>,
    ) -> Self {
        let (begun, stage) = (Instant::now(), Stage::Reaching(reaching));
        Self { candidate, running, _permit: permit, begun, due, bytes, stage }
    }

    /// Its connection, once it has one.
    pub(super) fn into_conn(self) -> Option<(Box<UpstreamConn>, Running)> {
        match self.stage {
            Stage::Talking { conn, .. } => Some((conn, self.running)),
            Stage::Reaching(_) => None,
        }
    }

    /// Goes on to the response head.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        worker: &Worker,
        asks: Asks,
        is_listed: impl Fn(u16) -> bool,
    ) -> Poll<Answer> {
        if let Stage::Reaching(reaching) = &mut self.stage {
            match ready!(reaching.as_mut().poll(cx)) {
                Ok(conn) => (self.begun, self.stage) = (Instant::now(), Stage::Talking { conn, sent: 0 }),
                Err(ConnectFault::NoTls) => return Poll::Ready(Answer::NoTls { is_targets: false }),
                Err(ConnectFault::NotAgreed) => return Poll::Ready(Answer::NoTls { is_targets: true }),
                Err(_unreachable) => return Poll::Ready(Answer::Failed { is_unconnected: true }),
            }
        }
        let Stage::Talking { conn, sent } = &mut self.stage else { return Poll::Pending };
        // An old connection may have been dead before.
        let failed = if conn.reused { Answer::Useless } else { Answer::Failed { is_unconnected: false } };
        if ready!(conn.poll_send_all(cx, &self.bytes, sent)).is_err() {
            return Poll::Ready(failed);
        }
        loop {
            match read_head(conn, worker, asks, &is_listed) {
                Ok(Some(answer)) => return Poll::Ready(answer),
                Ok(None) => {}
                Err(()) => return Poll::Ready(Answer::Failed { is_unconnected: false }),
            }
            if conn.input.is_full() && !conn.input.grow(MAX_RESPONSE_HEAD) {
                return Poll::Ready(Answer::Failed { is_unconnected: false });
            }
            match ready!(conn.poll_fill(cx, &worker.buffers)) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return Poll::Ready(failed),
            }
        }
    }
}

/// Looks for the head of a response that is none of the interim ones.
fn read_head(
    conn: &mut UpstreamConn,
    worker: &Worker,
    asks: Asks,
    is_listed: impl Fn(u16) -> bool,
) -> Result<Option<Answer>, ()> {
    while !conn.input.is_empty() {
        let mut list = worker.fields.borrow_mut();
        let parsed = ResponseParser::default().parse(conn.input.unread(), asks == Asks::HeadOnly, &mut list);
        let Some(head) = parsed.map_err(drop)? else { return Ok(None) };
        match head.status {
            101 => return Err(()),
            ..200 => conn.input.consume(head.len),
            502..=504 if is_listed(head.status) => return Err(()),
            status if is_listed(status) => return Ok(Some(Answer::Useless)),
            _ => return Ok(Some(Answer::Good)),
        }
    }
    Ok(None)
}
