//! Receiving from a TCP connection and sending on it.
//!
//! Always: what tokio's own reading and writing do, by system calls without the C library. That makes each of its calls a
//! point where a thread may be cancelled, which takes two atomic exchanges a call in a program with threads.

use std::io;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

/// Receives as much as there is room for.
pub(super) fn poll_read(stream: &TcpStream, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        let bytes = room.initialize_unfilled();
        let received =
            try_io(stream, Interest::READABLE, bytes.len(), || Ok(recv(stream, bytes, RecvFlags::empty())?.0));
        if let Some(received) = received {
            room.advance(received?);
            return Poll::Ready(Ok(()));
        }
    }
}

/// Sends as much as the connection takes.
pub(super) fn poll_write(stream: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let sent = try_io(stream, Interest::WRITABLE, bytes.len(), || Ok(send(stream, bytes, SendFlags::NOSIGNAL)?));
        if let Some(sent) = sent {
            return Poll::Ready(sent);
        }
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
