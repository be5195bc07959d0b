//! The main loop of a worker: accepting connections, ticking, draining.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use novagate_framing::ProxyHeader;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::client_cert::ClientCertificate;
use crate::connection::{CROSSING_LIMIT, serve, turn_away};
use crate::deadlines::TICK;
use crate::http2::{self, Speaker};
use crate::observe::cells::add;
use crate::peer::{Peer, is_in};
use crate::server::Control;
use crate::transport::{Socket, Transport};
use crate::wire::buffer::Buffer;
use crate::worker::Worker;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Connections beyond the limit that a worker tells so at the same time; further ones are closed without a word.
const TURNED_AWAY: usize = 64;

/// The place of one connection; counted until it is dropped.
struct Place {
    worker: Rc<Worker>,
    control: Arc<Control>,
}

/// Serves connections until the worker is told to stop.
pub(crate) async fn run_worker(worker: Rc<Worker>, listener: TcpListener, control: &Arc<Control>) {
    let ticking = Rc::clone(&worker);
    tokio::task::spawn_local(async move {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let due = ticks.tick().await;
            ticking.tick(due.elapsed());
        }
    });
    control.soft.run_until_cancelled(accept(&worker, &listener, control)).await;
    // From here on every answer says that the connection closes.
    worker.draining.set(true);
    accept_waiting(&worker, &listener, control);
    drop(listener);
    worker.deadlines.wake_all();
    let gone = async {
        while worker.cells.connections.load(Ordering::Relaxed) > 0 {
            worker.emptied.notified().await;
        }
    };
    control.hard.run_until_cancelled(gone).await;
    worker.records.flush();
}

