//! `GET /sync/v1`: who may connect is decided here, before the upgrade.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use novagate_access::{GatewayKeyRecord, Verified};
use novagate_documents::frames::{MAX_NODE_FRAME_BYTES, SUB_PROTOCOL};
use novagate_kernel::ErrorCode;
use novagate_ports_control::inbound::SyncRefusal;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::connection::UpgradedConnection;
use crate::hub::HubState;
use crate::session::serve_session;

/// How long a key may take to be looked up, waiting for a place included.
const AUTHENTICATION: Duration = Duration::from_secs(5);
/// Small buffers: ten thousand idle nodes are many.
const BUFFER: usize = 4 * 1024;
/// When to come back if something behind the control plane failed.
const FAULT_RETRY: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'static str,
}

/// An upgrade that does not happen.
struct Refused {
    code: ErrorCode,
    detail: &'static str,
    retry_after: Option<Duration>,
}

/// The path that gateways connect to.
pub fn router(hub: Arc<HubState>) -> Router {
    Router::new().route("/sync/v1", get(upgrade)).with_state(hub)
}

async fn upgrade(
    State(hub): State<Arc<HubState>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match admit(&hub, &headers).await {
        Ok(key) => switch(hub, key, upgrade).unwrap_or_else(IntoResponse::into_response),
        Err(refused) => refused.into_response(),
    }
}

/// Decides about the key, and whether there is room now.
async fn admit(hub: &HubState, headers: &HeaderMap) -> Result<Verified<GatewayKeyRecord>, Refused> {
    let presented = bearer(headers).ok_or_else(|| hub.refuse(&SyncRefusal::KeyInvalid))?;
    if hub.tasks.soft().is_cancelled() {
        return Err(hub.defer("the control plane is stopping"));
    }
    let authenticated = timeout(AUTHENTICATION, async {
        // Closed never; a place is given back when the key is decided about.
        let _place = hub.authenticating.acquire().await;
        hub.sync.authenticate(presented).await
    });
    let key = match authenticated.await {
        Ok(decided) => decided.map_err(|refusal| hub.refuse(&refusal))?,
        Err(_elapsed) => return Err(hub.defer("the control plane is busy")),
    };
    if hub.admission.admit(Instant::now()) { Ok(key) } else { Err(hub.defer("too many gateways connect at once")) }
}

fn switch(
    hub: Arc<HubState>,
    key: Verified<GatewayKeyRecord>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let bad = |detail| Refused { code: ErrorCode::BadRequest, detail, retry_after: None };
    let upgrade = upgrade.map_err(|_rejection| bad("not a WebSocket upgrade (RFC 6455)"))?.protocols([SUB_PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(bad("the sub-protocol novagate.sync.v1 must be offered"));
    }
    let upgrade = upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(MAX_NODE_FRAME_BYTES)
        .max_frame_size(MAX_NODE_FRAME_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let encoded = Arc::clone(&hub.encoded);
        let connection = UpgradedConnection::new(socket, key.get().tenant, encoded);
        let tasks = hub.tasks.clone();
        let session = tasks.spawn("sync-session", serve_session(Box::new(connection), key, hub));
        // Its end is the session's own business; a panic is logged and counted by its owner.
        let _ended = session.await;
    }))
}

/// The key after `Bearer`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

impl HubState {
    fn refuse(&self, refusal: &SyncRefusal) -> Refused {
        let (detail, retry_after) = match refusal {
            SyncRefusal::KeyInvalid => ("this gateway key is not known", None),
            SyncRefusal::KeyRevoked => ("this gateway key has been revoked", None),
            SyncRefusal::TenantSuspended => ("this tenant is suspended", None),
            SyncRefusal::TooManyNodes => ("the plan has no room for another gateway", None),
            SyncRefusal::Busy { retry_after } => ("the control plane is busy", Some(*retry_after)),
            SyncRefusal::Port(fault) => {
                tracing::warn!(error = %fault, "a gateway key could not be decided about");
                ("a service behind the control plane is away", Some(self.jitter(FAULT_RETRY)))
            }
        };
        let counter = if retry_after.is_some() { &self.counters.deferred } else { &self.counters.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        Refused { code: refusal.code(), detail, retry_after }
    }

    fn defer(&self, detail: &'static str) -> Refused {
        self.counters.deferred.fetch_add(1, Ordering::Relaxed);
        let retry_after = Some(self.jitter(self.limits.spread));
        Refused { code: ErrorCode::Unavailable, detail, retry_after }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: self.detail,
        };
        let mut response = (status, serde_json::to_vec(&problem).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: zero would be no wait at all.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().saturating_add(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
