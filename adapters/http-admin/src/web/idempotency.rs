//! `Idempotency-Key` on POST: the work is done once, and its answer can be had again, but for secrets.

use std::future::Future;

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use novagate_access::TenantScope;
use novagate_kernel::{Digest, ErrorCode};
use novagate_ports_control::outbound::{IdempotentBegin, IdempotentReply};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Problem, Reply, json_value};
use crate::AdminState;

/// Does `work`, at most once per key and body. Without the header it just does it.
pub(crate) async fn once(
    state: &AdminState,
    scope: &TenantScope,
    headers: &HeaderMap,
    path: &str,
    body: &[u8],
    work: impl Future<Output = Result<Reply, Problem>> + Send,
) -> Result<Response, Problem> {
    let Some(key) = key_of(headers)? else { return Ok(work.await?.into_response()) };
    let key = hash(&[path.as_bytes(), key.as_bytes()]);
    match state.idempotency.begin(scope, key, hash(&[body]), state.clock.now()).await? {
        IdempotentBegin::Started => {}
        IdempotentBegin::InProgress => {
            let detail = "a request with this Idempotency-Key is running";
            return Err(Problem::new(ErrorCode::IdempotencyInProgress, detail));
        }
        IdempotentBegin::Reused => {
            let detail = "this Idempotency-Key came with another body before";
            return Err(Problem::new(ErrorCode::IdempotencyKeyReused, detail));
        }
        IdempotentBegin::Done(reply) => return replay(&reply),
    }
    match work.await {
        Ok(reply) => {
            let stored = IdempotentReply { status: reply.status.as_u16(), body: without_secrets(&reply) };
            // The work is done and its secrets are shown only once: the answer goes out whether or not it is remembered.
            if let Err(error) = state.idempotency.finish(scope, key, &stored).await {
                tracing::warn!(error = %error, cause = %error.source, "an answer was not remembered for its Idempotency-Key");
            }
            Ok(reply.into_response())
        }
        Err(problem) => {
            if let Err(error) = state.idempotency.abandon(scope, key).await {
                tracing::warn!(error = %error, cause = %error.source, "an Idempotency-Key stays claimed for a minute");
            }
            Err(problem)
        }
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) => Ok(Some(text)),
        Ok(_) | Err(_) => {
            Err(Problem::new(ErrorCode::BadRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters"))
        }
    }
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Digest::from_bytes(hash.finalize().into())
}

fn without_secrets(reply: &Reply) -> axum::body::Bytes {
    let mut body = reply.body.clone().unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut body
        && !reply.secrets.is_empty()
    {
        for secret in reply.secrets {
            fields.insert((*secret).to_owned(), Value::Null);
        }
        fields.insert("secretShown".to_owned(), json!(true));
    }
    body.to_string().into()
}

fn replay(stored: &IdempotentReply) -> Result<Response, Problem> {
    let body = json_value(&stored.body)?;
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    let mut response = Reply::new(status, &body).into_response();
    response.headers_mut().insert("idempotency-replayed", axum::http::HeaderValue::from_static("true"));
    Ok(response)
}
