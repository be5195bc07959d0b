//! Who a request is from, once its credential has been decided about.

use std::fmt;

use novagate_kernel::ErrorCode;

use crate::{CompiledConsumer, CredentialKind};

/// Who a request is from. It borrows from the compiled configuration and from the verified token of the request.
#[derive(Clone, Copy)]
pub enum Identity<'a> {
    /// Nobody known.
    Anonymous,
    /// A consumer.
    Consumer {
        /// Which.
        consumer: &'a CompiledConsumer,
        /// The token's subject, when it was a token that named the consumer.
        subject: Option<&'a str>,
    },
    /// The bearer of a valid token that belongs to no consumer; without `sub` it is one nameless subject.
    Subject(Option<&'a str>),
}

impl<'a> Identity<'a> {
    /// The consumer.
    pub const fn consumer(&self) -> Option<&'a CompiledConsumer> {
        match self {
            Self::Consumer { consumer, .. } => Some(consumer),
            Self::Anonymous | Self::Subject(_) => None,
        }
    }

    /// The subject of a verified token.
    pub const fn subject(&self) -> Option<&'a str> {
        match self {
            Self::Anonymous => None,
            Self::Consumer { subject, .. } | Self::Subject(subject) => *subject,
        }
    }
}

impl fmt::Debug for Identity<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => formatter.write_str("Anonymous"),
            Self::Consumer { consumer, .. } => write!(formatter, "Consumer({})", consumer.id),
            Self::Subject(_) => formatter.write_str("Subject(redacted)"),
        }
    }
}

/// What became of a request's credential. Made by [`crate::CompiledConfig::credential_of_key`] and
/// [`crate::CompiledConfig::credential_of_token`].
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// None was presented.
    Absent,
    /// It holds.
    Proven {
        /// What was presented.
        kind: CredentialKind,
        /// Who that is.
        identity: Identity<'a>,
    },
    /// It does not hold.
    Refused(ErrorCode),
}

/// What is known about a request when its route decides about it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What became of its credential.
    pub credential: Credential<'a>,
}

/// What a route decides.
#[derive(Debug, Clone, Copy)]
pub enum Verdict<'a> {
    /// It may go on, as this identity.
    Allowed(Identity<'a>),
    /// It is answered with this code.
    Refused(ErrorCode),
}
