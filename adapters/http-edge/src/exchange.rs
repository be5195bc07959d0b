//! One request with its response, between a client's connection and an upstream's.
//!
//! Always: both directions run at the same time, with bounded buffers; a side that does not take bytes stops the other one
//! from sending; every wait has a limit; whose fault a failure is, is told apart. Not here: finding the upstream and what
//! becomes of both connections afterwards (`connection`, `tunnel`).

mod body;
mod decoding;
mod download;
mod encoding;
mod hedge;
mod upload;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use novagate_kernel::ErrorCode;

pub(crate) use self::body::RequestBody;
pub(crate) use self::decoding::DecodedBody;
use self::download::Download;
pub(crate) use self::hedge::{Hedges, Hedging, Winner};
pub(crate) use self::upload::{Repeat, Upload};
use crate::client::Client;
use crate::content::Compressing;
use crate::deadlines::{Deadline, NEVER};
use crate::refusal::Refusal;
use crate::upstream::http2::Fate;
use crate::upstream::retry::{Ground, Tries};
use crate::upstream::stream::UpstreamConn;
use crate::worker::Worker;

/// How long a client that has closed its sending side is still waited for: whether it can hear us shows only when we send.
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(1);

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The whole response was handed to the client's connection.
    Complete {
        /// The upstream's connection may carry another exchange.
        upstream_reusable: bool,
        /// The client's connection may carry another request.
        client_reusable: bool,
    },
    /// The client was told that both connections are a WebSocket: what comes is none of HTTP any more.
    Switched,
    /// The upstream's connection was dead before it carried anything of this request.
    Stale,
    /// It was answered with this status, and is to be tried again: nothing of the response was sent.
    Unwanted(u16),
    /// It failed before anything of a response was sent; the client is to be told.
    Failed(ErrorCode),
    /// The client broke a rule in its body; it is to be told.
    Violated(Refusal),
    /// It failed in the middle of the response: nothing but the end of the connection can tell the client.
    Aborted(ErrorCode),
    /// The client is gone.
    ClientGone,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// A response with its body.
    Response,
    /// Its head only.
    HeadOnly,
    /// A WebSocket; a response will do.
    WebSocket,
}

/// What the response needs to know about the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) asks: Asks,
    /// The client is HTTP/1.0: no chunks.
    pub(crate) is_http_10: bool,
    /// The connection is to be closed after this response.
    pub(crate) close: bool,
    /// The field `X-Request-ID` with the end of its line.
    pub(crate) request_id_line: &'a [u8],
    /// Lines of the response's head.
    pub(crate) extra: &'a [u8],
    /// Until the response head.
    pub(crate) head_limit: Duration,
    /// The tick at which everything ends.
    pub(crate) total: u32,
    /// What the service says about trying again.
    pub(crate) tries: Option<&'a Tries<'a>>,
    /// How the response may be compressed.
    pub(crate) compression: Option<&'a Compressing>,
}

/// What is known about the response.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// The status that was sent; 0 when none was.
    pub(crate) status: u16,
    /// When its head had come.
    pub(crate) answered: Option<Instant>,
    /// Nothing that was taken from the client would be missing in another try.
    pub(crate) is_replayable: bool,
    /// What is known of the request if it has failed.
    pub(crate) fate: Fate,
    /// The time that was too long was the client's, or that of the whole response.
    pub(crate) spares_target: bool,
}

/// A running exchange.
pub(crate) struct Exchange<'a> {
    worker: &'a Worker,
    client: &'a mut Client,
    conn: &'a mut UpstreamConn,
    deadline: &'a Deadline,
    terms: Terms<'a>,
    upload: Upload<'a>,
    download: Download,
    /// The tick until which the response head must come; known when the request is sent.
    head_due: Option<u32>,
    /// The tick until which something must happen.
    limit: u32,
    /// The tick from which on a waiting client is watched: most are answered before, and to ask each of them whether it is
    /// still there would cost more than to notice a little later that one is not. [`NEVER`]: it is watched.
    watch_from: u32,
    /// Other targets that may be asked too.
    pub(crate) hedges: Option<Box<Hedges<'a>>>,
    /// The one of them whose response it is.
    pub(crate) winner: Option<Box<Winner>>,
    is_limited: bool,
    quiet: Quiet,
    pub(crate) outcome: Outcome,
}

/// Sides that had nothing to receive since the task was woken: asking again before it is woken again is in vain.
#[derive(Debug, Clone, Copy, Default)]
struct Quiet {
    client: bool,
    upstream: bool,
}

