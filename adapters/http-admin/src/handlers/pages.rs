//! The few pages beside the API: start page, documentation, liveness, security contact.

use std::fmt::Write as _;
use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use novagate_documents::time::format_timestamp;
use serde_json::json;

use crate::{
    AdminState, operations,
    web::{Problem, Reply},
};

/// How long `security.txt` says it holds; RFC 9116, section 2.5.5 recommends less than a year.
const SECURITY_LIFETIME: Duration = Duration::from_hours(180 * 24);

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}\
code{background:#eef2f6;padding:.1rem .3rem;border-radius:.2rem}h2{margin-top:2rem}li{margin:.3rem 0}\
.m{display:inline-block;min-width:4.5rem;font-weight:600}";

/// What runs where.
pub(crate) async fn start() -> Response {
    page(
        "NovaGate control plane",
        "<p>This is the control plane of NovaGate: it holds routes, services and consumers, and pushes them to gateways. \
Live traffic never comes here.</p>\
<ul><li>REST API: <code>/api/v1</code>, described at <a href=\"/docs\">/docs</a> and in \
<a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a></li>\
<li>Gateways connect to <code>/sync/v1</code> with their key</li>\
<li>Liveness: <a href=\"/healthz\">/healthz</a>, readiness: <a href=\"/readyz\">/readyz</a></li>\
<li>Traffic goes to a gateway, by default <code>http://127.0.0.1:8000</code>; its own state is on its admin address, by \
default <code>http://127.0.0.1:9100/status</code></li>\
<li>Security contact: <a href=\"/.well-known/security.txt\">/.well-known/security.txt</a></li></ul>",
    )
}

/// The API for people: made from the same document as `openapi.json`.
pub(crate) async fn docs() -> Response {
    let mut body = String::from(
        "<p>Base path <code>/api/v1</code>. Send <code>Authorization: Bearer &lt;platform token&gt;</code>; errors are \
<code>application/problem+json</code> (RFC 9457). The full schema is in <a href=\"/api/v1/openapi.json\">openapi.json</a>.</p>",
    );
    let mut section = String::new();
    for operation in operations() {
        if operation.tag != section {
            let end = if section.is_empty() { "" } else { "</ul>" };
            section.clone_from(&operation.tag);
            // Writing to a String cannot fail.
            let _ = write!(body, "{end}<h2>{}</h2><ul>", escape(&section));
        }
        let (method, path) = (escape(&operation.method), escape(&operation.path));
        let _ = write!(
            body,
            "<li><span class=\"m\">{method}</span><code>{path}</code> {}</li>",
            escape(&operation.summary)
        );
    }
    body.push_str("</ul>");
    page("NovaGate API", &body)
}

/// The process runs.
pub(crate) async fn healthz() -> Reply {
    Reply::ok(&json!({ "status": "ok" }))
}

/// The process can do its work: its storage answers.
pub(crate) async fn readyz(State(state): State<AdminState>) -> Result<Reply, Problem> {
    state.accounts.ready().await?;
    Ok(Reply::ok(&json!({ "status": "ready" })))
}

/// RFC 9116.
pub(crate) async fn security_txt(State(state): State<AdminState>) -> Response {
    let expires = format_timestamp(state.clock.now().plus(SECURITY_LIFETIME));
    let text = format!(
        "# We acknowledge reports within 48 hours and give a timeline for resolution within 7 days.\n\
         Contact: mailto:security@novagate.dev\nExpires: {expires}\nPreferred-Languages: en\n"
    );
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response()
}

fn page(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>"
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy))], Html(html)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
