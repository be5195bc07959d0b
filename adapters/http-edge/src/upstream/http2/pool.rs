//! The connections of one worker to one target.
//!
//! Always: a new connection is made only when those that are there take no more streams, one at a time, and never more than
//! some; it is made for all who wait and goes on when one of them has gone; who waits is served in turn. Not here: what
//! happens on a connection (`link`).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::link::{Driver, Link, Pulse, Slot};
use super::stream::UpstreamStream;
use super::{Session, Wire, greet};
use crate::deadlines::Deadlines;
use crate::transport::Transport;
use crate::upstream::connect::{CONNECT_LIMIT, ConnectFault, Connector};
use crate::upstream::stream::UpstreamConn;
use crate::upstream::target::UpstreamTarget;
use crate::worker::Worker;

/// Connections that take streams.
const CONNECTIONS: usize = 16;

/// The connections to a target.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    links: RefCell<Vec<Rc<Link>>>,
    is_dialling: Cell<bool>,
    /// Connections that could not be made, and why the last one could not.
    failures: Cell<u64>,
    fault: Cell<Option<ConnectFault>>,
    /// There may be room.
    changed: Notify,
}

/// A connection in the making.
struct Dial {
    pool: Rc<Pool>,
    target: Rc<UpstreamTarget>,
    connector: Connector,
    deadlines: Rc<Deadlines>,
    silence: Duration,
}

impl Pool {
    /// A stream on a connection that is there and has room for it.
    pub(crate) fn take(self: &Rc<Self>, is_secure: bool) -> Option<UpstreamConn> {
        let mut links = self.links.borrow_mut();
        links.retain(|link| link.is_usable());
        let link = links.iter().find(|link| link.has_room())?;
        Some(stream(Slot::new(link, Rc::downgrade(self)), is_secure))
    }

    /// A stream, as soon as there is room for it.
    pub(crate) async fn open(
        self: &Rc<Self>,
        worker: &Worker,
        target: &Rc<UpstreamTarget>,
        limit: Duration,
    ) -> Result<UpstreamConn, ConnectFault> {
        let failures = self.failures.get();
        let work = async {
            loop {
                let mut changed = pin!(self.changed.notified());
                changed.as_mut().enable();
                if let Some(conn) = self.take(target.url.tls) {
                    return Ok(UpstreamConn { reused: false, ..conn });
                }
                let has_failed = self.failures.get() != failures;
                let count = self.links.borrow().len();
                if has_failed && count == 0 {
                    return Err(self.fault.get().unwrap_or(ConnectFault::Unreachable));
                }
                if !has_failed && count < CONNECTIONS && !self.is_dialling.replace(true) {
                    Dial::new(self, worker, target).start();
                }
                changed.await;
            }
        };
        timeout(limit.min(CONNECT_LIMIT), work).await.unwrap_or(Err(ConnectFault::TimedOut))
    }

    /// Closes connections that nobody has used for so long.
    pub(crate) fn prune(&self, limit: Duration, now: Instant) {
        self.links.borrow_mut().retain(|link| link.is_usable() && !link.has_rested(limit, now));
    }

    /// Nothing begins on the connections that are there; what runs on them goes on.
    pub(crate) fn retire(&self) {
        self.links.borrow_mut().clear();
    }

    /// Whether nothing is kept.
    pub(crate) fn is_unused(&self) -> bool {
        self.links.borrow().is_empty() && !self.is_dialling.get()
    }

    /// A stream has ended.
    pub(super) fn wake_one(&self) {
        self.changed.notify_one();
    }

    /// There is more room than before.
    pub(super) fn wake_all(&self) {
        self.changed.notify_waiters();
    }

    fn remove(&self, link: &Rc<Link>) {
        link.end();
        self.links.borrow_mut().retain(|each| !Rc::ptr_eq(each, link));
        self.changed.notify_waiters();
    }
}

impl Dial {
    fn new(pool: &Rc<Pool>, worker: &Worker, target: &Rc<UpstreamTarget>) -> Self {
        Self {
            pool: Rc::clone(pool),
            target: Rc::clone(target),
            connector: worker.shared.connector.clone(),
            deadlines: Rc::clone(&worker.deadlines),
            silence: worker.shared.settings.timeouts.upstream_silence,
        }
    }

    /// Makes the connection beside the requests, and drives it to its end.
    fn start(self) {
        tokio::task::spawn_local(async move {
            let pulse = Rc::<Pulse>::default();
            let agreed = timeout(CONNECT_LIMIT, agree(&self.connector, &self.target, &pulse)).await;
            let (sender, connection) = match agreed.unwrap_or(Err(ConnectFault::TimedOut)) {
                Ok(session) => session,
                Err(fault) => return self.fail(fault),
            };
            let link = Link::new(sender, pulse);
            let deadline = poll_fn(|cx| Poll::Ready(self.deadlines.register(cx.waker()))).await;
            let driver = Driver::new(connection, &link, &self.pool, deadline, self.silence);
            self.pool.links.borrow_mut().push(Rc::clone(&link));
            let (pool, link) = (Rc::downgrade(&self.pool), Rc::downgrade(&link));
            // Whoever waits is told; neither pool nor target is held on to.
            drop(self);
            driver.run().await;
            if let (Some(pool), Some(link)) = (pool.upgrade(), link.upgrade()) {
                pool.remove(&link);
            }
        });
    }

    fn fail(self, fault: ConnectFault) {
        self.pool.failures.set(self.pool.failures.get() + 1);
        self.pool.fault.set(Some(fault));
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.pool.is_dialling.set(false);
        self.pool.changed.notify_waiters();
    }
}

/// A stream on a connection of its own, for who makes one request and then no more; driven until its end.
pub(crate) async fn connect_alone(
    connector: &Connector,
    target: &Rc<UpstreamTarget>,
) -> Result<UpstreamConn, ConnectFault> {
    let pulse = Rc::<Pulse>::default();
    let (sender, connection) = agree(connector, target, &pulse).await?;
    let slot = Slot::new(&Link::new(sender, pulse), std::rc::Weak::new());
    tokio::task::spawn_local(async move {
        // Its stream tells how it ended.
        drop(timeout(CONNECT_LIMIT.saturating_mul(2), connection).await);
    });
    Ok(stream(slot, target.url.tls))
}

fn stream(slot: Slot, is_secure: bool) -> UpstreamConn {
    let reused = slot.was_idle;
    let transport = Transport::upstream(UpstreamStream::new(slot, is_secure));
    UpstreamConn { reused, ..UpstreamConn::new(transport) }
}

/// Makes a connection and waits until the peer has spoken HTTP/2: what is no HTTP/2 is no connection.
async fn agree(connector: &Connector, target: &Rc<UpstreamTarget>, pulse: &Rc<Pulse>) -> Result<Session, ConnectFault> {
    let transport = connector.connect_http2(target, CONNECT_LIMIT).await?.transport;
    let wire = Wire { transport, pulse: Rc::clone(pulse) };
    let (sender, mut connection) = greet(wire).await.map_err(|_gone| ConnectFault::Unreachable)?;
    poll_fn(|cx: &mut Context<'_>| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(_over) => Poll::Ready(Err(ConnectFault::Unreachable)),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, connection))
}
