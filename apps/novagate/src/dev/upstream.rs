//! The demo upstream: answers every request with what it got, after `?delayMs=` milliseconds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Query, rejection::QueryRejection},
    http::{HeaderMap, Method, Uri},
};
use novagate_net::{HttpLimits, HttpListener, Tasks, bind, serve_http};
use serde::Deserialize;
use serde_json::{Value, json};

use super::StartError;

/// For running requests to finish.
const DRAIN: Duration = Duration::from_secs(5);
/// Longest wait that a request may ask for.
const DELAY_MAX_MS: u64 = 10_000;

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn serve(addr: SocketAddr) -> Result<(), StartError> {
    let mut signals = novagate_system::ShutdownSignals::install().map_err(StartError::internal)?;
    let tasks = Tasks::new();
    let addr = start(addr, "--listen", &tasks)?;
    println!("the demo upstream listens on http://{addr}");
    signals.next().await;
    tasks.shutdown(DRAIN).await;
    Ok(())
}

/// Starts the demo upstream at an address that `flag` says; answers where it listens.
pub(crate) fn start(addr: SocketAddr, flag: &'static str, tasks: &Tasks) -> Result<SocketAddr, StartError> {
    let socket = bind(addr, flag).map_err(|error| StartError { text: error.to_string(), code: 69 })?;
    let listener = HttpListener { name: "demo-upstream", socket, tls: None };
    let router = Router::new().fallback(echo);
    serve_http(listener, router, HttpLimits::default(), tasks).map_err(StartError::internal)
}

/// What a request may ask for in its query.
#[derive(Deserialize)]
struct Wishes {
    /// Milliseconds until the answer, to see timeouts and drains.
    #[serde(default, rename = "delayMs")]
    delay_ms: u64,
}

async fn echo(
    method: Method,
    uri: Uri,
    wishes: Result<Query<Wishes>, QueryRejection>,
    headers: HeaderMap,
) -> Json<Value> {
    // A query that asks for nothing of ours is somebody else's.
    let delay_ms = wishes.map_or(0, |Query(wishes)| wishes.delay_ms);
    tokio::time::sleep(Duration::from_millis(delay_ms.min(DELAY_MAX_MS))).await;
    let shown: BTreeMap<&str, &str> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-"))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    Json(json!({ "upstream": "demo", "method": method.as_str(), "path": uri.path(), "headers": shown }))
}
