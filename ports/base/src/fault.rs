//! How a port fails.

/// A cause from whatever technology stands behind a port.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, in the only terms a caller may decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The service behind the port is away or refuses work.
    Unavailable,
    /// No answer within the deadline; whether the work was done is unknown.
    TimedOut,
    /// Somebody else changed the same thing at the same time; nothing was done.
    Conflict,
    /// What is stored cannot be read. The value is not part of the error.
    Corrupt,
    /// The caller broke the port's contract: a defect of ours.
    Misuse,
}

impl FaultKind {
    /// Whether the same call may succeed later without any change.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Unavailable | Self::TimedOut => true,
            Self::Conflict | Self::Corrupt | Self::Misuse => false,
        }
    }
}

/// A failed call of a port.
#[derive(Debug, thiserror::Error)]
#[error("{op} failed ({kind:?})")]
pub struct PortError {
    /// The operation, as `store.commit`.
    pub op: &'static str,
    /// What it means for the caller.
    pub kind: FaultKind,
    /// The cause, for the log.
    #[source]
    pub source: BoxError,
}

impl PortError {
    /// A failure of `op` with its cause.
    pub fn new(op: &'static str, kind: FaultKind, source: impl Into<BoxError>) -> Self {
        Self { op, kind, source: source.into() }
    }

    /// For `map_err`: wraps any cause as `kind`.
    pub fn wrap<E: Into<BoxError>>(op: &'static str, kind: FaultKind) -> impl FnOnce(E) -> Self {
        move |source| Self::new(op, kind, source)
    }
}
