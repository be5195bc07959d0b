//! Dialling and accepting.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use novagate_ports_edge::{DialError, SyncConnection, SyncDialer};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::pair;

/// Attempts that wait to be accepted.
const BACKLOG: usize = 16;

/// The wire between dialers and one listener. Clones are the same wire.
#[derive(Debug, Clone)]
pub struct MemoryNetwork {
    attempts: mpsc::Sender<Incoming>,
    cut: Arc<Mutex<CancellationToken>>,
}

/// Where attempts arrive.
#[derive(Debug)]
pub struct MemoryListener {
    attempts: mpsc::Receiver<Incoming>,
}

/// An attempt to connect. Dropping it refuses it as unreachable.
pub struct Incoming {
    key: Zeroizing<String>,
    answer: oneshot::Sender<Result<Box<dyn SyncConnection>, DialError>>,
    cut: CancellationToken,
}

/// Dials one listener with one key.
pub struct MemoryDialer {
    network: MemoryNetwork,
    key: Mutex<Zeroizing<String>>,
}

impl MemoryNetwork {
    /// A wire with its listener.
    pub fn new() -> (Self, MemoryListener) {
        let (attempts, incoming) = mpsc::channel(BACKLOG);
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        (Self { attempts, cut }, MemoryListener { attempts: incoming })
    }

    /// A dialer that presents `key`.
    pub fn dialer(&self, key: &str) -> MemoryDialer {
        MemoryDialer { network: self.clone(), key: Mutex::new(Zeroizing::new(key.to_owned())) }
    }

    /// Breaks every connection; later attempts succeed.
    pub fn cut(&self) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *cut).cancel();
    }

    fn token(&self) -> CancellationToken {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MemoryListener {
    /// The next attempt; none when no dialer is left.
    ///
    /// Cancel-safe: an attempt is only taken when it is returned.
    pub async fn accept(&mut self) -> Option<Incoming> {
        self.attempts.recv().await
    }
}

impl Incoming {
    /// The key that was presented.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Lets it in; the other end is given to the dialer. None when it has given up.
    pub fn accept(self) -> Option<Box<dyn SyncConnection>> {
        let (ours, theirs) = pair(&self.cut);
        self.answer.send(Ok(theirs)).ok().map(|()| ours)
    }

    /// Turns it away.
    pub fn refuse(self, why: DialError) {
        // A dialer that has given up does not need to know.
        let _ = self.answer.send(Err(why));
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Incoming(redacted)")
    }
}

impl fmt::Debug for MemoryDialer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MemoryDialer(redacted)")
    }
}

impl MemoryDialer {
    /// Presents another key from the next attempt on.
    pub fn set_key(&self, key: &str) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Zeroizing::new(key.to_owned());
    }
}

#[async_trait]
impl SyncDialer for MemoryDialer {
    async fn dial(&self) -> Result<Box<dyn SyncConnection>, DialError> {
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let unreachable = || DialError::Unreachable("nobody listens".into());
        let attempt = Incoming { key, answer, cut: self.network.token() };
        self.network.attempts.send(attempt).await.map_err(|_closed| unreachable())?;
        answered.await.unwrap_or_else(|_dropped| Err(unreachable()))
    }
}
