//! What a peer can do wrong.

/// A frame that the peer must not have sent. The machine has already decided to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolFault {
    /// It belongs to another phase or to the other end.
    #[error("a {frame} frame is not expected here")]
    Unexpected {
        /// Its type.
        frame: &'static str,
    },
    /// A second hello of another node or run.
    #[error("a second hello names another node or run")]
    AnotherIdentity,
    /// A batch of another run, with the number 0, or with a gap before it.
    #[error("a batch out of order")]
    BatchOrder,
    /// More unconfirmed batches than there are credits.
    #[error("more telemetry in flight than the credits allow")]
    Credits,
    /// More requests for a snapshot than one connection may make.
    #[error("too many requests for a snapshot")]
    Resyncs,
    /// A configuration that cannot be applied, after a fresh snapshot was asked for.
    #[error("a configuration that does not hold, again")]
    Config,
}
