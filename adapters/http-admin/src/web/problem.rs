//! Refusals as `application/problem+json` (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use novagate_kernel::ErrorCode;
use novagate_ports_base::PortError;
use novagate_ports_control::inbound::{FieldFault, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

/// A refusal on its way out. The envelope writes its body, which names the request's id.
#[derive(Debug)]
pub(crate) struct Problem(Box<Refusal>);

/// The body of every error.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProblemBody {
    /// `about:blank`: the code says it all (RFC 9457, section 4.2.1).
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable word: see docs/errors.md.
    #[schema(example = "VALIDATION_FAILED")]
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) detail: String,
    /// The value of `X-Request-ID`.
    pub(crate) request_id: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<ProblemField>,
    /// The plan's limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<&'static str>,
}

/// One field at fault.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ProblemField {
    /// RFC 6901 pointer into the body.
    #[schema(example = "/match/path")]
    pub(crate) pointer: String,
    /// The rule, as a word.
    #[schema(example = "unknown_field")]
    pub(crate) code: String,
    /// The rule, for people.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Refusal::new(code, detail).into()
    }

    pub(crate) fn not_found() -> Self {
        Refusal::not_found().into()
    }

    pub(crate) fn invalid(fields: Vec<FieldFault>) -> Self {
        Refusal::invalid(fields).into()
    }

    pub(crate) fn field(pointer: &str, code: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldFault::new(pointer, code, message)])
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The body, for a request with this id.
    pub(crate) fn body(&self, request_id: String) -> ProblemBody {
        let status = self.status();
        let field = |fault: &FieldFault| ProblemField {
            pointer: fault.pointer.clone(),
            code: fault.code.clone(),
            message: fault.message.clone(),
        };
        ProblemBody {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code: self.0.code.as_str(),
            detail: self.0.detail.clone(),
            request_id,
            errors: self.0.fields.iter().map(field).collect(),
            limit: self.0.limit,
        }
    }

    /// The cause, for the log.
    pub(crate) const fn cause(&self) -> Option<&PortError> {
        self.0.source.as_ref()
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(refusal))
    }
}

impl From<PortError> for Problem {
    fn from(error: PortError) -> Self {
        Refusal::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if let Some(wait) = self.0.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if self.0.code.status() == 401 {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}
