//! Copies of requests for a second service, whose answers nobody reads.
//!
//! Always: beside the request, never before it: a copy that has a body is made when all of that has come; one that cannot
//! be made, because the body was too long or never came, or that would be one too many, is left out and counted; what
//! becomes of it changes nothing for the client, the health of targets or the metrics of services. Not here: which
//! requests are copied (`admission`).

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::HeaderMap;
use novagate_routing::Protocol;
use tokio::time::timeout;

use crate::observe::cells::add;
use crate::places::Place;
use crate::upstream::reach::{connect, kept};
use crate::upstream::slots::Bound;
use crate::upstream::stream::UpstreamConn;
use crate::upstream::target::UpstreamTarget;
use crate::wire::chunks::ChunkDecoder;
use crate::wire::fields::Field;
use crate::wire::response::{BodyLength, ResponseParser};
use crate::worker::Worker;

/// Copies of one worker that are under way.
pub(crate) const MAX_RUNNING: usize = 256;

/// Where copies of a request go.
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) target: Rc<UpstreamTarget>,
    /// What is spoken with it.
    pub(crate) protocol: Protocol,
    /// For all of a copy.
    pub(crate) limit: Duration,
    /// Where the connections of the service have a bound.
    pub(crate) bound: Option<Bound>,
    /// Bytes of a body that is copied.
    pub(crate) max_body: usize,
}

/// A copy that is ready to be sent.
#[derive(Debug)]
pub(crate) struct MirroredRequest {
    pub(crate) to: Copies,
    pub(crate) head: Vec<u8>,
    /// Its answer has no body.
    pub(crate) asks_head_only: bool,
    /// Behind a body of known length.
    pub(crate) trailers: Option<HeaderMap>,
}

/// A copy that waits for the body of its request; it is left out when it is dropped before.
pub(crate) struct WaitingCopy {
    copy: Option<MirroredRequest>,
    worker: Rc<Worker>,
}

/// How far an answer was read.
enum Answer {
    Head(ResponseParser, Vec<Field>),
    Length(u64),
    Chunks(ChunkDecoder),
    /// To the end of the connection.
    Rest,
}

impl WaitingCopy {
    pub(crate) fn new(copy: MirroredRequest, worker: &Rc<Worker>) -> Self {
        Self { copy: Some(copy), worker: Rc::clone(worker) }
    }

    /// Whether a body of so many bytes is copied.
    pub(crate) fn takes(&self, length: u64) -> bool {
        self.copy.as_ref().is_some_and(|copy| length <= copy.to.max_body as u64)
    }

    /// Sends it beside whatever goes on, with this body as it was sent and what stands behind that.
    pub(crate) fn send(mut self, body: &[u8], trailers: Option<&HeaderMap>) {
        let Some(place) = self.worker.mirrors.take() else { return };
        if let Some(mut copy) = self.copy.take() {
            copy.head.extend_from_slice(body);
            copy.trailers = trailers.cloned();
            copy.run(Rc::clone(&self.worker), place);
        }
    }
}

impl Drop for WaitingCopy {
    fn drop(&mut self) {
        if self.copy.is_some() {
            add(&self.worker.cells.mirrors_left_out, 1);
        }
    }
}

impl MirroredRequest {
    fn run(mut self, worker: Rc<Worker>, place: Place) {
        tokio::task::spawn_local(async move {
            let _place = place;
            let ended = timeout(self.to.limit, self.exchange(&worker)).await;
            if !matches!(ended, Ok(Some(()))) {
                add(&worker.cells.mirrors_failed, 1);
            }
        });
    }

    /// Nothing when it failed.
    async fn exchange(&mut self, worker: &Worker) -> Option<()> {
        let trailers = self.trailers.take();
        let Copies { target, protocol, limit, bound, .. } = &self.to;
        let mut conn = match (kept(target, *protocol, false), bound) {
            (Some(conn), _) => conn,
            (None, None) => connect(worker, target, *protocol, *limit).await.ok()?,
            (None, Some(bound)) => {
                let slot = bound.take()?;
                let mut conn = connect(worker, target, *protocol, *limit).await.ok()?;
                conn.slot = Some(slot);
                conn
            }
        };
        if let Some(trailers) = trailers {
            conn.transport.trail(trailers);
        }
        let (mut sent, mut answer) = (0, Answer::Head(ResponseParser::default(), Vec::new()));
        let reusable = poll_fn(|cx| self.poll(&mut conn, cx, &mut sent, &mut answer, worker)).await?;
        if reusable {
            target.put_idle(conn, Instant::now(), &worker.buffers);
        }
        Some(())
    }

    /// Whether the connection can be used again.
    fn poll(
        &self,
        conn: &mut UpstreamConn,
        cx: &mut Context<'_>,
        sent: &mut usize,
        answer: &mut Answer,
        worker: &Worker,
    ) -> Poll<Option<bool>> {
        if ready!(conn.poll_send_all(cx, &self.head, sent)).is_err() {
            return Poll::Ready(None);
        }
        loop {
            match answer.read(conn, self.asks_head_only) {
                Ok(None) => {}
                Ok(Some(reusable)) => return Poll::Ready(Some(reusable && conn.input.is_empty())),
                Err(()) => return Poll::Ready(None),
            }
            match conn.poll_fill(cx, &worker.buffers) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(Ok(_)) if matches!(answer, Answer::Rest) => return Poll::Ready(Some(false)),
                Poll::Ready(_) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Answer {
    /// Takes what was received; at the end, whether the connection stays. Bodies are dropped.
    fn read(&mut self, conn: &mut UpstreamConn, asks_head_only: bool) -> Result<Option<bool>, ()> {
        loop {
            let unread = conn.input.unread();
            match self {
                Self::Head(parser, fields) => {
                    let Some(head) = parser.parse(unread, asks_head_only, fields).map_err(drop)? else {
                        // A head that fills the buffer is more than is worth reading.
                        return if conn.input.is_full() { Err(()) } else { Ok(None) };
                    };
                    conn.input.consume(head.len);
                    *self = match head.body {
                        _ if head.status < 200 => Self::Head(ResponseParser::default(), Vec::new()),
                        BodyLength::None | BodyLength::Known(0) => return Ok(Some(head.keep_alive)),
                        // A connection that ends soon is not read on.
                        _ if !head.keep_alive => return Ok(Some(false)),
                        BodyLength::Known(length) => Self::Length(length),
                        BodyLength::Chunked => Self::Chunks(ChunkDecoder::new()),
                        BodyLength::UntilClose => Self::Rest,
                    };
                }
                Self::Length(left) => {
                    let here = usize::try_from(*left).map_or(unread.len(), |left| left.min(unread.len()));
                    conn.input.consume(here);
                    *left -= here as u64;
                    return Ok((*left == 0).then_some(true));
                }
                Self::Chunks(decoder) => {
                    let so_far = decoder.decode(unread, |_part| {}).map_err(drop)?;
                    conn.input.consume(so_far.consumed);
                    return if conn.input.is_full() { Err(()) } else { Ok(so_far.ended.then_some(true)) };
                }
                Self::Rest => {
                    let len = unread.len();
                    conn.input.consume(len);
                    return Ok(None);
                }
            }
        }
    }
}
