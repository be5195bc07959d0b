//! What the driver waits for: an attempt, or a connection.

use std::future::{Future, pending};
use std::pin::Pin;

use novagate_ports_edge::{DialError, LinkError, LinkEvent, SyncConnection};
use novagate_sync::ByeCode;

type Attempt = Pin<Box<dyn Future<Output = Result<Box<dyn SyncConnection>, DialError>> + Send>>;

/// The link as it is.
pub(crate) enum Link {
    None,
    Dialling(Attempt),
    Open(Box<dyn SyncConnection>),
}

/// What came of it.
pub(crate) enum LinkInput {
    Dialled(Result<Box<dyn SyncConnection>, DialError>),
    Event(Result<LinkEvent, LinkError>),
}

impl Link {
    /// The next input; never, when there is nothing to wait for.
    ///
    /// Cancel-safe: the attempt goes on where it was, and receiving is cancel-safe.
    pub(crate) async fn next(&mut self) -> LinkInput {
        match self {
            Self::None => pending().await,
            Self::Dialling(attempt) => LinkInput::Dialled(attempt.await),
            Self::Open(connection) => LinkInput::Event(connection.receive().await),
        }
    }

    /// The connection, if one is open; the link is none afterwards.
    pub(crate) fn take(&mut self) -> Option<Box<dyn SyncConnection>> {
        match std::mem::replace(self, Self::None) {
            Self::Open(connection) => Some(connection),
            Self::None | Self::Dialling(_) => None,
        }
    }
}

/// The code that answers a fault of the link.
pub(crate) const fn code_of(fault: &LinkError) -> ByeCode {
    match fault {
        LinkError::Malformed(_) => ByeCode::ProtocolError,
        LinkError::TooLarge => ByeCode::TooLarge,
        LinkError::Broken(_) => ByeCode::GoingAway,
    }
}
