//! A client's connection that speaks HTTP/2 (RFC 9113): its streams, and when it ends.
//!
//! Decides how many streams a connection has and when a client has earned no more of them. Always: each stream goes through
//! the pipeline of HTTP/1.1 as a connection of its own with one request (`stream`), so that there is one set of rules; a
//! connection counts once, however many streams it has; memory is bounded for a stream and for a connection. Not here:
//! frames, HPACK and flow control (the library), what a request or a response looks like (`request`, `response`).

mod frames;
mod handshake;
mod outflow;
mod reader;
mod request;
mod response;
mod stream;
mod writer;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::frames::Frames;
pub(crate) use self::handshake::{ACCEPT_FIELD, KEY_FIELD, accept};
pub(crate) use self::outflow::{Outflow, PIECE};
pub(crate) use self::reader::{BadMessage, BodyPart, BodyReader, HeadBuffer, push};
pub(crate) use self::stream::VirtualStream;
pub(crate) use self::writer::{Body, Malformed, MessageWriter, content_length, write_fields};
use crate::connection::{CROSSING_LIMIT, serve as serve_stream};
use crate::deadlines::Deadline;
use crate::observe::cells::add;
use crate::options::EdgeSettings;
use crate::peer::Peer;
use crate::transport::Transport;
use crate::wire::buffer::Buffer;
use crate::worker::Worker;

/// What a client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The protocol's name in TLS.
pub(crate) const ALPN: &[u8] = b"h2";
/// Bytes of a body that a stream may have sent before the pipeline took them.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of a whole connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What small frames that wait may take beside their bytes: messages of gRPC are small.
const FRAME_BUDGET: usize = 2 * 1024 * 1024;
/// Bytes of a response that wait in a stream for the connection to take them.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client may cancel beyond as many as it let finish.
const CANCELLED: u64 = 100;
/// What the protocol counts for a field beside its bytes (RFC 9113, section 6.5.2).
const FIELD_OVERHEAD: usize = 32;
/// Pseudo fields of a request.
const PSEUDO_FIELDS: usize = 4;

/// A client whose connection has turned out to speak HTTP/2.
#[derive(Debug)]
pub(crate) struct Speaker {
    pub(crate) transport: Transport,
    /// Received and not used yet.
    pub(crate) input: Buffer,
    pub(crate) peer: Peer,
}

/// The bytes of a connection, those first that were received before.
#[derive(Debug)]
struct Wire {
    transport: Transport,
    input: Buffer,
    frames: Rc<Frames>,
}

/// The streams of one connection.
#[derive(Debug, Default)]
struct Streams {
    open: Cell<usize>,
    finished: Cell<u64>,
    cancelled: Cell<u64>,
    /// Told when the last one has ended.
    waker: RefCell<Option<Waker>>,
}

/// The place of one stream; counted until it is dropped.
struct Place {
    worker: Rc<Worker>,
    streams: Rc<Streams>,
}

/// What the limit of a connection is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Streams, which have limits of their own.
    Streams,
    /// The client to take what finished streams have left.
    Flush,
    /// The next stream.
    Stream,
    /// The client to take its leave.
    Leave,
}

struct Session {
    worker: Rc<Worker>,
    peer: Peer,
    connection: Connection<Wire, Bytes>,
    deadline: Deadline,
    streams: Rc<Streams>,
    frames: Rc<Frames>,
    waiting: Waiting,
    is_leaving: bool,
    is_expelled: bool,
}

/// Whether what was received is the beginning of HTTP/2.
pub(crate) fn is_preface(received: &[u8]) -> bool {
    let seen = received.get(..PREFACE.len()).unwrap_or(received);
    !seen.is_empty() && PREFACE.starts_with(seen)
}

