//! The bytes of a connection, in clear or over TLS, or of one that is a stream of HTTP/2, on either side of the gateway.
//!
//! Always: what a TLS session has kept back counts as unsent until it is flushed, and what it has decrypted counts as
//! unread until it is taken. Not here: buffers and what they mean (`client`, `upstream::stream`).

mod socket;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

pub(crate) use self::socket::Socket;
use crate::grpc::Call;
use crate::http2::{self, VirtualStream};
use crate::upstream::http2::{Fate, UpstreamStream};
use crate::wire::buffer::Buffer;

/// The bytes of a connection.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    /// What was written may wait for a flush.
    unflushed: bool,
    /// The last read filled its room: more may have been decrypted.
    may_hold: bool,
}

#[derive(Debug)]
enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    Http2(Box<VirtualStream>),
    Upstream(Box<UpstreamStream>),
}

impl Transport {
    pub(crate) const fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(Socket::new(stream)), unflushed: false, may_hold: false }
    }

    pub(crate) fn tls(stream: impl Into<TlsStream<Socket>>) -> Self {
        // A session that was just made may have come with data.
        Self { stream: Stream::Tls(Box::new(stream.into())), unflushed: false, may_hold: true }
    }

    pub(crate) fn http2(stream: VirtualStream) -> Self {
        Self { stream: Stream::Http2(Box::new(stream)), unflushed: false, may_hold: false }
    }

    pub(crate) fn upstream(stream: UpstreamStream) -> Self {
        Self { stream: Stream::Upstream(Box::new(stream)), unflushed: false, may_hold: false }
    }

    /// Whether it goes with its one request.
    pub(crate) const fn is_stream(&self) -> bool {
        matches!(self.stream, Stream::Http2(_) | Stream::Upstream(_))
    }

    /// What is known of an upstream's request that has failed.
    pub(crate) const fn fate(&self) -> Fate {
        match &self.stream {
            Stream::Upstream(stream) => stream.fate(),
            Stream::Plain(_) | Stream::Tls(_) | Stream::Http2(_) => Fate::Unknown,
        }
    }

    /// What is known of a client's request if it is a call of gRPC.
    pub(crate) const fn call(&self) -> Option<&Call> {
        match &self.stream {
            Stream::Http2(stream) => stream.call(),
            Stream::Plain(_) | Stream::Tls(_) | Stream::Upstream(_) => None,
        }
    }

    /// Trailers behind a body of known length, for which HTTP/1.1 has no place; to be asked for before its last bytes are
    /// passed on.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.stream {
            Stream::Http2(stream) => stream.take_trailers(),
            Stream::Upstream(stream) => stream.take_trailers(),
            Stream::Plain(_) | Stream::Tls(_) => None,
        }
    }

    /// Takes them for the other side, before the last bytes; they are dropped where there is no place for them.
    pub(crate) fn trail(&mut self, trailers: HeaderMap) {
        match &mut self.stream {
            Stream::Http2(stream) => stream.trail(trailers),
            Stream::Upstream(stream) => stream.trail(trailers),
            Stream::Plain(_) | Stream::Tls(_) => {}
        }
    }

    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Whether both sides have agreed on HTTP/2.
    pub(crate) fn speaks_http2(&self) -> bool {
        match &self.stream {
            Stream::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(http2::ALPN),
            Stream::Plain(_) | Stream::Http2(_) | Stream::Upstream(_) => false,
        }
    }

    /// The connection below; a stream has none of its own.
    fn tcp(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Plain(stream) => Some(stream.tcp()),
            Stream::Tls(stream) => Some(stream.get_ref().0.tcp()),
            Stream::Http2(_) | Stream::Upstream(_) => None,
        }
    }

    /// Ends in a way that the other side cannot take for the end of what was sent.
    pub(crate) fn reset(&mut self) {
        // Fails only on a connection that is gone already.
        let _ = self.tcp().map(TcpStream::set_zero_linger);
        if let Stream::Http2(stream) = &mut self.stream {
            stream.reset();
        }
    }

    /// Receives into a buffer with room; 0 is the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut Buffer) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(buffer.room());
        match self.poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) => {
                self.may_hold = room.remaining() == 0;
                let count = room.filled().len();
                buffer.filled(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Pending => {
                self.may_hold = false;
                Poll::Pending
            }
        }
    }

    /// Receives as much as there is room for.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, room),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, room),
            Stream::Http2(stream) => stream.poll_read(cx, room),
            Stream::Upstream(stream) => stream.poll_read(cx, room),
        }
    }

    /// Waits until receiving makes sense, without a buffer.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_secure() && self.may_hold {
            return Poll::Ready(());
        }
        // Between its requests a stream has either one or its end.
        self.tcp().map_or(Poll::Ready(()), |tcp| tcp.poll_read_ready(cx).map(drop))
    }

    /// Sends from the first non-empty pieces; with none, what was kept back.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &[&[u8]; 2]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => poll_send(Pin::new(stream), cx, pieces),
            Stream::Tls(_) | Stream::Http2(_) | Stream::Upstream(_) if matches!(pieces, [[], []]) => {
                self.poll_flush(cx).map_ok(|()| 0)
            }
            Stream::Tls(stream) => {
                self.unflushed = true;
                poll_send(Pin::new(&mut **stream), cx, pieces)
            }
            Stream::Http2(stream) => {
                let sent = stream.poll_send(cx, pieces);
                self.unflushed = stream.has_pending();
                sent
            }
            Stream::Upstream(stream) => {
                let sent = stream.poll_send(cx, pieces);
                self.unflushed = stream.has_pending();
                sent
            }
        }
    }

    /// Sends from the first non-empty slices: a frame's head and what it is about.
    pub(crate) fn poll_send_slices(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut pieces = slices.iter().map(|slice| &**slice).filter(|piece| !piece.is_empty());
        let pieces = [pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default()];
        self.poll_send(cx, &pieces)
    }

    /// Whether something that was taken for sending may not have left.
    pub(crate) const fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Sends what the transport has kept back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Stream::Http2(stream) => stream.poll_flush(cx),
            Stream::Upstream(stream) => stream.poll_flush(cx),
        };
        self.unflushed = flushed.is_pending();
        flushed
    }

    /// Says that nothing more will be sent: over TLS so that the other side can tell it from a cut.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Stream::Http2(stream) => stream.poll_shutdown(cx),
            Stream::Upstream(stream) => stream.poll_shutdown(cx),
        }
    }

    /// Whether an idle connection can still be used: nothing has arrived on it, not even its end.
    pub(crate) fn is_quiet(&self) -> bool {
        // Asks the kernel only when an event was seen.
        let read = self.tcp().map(|tcp| tcp.try_read(&mut [0; 1]));
        matches!(read, Some(Err(fault)) if fault.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Sends from two pieces, of which either may be empty.
fn poll_send<S: AsyncWrite>(stream: Pin<&mut S>, cx: &mut Context<'_>, pieces: &[&[u8]; 2]) -> Poll<io::Result<usize>> {
    let sent = match pieces {
        [only, []] | [[], only] => stream.poll_write(cx, only),
        [first, second] => stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]),
    };
    match ready!(sent) {
        // Nothing taken of something is no progress that could be waited for.
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        sent => Poll::Ready(sent),
    }
}
