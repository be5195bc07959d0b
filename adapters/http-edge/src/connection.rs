//! The life of a client's connection: request after request, until one side wants no more.
//!
//! Always: a request is answered by a response of the upstream or by a refusal of the gateway, once; each leaves one record;
//! after a broken rule nothing of the connection is trusted. Not here: decisions (`admission`), moving bytes (`exchange`,
//! `tunnel`).

mod answer;
mod course;
mod proxy;
mod switched;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use novagate_framing::{BodyKind, HeadInfo, RequestFraming, Step, Version, Violation};
use novagate_kernel::ErrorCode;
use tokio::net::TcpStream;

use self::switched::Switched;
use crate::admission::{Admitted, Decided, Drafts, decide};
use crate::client::Client;
use crate::deadlines::Deadline;
use crate::http2::{Speaker, is_preface};
use crate::observe::cells::add;
use crate::peer::Peer;
use crate::refusal::Refusal;
use crate::transport::Transport;
use crate::worker::Worker;

/// How long a client may go on sending after its last answer, so that it can read that answer.
const LINGER: Duration = Duration::from_secs(2);
/// How long a silent connection stays open when the gateway stops: a request that is on its way is answered, not lost.
pub(crate) const CROSSING_LIMIT: Duration = Duration::from_millis(500);
/// How much it may go on sending.
const LINGER_BYTES: usize = 1024 * 1024;
/// Longest body that is read to its end after a refusal, to keep the connection.
const DRAINED_BODY: u64 = 64 * 1024;

/// A client's connection with all that serves it.
pub(super) struct Connection {
    worker: Rc<Worker>,
    client: Client,
    peer: Peer,
    deadline: Deadline,
    waiting: Waiting,
    drafts: Drafts,
    /// The upstream's end, once both connections are a WebSocket.
    switched: Option<Box<Switched>>,
}

/// What the limit of a connection is about, between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// The first byte of a request.
    Request,
    /// The first byte of a request that a client may have sent before it could know that the gateway stops.
    LastRequest,
    /// The rest of a head.
    Head,
}

/// What a connection brings next.
enum Next {
    Head(HeadInfo),
    Violation(Violation),
    /// A head was begun and not finished in time.
    Late,
    /// The client has nothing more to say, or nothing for too long.
    Over,
}

/// What becomes of the connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It may bring another request.
    Next,
    /// It is a WebSocket.
    Tunnel,
    /// It speaks HTTP/2.
    Http2,
    /// It ends; the client may still be sending.
    Linger,
    /// It ends.
    Close,
}

/// What a method means for its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MethodKind {
    /// Its response has no body; idempotent too.
    Head,
    /// A request may be sent twice (RFC 9110, section 9.2.2).
    Idempotent,
    Other,
}

/// What the head of a request says about its connection and answer.
#[derive(Debug, Clone, Copy)]
struct Manners {
    method: MethodKind,
    version: Version,
    close: bool,
    body: BodyKind,
    expects_continue: bool,
    started: Instant,
}

/// Serves a connection to its end; or gives it back, when it speaks HTTP/2.
pub(crate) async fn serve(worker: Rc<Worker>, transport: Transport, peer: Peer) -> Option<Speaker> {
    let mut connection = Connection::new(worker, transport, peer).await;
    let mut then = {
        let mut running = pin!(connection.run());
        poll_fn(|cx| poll_apart(running.as_mut(), cx)).await
    };
    if then == Then::Http2 {
        let Connection { client, peer, .. } = connection;
        return Some(Speaker { transport: client.transport, input: client.input, peer });
    }
    if then == Then::Tunnel {
        then = connection.tunnel().await;
    }
    if then == Then::Linger {
        connection.linger().await;
    }
    poll_fn(|cx| {
        connection.client.close(cx);
        Poll::Ready(())
    })
    .await;
    None
}

/// Polls without becoming a part of who polls: the whole request path would be there twice, for connections of HTTP/1.1 and
/// for streams of HTTP/2.
#[inline(never)]
fn poll_apart<F: Future>(future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    future.poll(cx)
}

/// Tells a client that there are too many connections.
pub(crate) async fn turn_away(worker: Rc<Worker>, stream: TcpStream, peer: Peer) {
    let mut connection = Connection::new(worker, Transport::plain(stream), peer).await;
    if connection.refuse_unread(Refusal::of(ErrorCode::Overloaded)).await == Then::Linger {
        connection.linger().await;
    }
}

impl Connection {
    async fn new(worker: Rc<Worker>, transport: Transport, peer: Peer) -> Self {
        let client = Client::new(transport, RequestFraming::new(worker.shared.settings.framing));
        let deadline = poll_fn(|cx| Poll::Ready(worker.deadlines.register(cx.waker()))).await;
        Self { worker, client, peer, deadline, waiting: Waiting::Nothing, drafts: Drafts::default(), switched: None }
    }

