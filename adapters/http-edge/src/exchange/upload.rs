//! From the client to the upstream: the head that was written for it, then the body as framing lets it through.
//!
//! Always: bytes of a body go on only after the framing machine has found them valid; a body of known length goes on as it
//! is, chunks are put on anew. What a client sends after its request stays in its buffer.

use std::task::{Context, Poll};

use http::HeaderMap;
use novagate_framing::{BodyKind, Step};
use novagate_kernel::ErrorCode;

use super::decoding::DecodedBody;
use super::{End, Exchange, Moved};
use crate::client::Client;
use crate::content::Decoding;
use crate::observe::totals::WorkerCells;
use crate::refusal::Refusal;
use crate::wire::chunks::{ChunkDecoder, LAST_CHUNK, Part, push_chunk};
use crate::wire::names::FieldName;

/// The request on its way.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    head: &'a [u8],
    head_sent: usize,
    body: Body<'a>,
    /// Everything of the body was admitted.
    admitted: bool,
    /// The upstream takes no more; it may have answered before.
    broken: bool,
    /// Something of the body was taken from the client's buffer.
    has_taken: bool,
    repeat: Repeat,
    /// Behind a body of known length.
    trailers: Option<HeaderMap>,
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

#[derive(Debug)]
enum Body<'a> {
    /// Bytes at the front of the client's buffer that go as they are.
    Plain { ready: usize },
    /// Chunks, put on anew.
    Chunked { decoder: Box<ChunkDecoder>, coded: Vec<u8>, sent: usize, trailers: Vec<u8> },
    /// Content out of a coding, in chunks.
    Decoded(Box<DecodedBody<'a>>),
}

impl<'a> Upload<'a> {
    pub(crate) fn new(head: &'a [u8], kind: BodyKind, repeat: Repeat) -> Self {
        let (body, admitted) = match kind {
            BodyKind::None | BodyKind::Length(0) => (Body::Plain { ready: 0 }, true),
            BodyKind::Length(_) => (Body::Plain { ready: 0 }, false),
            BodyKind::Chunked => {
                let decoder = Box::new(ChunkDecoder::new());
                (Body::Chunked { decoder, coded: Vec::new(), sent: 0, trailers: Vec::new() }, false)
            }
        };
        Self { head, head_sent: 0, body, admitted, broken: false, has_taken: false, repeat, trailers: None }
    }

    /// The same, with the body out of its coding. Nothing when there is no memory for it.
    pub(crate) fn decoded(mut self, kind: BodyKind, decoding: Decoding, cells: &'a WorkerCells) -> Option<Self> {
        self.body = Body::Decoded(Box::new(DecodedBody::new(kind, decoding, cells)?));
        Some(self)
    }

    /// The whole request was sent.
    pub(super) fn is_done(&self) -> bool {
        let is_decoded = !matches!(&self.body, Body::Decoded(body) if body.has_undecoded());
        self.admitted && is_decoded && !self.broken && !self.has_pending()
    }

    /// Nothing more will be sent.
    pub(super) fn is_over(&self) -> bool {
        self.broken || self.is_done()
    }

    /// Bytes wait for the upstream to take them.
    pub(super) fn has_pending(&self) -> bool {
        let body = match &self.body {
            Body::Plain { ready } => *ready > 0,
            Body::Chunked { coded, sent, .. } => *sent < coded.len(),
            Body::Decoded(body) => !body.unsent().is_empty(),
        };
        !self.broken && (body || self.head_sent < self.head.len())
    }

    /// Whether the exchange may be repeated on another connection, when this one has ended without a response: it was an
    /// old one, and nothing that cannot be sent again was sent.
    pub(super) fn may_repeat(&self) -> bool {
        !self.has_taken
            && match self.repeat {
                Repeat::Never => false,
                Repeat::IfUnsent => self.head_sent == 0,
                Repeat::Freely => true,
            }
    }