/// Whether a direction has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        worker: &'a Worker,
        client: &'a mut Client,
        conn: &'a mut UpstreamConn,
        deadline: &'a Deadline,
        terms: Terms<'a>,
        (upload, hedges): (Upload<'a>, Option<Box<Hedges<'a>>>),
    ) -> Self {
        let (download, outcome) = (Download::default(), Outcome::default());
        let (head_due, is_limited, quiet) = (None, false, Quiet::default());
        let (limit, winner) = (terms.total, None);
        // A stream tells of its end by itself, and where others may be asked too there is time to look.
        let is_watched = client.transport.is_stream() || hedges.is_some();
        let watch_from = if is_watched { NEVER } else { deadline.tick_after(Duration::ZERO) };
        Self {
            worker,
            client,
            conn,
            deadline,
            terms,
            upload,
            download,
            head_due,
            limit,
            watch_from,
            hedges,
            winner,
            is_limited,
            quiet,
            outcome,
        }
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Result<Option<End>, End> {
        let mut moved = true;
        self.quiet = Quiet::default();
        if self.watch_from != NEVER && self.deadline.has_passed(self.watch_from) {
            (self.watch_from, self.is_limited) = (NEVER, false);
        }
        if !std::mem::replace(&mut self.is_limited, true) {
            self.set_limit();
        }
        while moved {
            let (up, down) = if self.hedges.is_some() { self.poll_hedged(cx)? } else { self.poll_directions(cx)? };
            if self.is_answered() {
                return Ok(Some(self.complete()));
            }
            moved = up == Moved::Yes || down == Moved::Yes;
            // Interim responses are none, and no body that goes on.
            if up == Moved::Yes || (moved && self.download.has_begun()) {
                self.set_limit();
            }
        }
        if self.hedges.is_some() {
            return self.wait_hedged().map(|()| None);
        }
        if self.deadline.has_passed(self.limit) { Err(self.overdue()) } else { Ok(None) }
    }

    fn poll_directions(&mut self, cx: &mut Context<'_>) -> Result<(Moved, Moved), End> {
        if !self.upload.is_done() {
            return Ok((self.poll_upload(cx)?, self.poll_download(cx)?));
        }
        // Most often it is the rest of the response that has come. Behind that nobody need watch the client.
        let down = self.poll_download(cx)?;
        let up = if self.is_answered() { Moved::No } else { self.poll_upload(cx)? };
        Ok((up, down))
    }

    /// All of the response was handed to the client's connection.
    fn is_answered(&self) -> bool {
        self.download.has_ended() && !self.client.has_output()
    }

    /// Receives from the client; 0 is the end of the stream or a full buffer.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.quiet.client {
            return Poll::Pending;
        }
        let received = self.client.poll_fill(cx, &self.worker.buffers);
        self.quiet.client = received.is_pending();
        received
    }

    /// Receives from the upstream; 0 is the end of the stream or a full buffer.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.quiet.upstream {
            return Poll::Pending;
        }
        if self.download.encoding.as_mut().is_some_and(|encoding| encoding.ends_turn(cx)) {
            self.quiet.upstream = true;
            return Poll::Pending;
        }
        let received = self.conn.poll_fill(cx, &self.worker.buffers);
        self.quiet.upstream = received.is_pending();
        received
    }

    fn complete(&mut self) -> End {
        if self.download.has_switched() {
            return End::Switched;
        }
        let whole = self.upload.is_done();
        let upstream_reusable = whole && self.download.keeps_upstream() && self.conn.input.is_empty();
        let client_reusable = whole && !self.download.closes_client() && !self.client.ended;
        End::Complete { upstream_reusable, client_reusable }
    }

    /// The limit of what is waited for at this moment.
    fn set_limit(&mut self) {
        let idle = self.worker.shared.settings.timeouts.body_idle;
        let due = if !self.upload.is_over() || self.download.has_begun() {
            self.deadline.tick_after(idle)
        } else {
            *self.head_due.get_or_insert_with(|| self.deadline.tick_after(self.terms.head_limit))
        };
        self.limit = due.min(self.terms.total);
        self.deadline.set_tick(self.limit.min(self.watch_from));
    }

    /// Whose fault it is that the limit has passed.
    fn overdue(&mut self) -> End {
        let is_total = self.deadline.has_passed(self.terms.total);
        let upstream_stalls = self.upload.has_pending() || self.conn.transport.is_unflushed();
        let client_sends = !self.upload.is_over() && !upstream_stalls;
        self.outcome.spares_target = is_total && (self.download.has_begun() || client_sends);
        if self.download.has_begun() {
            let client_stalls = self.client.has_output() || self.download.has_direct();
            return if client_stalls && !is_total {
                End::ClientGone
            } else {
                End::Aborted(ErrorCode::DownstreamTimeout)
            };
        }
        if is_total || upstream_stalls {
            return End::Failed(ErrorCode::DownstreamTimeout);
        }
        if !self.upload.is_over() {
            return End::Failed(ErrorCode::RequestTimeout);
        }
        if self.client.ended { End::ClientGone } else { End::Failed(ErrorCode::DownstreamTimeout) }
    }

    /// Whether the request is tried again rather than answered with this status.
    fn is_unwanted(&self, status: u16) -> bool {
        let Some(tries) = self.terms.tries else { return false };
        // While others are asked, the next try is already made.
        if self.hedges.as_ref().is_some_and(|hedges| hedges.is_under_way()) {
            return tries.lists(status);
        }
        self.upload.is_replayable() && tries.take(Ground::Status(status), self.deadline)
    }

    /// The client has closed its sending side while it waits.
    fn on_half_closed(&mut self) {
        if !self.download.has_begun() {
            let grace = self.deadline.tick_after(HALF_CLOSED_GRACE);
            self.head_due = Some(self.head_due.map_or(grace, |due| due.min(grace)));
        }
    }
}

impl Future for Exchange<'_> {
    type Output = End;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let exchange = self.get_mut();
        match exchange.poll_both(cx) {
            Ok(Some(end)) | Err(end) => {
                exchange.outcome.is_replayable = exchange.upload.is_replayable();
                exchange.outcome.fate = exchange.conn.transport.fate();
                exchange.upload.abandon(exchange.client);
                Poll::Ready(end)
            }
            Ok(None) => Poll::Pending,
        }
    }
}
