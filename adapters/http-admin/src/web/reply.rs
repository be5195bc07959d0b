//! What handlers answer.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use novagate_kernel::Head;
use serde::Serialize;
use serde_json::Value;

use super::{conditional::client_has, etag_of};

const CONFIG_REVISION: HeaderName = HeaderName::from_static("config-revision");

/// A JSON answer with the headers that belong to it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Value>,
    etag: Option<String>,
    head: Option<Head>,
    location: Option<String>,
    /// Fields of the body that hold a secret: shown now, never again.
    pub(crate) secrets: &'static [&'static str],
}

impl Reply {
    pub(crate) fn new(status: StatusCode, body: &impl Serialize) -> Self {
        // Our own bodies have string keys and plain values: converting them cannot fail.
        let body = serde_json::to_value(body).unwrap_or(Value::Null);
        Self { status, body: Some(body), etag: None, head: None, location: None, secrets: &[] }
    }

    pub(crate) fn ok(body: &impl Serialize) -> Self {
        Self::new(StatusCode::OK, body)
    }

    pub(crate) const fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None, etag: None, head: None, location: None, secrets: &[] }
    }

    /// The body is a resource with an ETag.
    pub(crate) fn tagged(mut self) -> Self {
        self.etag = self.body.as_ref().map(etag_of);
        self
    }

    /// The tenant's revision after this write.
    pub(crate) const fn at(mut self, head: Head) -> Self {
        self.head = Some(head);
        self
    }

    /// Where the new resource is.
    pub(crate) fn located(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }

    /// These fields of the body hold secrets.
    pub(crate) const fn with_secrets(mut self, fields: &'static [&'static str]) -> Self {
        self.secrets = fields;
        self
    }

    /// 304 when the client has this representation already.
    pub(crate) fn unless_known(self, request: &HeaderMap) -> Response {
        let known = self.etag.as_ref().is_some_and(|etag| client_has(request, etag));
        let mut response = self.into_response();
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
        }
        response
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => {
                let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
                (self.status, json, body.to_string()).into_response()
            }
            None => self.status.into_response(),
        };
        let revision = self.head.map(|head| format!("{};digest={}", head.revision, head.digest));
        let fields = [(header::ETAG, self.etag), (CONFIG_REVISION, revision), (header::LOCATION, self.location)];
        for (name, value) in fields {
            if let Some(Ok(value)) = value.map(|text| HeaderValue::from_str(&text)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
