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
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response};
use tokio::io::ReadBuf;

use super::handshake::Handshake;
use super::outflow::{Outflow, PIECE};
use super::request::write_request;
use super::response::{Frame, ResponseReader};
use super::writer::{Malformed, MessageWriter};
use crate::grpc::Call;

/// One stream.
#[derive(Debug)]
pub(crate) struct VirtualStream {
    request: MessageWriter,
    receiving: RecvStream,
    response: ResponseReader,
    sending: Sending,
    /// The pipeline wants to read no more.
    is_shut: bool,
    cancelled: Rc<Cell<bool>>,
    call: Option<Call>,
}

/// The response on its way.
#[derive(Debug)]
struct Sending {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    outflow: Outflow,
    /// Behind a body of known length.
    trailers: Option<HeaderMap>,
    is_reset: bool,
}

impl VirtualStream {
    /// For a request; one that cannot be a request is refused. With the nonce of a handshake, if it turns out to be one.
    pub(super) fn new(
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        nonce: impl FnOnce() -> [u8; 16],
    ) -> Option<Self> {
        let (mut head, receiving) = request.into_parts();
        let is_websocket = head.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
        let handshake = is_websocket.then(|| Handshake::new(nonce()));
        if is_websocket {
            head.headers.remove("sec-websocket-key");
        }
        let Ok(writer) = write_request(&head, receiving.is_end_stream(), handshake.as_ref()) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return None;
        };
        let sending = Sending { respond, stream: None, outflow: Outflow::default(), trailers: None, is_reset: false };
        Some(Self {
            request: writer,
            receiving,
            response: ResponseReader::new(head.method == Method::HEAD, handshake),
            sending,
            is_shut: false,
            cancelled: Rc::default(),
            call: Call::of(&head.headers),
        })
    }

    /// Whether the client has given the stream up, when it has ended.
    pub(super) fn cancelled(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.cancelled)
    }

    /// What is known of the request if it is one of gRPC.
    pub(crate) const fn call(&self) -> Option<&Call> {
        self.call.as_ref()
    }

    /// Trailers behind a request body of known length; there with its last bytes.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.request.take_trailers()
    }

    /// Takes the trailers that belong behind a response body of known length.
    pub(crate) fn trail(&mut self, trailers: HeaderMap) {
        self.sending.trailers = Some(trailers);
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
            if self.request.has_ended() && self.response.has_switched() {
                self.is_shut = true;
            }
        }
    }

    fn is_answered(&self) -> bool {
        self.response.has_ended() && !self.has_pending()
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = match ready!(self.receiving.poll_data(cx)) {
            Some(Ok(data)) => self.request.data(data, self.receiving.is_end_stream()),
            Some(Err(_reset)) => return Poll::Ready(Err(self.gone())),
            None => match ready!(self.receiving.poll_trailers(cx)) {
                Ok(trailers) => self.request.end(trailers),
                Err(_reset) => return Poll::Ready(Err(self.gone())),
            },
        };
        Poll::Ready(written.map_err(|Malformed| {
            self.sending.reset(Reason::PROTOCOL_ERROR);
            self.gone()
        }))
    }

    /// The client is not there any more. To leave a WebSocket is no sign of a fickle client.
    fn gone(&mut self) -> io::Error {
        self.cancelled.set(!self.request.is_raw());
        self.is_shut = true;
        io::ErrorKind::ConnectionReset.into()
    }

    /// Takes bytes of the response from the first non-empty pieces.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &[&[u8]; 2]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let had_switched = self.response.has_switched();
        let mut taken = 0;
        for piece in pieces {
            let mut rest = piece.get(..PIECE.min(piece.len())).unwrap_or_default();
            while !rest.is_empty() && self.sending.outflow.has_room() {
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
        if !had_switched && self.response.has_switched() {
            self.request.switch();
        }
        match self.poll_flush(cx) {
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    /// Whether something waits for the window.
    pub(crate) fn has_pending(&self) -> bool {
        self.sending.outflow.has_pending()
    }

    /// Sends what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_sent = ready!(self.sending.poll_flush(cx));
        Poll::Ready(if is_sent { Ok(()) } else { Err(self.gone()) })
    }

    /// Ends what is sent on a WebSocket; of anything else reads no more.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.response.has_switched() {
            self.response.shut();
            self.sending.outflow.end(None);
        } else if !self.request.is_raw() {
            self.is_shut = true;
        }
        self.poll_flush(cx)
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
    /// Takes a part of the response; false when the stream is gone.
    fn take(&mut self, frame: Frame<'_>) -> bool {
        match frame {
            Frame::Interim(head) => self.respond.send_informational(head).is_ok(),
            Frame::Head(head, is_all) => self.take_head(head, is_all),
            Frame::Data(data) => {
                self.outflow.push(data);
                true
            }
            Frame::End(trailers) => {
                self.outflow.end(trailers.or_else(|| self.trailers.take()));
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
        if !self.outflow.has_pending() {
            return Poll::Ready(true);
        }
        self.stream.as_mut().map_or(Poll::Ready(false), |stream| self.outflow.poll_flush(stream, cx))
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
