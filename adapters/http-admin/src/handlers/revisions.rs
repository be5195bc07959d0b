//! `/tenants/{t}/revisions`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use novagate_documents::time::format_timestamp;
use novagate_ports_control::{
    inbound::{NodeReceipt, ReceiptState},
    outbound::{RevisionKind, RevisionRecord},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    config::{AppliedBody, applied_body, op_word},
    gateways::NackBody,
};
use crate::{
    AdminState,
    web::{Fields, FullPath, PathSeq, Problem, ProblemBody, Query, RawBody, Reply, Scoped, json_value, once, page_of},
};

/// A revision.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionBody {
    epoch: u64,
    seq: u64,
    digest: String,
    /// `initial`, `edit`, `apply` or `rollback`.
    kind: &'static str,
    /// The revision whose content was put back.
    #[serde(rename = "rollbackTo", skip_serializing_if = "Option::is_none")]
    rollback_to: Option<u64>,
    /// `account`, `operator` or `system`.
    actor: &'static str,
    at: String,
    changes: Vec<RevisionChangeBody>,
}

/// What happened to one object.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionChangeBody {
    op: &'static str,
    kind: &'static str,
    id: String,
    name: Option<String>,
}

/// A page of revisions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevisionPage {
    items: Vec<RevisionBody>,
    next_cursor: Option<String>,
}

/// A revision with its receipts.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevisionDetailBody {
    #[serde(flatten)]
    revision: RevisionBody,
    /// Nodes that serve it, or a later one.
    acked: Vec<ReceiptBody>,
    /// Nodes that have refused it.
    nacked: Vec<ReceiptBody>,
    /// Nodes that have done neither.
    lagging: Vec<ReceiptBody>,
}

/// What one node made of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptBody {
    node_id: String,
    online: bool,
    /// When it confirmed what it serves now.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nack: Option<NackBody>,
}

/// List the revisions, newest first.
#[utoipa::path(get, path = "/tenants/{t}/revisions", tag = "revisions",
    params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = RevisionPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn list(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let page = state.config.revisions(&scope, &page).await?;
    Ok(Reply::ok(&page_of(&page.map(|record| revision_body(&record)))))
}

/// Read one revision: who serves it, who has refused it, who lags.
#[utoipa::path(get, path = "/tenants/{t}/revisions/{seq}", tag = "revisions",
    params(("t" = String, Path, description = "tenant id"), ("seq" = u64, Path)),
    responses((status = 200, body = RevisionDetailBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn read(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathSeq(seq): PathSeq,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = state.config.revision(&scope, seq).await?;
    let mut detail = RevisionDetailBody {
        revision: revision_body(&view.record),
        acked: Vec::new(),
        nacked: Vec::new(),
        lagging: Vec::new(),
    };
    for receipt in &view.receipts {
        let list = match &receipt.state {
            ReceiptState::Acked { .. } => &mut detail.acked,
            ReceiptState::Nacked(_) => &mut detail.nacked,
            ReceiptState::Lagging => &mut detail.lagging,
        };
        list.push(receipt_body(receipt));
    }
    Ok(Reply::ok(&detail).tagged().unless_known(&headers))
}

/// Publish the content of an earlier revision again. Consumer keys revoked since stay revoked.
#[utoipa::path(post, path = "/tenants/{t}/revisions/{seq}/rollback", tag = "revisions",
    params(("t" = String, Path, description = "tenant id"), ("seq" = u64, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = AppliedBody, description = "nothing changed"), (status = 202, body = AppliedBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn rollback(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathSeq(seq): PathSeq,
    headers: HeaderMap,
    FullPath(path): FullPath,
    body: RawBody,
) -> Result<Response, Problem> {
    if !body.bytes.is_empty() {
        Fields::of(json_value(&body.bytes)?)?.finish()?;
    }
    let work = async {
        let applied = state.config.rollback(&scope, seq).await?;
        let status = if applied.diff.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
        Ok(Reply::new(status, &json!(applied_body(&applied))).at(applied.head))
    };
    once(&state, &scope, &headers, &path, &body.bytes, work).await
}

fn revision_body(record: &RevisionRecord) -> RevisionBody {
    let (kind, rollback_to) = match record.kind {
        RevisionKind::Initial => ("initial", None),
        RevisionKind::Edit => ("edit", None),
        RevisionKind::Apply => ("apply", None),
        RevisionKind::Rollback { to } => ("rollback", Some(to)),
    };
    let changes = record.changes.iter().map(|change| RevisionChangeBody {
        op: op_word(change.op),
        kind: change.object.kind.as_str(),
        id: change.object.id.to_string(),
        name: change.name.as_ref().map(ToString::to_string),
    });
    RevisionBody {
        epoch: record.head.revision.epoch.get(),
        seq: record.head.revision.seq,
        digest: record.head.digest.to_string(),
        kind,
        rollback_to,
        actor: record.actor.as_str(),
        at: format_timestamp(record.at),
        changes: changes.collect(),
    }
}

fn receipt_body(receipt: &NodeReceipt) -> ReceiptBody {
    let (at, nack) = match &receipt.state {
        ReceiptState::Acked { at } => (at.map(format_timestamp), None),
        ReceiptState::Nacked(nack) => (None, Some(NackBody::of(nack))),
        ReceiptState::Lagging => (None, None),
    };
    ReceiptBody { node_id: receipt.node.to_string(), online: receipt.online, at, nack }
}
