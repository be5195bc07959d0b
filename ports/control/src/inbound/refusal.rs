//! Why the control plane does not do what it was asked.

use std::time::Duration;

use novagate_kernel::ErrorCode;
use novagate_ports_base::{FaultKind, PortError};

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// RFC 6901 pointer into the body; empty for the whole.
    pub pointer: String,
    /// The rule, as a word: `required`, `unknown_field`, `out_of_range`, `route_conflict`.
    pub code: String,
    /// The rule for people; never the offending value.
    pub message: String,
}

impl FieldFault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), message: message.into() }
    }
}

/// A refusal: a stable code with a text that is safe to show, and, for the log only, its cause.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// The code; it fixes the HTTP status.
    pub code: ErrorCode,
    /// For people; never a secret, an address or the offending value.
    pub detail: String,
    /// The fields at fault, if fields are.
    pub fields: Vec<FieldFault>,
    /// When to come back, if waiting helps.
    pub retry_after: Option<Duration>,
    /// The plan's limit that was reached, by name.
    pub limit: Option<&'static str>,
    /// The cause, for the log.
    #[source]
    pub source: Option<PortError>,
}

impl Refusal {
    /// A refusal with a code and a text.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), fields: Vec::new(), retry_after: None, limit: None, source: None }
    }

    /// The body breaks rules.
    pub fn invalid(fields: Vec<FieldFault>) -> Self {
        Self { fields, ..Self::new(ErrorCode::ValidationFailed, "the body breaks the rules that `errors` names") }
    }

    /// There is no such thing, or it is somebody else's.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such resource")
    }

    /// Come back later.
    pub fn too_many(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(ErrorCode::TooManyAttempts, "too many attempts; come back later")
        }
    }

    /// A limit of the plan.
    pub fn plan_limit(limit: &'static str, max: u64) -> Self {
        Self {
            limit: Some(limit),
            ..Self::new(ErrorCode::PlanLimit, format!("the plan allows at most {max} for {limit}"))
        }
    }
}

impl From<PortError> for Refusal {
    fn from(source: PortError) -> Self {
        let mut refusal = match source.kind {
            FaultKind::Unavailable | FaultKind::TimedOut => {
                Self::new(ErrorCode::Unavailable, "a service behind the control plane is away; try again")
            }
            FaultKind::Conflict => Self::new(ErrorCode::Conflict, "the state changed meanwhile; try again"),
            FaultKind::Corrupt | FaultKind::Misuse => Self::new(ErrorCode::Internal, "internal error"),
        };
        if refusal.code == ErrorCode::Unavailable {
            refusal.retry_after = Some(Duration::from_secs(1));
        }
        refusal.source = Some(source);
        refusal
    }
}