    /// Something of the body was taken from the client: it cannot be sent from its beginning again.
    pub(super) const fn has_taken(&self) -> bool {
        self.has_taken
    }

    /// Drops what was taken over from the client and not sent: it must not be read as the client's next request.
    pub(super) fn abandon(&mut self, client: &mut Client) {
        if let Body::Plain { ready } = &mut self.body {
            client.input.consume(std::mem::take(ready));
        }
    }

    /// Takes over what has come of the body.
    fn admit(&mut self, client: &mut Client) -> Result<(), End> {
        if let Body::Decoded(body) = &mut self.body
            && body.has_undecoded()
            && !self.broken
        {
            return body.decode();
        }
        if self.admitted || self.broken {
            return Ok(());
        }
        let (consumed, ended) = match client.framing.feed(client.input.unread()) {
            Step::NeedMore => return Ok(()),
            Step::Body { consumed } => (consumed, false),
            Step::EndOfMessage { consumed } => (consumed, true),
            Step::Violation(violation) => return Err(End::Violated(Refusal::broken(violation))),
            Step::Head(_) | Step::Closed => return Err(End::Failed(ErrorCode::Internal)),
        };
        self.has_taken = true;
        self.admitted = ended;
        if ended {
            self.trailers = client.transport.take_trailers();
        }
        match &mut self.body {
            Body::Plain { ready } => *ready = consumed,
            Body::Chunked { decoder, coded, trailers, .. } => {
                let bytes = client.input.unread().get(..consumed).unwrap_or_default();
                let decoded = decoder.decode(bytes, |part| match part {
                    Part::Data(data) => push_chunk(coded, data),
                    Part::Trailer(line) => push_trailer(trailers, line),
                });
                // What framing admits is well-formed for the decoder too; a difference would be a defect of ours.
                if !decoded.is_ok_and(|decoded| decoded.consumed == consumed && decoded.ended == ended) {
                    return Err(End::Failed(ErrorCode::Internal));
                }
                if ended {
                    coded.extend_from_slice(LAST_CHUNK);
                    coded.append(trailers);
                    coded.extend_from_slice(b"\r\n");
                }
                client.input.consume(consumed);
            }
            Body::Decoded(body) => {
                let taken = body.take(client.input.unread().get(..consumed).unwrap_or_default(), ended);
                client.input.consume(consumed);
                taken?;
            }
        }
        Ok(())
    }

    /// Bytes were taken by the upstream.
    fn sent(&mut self, count: usize, client: &mut Client) {
        let of_head = count.min(self.head.len() - self.head_sent);
        self.head_sent += of_head;
        let of_body = count - of_head;
        match &mut self.body {
            Body::Plain { ready } => {
                *ready -= of_body.min(*ready);
                client.input.consume(of_body);
            }
            Body::Chunked { coded, sent, .. } => {
                *sent += of_body;
                if *sent >= coded.len() {
                    coded.clear();
                    *sent = 0;
                }
            }
            Body::Decoded(body) => body.sent(of_body),
        }
    }

    fn pieces<'b>(&'b self, client: &'b Client) -> [&'b [u8]; 2] {
        let body = match &self.body {
            Body::Plain { ready } => client.input.unread().get(..*ready),
            Body::Chunked { coded, sent, .. } => coded.get(*sent..),
            Body::Decoded(body) => Some(body.unsent()),
        };
        [self.head.get(self.head_sent..).unwrap_or_default(), body.unwrap_or_default()]
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
                if self.upload.head_sent < self.upload.head.len() && !self.upload.has_taken {
                    self.upload.admit(self.client)?;
                }
                if let Some(trailers) = self.upload.trailers.take() {
                    self.conn.transport.trail(trailers);
                }
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
        if self.conn.transport.poll_flush(cx).is_ready() {
            self.watch_client(cx)?;
        }
        Ok(moved)
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
    fn watch_client(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
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

pub(super) fn push_trailer(out: &mut Vec<u8>, line: &[u8]) {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    if FieldName::of(name).may_trail() {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}
