//! `/tenants/{t}/consumers/{id}/keys`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use novagate_documents::time::format_timestamp;
use novagate_kernel::{ConsumerId, ObjectKind, ObjectRef};
use novagate_ports_control::inbound::{ObjectView, Precondition};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    AdminState,
    web::{
        Fields, FullPath, KeyPath, Matches, PathId, Problem, ProblemBody, Query, RawBody, Reply, Scoped, if_match,
        json_value, once, page_of,
    },
};

/// A consumer key, without the key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerKeyBody {
    id: String,
    created_at: String,
}

/// A new consumer key. The key is shown this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewConsumerKeyBody {
    id: String,
    #[schema(example = "ck_<32 hex>")]
    key: String,
    created_at: String,
}

/// A page of consumer keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerKeyPage {
    items: Vec<ConsumerKeyBody>,
    next_cursor: Option<String>,
}

/// List a consumer's keys, oldest first.
#[utoipa::path(get, path = "/tenants/{t}/consumers/{id}/keys", tag = "consumer keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ConsumerKeyPage), (status = 404, body = ProblemBody)))]
pub(crate) async fn list(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let consumer = ObjectRef { kind: ObjectKind::Consumer, id };
    let keys = state.config.list(&scope, ObjectKind::ConsumerKey, Some(consumer), &page).await?;
    Ok(Reply::ok(&page_of(&keys.map(|view| key_body(&view)))))
}

/// Read one key of a consumer.
#[utoipa::path(get, path = "/tenants/{t}/consumers/{id}/keys/{keyId}", tag = "consumer keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("keyId" = String, Path)),
    responses((status = 200, body = ConsumerKeyBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn read(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    path: KeyPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = state.config.get(&scope, key_ref(&path)).await?;
    own_key(&view, &path)?;
    Ok(Reply::ok(&key_body(&view)).tagged().unless_known(&headers))
}

/// Make a key for a consumer.
#[utoipa::path(post, path = "/tenants/{t}/consumers/{id}/keys", tag = "consumer keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = NewConsumerKeyBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody)))]
pub(crate) async fn create(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    PathId(id): PathId,
    headers: HeaderMap,
    FullPath(path): FullPath,
    body: RawBody,
) -> Result<Response, Problem> {
    if !body.bytes.is_empty() {
        Fields::of(json_value(&body.bytes)?)?.finish()?;
    }
    let work = async {
        let new = state.config.create_consumer_key(&scope, ConsumerId::from_uuid(id)).await?;
        let shown = NewConsumerKeyBody {
            id: new.view.object.reference().id.to_string(),
            key: new.key.expose().to_owned(),
            created_at: format_timestamp(new.view.created_at),
        };
        let place = format!("{path}/{}", shown.id);
        Ok(Reply::new(StatusCode::CREATED, &json!(shown)).located(place).at(new.head).with_secrets(&["key"]))
    };
    once(&state, &scope, &headers, &path, &body.bytes, work).await
}

/// Revoke a consumer's key. Gateways stop accepting it within a second.
#[utoipa::path(delete, path = "/tenants/{t}/consumers/{id}/keys/{keyId}", tag = "consumer keys",
    params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("keyId" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody)))]
pub(crate) async fn revoke(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    path: KeyPath,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let reference = key_ref(&path);
    let view = state.config.get(&scope, reference).await?;
    own_key(&view, &path)?;
    let precondition = match if_match(&headers)? {
        Matches::Anything => Precondition::None,
        condition @ (Matches::Existing | Matches::OneOf(_)) => {
            condition.admits(&json!(key_body(&view)))?;
            Precondition::Unchanged(view.seq)
        }
    };
    Ok(Reply::empty().at(state.config.delete(&scope, reference, precondition).await?))
}

const fn key_ref(path: &KeyPath) -> ObjectRef {
    ObjectRef { kind: ObjectKind::ConsumerKey, id: path.key }
}

/// The key must be one of the consumer in the path.
fn own_key(view: &ObjectView, path: &KeyPath) -> Result<(), Problem> {
    let own = view.object.parent().is_some_and(|parent| parent.id == path.consumer);
    if own { Ok(()) } else { Err(Problem::not_found()) }
}

fn key_body(view: &ObjectView) -> ConsumerKeyBody {
    let id = view.object.reference().id.to_string();
    ConsumerKeyBody { id, created_at: format_timestamp(view.created_at) }
}
