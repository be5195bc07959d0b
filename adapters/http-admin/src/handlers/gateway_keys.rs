//! `/tenants/{t}/gateway-keys`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use novagate_access::{GatewayKeyRecord, TenantScope};
use novagate_documents::time::format_timestamp;
use novagate_kernel::GatewayKeyId;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AdminState,
    web::{
        Fields, FullPath, PathId, Problem, ProblemBody, Query, RawBody, Reply, Scoped, if_match, json_value, once,
        page_of, paged_vec,
    },
};

/// A gateway key, without the key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayKeyBody {
    id: String,
    created_at: String,
    /// When it was revoked, if it was.
    revoked_at: Option<String>,
}

/// A new gateway key. The key is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewGatewayKeyBody {
    id: String,
    #[schema(example = "gw_<tenantId>_<32 hex>")]
    key: String,
    created_at: String,
}

/// A page of gateway keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayKeyPage {
    items: Vec<GatewayKeyBody>,
    next_cursor: Option<String>,
}

/// List the gateway keys, oldest first.
#[utoipa::path(get, path = "/tenants/{t}/gateway-keys", tag = "gateway keys",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = GatewayKeyPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn list(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let keys = state.accounts.gateway_keys(&scope).await?;
    Ok(Reply::ok(&page_of(&paged_vec(keys, &page, |key| key.id.to_string()).map(|key| key_body(&key)))))
}

/// Read one gateway key.
#[utoipa::path(get, path = "/tenants/{t}/gateway-keys/{id}", tag = "gateway keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path)),
    responses((status = 200, body = GatewayKeyBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn read(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(Reply::ok(&read_key(&state, &scope, id).await?).tagged().unless_known(&headers))
}

/// Make a gateway key. Earlier keys go on working.
#[utoipa::path(post, path = "/tenants/{t}/gateway-keys", tag = "gateway keys",
    params(("t" = String, Path, description = "tenant id"), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewGatewayKeyBody), (status = 403, body = ProblemBody)))]
pub(crate) async fn create(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
    FullPath(path): FullPath,
    body: RawBody,
) -> Result<Response, Problem> {
    if !body.bytes.is_empty() {
        Fields::of(json_value(&body.bytes)?)?.finish()?;
    }
    let work = async {
        let new = state.accounts.create_gateway_key(&scope).await?;
        let shown = NewGatewayKeyBody {
            id: new.record.id.to_string(),
            key: new.key.expose().to_owned(),
            created_at: format_timestamp(new.record.created_at),
        };
        let place = format!("/api/v1/tenants/{}/gateway-keys/{}", scope.tenant(), new.record.id);
        Ok(Reply::new(StatusCode::CREATED, &json!(shown)).located(place).with_secrets(&["key"]))
    };
    once(&state, &scope, &headers, &path, &body.bytes, work).await
}

/// Revoke a gateway key. Its sessions end within a second; gateways go on serving.
#[utoipa::path(delete, path = "/tenants/{t}/gateway-keys/{id}", tag = "gateway keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody)))]
pub(crate) async fn revoke(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    // A key changes once at most, when it is revoked: what is seen here cannot be lost by what follows.
    if_match(&headers)?.admits(&json!(read_key(&state, &scope, id).await?))?;
    state.accounts.revoke_gateway_key(&scope, GatewayKeyId::from_uuid(id)).await?;
    Ok(Reply::empty())
}

async fn read_key(state: &AdminState, scope: &TenantScope, id: Uuid) -> Result<GatewayKeyBody, Problem> {
    let keys = state.accounts.gateway_keys(scope).await?;
    keys.iter().find(|key| key.id.as_uuid() == id).map(key_body).ok_or_else(Problem::not_found)
}

fn key_body(key: &GatewayKeyRecord) -> GatewayKeyBody {
    GatewayKeyBody {
        id: key.id.to_string(),
        created_at: format_timestamp(key.created_at),
        revoked_at: key.revoked_at.map(format_timestamp),
    }
}