async fn accept(worker: &Rc<Worker>, listener: &TcpListener, control: &Arc<Control>) {
    let mut wait = BACKOFF_MIN;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                wait = BACKOFF_MIN;
                take(worker, stream, address, control);
            }
            Err(fault) if is_about_one_connection(&fault) => {}
            Err(fault) => {
                tracing::warn!(%fault, "accepting connections pauses");
                sleep(wait).await;
                wait = (wait * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Takes the connections that clients have made already: closing the listener would reset them.
fn accept_waiting(worker: &Rc<Worker>, listener: &TcpListener, control: &Arc<Control>) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(Ok((stream, address))) = listener.poll_accept(&mut cx) {
        take(worker, stream, address, control);
    }
}

fn take(worker: &Rc<Worker>, stream: TcpStream, address: SocketAddr, control: &Arc<Control>) {
    // Fails only on a connection that is gone already, which its first read will tell.
    let _ = stream.set_nodelay(true);
    if control.open.load(Ordering::Relaxed) >= worker.shared.settings.max_connections {
        return refuse(worker, stream, address);
    }
    let place = Place::new(worker, control);
    tokio::task::spawn_local(async move {
        place.serve(stream, address).await;
        drop(place);
    });
}

/// Tells a client that its connection is one too many, as long as few are told so at the same time.
fn refuse(worker: &Rc<Worker>, stream: TcpStream, address: SocketAddr) {
    add(&worker.cells.turned_away, 1);
    // To say a word over TLS would cost more than to serve.
    if worker.shared.tls.is_some() || worker.turned_away.get() >= TURNED_AWAY {
        return;
    }
    worker.turned_away.set(worker.turned_away.get() + 1);
    let worker = Rc::clone(worker);
    let peer = Peer::new(address, false, &worker.shared.settings.trusted_proxies);
    tokio::task::spawn_local(async move {
        turn_away(Rc::clone(&worker), stream, peer).await;
        worker.turned_away.set(worker.turned_away.get() - 1);
    });
}

impl Place {
    fn new(worker: &Rc<Worker>, control: &Arc<Control>) -> Self {
        control.open.fetch_add(1, Ordering::Relaxed);
        add(&worker.cells.connections, 1);
        Self { worker: Rc::clone(worker), control: Arc::clone(control) }
    }

    /// Serves a connection to its end: whom it comes from, whether that address may have one more, TLS, requests.
    async fn serve(&self, mut stream: TcpStream, address: SocketAddr) {
        let settings = &self.worker.shared.settings;
        let due = Instant::now() + settings.timeouts.header;
        let address = if is_in(address.ip().to_canonical(), &settings.proxy_protocol) {
            match self.agree(due, told_source(&mut stream)).await {
                Some(told) => told.unwrap_or(address),
                None => return self.not_agreed(&self.worker.cells.proxy_header_failures),
            }
        } else {
            address
        };
        let mut peer = Peer::new(address, self.worker.shared.tls.is_some(), &settings.trusted_proxies);
        let counts = self.control.addresses.as_ref().filter(|_| !peer.is_trusted);
        let of_address = counts.map(|counts| counts.take(peer.ip));
        if matches!(of_address, Some(None)) {
            return refuse(&self.worker, stream, address);
        }
        let transport = match &self.worker.shared.tls {
            None => Transport::plain(stream),
            Some(acceptor) => match self.agree(due, async { acceptor.accept(Socket::new(stream)).await.ok() }).await {
                Some(stream) => {
                    peer.certificate = ClientCertificate::of(stream.get_ref().1);
                    Transport::tls(stream)
                }
                None => return self.not_agreed(&self.worker.cells.tls_failures),
            },
        };
        self.speak(transport, peer).await;
        drop(of_address);
    }

    /// Counts a client that did not come to an agreement; one that was only too late for a gateway that stops is none.
    fn not_agreed(&self, count: &AtomicU64) {
        if !self.control.soft.is_cancelled() {
            add(count, 1);
        }
    }

    /// Serves a connection in the protocol that its client speaks.
    async fn speak(&self, transport: Transport, peer: Peer) {
        let speaker = if transport.speaks_http2() {
            Some(Speaker { transport, input: Buffer::new(), peer })
        } else {
            serve(Rc::clone(&self.worker), transport, peer).await
        };
        if let Some(speaker) = speaker {
            // In a box: connections of HTTP/1.1 need not have room for it.
            Box::pin(http2::serve(Rc::clone(&self.worker), speaker)).await;
        }
    }

    /// Lets something be agreed on before the first request; nothing when it fails or takes too long.
    async fn agree<T>(&self, due: Instant, agreeing: impl Future<Output = Option<T>>) -> Option<T> {
        let agreeing = timeout_at(due, agreeing);
        let stopping = async {
            self.control.soft.cancelled().await;
            sleep(CROSSING_LIMIT).await;
        };
        tokio::select! {
            agreed = agreeing => agreed.ok().flatten(),
            () = stopping => None,
        }
    }
}

/// Whom a proxy says that the connection comes from; the inner `None`: from itself. Reads nothing behind the header.
async fn told_source(stream: &mut TcpStream) -> Option<Option<SocketAddr>> {
    let mut header = Vec::with_capacity(128);
    // A line says where it ends only when it has come: mostly it has, and need not be read byte by byte.
    let mut seen = [0; ProxyHeader::MAX_LINE];
    let count = stream.peek(&mut seen).await.ok()?;
    let line = seen.get(..count)?.iter().position(|octet| *octet == b'\n').filter(|_| seen.first() == Some(&b'P'));
    let mut whole = line.map(|end| end + 1);
    loop {
        match ProxyHeader::read(&header) {
            ProxyHeader::Complete(source) => return Some(source),
            ProxyHeader::Invalid => return None,
            ProxyHeader::NeedMore(least) => {
                let (have, more) = (header.len(), whole.take().unwrap_or(least));
                header.resize(have + more, 0);
                stream.read_exact(header.get_mut(have..)?).await.ok()?;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.control.open.fetch_sub(1, Ordering::Relaxed);
        // Only this thread writes it.
        let left = self.worker.cells.connections.load(Ordering::Relaxed).saturating_sub(1);
        self.worker.cells.connections.store(left, Ordering::Relaxed);
        if std::thread::panicking() {
            add(&self.worker.cells.panics, 1);
        }
        if left == 0 {
            self.worker.emptied.notify_one();
        }
    }
}

/// Whether an accept error is about the connection that would have been accepted, and not about the worker.
fn is_about_one_connection(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
