//! What surrounds every request: its id, its deadline, its log line, the body of its problem, and safe headers.
//!
//! Always: a request that may write goes on to its end when its client leaves or its deadline passes, so that nothing is
//! left half done.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use novagate_kernel::{ErrorCode, RequestId};
use novagate_net::Tasks;
use novagate_records::MethodLabel;

use super::Problem;
use crate::AdminState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the envelope works with.
#[derive(Clone)]
pub(crate) struct Envelope {
    state: AdminState,
    /// Requests that write: they belong to nobody's connection.
    writes: Tasks,
}

impl Envelope {
    pub(crate) fn new(state: AdminState) -> Self {
        Self { state, writes: Tasks::new() }
    }

    /// Runs a request; `Err`: it has not ended in time.
    async fn run(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let late = |_| Problem::new(ErrorCode::Unavailable, "the request took too long");
        if request.method().is_safe() {
            return tokio::time::timeout(self.state.options.timeout, next.run(request)).await.map_err(late);
        }
        let work = self.writes.spawn("admin.write", next.run(request));
        let ended = tokio::time::timeout(self.state.options.timeout, work).await.map_err(late)?;
        ended.map_err(|_| Problem::new(ErrorCode::Internal, "internal error"))
    }
}

/// Runs a request inside its envelope.
pub(crate) async fn envelope(State(envelope): State<Envelope>, request: Request, next: Next) -> Response {
    let state = &envelope.state;
    let id = request_id(state, &request);
    let (method, is_head) = (MethodLabel::of(request.method().as_str()), request.method() == Method::HEAD);
    let path = request.extensions().get::<MatchedPath>().map_or("unmatched".into(), |path| path.as_str().to_owned());
    let begin = state.clock.now();
    let mut response = envelope.run(request, next).await.unwrap_or_else(IntoResponse::into_response);
    let problem = response.extensions_mut().remove::<Arc<Problem>>();
    if let Some(problem) = &problem {
        write_problem(&mut response, problem, id);
        if is_head {
            *response.body_mut() = Body::empty();
        }
    }
    finish_headers(&mut response, id);
    let latency_us = u64::try_from(state.clock.now().since(begin).as_micros()).unwrap_or(u64::MAX);
    let (status, code) = (response.status().as_u16(), problem.as_ref().map(|problem| problem.code().as_str()));
    tracing::info!(request_id = %id, method = method.as_str(), path, status, latency_us, code, "request");
    if let Some(cause) = problem.as_ref().and_then(|problem| problem.cause()) {
        tracing::error!(request_id = %id, error = %cause, cause = %cause.source, "a port failed");
    }
    response
}

/// The client's id when it is a UUID, otherwise a fresh one.
fn request_id(state: &AdminState, request: &Request) -> RequestId {
    let offered = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    offered
        .and_then(|text| RequestId::parse(text).ok())
        .unwrap_or_else(|| RequestId::from_entropy(state.entropy.bytes()))
}

fn write_problem(response: &mut Response, problem: &Problem, id: RequestId) {
    // A body of plain strings and numbers: serialising it cannot fail.
    let body = serde_json::to_vec(&problem.body(id.to_string())).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
}

fn finish_headers(response: &mut Response, id: RequestId) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
