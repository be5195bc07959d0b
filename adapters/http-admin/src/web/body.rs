//! Bodies: read whole within a limit, of a known media type, and checked field by field.

use std::error::Error as _;

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, MatchedPath, Request},
    http::{HeaderMap, header},
};
use http_body_util::LengthLimitError;
use novagate_documents::text::read_json;
use novagate_kernel::ErrorCode;
use novagate_ports_control::inbound::{FieldFault, Refusal};
use serde_json::{Map, Value};

use super::Problem;
use crate::AdminState;

/// A body with its media type (without parameters, lower case).
pub(crate) struct RawBody {
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

impl FromRequest<AdminState> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AdminState) -> Result<Self, Problem> {
        let media_type = media_type(request.headers());
        let whole_config =
            request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().ends_with("/config"));
        let limit = if whole_config { state.options.max_config_bytes } else { state.options.max_body_bytes };
        let bytes = to_bytes(request.into_body(), limit).await.map_err(|error| unread(&error))?;
        Ok(Self { media_type, bytes })
    }
}

impl RawBody {
    /// The JSON value of a body that says it is JSON.
    pub(crate) fn json(&self) -> Result<Value, Problem> {
        if self.media_type != "application/json" {
            let detail = "the body must be application/json";
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
        }
        json_value(&self.bytes)
    }
}

/// Reads JSON, bounded in depth and without duplicate keys; says where it stops being JSON, not what stands there.
pub(crate) fn json_value(bytes: &[u8]) -> Result<Value, Problem> {
    read_json(bytes).map_err(|fault| {
        let detail = format!("the body cannot be read: {}", fault.message);
        Refusal { fields: vec![fault], ..Refusal::new(ErrorCode::BadRequest, detail) }.into()
    })
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unread(error: &axum::Error) -> Problem {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
        Problem::new(ErrorCode::RequestTooLarge, "the body is larger than this path admits")
    } else {
        Problem::new(ErrorCode::BadRequest, "the body could not be read to its end")
    }
}

/// Takes a flat JSON object apart and collects everything that is wrong with it.
pub(crate) struct Fields {
    map: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl Fields {
    pub(crate) fn of(value: Value) -> Result<Self, Problem> {
        match value {
            Value::Object(map) => Ok(Self { map, faults: Vec::new() }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Problem::field("", "wrong_type", "must be a JSON object"))
            }
        }
    }

    /// Whether a field is given, be it null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A text that must be there.
    pub(crate) fn text(&mut self, name: &str) -> String {
        self.optional_text(name).unwrap_or_else(|| {
            if !self.is_faulty(name) {
                self.fault(name, "required", "is required");
            }
            String::new()
        })
    }

    /// A text that may be missing.
    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.map.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                self.fault(name, "wrong_type", "must be a string");
                None
            }
        }
    }

    /// Converts a field; a failure is noted with its rule.
    pub(crate) fn check<T, E: std::fmt::Display>(&mut self, name: &str, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                // A missing field has been noted already.
                if !self.is_faulty(name) {
                    self.fault(name, "invalid", error.to_string());
                }
                None
            }
        }
    }

    /// Everything that is wrong, unknown fields included.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for name in self.map.keys() {
            self.faults.push(FieldFault::new(pointer(name), "unknown_field", "is not a field of this body"));
        }
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::invalid(self.faults)) }
    }

    fn is_faulty(&self, name: &str) -> bool {
        self.faults.iter().any(|fault| fault.pointer == pointer(name))
    }

    fn fault(&mut self, name: &str, code: &str, message: impl Into<String>) {
        self.faults.push(FieldFault::new(pointer(name), code, message));
    }
}

/// RFC 6901, section 3; a hostile name is cut.
fn pointer(name: &str) -> String {
    let short: String = name.chars().filter(|letter| !letter.is_control()).take(64).collect();
    format!("/{}", short.replace('~', "~0").replace('/', "~1"))
}
