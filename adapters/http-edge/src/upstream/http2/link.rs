//! One connection: its streams, and whether its peer is still there.
//!
//! Always: a peer that is silent while streams are open is asked by a PING, and given up when nothing comes; it is not asked
//! again before it has said something else, a stream was opened or some minutes have passed, because servers expel who
//! asks too often. Not here: which connection a stream is opened on (`pool`).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, SendStream};
use http::Request;

use super::pool::Pool;
use super::{STREAMS, Wire};
use crate::deadlines::Deadline;

/// How long a peer that has answered is not asked again, when nothing else happens: what servers of gRPC put up with.
const PAUSE: Duration = Duration::from_mins(5);

/// What was heard on a connection.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    has_heard: Cell<bool>,
    /// Something happened since the last PING: more than its answer came, or a stream was opened.
    is_fresh: Cell<bool>,
}

/// A connection that streams are opened on.
#[derive(Debug)]
pub(super) struct Link {
    sender: RefCell<SendRequest<Bytes>>,
    pulse: Rc<Pulse>,
    open: Cell<usize>,
    /// Streams that it takes, whatever its peer says: so many were open when one was refused.
    most: Cell<usize>,
    has_served: Cell<bool>,
    idle_since: Cell<Instant>,
    is_over: Cell<bool>,
}

/// The place of one stream on a connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    link: Rc<Link>,
    pool: Weak<Pool>,
    /// Nobody else was on the connection, which had served others before.
    pub(super) was_idle: bool,
}

/// What drives a connection to its end.
pub(super) struct Driver {
    connection: Connection<Wire, Bytes>,
    link: Weak<Link>,
    pool: Weak<Pool>,
    /// Streams that the peer takes, as it has said last.
    limit: usize,
    pulse: Rc<Pulse>,
    pings: Option<PingPong>,
    deadline: Deadline,
    silence: Duration,
    watch: Watch,
    /// A PING has no answer yet.
    is_asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// No stream is open.
    Nobody,
    /// The peer was heard, or need not be heard yet.
    Waiting,
    /// It is to answer.
    Asking,
    /// It has answered and need not do so again soon.
    Pausing,
}

impl Pulse {
    /// Something has come.
    pub(super) fn note(&self) {
        self.has_heard.set(true);
    }
}

impl Link {
    pub(super) fn new(sender: SendRequest<Bytes>, pulse: Rc<Pulse>) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(sender),
            pulse,
            open: Cell::new(0),
            most: Cell::new(STREAMS as usize),
            has_served: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            is_over: Cell::new(false),
        })
    }

    /// Whether streams can be opened: neither end of the connection has taken its leave.
    pub(super) fn is_usable(&self) -> bool {
        let ready = self.sender.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.is_over.get() && !matches!(ready, Poll::Ready(Err(_)))
    }

    /// Whether the peer takes one more stream.
    pub(super) fn has_room(&self) -> bool {
        self.open.get() < self.limit()
    }

    /// Streams that may be open at a time.
    fn limit(&self) -> usize {
        self.sender.borrow().current_max_send_streams().min(self.most.get())
    }

    /// Whether nothing was open for so long.
    pub(super) fn has_rested(&self, limit: Duration, now: Instant) -> bool {
        self.open.get() == 0 && now.saturating_duration_since(self.idle_since.get()) >= limit
    }

    pub(super) fn end(&self) {
        self.is_over.set(true);
    }
}

impl Slot {
    pub(super) fn new(link: &Rc<Link>, pool: Weak<Pool>) -> Self {
        let open = link.open.get();
        link.open.set(open + 1);
        Self { link: Rc::clone(link), pool, was_idle: link.has_served.replace(true) && open == 0 }
    }

    /// Opens the stream. `is_all`: nothing follows the head.
    pub(super) fn open(
        &self,
        request: Request<()>,
        is_all: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.link.pulse.is_fresh.set(true);
        // One of its own: the library lets each wait for one stream only.
        let mut sender = self.link.sender.borrow().clone();
        sender.send_request(request, is_all)
    }

    /// The peer has refused the stream, though it was to take it.
    pub(super) fn note_refused(&self) {
        let others = self.link.open.get().saturating_sub(1);
        self.link.most.set(self.link.most.get().min(others).max(1));
    }

    /// Whether the peer takes WebSockets.
    pub(super) fn takes_websockets(&self) -> bool {
        self.link.sender.borrow().is_extended_connect_protocol_enabled()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let open = self.link.open.get().saturating_sub(1);
        self.link.open.set(open);
        if open == 0 {
            self.link.idle_since.set(Instant::now());
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.wake_one();
        }
    }
}

impl Driver {
    pub(super) fn new(
        mut connection: Connection<Wire, Bytes>,
        link: &Rc<Link>,
        pool: &Rc<Pool>,
        deadline: Deadline,
        silence: Duration,
    ) -> Self {
        Self {
            pings: connection.ping_pong(),
            connection,
            limit: link.limit(),
            pulse: Rc::clone(&link.pulse),
            link: Rc::downgrade(link),
            pool: Rc::downgrade(pool),
            deadline,
            silence,
            watch: Watch::Nobody,
            is_asked: false,
        }
    }

    /// Drives the connection until it is over.
    pub(super) async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if Pin::new(&mut self.connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let has_heard = self.pulse.has_heard.replace(false);
        let is_answer = self.is_asked && self.poll_answer(cx);
        if has_heard && !is_answer {
            self.pulse.is_fresh.set(true);
        }
        let link = self.link.upgrade();
        if let Some(link) = link.as_ref().filter(|_| has_heard) {
            self.tell_limit(link.limit());
        }
        if link.is_none_or(|link| link.open.get() == 0) {
            self.wait(Watch::Nobody, Duration::MAX);
            return Poll::Pending;
        }
        let is_woken = self.watch == Watch::Pausing && self.pulse.is_fresh.get();
        if has_heard || is_woken || self.watch == Watch::Nobody {
            self.wait(Watch::Waiting, self.silence);
        }
        match self.watch {
            _ if !self.deadline.is_over() => Poll::Pending,
            // Whoever has a stream learns of it.
            Watch::Asking => Poll::Ready(()),
            Watch::Waiting if !self.pulse.is_fresh.get() => {
                self.wait(Watch::Pausing, PAUSE);
                Poll::Pending
            }
            Watch::Waiting | Watch::Pausing | Watch::Nobody => self.ask(cx),
        }
    }

    /// Whoever waits for room learns that there is more.
    fn tell_limit(&mut self, limit: usize) {
        if limit > std::mem::replace(&mut self.limit, limit)
            && let Some(pool) = self.pool.upgrade()
        {
            pool.wake_all();
        }
    }

    /// Asks whether the peer is there.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.pulse.is_fresh.set(false);
        if !self.is_asked {
            self.is_asked = self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok());
        }
        self.wait(Watch::Asking, self.silence);
        self.poll(cx)
    }

    /// Whether the answer to the last PING has come.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> bool {
        let answered = self.pings.as_mut().is_none_or(|pings| pings.poll_pong(cx).is_ready());
        self.is_asked = !answered;
        answered
    }

    fn wait(&mut self, watch: Watch, limit: Duration) {
        self.watch = watch;
        self.deadline.set(limit);
    }
}
