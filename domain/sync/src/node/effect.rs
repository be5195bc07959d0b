//! What goes into the node's machine beside frames, and what comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use novagate_kernel::{BootId, Digest, NodeId};

use crate::{ByeCode, ConfigSet, Frame, NackedObject};

/// Who the node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The installation.
    pub node: NodeId,
    /// This run of it.
    pub boot: BootId,
    /// Program and version; at most 64 visible ASCII characters.
    pub build: String,
    /// Optional abilities.
    pub features: Vec<String>,
    /// The operator's labels; at most 16.
    pub labels: BTreeMap<String, String>,
}

/// Why an attempt to connect failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialFailure {
    /// The key or tenant was refused before the upgrade.
    Refused(ByeCode),
    /// The control plane is not ready.
    NotReady {
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// There was no answer.
    Unreachable,
}

/// What became of a staged configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageOutcome {
    /// It is serving and on disk.
    Live {
        /// How long it took to compile.
        compile: Duration,
    },
    /// What was serving still is.
    Refused(Vec<NackedObject>),
}

/// What the driver must do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeEffect {
    /// Try to connect; answer with [`crate::NodeMachine::on_dialled`] or [`crate::NodeMachine::on_dial_failed`].
    Dial,
    /// Send a frame.
    Send(Frame),
    /// Compile, swap and persist; answer with [`crate::NodeMachine::on_staged`]. Never two at a time.
    Stage(ConfigSet),
    /// Stop these consumer keys now.
    Revoke(Vec<Digest>),
    /// End the connection; what it still delivers is not wanted.
    Close(ByeCode),
    /// Tell the world how the link is.
    LinkChanged {
        /// Whether a session is live.
        connected: bool,
        /// The refusal that holds, if one does.
        refused: Option<ByeCode>,
    },
}
