//! A TCP connection that is read and written without the C library.
//!
//! Always: what tokio's own reading and writing do. The C library makes each of its calls a point where a thread may be
//! cancelled, which takes two atomic exchanges a call in a program with threads.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// The connection.
#[derive(Debug)]
pub(crate) struct Socket(TcpStream);

impl Socket {
    pub(crate) const fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    pub(super) const fn tcp(&self) -> &TcpStream {
        &self.0
    }

    /// Reads what there is; nothing when that has to be waited for.
    fn try_read(&self, room: &mut ReadBuf<'_>) -> Option<io::Result<()>> {
        let bytes = room.initialize_unfilled();
        let most = bytes.len();
        let received = try_io(&self.0, Interest::READABLE, most, || Ok(recv(&self.0, bytes, RecvFlags::empty())?.0))?;
        Some(received.map(|count| room.advance(count)))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            if let Some(received) = self.try_read(room) {
                return Poll::Ready(received);
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Mostly there is room. What is written was read before, and reading keeps to the task's budget.
        loop {
            let most = bytes.len();
            let sent = try_io(&self.0, Interest::WRITABLE, most, || Ok(send(&self.0, bytes, SendFlags::NOSIGNAL)?));
            if let Some(sent) = sent {
                return Poll::Ready(sent);
            }
            ready!(self.0.poll_write_ready(cx))?;
        }
    }

    // Of several pieces there are more bytes, for which a call costs less.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Does it, unless the connection turns out not to be ready. If it moves less than it could, it is not ready any more, and the
/// kernel tells when it is again (epoll(7), "edge-triggered"): to ask it now would be in vain.
fn try_io(
    stream: &TcpStream,
    interest: Interest,
    most: usize,
    io: impl FnOnce() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut moved = None;
    let done = stream.try_io(interest, || {
        let count = io()?;
        moved = Some(count);
        if 0 < count && count < most { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match (moved, done) {
        (Some(count), _) => Some(Ok(count)),
        (None, Err(fault)) if fault.kind() != io::ErrorKind::WouldBlock => Some(Err(fault)),
        (None, _) => None,
    }
}
