//! What went wrong, in the terms of the ports.

use novagate_ports_base::{FaultKind, PortError};
use redis::RedisError;

/// Nobody was asked: the last call has failed, and the pause after it is not over.
#[derive(Debug, thiserror::Error)]
#[error("Redis did not answer lately")]
pub(crate) struct Away;

/// No answer within the deadline.
#[derive(Debug, thiserror::Error)]
#[error("Redis did not answer in time")]
struct Late;

/// Redis answered something that was not asked for.
#[derive(Debug, thiserror::Error)]
#[error("the answer of Redis has another form")]
struct Strange;

pub(crate) fn fault(op: &'static str, error: RedisError) -> PortError {
    let kind = if error.is_timeout() { FaultKind::TimedOut } else { FaultKind::Unavailable };
    PortError::new(op, kind, error)
}

pub(crate) fn late(op: &'static str) -> PortError {
    PortError::new(op, FaultKind::TimedOut, Late)
}

pub(crate) fn strange(op: &'static str) -> PortError {
    PortError::new(op, FaultKind::Corrupt, Strange)
}
