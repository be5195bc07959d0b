//! Why the program does not start, with the exit code that says so.

use novagate_disk::DataDirError;
use novagate_net::{BindError, ResolverStartError, TlsError};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used: exit code 64.
    #[error("{0}")]
    Setting(String),
    /// An address cannot be listened on: exit code 69.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// An authority's certificate cannot be used: exit code 64.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be used: exit code 69.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// It runs and is not ready, or does not run: exit code 69.
    #[error("not ready: {0}")]
    NotReady(String),
    /// Names cannot be resolved: exit code 70.
    #[error(transparent)]
    Resolver(#[from] ResolverStartError),
    /// A defect of ours, or of the machine: exit code 70.
    #[error("{0}")]
    Internal(String),
}

impl StartError {
    /// sysexits.h: 64 usage, 69 a needed service is unavailable, 70 internal.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::Tls(_) => 64,
            Self::Bind(_) | Self::DataDir(_) | Self::NotReady(_) => 69,
            Self::Internal(_) | Self::Resolver(_) => 70,
        }
    }
}
