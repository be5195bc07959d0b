//! The connection between a gateway and the control plane. Both ends of the transport are this one trait, so that the
//! drivers on both sides run over a WebSocket and in one process alike.

use std::time::Duration;

use async_trait::async_trait;
use novagate_access::KeyDigest;
use novagate_ports_base::BoxError;
use novagate_sync::{ByeCode, ConfigSet, Frame, NackedObject};

/// Why dialling failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The control plane refused the key or tenant before the upgrade (401, 403): the answer will be the same until
    /// something changes.
    #[error("the control plane refused this gateway ({code:?})")]
    Refused {
        /// What it said, as the close code of the same meaning.
        code: ByeCode,
    },
    /// It answered something else than an upgrade: busy, starting, in the middle of a deployment.
    #[error("the control plane is not ready")]
    NotReady {
        /// `Retry-After`, when it was given.
        retry_after: Option<Duration>,
    },
    /// No connection: name, network, TLS, deadline.
    #[error("the control plane cannot be reached")]
    Unreachable(#[source] BoxError),
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A frame that is no frame of this protocol.
    #[error("the peer sent a malformed frame")]
    Malformed(#[source] BoxError),
    /// A frame over the limit.
    #[error("the peer sent a frame over the limit")]
    TooLarge,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] BoxError),
}

/// What arrives.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkEvent {
    /// A frame.
    Frame(Box<Frame>),
    /// The peer closed, with its code when it gave one that is known.
    Closed(Option<ByeCode>),
}

/// One established connection. Contract, checked by `testkit/contracts` over every transport: frames arrive whole, in order
/// and equal to what was sent; after `Closed` or an error nothing more arrives; `receive` is cancel-safe.
#[async_trait]
pub trait SyncConnection: Send + 'static {
    /// Sends a frame; waits while the peer is slow.
    async fn send(&mut self, frame: &Frame) -> Result<(), LinkError>;

    /// The next event.
    ///
    /// Cancel-safe: an event is only taken when it is returned.
    async fn receive(&mut self) -> Result<LinkEvent, LinkError>;

    /// Ends the connection with a code; errors do not matter any more.
    async fn close(&mut self, code: ByeCode);
}

/// Opens connections. Contract: each attempt authenticates and has a deadline of its own.
#[async_trait]
pub trait SyncDialer: Send + Sync + 'static {
    /// One attempt.
    async fn dial(&self) -> Result<Box<dyn SyncConnection>, DialError>;
}

/// What a gateway made of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Staged {
    /// It is serving and on disk.
    Live {
        /// How long it took to compile.
        compile: Duration,
    },
    /// It is refused; what was serving still is.
    Refused(Vec<NackedObject>),
}

/// The gateway as the sync driver sees it; answered by `apps/edge-core`.
#[async_trait]
pub trait ConfigHost: Send + Sync + 'static {
    /// Compiles, swaps and persists a configuration whose digest holds. Never fails half-way: either it is live or
    /// nothing has changed.
    async fn stage(&self, config: ConfigSet) -> Staged;

    /// Stops consumer keys at once; durable before it returns.
    async fn revoke(&self, keys: Vec<KeyDigest>);

    /// Tells how the link is: for `/health`, metrics and logs.
    fn link_changed(&self, connected: bool, refused: Option<ByeCode>);
}
