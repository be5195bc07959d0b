//! Accepting connections for as long as the program wants them.
//!
//! Always: an accept error never ends the loop (without file descriptors it waits and says so), and no more connections
//! are open than there are [`Slots`]. Beyond them, clients wait in the kernel's backlog.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Places for open connections; clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    places: Arc<Semaphore>,
    max: usize,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    _place: OwnedSemaphorePermit,
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, with `TCP_NODELAY`.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// Its place; keep it as long as the connection lives.
    pub slot: Slot,
}

/// An accept loop that the caller pulls.
#[derive(Debug)]
pub struct Acceptor {
    name: &'static str,
    socket: TcpListener,
    slots: Slots,
    stop: CancellationToken,
}

impl Slots {
    /// At least one place, at most `max`.
    pub fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(max)), max }
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.max.saturating_sub(self.places.available_permits())
    }

    async fn take(&self) -> Option<Slot> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Slot { _place: place })
    }
}

impl Acceptor {
    /// Accepts from a non-blocking listening socket until `stop` is cancelled. Must be called inside a runtime.
    pub fn new(
        name: &'static str,
        socket: std::net::TcpListener,
        slots: Slots,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        Ok(Self { name, socket: TcpListener::from_std(socket)?, slots, stop })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection; `None` once the loop shall stop.
    ///
    /// Cancel-safe: a connection is only taken when it is returned.
    pub async fn accept(&self) -> Option<Accepted> {
        let next = async {
            let slot = self.slots.take().await?;
            let (stream, peer) = accept_from(self.name, &self.socket).await;
            Some(Accepted { stream, peer, slot })
        };
        self.stop.run_until_cancelled(next).await.flatten()
    }
}

/// Where connections come from; a trait so that a test can run out of file descriptors.
trait Source {
    type Stream;
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Source for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // Fails only on a connection that is gone already, which its first read will tell.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer))
    }
}

async fn accept_from<S: Source>(name: &'static str, source: &S) -> (S::Stream, SocketAddr) {
    let mut wait = BACKOFF_MIN;
    loop {
        match source.accept().await {
            Ok(accepted) => return accepted,
            Err(fault) if is_about_one_connection(&fault) => {}
            Err(fault) => {
                tracing::warn!(listener = name, error = %fault, wait_ms = wait.as_millis(), "cannot accept, waiting");
                sleep(wait).await;
                wait = (wait * 2).min(BACKOFF_MAX);
            }
        }
    }
}

/// Whether the error belongs to a connection that ended while it was accepted; everything else (`EMFILE`, `ENFILE`,
/// `ENOBUFS`, `ENOMEM`) would come back at once.
fn is_about_one_connection(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&fault.kind())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;
    use crate::bind;

    const EMFILE: i32 = 24;

    struct Exhausted {
        left: AtomicUsize,
        fault: fn() -> io::Error,
    }

    impl Source for Exhausted {
        type Stream = &'static str;

        async fn accept(&self) -> io::Result<(&'static str, SocketAddr)> {
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                return Err((self.fault)());
            }
            Ok(("connection", "127.0.0.1:1".parse().unwrap()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_file_descriptors_the_loop_waits_and_goes_on() {
        let source = Exhausted { left: AtomicUsize::new(10), fault: || io::Error::from_raw_os_error(EMFILE) };
        let start = Instant::now();
        assert_eq!(accept_from("test", &source).await.0, "connection");
        // 10 + 20 + 40 + ... + 640 ms, then one second each.
        assert_eq!(start.elapsed(), Duration::from_millis(1270 + 3000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ended_too_early_costs_no_time() {
        let source = Exhausted { left: AtomicUsize::new(1000), fault: || io::ErrorKind::ConnectionAborted.into() };
        let start = Instant::now();
        accept_from("test", &source).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn connections_beyond_the_cap_wait_for_a_place() {
        let socket = bind("127.0.0.1:0".parse().unwrap(), "TEST").unwrap();
        let addr = socket.local_addr().unwrap();
        let slots = Slots::new(1);
        let acceptor = Acceptor::new("test", socket, slots.clone(), CancellationToken::new()).unwrap();
        let _clients = (TcpStream::connect(addr).await.unwrap(), TcpStream::connect(addr).await.unwrap());
        let first = acceptor.accept().await.unwrap();
        assert_eq!(slots.taken(), 1);
        assert!(acceptor.accept().now_or_never().is_none());
        drop(first);
        assert!(acceptor.accept().await.is_some());
    }

    #[tokio::test]
    async fn a_stopped_loop_takes_nothing_more() {
        let socket = bind("127.0.0.1:0".parse().unwrap(), "TEST").unwrap();
        let stop = CancellationToken::new();
        let acceptor = Acceptor::new("test", socket, Slots::new(1), stop.clone()).unwrap();
        stop.cancel();
        assert!(acceptor.accept().await.is_none());
    }
}
