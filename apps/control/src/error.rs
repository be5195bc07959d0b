//! Why the program does not start, with the exit code that says so.

use std::io;
use std::path::PathBuf;

use novagate_net::{BindError, SelfSignedError, TlsError};
use novagate_ports_base::PortError;

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used: exit code 64.
    #[error("{0}")]
    Setting(String),
    /// An address cannot be listened on: exit code 69.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A certificate cannot be used: exit code 64.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority of its own cannot be used: exit code 69.
    #[error("TLS_SELF_SIGNED, DATA_DIR: {0}")]
    SelfSigned(#[from] SelfSignedError),
    /// A service that it needs is away or damaged: exit code 69.
    #[error("{what}: {}", chain(source))]
    Service {
        /// What for.
        what: &'static str,
        /// Why.
        source: PortError,
    },
    /// A folder cannot be made: exit code 69.
    #[error("DATA_DIR, DATABASE_URL: {dir} cannot be made: {source}", dir = dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It runs and is not ready, or does not run: exit code 69.
    #[error("not ready: {0}")]
    NotReady(String),
    /// A defect of ours: exit code 70.
    #[error("{0}")]
    Internal(String),
}

impl StartError {
    /// sysexits.h: 64 usage, 69 a needed service is unavailable, 70 internal.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Tls(_) => 64,
            Self::Bind(_) | Self::Folder { .. } | Self::NotReady(_) | Self::SelfSigned(_) | Self::Service { .. } => 69,
            Self::Internal(_) => 70,
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
