//! What goes into the hub's machine beside frames, and what comes out.

use std::sync::Arc;
use std::time::Duration;

use novagate_kernel::{Head, SessionId, TenantId};

use crate::{Ack, BatchFrame, Bye, ConfigSet, Delta, Frame, Hello, Nack};

/// What the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionIdentity {
    /// This connection.
    pub session: SessionId,
    /// Whose gateway it is: from the verified key, never from a frame.
    pub tenant: TenantId,
    /// How often the node is to ping.
    pub heartbeat: Duration,
}

/// What brings a node to the head.
#[derive(Debug, Clone)]
pub enum ConfigOffer {
    /// Nothing: it is there.
    Current(Head),
    /// A difference.
    Delta(Arc<Delta>),
    /// Everything.
    Snapshot(Arc<ConfigSet>),
}

/// What the driver must do. Answers may come in any order.
#[derive(Debug, Clone, PartialEq)]
pub enum HubEffect {
    /// Remember the node; answer with [`crate::HubMachine::on_admitted`], or [`crate::HubMachine::close`].
    RecordHello(Hello),
    /// Ask what brings a node that serves this to the head; answer with [`crate::HubMachine::on_config`] or
    /// [`crate::HubMachine::on_config_failed`].
    LoadConfig {
        /// What it serves.
        applied: Option<Head>,
    },
    /// Send a frame.
    Send(Frame),
    /// The node serves a revision.
    RecordAck(Ack),
    /// The node has refused a revision.
    RecordNack(Nack),
    /// Store a batch; answer with [`crate::HubMachine::on_ingested`] or [`crate::HubMachine::on_ingest_failed`]. Never two at a time.
    Ingest(BatchFrame),
    /// The node is alive.
    Beat,
    /// Say goodbye and end the connection.
    Close(Bye),
}

impl ConfigOffer {
    /// Where it leads.
    pub fn head(&self) -> Head {
        match self {
            Self::Current(head) => *head,
            Self::Delta(delta) => delta.to,
            Self::Snapshot(set) => set.head(),
        }
    }
}