    async fn run(&mut self) -> Then {
        let mut is_first = true;
        loop {
            self.waiting = Waiting::Nothing;
            let then = match poll_fn(|cx| self.poll_next(cx)).await {
                Next::Head(info) => self.request(&info).await,
                Next::Violation(Violation::UnsupportedVersion) if is_first && self.speaks_http2() => Then::Http2,
                Next::Violation(violation) => self.refuse_unread(Refusal::broken(violation)).await,
                Next::Late => self.refuse_unread(Refusal::of(ErrorCode::RequestTimeout)).await,
                Next::Over => Then::Close,
            };
            if then != Then::Next {
                return then;
            }
            is_first = false;
            if self.client.ended && self.client.input.is_empty() {
                return Then::Close;
            }
            self.client.rest(&self.worker.buffers);
        }
    }

    /// Whether what is no HTTP/1.1 is HTTP/2; over TLS that is agreed on before.
    fn speaks_http2(&self) -> bool {
        let is_welcome = self.worker.shared.settings.http2 && !self.peer.is_secure;
        is_welcome && is_preface(self.client.input.unread())
    }

    /// Waits for a head. While nothing of it has come the connection holds no buffer.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if self.client.input.is_empty() {
                if self.worker.draining.get() {
                    self.limit(Waiting::LastRequest, CROSSING_LIMIT);
                } else {
                    self.limit(Waiting::Request, self.worker.shared.settings.timeouts.idle);
                }
                if self.client.transport.poll_readable(cx).is_pending() {
                    return self.late();
                }
            } else {
                match self.client.framing.feed(self.client.input.unread()) {
                    Step::Head(info) => return Poll::Ready(Next::Head(info)),
                    Step::Violation(violation) => return Poll::Ready(Next::Violation(violation)),
                    Step::NeedMore => {}
                    Step::Body { .. } | Step::EndOfMessage { .. } | Step::Closed => return Poll::Ready(Next::Over),
                }
                self.limit(Waiting::Head, self.worker.shared.settings.timeouts.header);
                if self.client.input.is_full() {
                    self.client.input.grow(self.worker.shared.settings.framing.max_head_bytes() + 1);
                }
            }
            match self.client.poll_fill(cx, &self.worker.buffers) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Next::Over),
                // What was readable was TLS's own, or part of a head.
                Poll::Pending => return self.late(),
            }
        }
    }

    /// A limit runs from the beginning of what is waited for; what comes meanwhile does not extend it.
    fn limit(&mut self, waiting: Waiting, limit: Duration) {
        if self.waiting != waiting {
            self.waiting = waiting;
            self.deadline.set(limit);
        }
    }

    fn late(&self) -> Poll<Next> {
        match self.waiting {
            _ if !self.deadline.is_over() => Poll::Pending,
            Waiting::Head => Poll::Ready(Next::Late),
            Waiting::Request | Waiting::LastRequest | Waiting::Nothing => Poll::Ready(Next::Over),
        }
    }

    /// Decides about a request and sees it through.
    async fn request(&mut self, info: &HeadInfo) -> Then {
        let manners = Manners::of(info, self.client.input.unread());
        // It is too long to be moved about: where it is put it stays.
        let mut decided = None;
        let head = self.client.input.unread().get(..info.len).unwrap_or_default();
        let (worker, peer, drafts) = (&*self.worker, &self.peer, &mut self.drafts);
        // A defect in a decision costs one request; the buffers it wrote into are cleared before they are used again.
        let deciding = AssertUnwindSafe(|| decided = Some(decide(worker, peer, head, info, drafts)));
        let _panic = catch_unwind(deciding);
        self.client.input.consume(info.len);
        // The head for the upstream is a draft: while that answers, the client's buffer serves others.
        self.client.rest(&self.worker.buffers);
        let Some(Decided { request, outcome }) = &mut decided else {
            add(&self.worker.cells.panics, 1);
            self.drafts = Drafts::default();
            let request = self.unknown_request();
            return self.refuse(&request, Refusal::of(ErrorCode::Internal), &manners).await;
        };
        if let Some(uncounted) = self.drafts.uncounted.take()
            && let Err(refusal) = uncounted.count(&self.worker, &mut self.drafts.extra).await
        {
            return self.refuse(request, refusal, &manners).await;
        }
        match outcome {
            Ok(Admitted::Forward(passage)) => self.proxy(request, passage, &manners).await,
            Ok(Admitted::Redirect(status)) => self.redirect(request, *status, &manners).await,
            Err(refusal) => self.refuse(request, *refusal, &manners).await,
        }
    }
}

impl Manners {
    fn of(info: &HeadInfo, bytes: &[u8]) -> Self {
        Self {
            method: match info.method.of(bytes) {
                b"HEAD" => MethodKind::Head,
                b"GET" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE" => MethodKind::Idempotent,
                _ => MethodKind::Other,
            },
            version: info.version,
            close: info.close,
            body: info.body,
            expects_continue: info.expect_continue,
            started: Instant::now(),
        }
    }

    fn is_http_10(&self) -> bool {
        self.version == Version::Http10
    }
}
