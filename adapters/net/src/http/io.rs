//! The bytes of one connection: they tell the phase when a request begins, and a peer that stops reading is cut.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::phase::PhaseCell;
use crate::listener::Slot;

/// A stream that holds its connection's place, also after an upgrade.
#[derive(Debug)]
pub(super) struct GuardedIo<S> {
    stream: S,
    phase: PhaseCell,
    stall_limit: Duration,
    stall: Option<Pin<Box<Sleep>>>,
    _slot: Slot,
}

impl<S> GuardedIo<S> {
    /// Guards `stream`; a write that makes no progress for `stall_limit` fails.
    pub(super) const fn new(stream: S, phase: PhaseCell, stall_limit: Duration, slot: Slot) -> Self {
        Self { stream, phase, stall_limit, stall: None, _slot: slot }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let limit = self.stall_limit;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.phase.bytes_arrived();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Acceptor, Slots, bind};

    const LIMIT: Duration = Duration::from_secs(30);

    async fn a_slot() -> Slot {
        let socket = bind("127.0.0.1:0".parse().unwrap(), "TEST").unwrap();
        let addr = socket.local_addr().unwrap();
        let acceptor = Acceptor::new("test", socket, Slots::new(1), CancellationToken::new()).unwrap();
        let _client = TcpStream::connect(addr).await.unwrap();
        acceptor.accept().await.unwrap().slot
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_is_cut() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut io = GuardedIo::new(ours, PhaseCell::open(), LIMIT, a_slot().await);
        io.write_all(b"fits all").await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(io.write_all(b"does not").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), LIMIT);
        let mut bytes = [0; 8];
        theirs.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"fits all");
    }

    #[tokio::test]
    async fn bytes_pass_unchanged_in_both_directions() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
        let (mut client, server) = (client.unwrap(), accepted.unwrap().0);
        let mut io = GuardedIo::new(server, PhaseCell::open(), LIMIT, a_slot().await);
        client.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        io.read_exact(&mut bytes).await.unwrap();
        io.write_all(&bytes).await.unwrap();
        io.shutdown().await.unwrap();
        let mut echoed = Vec::new();
        client.read_to_end(&mut echoed).await.unwrap();
        assert_eq!(echoed, b"ping");
    }
}