/// Serves a connection to its end.
pub(crate) async fn serve(worker: Rc<Worker>, speaker: Speaker) {
    let Speaker { transport, input, peer } = speaker;
    let deadline = poll_fn(|cx| Poll::Ready(worker.deadlines.register(cx.waker()))).await;
    let frames = Rc::new(Frames::new());
    let wire = Wire { transport, input, frames: Rc::clone(&frames) };
    let Some(connection) = agree(&worker, wire, &deadline).await else { return };
    let (streams, waiting) = (Rc::<Streams>::default(), Waiting::Streams);
    let (is_leaving, is_expelled) = (false, false);
    let all = Rc::clone(&streams);
    let mut session = Session { worker, peer, connection, deadline, streams, frames, waiting, is_leaving, is_expelled };
    poll_fn(|cx| session.poll(cx)).await;
    // Streams learn of the end; each still leaves its record.
    drop(session);
    poll_fn(|cx| if all.is_empty(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Exchanges the prefaces; nothing when that fails or takes too long.
async fn agree(worker: &Worker, wire: Wire, deadline: &Deadline) -> Option<Connection<Wire, Bytes>> {
    let mut agreeing = pin!(builder(&worker.shared.settings).handshake(wire));
    deadline.set(worker.shared.settings.timeouts.header);
    let mut is_last = false;
    poll_fn(|cx| {
        if worker.draining.get() && !std::mem::replace(&mut is_last, true) {
            deadline.set(CROSSING_LIMIT);
        }
        match agreeing.as_mut().poll(cx) {
            Poll::Ready(agreed) => Poll::Ready(agreed.ok()),
            Poll::Pending if deadline.is_over() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn builder(settings: &EdgeSettings) -> Builder {
    let (bytes, fields) = (settings.framing.max_head_bytes(), settings.framing.max_headers());
    // Above what the pipeline takes: its refusal says why and leaves a record. The library's is for what goes far beyond.
    let list = bytes.saturating_mul(2).saturating_add((fields + PSEUDO_FIELDS).saturating_mul(FIELD_OVERHEAD));
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(FRAME_BUDGET)
        .enable_connect_protocol();
    builder
}

impl Session {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if self.must_speak() => {}
                Poll::Pending => break,
            }
        }
        let waiting = self.awaits(cx);
        if waiting != self.waiting {
            self.waiting = waiting;
            self.deadline.set(self.limit());
        }
        if !self.deadline.is_over() {
            return Poll::Pending;
        }
        if self.is_leaving || self.waiting == Waiting::Flush {
            return Poll::Ready(());
        }
        self.leave();
        self.poll(cx)
    }

    /// Whether there is something new to tell the client.
    fn must_speak(&mut self) -> bool {
        let is_expelled = self.streams.is_too_fickle() || self.frames.are_too_many();
        if is_expelled && !std::mem::replace(&mut self.is_expelled, true) {
            self.is_leaving = true;
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            return true;
        }
        let leaves = self.worker.draining.get() && !self.is_leaving;
        if leaves {
            self.leave();
        }
        leaves
    }

    fn leave(&mut self) {
        self.is_leaving = true;
        self.connection.graceful_shutdown();
    }

    fn awaits(&self, cx: &mut Context<'_>) -> Waiting {
        if self.is_expelled {
            Waiting::Leave
        } else if !self.streams.is_empty(cx) {
            Waiting::Streams
        } else if self.connection.has_streams() {
            Waiting::Flush
        } else if self.is_leaving {
            Waiting::Leave
        } else {
            Waiting::Stream
        }
    }

    fn limit(&self) -> Duration {
        match self.waiting {
            Waiting::Streams => Duration::MAX,
            Waiting::Flush => self.worker.shared.settings.timeouts.body_idle,
            Waiting::Stream => self.worker.shared.settings.timeouts.idle,
            Waiting::Leave => CROSSING_LIMIT,
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let place = Place::new(&self.worker, &self.streams);
        self.waiting = Waiting::Streams;
        self.deadline.set(self.limit());
        let nonce = || self.worker.shared.entropy.bytes();
        let Some(stream) = VirtualStream::new(request, respond, nonce) else { return place.end(true) };
        let (worker, peer) = (Rc::clone(&self.worker), self.peer.clone());
        let cancelled = stream.cancelled();
        tokio::task::spawn_local(async move {
            serve_stream(worker, Transport::http2(stream), peer).await;
            place.end(cancelled.get());
        });
    }
}

impl Streams {
    /// Whether none is open; if there is one, the task is woken when there is none.
    fn is_empty(&self, cx: &mut Context<'_>) -> bool {
        let is_empty = self.open.get() == 0;
        if !is_empty {
            self.waker.replace(Some(cx.waker().clone()));
        }
        is_empty
    }

    /// Whether the client lets the gateway work for nothing.
    fn is_too_fickle(&self) -> bool {
        self.cancelled.get() > self.finished.get().saturating_add(CANCELLED)
    }
}

impl Place {
    fn new(worker: &Rc<Worker>, streams: &Rc<Streams>) -> Self {
        streams.open.set(streams.open.get() + 1);
        Self { worker: Rc::clone(worker), streams: Rc::clone(streams) }
    }

    /// Ends a stream that the client has cancelled or not.
    fn end(self, is_cancelled: bool) {
        let count = if is_cancelled { &self.streams.cancelled } else { &self.streams.finished };
        count.set(count.get() + 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            add(&self.worker.cells.panics, 1);
        }
        self.streams.open.set(self.streams.open.get().saturating_sub(1));
        if (self.streams.open.get() == 0 || self.streams.is_too_fickle())
            && let Some(waker) = self.streams.waker.take()
        {
            waker.wake();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let unread = self.input.unread();
        if unread.is_empty() {
            let before = into.filled().len();
            let read = self.transport.poll_read(cx, into);
            self.frames.received(into.filled().get(before..).unwrap_or_default());
            return read;
        }
        let count = unread.len().min(into.remaining());
        let now = unread.get(..count).unwrap_or_default();
        into.put_slice(now);
        self.frames.received(now);
        self.input.consume(count);
        if self.input.is_empty() {
            self.input = Buffer::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.transport.poll_send(cx, &[bytes, b""]);
        if let Poll::Ready(Ok(count)) = sent {
            self.frames.sent(count);
        }
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.transport.poll_send_slices(cx, slices);
        if let Poll::Ready(Ok(count)) = sent {
            self.frames.sent(count);
        }
        sent
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
