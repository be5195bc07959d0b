//! A stream of HTTP/2 as the connection to an upstream that carries one request.
//!
//! Always: a window opens again only for what the pipeline has taken; what the upstream does not take waits in one piece; a
//! stream that is let go before its end is cancelled; whether the upstream has touched a request that failed is told apart.
//! Not here: bytes of HTTP/1.1 (`request`, `response`), which connection it is on (`pool`).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use tokio::io::ReadBuf;

use super::link::Slot;
use super::request::{Part, RequestReader};
use super::response::{write_response, write_switch};
use crate::http2::{Malformed, MessageWriter, Outflow, PIECE};

/// One stream.
#[derive(Debug)]
pub(crate) struct UpstreamStream {
    request: RequestReader,
    sending: Sending,
    incoming: Incoming,
    fate: Fate,
}

/// What is known of a request that has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing but that its connection has ended, if it has failed at all.
    #[default]
    Unknown,
    /// The upstream has said, or cannot but have, that it did nothing of it.
    Untouched,
    /// Its stream was reset, and the connection goes on.
    Reset,
}

/// The request on its way.
#[derive(Debug)]
struct Sending {
    slot: Slot,
    stream: Option<SendStream<Bytes>>,
    response: Option<ResponseFuture>,
    outflow: Outflow,
    /// Behind a body of known length.
    trailers: Option<HeaderMap>,
}

/// How far the response is.
#[derive(Debug)]
enum Incoming {
    Head,
    Body(Box<(MessageWriter, RecvStream)>),
    Failed,
}

/// Why nothing more is received.
enum Fault {
    Gone,
    /// What came is no part of a response.
    Malformed,
}

impl UpstreamStream {
    pub(super) fn new(slot: Slot, is_secure: bool) -> Self {
        let outflow = Outflow::default();
        Self {
            request: RequestReader::new(is_secure),
            sending: Sending { slot, stream: None, response: None, outflow, trailers: None },
            incoming: Incoming::Head,
            fate: Fate::Unknown,
        }
    }

    /// What is known of a request that has failed.
    pub(crate) const fn fate(&self) -> Fate {
        self.fate
    }

    /// Takes the trailers that belong behind a request body of known length.
    pub(crate) fn trail(&mut self, trailers: HeaderMap) {
        self.sending.trailers = Some(trailers);
    }

