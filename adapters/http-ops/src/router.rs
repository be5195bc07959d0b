//! The four paths.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

/// What a program says of itself.
pub trait OpsSource: Send + Sync + 'static {
    /// `/health`: how the program is. It answers as long as the process runs; the text says the rest.
    fn health(&self) -> Value;

    /// `/ready`: whether traffic should come here; if not, why.
    fn ready(&self) -> Result<(), String>;

    /// `/metrics`: the Prometheus text exposition, or what kept it from being made.
    fn metrics(&self) -> Result<String, String>;

    /// `/status`: everything an operator may want to know.
    fn status(&self) -> Value;
}

/// The operators' paths of a program.
pub fn router(source: Arc<dyn OpsSource>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .fallback(|| async {
            json_response(StatusCode::NOT_FOUND, &json!({ "paths": ["/health", "/ready", "/metrics", "/status"] }))
        })
        .with_state(source)
}

async fn health(State(source): State<Arc<dyn OpsSource>>) -> Response {
    json_response(StatusCode::OK, &source.health())
}

async fn ready(State(source): State<Arc<dyn OpsSource>>) -> Response {
    match source.ready() {
        Ok(()) => json_response(StatusCode::OK, &json!({ "ready": true })),
        Err(reason) => json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "reason": reason })),
    }
}

/// Made on a blocking thread: a scrape of many series takes milliseconds.
async fn metrics(State(source): State<Arc<dyn OpsSource>>) -> Response {
    match tokio::task::spawn_blocking(move || source.metrics()).await {
        Ok(Ok(text)) => {
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Ok(Err(reason)) => json_response(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": reason })),
        Err(_) => json_response(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": "the exposition panicked" })),
    }
}

async fn status(State(source): State<Arc<dyn OpsSource>>) -> Response {
    json_response(StatusCode::OK, &source.status())
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
