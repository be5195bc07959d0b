//! Upstreams that are spoken to in HTTP/2 (RFC 9113): connections that many requests share.
//!
//! Always: a stream is handed out as a connection of HTTP/1.1 that carries one request, so that there is one pipeline; what
//! a target may have open at a time is bounded, and so is what a stream holds in memory; a stream that its peer says it has
//! not touched counts as not sent. Not here: frames, HPACK and flow control (the library), when a request is tried again
//! (`connection`).

mod link;
mod pool;
mod request;
mod response;
mod stream;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::link::Pulse;
pub(crate) use self::pool::{Pool, connect_alone};
pub(crate) use self::stream::{Fate, UpstreamStream};
use crate::transport::Transport;
use crate::wire::response::MAX_RESPONSE_HEAD;

/// Streams that a connection has open at a time, if its peer takes as many.
const STREAMS: u32 = 128;
/// Bytes of a response that a stream may have received before the pipeline took them.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of a whole connection: room for all of its streams, or clients that do not read would stop those that do.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS;
/// Bytes of a request that wait in a stream for the connection to take them.
const SEND_BUFFER: usize = 64 * 1024;
/// What small frames that wait may take beside their bytes: half a MiB for each stream.
const FRAME_BUDGET: usize = 64 * 1024 * 1024;
/// Streams that were given up and are remembered for a moment: what still comes for them is no fault of the peer's.
const REMEMBERED: usize = 1024;

/// The bytes of a connection, and whether there were any.
#[derive(Debug)]
struct Wire {
    transport: Transport,
    pulse: Rc<Pulse>,
}

type Session = (SendRequest<Bytes>, Connection<Wire, Bytes>);

/// Says the preface; nothing was heard of the peer yet.
async fn greet(wire: Wire) -> Result<Session, h2::Error> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        // None before the peer has said how many: so it shows that it has answered.
        .initial_max_send_streams(0)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_RESPONSE_HEAD).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .max_concurrent_reset_streams(REMEMBERED)
        // Clients that go away must not end the connection that they share with others.
        .max_local_error_reset_streams(None);
    builder.handshake(wire).await
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = self.transport.poll_read(cx, into);
        if into.filled().len() > before {
            self.pulse.note();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.transport.poll_send(cx, &[bytes, b""])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.transport.poll_send_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(cx)
    }
}