    /// Trailers behind a response body of known length; there with its last bytes.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.incoming {
            Incoming::Body(body) => body.0.take_trailers(),
            Incoming::Head | Incoming::Failed => None,
        }
    }

    /// Reads the response; nothing at its end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.incoming {
                Incoming::Failed => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Incoming::Head => ready!(self.poll_head(cx))?,
                Incoming::Body(body) => {
                    let (writer, receiving) = &mut **body;
                    if !writer.is_drained() {
                        let of_body = writer.read(into);
                        // Fails only on a stream that is gone, which the next read tells.
                        let _ = receiving.flow_control().release_capacity(of_body);
                        return Poll::Ready(Ok(()));
                    }
                    if writer.has_ended() {
                        return Poll::Ready(Ok(()));
                    }
                    match ready!(poll_receive(writer, receiving, cx)) {
                        Ok(()) => {}
                        Err(Fault::Gone) => return Poll::Ready(Err(self.fail())),
                        Err(Fault::Malformed) => return Poll::Ready(Err(self.refuse())),
                    }
                }
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Before the request was sent there is nothing to wait for.
        let Some(response) = &mut self.sending.response else { return Poll::Pending };
        match ready!(Pin::new(response).poll(cx)) {
            Ok(response) => Poll::Ready(self.take_head(response)),
            Err(fault) => {
                self.fate = fate_of(&fault);
                if self.fate == Fate::Untouched && fault.is_reset() {
                    self.sending.slot.note_refused();
                }
                Poll::Ready(Err(self.fail()))
            }
        }
    }

    fn take_head(&mut self, response: Response<RecvStream>) -> io::Result<()> {
        let (head, receiving) = response.into_parts();
        let written = match &self.request.accept {
            Some(accept) if head.status.is_success() => {
                let written = write_switch(&head, accept);
                self.request.switch();
                written
            }
            _ => write_response(&head, self.request.is_head, receiving.is_end_stream()),
        };
        let Ok(writer) = written else { return Err(self.refuse()) };
        self.incoming = Incoming::Body(Box::new((writer, receiving)));
        Ok(())
    }

    /// The stream is gone.
    fn fail(&mut self) -> io::Error {
        self.incoming = Incoming::Failed;
        io::ErrorKind::ConnectionReset.into()
    }

    /// What came is no response.
    fn refuse(&mut self) -> io::Error {
        (self.incoming, self.fate) = (Incoming::Failed, Fate::Reset);
        if let Some(stream) = &mut self.sending.stream {
            stream.send_reset(Reason::PROTOCOL_ERROR);
        }
        io::ErrorKind::InvalidData.into()
    }

    /// Takes bytes of the request from the first non-empty pieces.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &[&[u8]; 2]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let mut taken = 0;
        for piece in pieces {
            let mut rest = piece.get(..PIECE.min(piece.len())).unwrap_or_default();
            while !rest.is_empty() && self.sending.outflow.has_room() {
                let count = self.take(rest)?;
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

    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if matches!(self.incoming, Incoming::Failed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let may_switch = self.request.is_new() && self.sending.slot.takes_websockets();
        let (sending, mut is_open) = (&mut self.sending, true);
        let count = self.request.read(bytes, may_switch, &mut |part| is_open &= sending.take(part));
        if !is_open {
            self.fate = Fate::Untouched;
            return Err(self.fail());
        }
        count.map_err(|_bad| self.refuse())
    }

    /// Whether something waits for the window.
    pub(crate) fn has_pending(&self) -> bool {
        self.sending.outflow.has_pending()
    }

    /// Sends what waits.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = self.sending.stream.as_mut().filter(|_| self.sending.outflow.has_pending()) else {
            return Poll::Ready(Ok(()));
        };
        let is_sent = ready!(self.sending.outflow.poll_flush(stream, cx));
        Poll::Ready(if is_sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) })
    }

    /// Ends what is sent on a WebSocket.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.request.has_switched() {
            self.request.shut();
            self.sending.outflow.end(None);
        }
        self.poll_flush(cx)
    }
}

/// Receives a piece.
fn poll_receive(
    writer: &mut MessageWriter,
    receiving: &mut RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Fault>> {
    let written = match ready!(receiving.poll_data(cx)) {
        Some(data) => writer.data(data.map_err(|_gone| Fault::Gone)?, receiving.is_end_stream()),
        None => writer.end(ready!(receiving.poll_trailers(cx)).map_err(|_gone| Fault::Gone)?),
    };
    Poll::Ready(written.map_err(|Malformed| Fault::Malformed))
}

/// Whether a stream that ended so was touched by its peer (RFC 9113, section 8.7): of all that a GOAWAY says, streams learn
/// only that they are behind the last one that was.
fn fate_of(fault: &h2::Error) -> Fate {
    let is_refused = fault.is_go_away() || fault.reason() == Some(Reason::REFUSED_STREAM);
    match () {
        () if fault.is_remote() && is_refused => Fate::Untouched,
        () if fault.is_reset() => Fate::Reset,
        () => Fate::Unknown,
    }
}

impl Sending {
    /// Takes a part of the request; false when the stream cannot be opened.
    fn take(&mut self, part: Part<'_>) -> bool {
        match part {
            Part::Head(head, is_all) => {
                let Ok((response, stream)) = self.slot.open(head, is_all) else { return false };
                self.response = Some(response);
                self.stream = Some(stream);
            }
            Part::Data(data) => self.outflow.push(data),
            Part::End(trailers) => self.outflow.end(trailers.or_else(|| self.trailers.take())),
        }
        true
    }
}
