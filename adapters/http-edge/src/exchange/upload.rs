//! From the client to the upstream: the head that was written for it, then the body.
//!
//! Always: what a client sends after its request stays in its buffer. Not here: what a body is made of (`body`).

use std::task::{Context, Poll};

use http::HeaderMap;

use super::body::RequestBody;
use super::{End, Exchange, Moved};
use crate::client::Client;
use crate::deadlines::NEVER;

/// The request on its way, in one try.
pub(crate) struct Upload<'a> {
    head: &'a [u8],
    head_sent: usize,
    body: &'a mut RequestBody,
    /// The upstream takes no more; it may have answered before.
    broken: bool,
    /// It was told what stands behind the body.
    is_trailed: bool,
    repeat: Repeat,
}

/// When a request may be sent again on another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Not at all: its connection was new.
    Never,
    /// When nothing of it was sent.
    IfUnsent,
    /// When there was no answer: sending it twice does what sending it once does.
    Freely,
}

impl<'a> Upload<'a> {
    pub(crate) fn new(head: &'a [u8], body: &'a mut RequestBody, repeat: Repeat) -> Self {
        body.rewind();
        Self { head, head_sent: 0, body, broken: false, is_trailed: false, repeat }
    }

    /// The whole request was sent.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_admitted() && !self.broken && !self.has_pending()
    }

    /// Nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        self.broken || self.is_done()
    }

    /// Bytes wait for the upstream to take them.
    pub(super) fn has_pending(&self) -> bool {
        !self.broken && (self.body.has_pending() || self.head_sent < self.head.len())
    }

    /// Whether the exchange may be repeated on another connection, when this one has ended without a response: it was an
    /// old one, and nothing that cannot be sent again was sent.
    pub(super) fn may_repeat(&self) -> bool {
        self.is_replayable()
            && match self.repeat {
                Repeat::Never => false,
                Repeat::IfUnsent => self.head_sent == 0,
                Repeat::Freely => true,
            }
    }

    /// Whether all that was taken from the client can be sent again.
    pub(super) fn is_replayable(&self) -> bool {
        self.body.is_replayable()
    }

    /// Whether all of it is here and can be sent again.
    pub(super) fn is_whole(&self) -> bool {
        self.body.is_admitted() && self.body.is_replayable()
    }

    /// The body of a request that is whole.
    pub(super) fn whole_body(&self) -> &[u8] {
        self.body.whole()
    }

    /// What stands behind it.
    pub(super) fn whole_trailers(&mut self) -> Option<HeaderMap> {
        self.body.trailers()
    }

    /// All of it was sent on another connection.
    pub(super) fn finish(&mut self) {
        (self.head_sent, self.broken) = (self.head.len(), false);
        self.body.finish();
    }

    /// There will be no other try.
    pub(super) fn release(&mut self) {
        self.body.release();
    }

    /// Drops what was taken over from the client and not sent: it must not be read as the client's next request.
    pub(super) fn abandon(&mut self, client: &mut Client) {
        self.body.abandon(client);
    }

    /// Takes over what has come of the body.
    fn admit(&mut self, client: &mut Client) -> Result<(), End> {
        if self.broken { Ok(()) } else { self.body.admit(client) }
    }

    /// Bytes were taken by the upstream.
    fn sent(&mut self, count: usize, client: &mut Client) {
        let of_head = count.min(self.head.len() - self.head_sent);
        self.head_sent += of_head;
        self.body.sent(count - of_head, client);
    }

    fn pieces<'b>(&'b self, client: &'b Client) -> [&'b [u8]; 2] {
        [self.head.get(self.head_sent..).unwrap_or_default(), self.body.pending(client)]
    }
}

impl Exchange<'_> {
    /// Sends what there is, and receives more when there is nothing.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<Moved, End> {
        match self.poll_sending(cx) {
            // The answer that is on its way is finished; it has said already that the connection ends with it.
            Err(End::Violated(_)) if self.download.has_begun() => {
                self.upload.broken = true;
                Ok(Moved::Yes)
            }
            Err(End::Failed(code)) if self.download.has_begun() => Err(End::Aborted(code)),
            moved => moved,
        }
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Result<Moved, End> {
        let mut moved = Moved::No;
        loop {
            if !self.upload.has_pending() {
                if self.upload.is_over() {
                    break;
                }
                self.upload.admit(self.client)?;
            }
            if self.upload.has_pending() {
                // Head and body together, when the body is there already.
                if self.upload.head_sent < self.upload.head.len() && self.upload.body.is_untouched() {
                    self.upload.admit(self.client)?;
                }
                self.pass_request_trailers();
                match self.conn.transport.poll_send(cx, &self.upload.pieces(self.client)) {
                    Poll::Ready(Ok(count)) => self.upload.sent(count, self.client),
                    Poll::Ready(Err(_broken)) => return self.on_broken_upload(),
                    Poll::Pending => return Ok(moved),
                }
            } else if !self.upload.is_over() {
                match self.poll_client(cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    // A request without its end.
                    Poll::Ready(_) => return Err(End::ClientGone),
                    Poll::Pending => {
                        // What was taken goes on while more is waited for. Its error is that of the next write.
                        let _ = self.conn.transport.poll_flush(cx);
                        return Ok(moved);
                    }
                }
            }
            moved = Moved::Yes;
        }
        if self.conn.transport.poll_flush(cx).is_ready() && self.watch_from == NEVER {
            self.watch_client(cx)?;
        }
        Ok(moved)
    }

    /// Hands on what stands behind a body of known length, before its last bytes go.
    fn pass_request_trailers(&mut self) {
        if !self.upload.is_trailed
            && let Some(trailers) = self.upload.body.trailers()
        {
            self.conn.transport.trail(trailers);
            self.upload.is_trailed = true;
        }
    }

    /// The upstream takes no more. It may have answered already, so what it has sent is read.
    fn on_broken_upload(&mut self) -> Result<Moved, End> {
        if self.upload.may_repeat() && self.upload.head_sent == 0 {
            return Err(End::Stale);
        }
        self.upload.broken = true;
        Ok(Moved::Yes)
    }

    /// Notices that a waiting client goes away; what it sends meanwhile is its next request.
    pub(super) fn watch_client(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        // After a broken upload the rest of the body is still to come: not to be taken for anything else.
        while self.upload.is_done() && !self.client.ended && !self.client.input.is_full() {
            match self.poll_client(cx) {
                Poll::Ready(Ok(0)) => {
                    self.client.ended = true;
                    self.on_half_closed();
                    self.set_limit();
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_reset)) => return Err(End::ClientGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}
