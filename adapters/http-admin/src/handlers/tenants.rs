//! `/tenants/{t}`: the tenant itself.

use axum::{extract::State, http::HeaderMap, response::Response};
use novagate_documents::time::format_timestamp;
use novagate_ports_control::outbound::Account;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    AdminState,
    web::{Fields, Problem, ProblemBody, RawBody, Reply, Scoped, if_match},
};

/// The tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantBody {
    id: String,
    name: String,
    email: String,
    state: &'static str,
    limits: LimitsBody,
    created_at: String,
    updated_at: String,
}

/// What the plan allows. Live traffic is never limited by it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitsBody {
    services: u32,
    routes: u32,
    consumers: u32,
    config_bytes: u64,
    nodes: u32,
    log_rows_per_second: u32,
}

/// A change of the tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantPatch {
    /// Display name, 1 to 100 characters.
    name: Option<String>,
}

/// What an erasure removed, and what is left elsewhere.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErasureBody {
    /// The erased tenant.
    tenant_id: String,
    erased: ErasedBody,
    /// What stays on the tenant's own machines, and how to remove it.
    remains: Vec<RemainsBody>,
}

/// Counts of what was removed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErasedBody {
    /// The tenant's schema or file.
    schema: String,
    gateway_keys: u64,
    objects: u64,
    telemetry_rows: u64,
}

/// Something that the control plane cannot reach.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemainsBody {
    what: &'static str,
    command: &'static str,
}

/// Read the tenant.
#[utoipa::path(get, path = "/tenants/{t}", tag = "tenants", params(("t" = String, Path, description = "tenant id")),
    responses((status = 200, body = TenantBody), (status = 401, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn read(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let account = state.accounts.tenant(&scope).await?;
    Ok(Reply::ok(&tenant_body(&account)).tagged().unless_known(&headers))
}

/// Change the tenant's name.
#[utoipa::path(patch, path = "/tenants/{t}", tag = "tenants", params(("t" = String, Path, description = "tenant id")),
    request_body = TenantPatch,
    responses((status = 200, body = TenantBody), (status = 412, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn change(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Reply, Problem> {
    let present = state.accounts.tenant(&scope).await?;
    if_match(&headers)?.admits(&json!(tenant_body(&present)))?;
    let mut fields = Fields::of(super::objects::patch_value(&body)?)?;
    // A patch may leave the name alone, but not take it away.
    let name = fields.has("name").then(|| fields.text("name"));
    fields.finish()?;
    let account = match name {
        Some(name) if name != present.name => state.accounts.rename(&scope, name).await?,
        Some(_) | None => present,
    };
    Ok(Reply::ok(&tenant_body(&account)).tagged())
}

/// Erase the tenant: storage, keys, sessions. There is no way back.
#[utoipa::path(delete, path = "/tenants/{t}", tag = "tenants", params(("t" = String, Path, description = "tenant id")),
    responses((status = 200, body = ErasureBody), (status = 412, body = ProblemBody)))]
pub(crate) async fn erase(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let present = state.accounts.tenant(&scope).await?;
    if_match(&headers)?.admits(&json!(tenant_body(&present)))?;
    let erasure = state.accounts.erase(&scope).await?;
    let remains = RemainsBody {
        what: "each gateway goes on serving its last configuration from its data directory until it is stopped",
        command: "stop the gateway, then: rm -rf -- \"$DATA_DIR\"",
    };
    Ok(Reply::ok(&ErasureBody {
        tenant_id: scope.tenant().to_string(),
        erased: ErasedBody {
            schema: scope.tenant().schema_name(),
            gateway_keys: erasure.gateway_keys,
            objects: erasure.objects,
            telemetry_rows: erasure.telemetry_rows,
        },
        remains: vec![remains],
    }))
}

fn tenant_body(account: &Account) -> Value {
    let limits = LimitsBody {
        services: account.limits.services,
        routes: account.limits.routes,
        consumers: account.limits.consumers,
        config_bytes: account.limits.config_bytes,
        nodes: account.limits.nodes,
        log_rows_per_second: account.limits.log_rows_per_second,
    };
    json!(TenantBody {
        id: account.tenant.to_string(),
        name: account.name.clone(),
        email: account.email.as_str().to_owned(),
        state: account.state.as_str(),
        limits,
        created_at: format_timestamp(account.created_at),
        updated_at: format_timestamp(account.updated_at),
    })
}
