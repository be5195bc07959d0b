//! `/tenants/{t}/gateways`.

use std::collections::BTreeMap;

use axum::{extract::State, http::HeaderMap, response::Response};
use novagate_documents::time::format_timestamp;
use novagate_kernel::{Head, NodeId};
use novagate_ports_control::{inbound::NodeView, outbound::NodeNack};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    AdminState,
    web::{PathId, Problem, ProblemBody, Query, Reply, Scoped, if_match, page_of, paged_vec},
};

/// A gateway.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayBody {
    id: String,
    labels: BTreeMap<String, String>,
    /// Program and version.
    build: String,
    /// The key it last authenticated with.
    key_id: String,
    online: bool,
    first_seen: String,
    last_seen: String,
    /// What it serves.
    applied_revision: Option<HeadBody>,
    applied_at: Option<String>,
    /// How many revisions it is behind.
    lag: Option<u64>,
    /// Its newest refusal.
    last_nack: Option<NackBody>,
}

/// A revision with its digest.
#[derive(Serialize, ToSchema)]
pub(crate) struct HeadBody {
    epoch: u64,
    seq: u64,
    digest: String,
}

/// A refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct NackBody {
    epoch: u64,
    seq: u64,
    at: String,
    objects: Vec<NackedObjectBody>,
}

/// An object that a gateway cannot compile.
#[derive(Serialize, ToSchema)]
pub(crate) struct NackedObjectBody {
    kind: &'static str,
    id: String,
    code: String,
    /// RFC 6901 pointer.
    field: String,
}

/// A page of gateways.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayPage {
    items: Vec<GatewayBody>,
    next_cursor: Option<String>,
}

impl HeadBody {
    pub(super) fn of(head: Head) -> Self {
        Self { epoch: head.revision.epoch.get(), seq: head.revision.seq, digest: head.digest.to_string() }
    }
}

impl NackBody {
    pub(super) fn of(nack: &NodeNack) -> Self {
        let objects = nack.objects.iter().map(|object| NackedObjectBody {
            kind: object.object.kind.as_str(),
            id: object.object.id.to_string(),
            code: object.code.as_str().to_owned(),
            field: object.field.clone(),
        });
        Self {
            epoch: nack.revision.epoch.get(),
            seq: nack.revision.seq,
            at: format_timestamp(nack.at),
            objects: objects.collect(),
        }
    }
}

/// List the gateways that have connected.
#[utoipa::path(get, path = "/tenants/{t}/gateways", tag = "gateways",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = GatewayPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn list(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let nodes = state.fleet.gateways(&scope).await?;
    Ok(Reply::ok(&page_of(
        &paged_vec(nodes, &page, |node| node.record.node.to_string()).map(|node| gateway_body(&node)),
    )))
}

/// Read one gateway.
#[utoipa::path(get, path = "/tenants/{t}/gateways/{id}", tag = "gateways",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path)),
    responses((status = 200, body = GatewayBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn read(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = state.fleet.gateway(&scope, NodeId::from_uuid(id)).await?;
    Ok(Reply::ok(&gateway_body(&view)).tagged().unless_known(&headers))
}

/// Forget a gateway. One that still runs comes back with its next connection.
#[utoipa::path(delete, path = "/tenants/{t}/gateways/{id}", tag = "gateways",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody)))]
pub(crate) async fn forget(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    // Signs of life go on meanwhile: the condition is about what the caller has seen, and nothing is lost that does not come
    // back with the node's next connection.
    if_match(&headers)?.admits(&json!(gateway_body(&state.fleet.gateway(&scope, NodeId::from_uuid(id)).await?)))?;
    state.fleet.forget_gateway(&scope, NodeId::from_uuid(id)).await?;
    Ok(Reply::empty())
}

pub(super) fn gateway_body(view: &NodeView) -> GatewayBody {
    let record = &view.record;
    GatewayBody {
        id: record.node.to_string(),
        labels: record.labels.clone(),
        build: record.build.clone(),
        key_id: record.key.to_string(),
        online: view.online,
        first_seen: format_timestamp(record.first_seen),
        last_seen: format_timestamp(view.last_beat),
        applied_revision: record.applied.map(HeadBody::of),
        applied_at: record.applied_at.map(format_timestamp),
        lag: view.lag,
        last_nack: record.nack.as_ref().map(NackBody::of),
    }
}
