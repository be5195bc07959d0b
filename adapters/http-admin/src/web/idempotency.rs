//! `Idempotency-Key` on POST: the work is done once, and its answer can be had again, but for secrets.
//!
//! A tenant's own tables remember its POSTs. Not here: what remembers a POST that makes a tenant (`control-core`).

use std::future::Future;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use novagate_access::TenantScope;
use novagate_kernel::{Digest, ErrorCode, TenantId};
use novagate_ports_control::{
    inbound::{PostBegin, PostEnd, RepeatablePost},
    outbound::{IdempotentBegin, IdempotentReply, PostClaim},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Problem, RawBody, Reply, json_value};
use crate::AdminState;

const KEY: &str = "idempotency-key";

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
    let claim = PostClaim { key: hash(&[path.as_bytes(), key.as_bytes()]), request: hash(&[body]) };
    claimed(state, scope, claim, work).await
}

/// The same for a body with a password in it, of which nothing but a keyed hash is stored.
pub(crate) async fn once_in_secret(
    state: &AdminState,
    scope: &TenantScope,
    headers: &HeaderMap,
    path: &'static str,
    body: &RawBody,
    work: impl Future<Output = Result<Reply, Problem>> + Send,
) -> Result<Response, Problem> {
    let Some(post) = repeatable(headers, path, body)? else { return Ok(work.await?.into_response()) };
    claimed(state, scope, state.accounts.claim_of(&post), work).await
}

async fn claimed(
    state: &AdminState,
    scope: &TenantScope,
    claim: PostClaim,
    work: impl Future<Output = Result<Reply, Problem>> + Send,
) -> Result<Response, Problem> {
    let key = claim.key;
    match state.idempotency.begin(scope, key, claim.request, state.clock.now()).await? {
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

/// A POST of somebody who has no tenant yet.
pub(crate) struct Anonymous<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: &'static str,
    pub(crate) body: &'a RawBody,
}

impl Anonymous<'_> {
    /// Does `work`, at most once per key and body; the tenant that it makes remembers the claim. `created` is the answer about
    /// that tenant without its secrets, `done` the answer that is the same for all.
    pub(crate) async fn once<F>(
        &self,
        state: &AdminState,
        created: impl Fn(TenantId) -> Reply + Send,
        done: impl Fn() -> Reply + Send,
        work: impl FnOnce(Option<PostClaim>) -> F + Send,
    ) -> Result<Response, Problem>
    where
        F: Future<Output = Result<Reply, Problem>> + Send,
    {
        let Some(post) = repeatable(self.headers, self.path, self.body)? else {
            return Ok(work(None).await?.into_response());
        };
        let claim = match state.accounts.begin_post(&post).await? {
            PostBegin::Started(claim) => claim,
            PostBegin::Created(tenant) => return Ok(replayed(created(tenant))),
            PostBegin::Done => return Ok(replayed(done())),
        };
        let outcome = work(Some(claim)).await;
        let end = match &outcome {
            Ok(reply) if reply.status == StatusCode::CREATED => PostEnd::Created,
            Ok(_) => PostEnd::Done,
            Err(_) => PostEnd::Failed,
        };
        state.accounts.end_post(claim, end).await;
        outcome.map(IntoResponse::into_response)
    }
}

/// Whether the client means to repeat the POST.
pub(crate) fn is_repeatable(headers: &HeaderMap) -> bool {
    headers.contains_key(KEY)
}

fn repeatable(headers: &HeaderMap, path: &'static str, body: &RawBody) -> Result<Option<RepeatablePost>, Problem> {
    let key = key_of(headers)?;
    Ok(key.map(|key| RepeatablePost { path, key: key.to_owned(), body: body.bytes.clone() }))
}

fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
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
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    if status == StatusCode::NO_CONTENT {
        return Ok(replayed(Reply::empty()));
    }
    Ok(replayed(Reply::new(status, &json_value(&stored.body)?)))
}

fn replayed(reply: Reply) -> Response {
    let mut response = reply.into_response();
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
