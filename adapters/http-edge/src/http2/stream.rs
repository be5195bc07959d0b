//! A stream of HTTP/2 as the connection of a client that makes one request.
//!
//! Decides which error of the protocol tells a client what. Always: a window opens again only for what the pipeline has
//! taken; what a client does not take waits in one piece; a response that has no end is reset, never ended. Not here: bytes
//! of HTTP/1.1 (`request`, `response`).

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::io::ReadBuf;

use super::request::{Malformed, RequestWriter};
use super::response::{Frame, ResponseReader};

/// Bytes of a response that are turned into frames at once.
const PIECE: usize = 16 * 1024;

/// One stream.
#[derive(Debug)]
pub(crate) struct VirtualStream {
    request: RequestWriter,
    receiving: RecvStream,
    response: ResponseReader,
    sending: Sending,
    /// The pipeline wants to read no more.
    is_shut: bool,
    cancelled: Rc<Cell<bool>>,
}

/// The response on its way.
#[derive(Debug)]
struct Sending {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    /// Bytes of the body that the window has no room for.
    pending: Vec<u8>,
    sent: usize,
    behind: Behind,
    is_reset: bool,
}

/// What is behind the pending bytes.
#[derive(Debug, Default)]
enum Behind {
    /// More that has not come yet, or nothing after the end.
    #[default]
    Unknown,
    End,
    Trailers(HeaderMap),
}

impl VirtualStream {
    /// For a request; one that cannot be a request is refused.
    pub(super) fn new(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<Self> {
        let (head, receiving) = request.into_parts();
        let Ok(writer) = RequestWriter::new(&head, receiving.is_end_stream()) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return None;
        };
        let (pending, sent) = (Vec::new(), 0);
        Some(Self {
            request: writer,
            receiving,
            response: ResponseReader::new(head.method == Method::HEAD),
            sending: Sending { respond, stream: None, pending, sent, behind: Behind::Unknown, is_reset: false },
            is_shut: false,
            cancelled: Rc::default(),
        })
    }

    /// Whether the client has given the stream up, when it has ended.
    pub(super) fn cancelled(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.cancelled)
    }

    /// Reads the request; nothing at the end of everything.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.request.is_drained() {
                let of_body = self.request.read(into);
                // Fails only on a stream that is gone, which the next read tells.
                let _ = self.receiving.flow_control().release_capacity(of_body);
                return Poll::Ready(Ok(()));
            }
            if self.is_shut || (self.request.has_ended() && self.is_answered()) {
                return Poll::Ready(Ok(()));
            }
            if self.request.has_ended() {
                ready!(self.sending.poll_reset(cx));
                return Poll::Ready(Err(self.gone()));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    fn is_answered(&self) -> bool {
        self.response.has_ended() && !self.has_pending()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = match ready!(self.receiving.poll_data(cx)) {
            Some(Ok(data)) => self.request.data(data),
            Some(Err(_reset)) => return Poll::Ready(Err(self.gone())),
            None => match ready!(self.receiving.poll_trailers(cx)) {
                Ok(trailers) => self.request.end(trailers.as_ref()),
                Err(_reset) => return Poll::Ready(Err(self.gone())),
            },
        };
        Poll::Ready(written.map_err(|Malformed| {
            self.sending.reset(Reason::PROTOCOL_ERROR);
            self.gone()
        }))
    }

    /// The client is not there any more.
    fn gone(&mut self) -> io::Error {
        self.cancelled.set(true);
        self.is_shut = true;
        io::ErrorKind::ConnectionReset.into()
    }

    /// Takes bytes of the response from the first non-empty pieces.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &[&[u8]; 2]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let mut taken = 0;
        for piece in pieces {
            let mut rest = piece.get(..PIECE.min(piece.len())).unwrap_or_default();
            while !rest.is_empty() && self.sending.pending.len() < PIECE {
                let sending = &mut self.sending;
                let mut is_sent = true;
                let count = self.response.read(rest, &mut |frame| is_sent &= sending.take(frame));
                let Ok(count) = count else {
                    // The pipeline's own bytes: a defect of ours, which must not look like an end.
                    self.reset();
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                };
                if !is_sent {
                    return Poll::Ready(Err(self.gone()));
                }
                taken += count;
                rest = rest.get(count..).unwrap_or_default();
            }
            if !rest.is_empty() || piece.len() > PIECE {
                break;
            }
        }
        match self.poll_flush(cx) {
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    /// Whether something waits for the window.
    pub(crate) fn has_pending(&self) -> bool {
        self.sending.has_pending()
    }

    /// Sends what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_sent = ready!(self.sending.poll_flush(cx));
        Poll::Ready(if is_sent { Ok(()) } else { Err(self.gone()) })
    }

    /// Reads no more.
    pub(crate) fn shut(&mut self) {
        self.is_shut = true;
    }

    /// Ends the stream in a way that the client cannot take for the end of a response.
    pub(crate) fn reset(&mut self) {
        self.is_shut = true;
        if !self.is_answered() {
            self.sending.reset(Reason::INTERNAL_ERROR);
        }
    }
}

impl Sending {
    fn has_pending(&self) -> bool {
        !self.pending.is_empty() || !matches!(self.behind, Behind::Unknown)
    }

    /// Takes a part of the response; false when the stream is gone.
    fn take(&mut self, frame: Frame<'_>) -> bool {
        match frame {
            Frame::Interim(head) => self.respond.send_informational(head).is_ok(),
            Frame::Head(head, is_all) => self.take_head(head, is_all),
            Frame::Data(data) => {
                self.pending.extend_from_slice(data);
                true
            }
            Frame::End(trailers) => {
                self.behind = trailers.map_or(Behind::End, Behind::Trailers);
                true
            }
        }
    }

    fn take_head(&mut self, head: Response<()>, is_all: bool) -> bool {
        match self.respond.send_response(head, is_all) {
            Ok(stream) => {
                self.stream = Some(stream);
                true
            }
            Err(_gone) => false,
        }
    }

    /// Sends what waits; false when the stream is gone.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.has_pending() {
            return Poll::Ready(true);
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(false) };
        while self.sent < self.pending.len() {
            let left = self.pending.len() - self.sent;
            stream.reserve_capacity(left);
            while stream.capacity() == 0 {
                if !matches!(ready!(stream.poll_capacity(cx)), Some(Ok(_))) {
                    return Poll::Ready(false);
                }
            }
            let count = left.min(stream.capacity());
            let is_last = count == left && matches!(self.behind, Behind::End);
            let data = if count == self.pending.len() {
                std::mem::take(&mut self.pending).into()
            } else {
                Bytes::copy_from_slice(self.pending.get(self.sent..self.sent + count).unwrap_or_default())
            };
            self.sent += count;
            if is_last {
                self.behind = Behind::Unknown;
            }
            if stream.send_data(data, is_last).is_err() {
                return Poll::Ready(false);
            }
        }
        self.pending.clear();
        self.sent = 0;
        let is_sent = match std::mem::take(&mut self.behind) {
            Behind::Unknown => true,
            Behind::End => stream.send_data(Bytes::new(), true).is_ok(),
            Behind::Trailers(trailers) => stream.send_trailers(trailers).is_ok(),
        };
        Poll::Ready(is_sent)
    }

    /// Waits until the client gives the stream up.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stream {
            Some(stream) => stream.poll_reset(cx).map(drop),
            None => self.respond.poll_reset(cx).map(drop),
        }
    }

    fn reset(&mut self, reason: Reason) {
        if std::mem::replace(&mut self.is_reset, true) {
            return;
        }
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }
}
