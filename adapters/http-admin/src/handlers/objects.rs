//! `/tenants/{t}/services`, `/routes`, `/consumers`: one set of handlers, stamped out per kind.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use novagate_access::TenantScope;
use novagate_documents::{
    config::{ConsumerBody, RouteBody, ServiceBody, parse_object, render_object},
    time::format_timestamp,
};
use novagate_kernel::{ErrorCode, ObjectKind, ObjectRef};
use novagate_ports_control::inbound::{ObjectView, Precondition, Written};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AdminState,
    web::{
        FullPath, Matches, PathId, Problem, ProblemBody, Query, RawBody, Reply, Scoped, if_match, json_value,
        none_match_any, once, page_of,
    },
};

/// How often a PATCH without If-Match starts over because somebody else was faster.
const PATCH_ATTEMPTS: usize = 8;

/// What every stored object has beside its own fields.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored<T> {
    id: String,
    created_at: String,
    updated_at: String,
    #[serde(flatten)]
    object: T,
}

/// A page of objects.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredPage<T> {
    items: Vec<Stored<T>>,
    next_cursor: Option<String>,
}

macro_rules! object_handlers {
    ($module:ident, $kind:expr, $body:ty, $collection:literal, $item:literal, $tag:literal) => {
        /// Handlers of one kind.
        pub(crate) mod $module {
            use super::*;

            /// List, oldest first.
            #[utoipa::path(get, path = $collection, tag = $tag, operation_id = concat!("list_", $tag),
                params(("t" = String, Path, description = "tenant id"), ("limit" = Option<u16>, Query), ("cursor" = Option<String>, Query)),
                responses((status = 200, body = StoredPage<$body>), (status = 404, body = ProblemBody)))]
            pub(crate) async fn list(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                query: Query,
            ) -> Result<Reply, Problem> {
                list_objects(&state, &scope, $kind, query).await
            }

            /// Create.
            #[utoipa::path(post, path = $collection, tag = $tag, operation_id = concat!("create_", $tag), request_body = $body,
                params(("t" = String, Path, description = "tenant id"), ("Idempotency-Key" = Option<String>, Header)),
                responses((status = 201, body = Stored<$body>), (status = 403, body = ProblemBody), (status = 409, body = ProblemBody), (status = 422, body = ProblemBody)))]
            pub(crate) async fn create(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                headers: HeaderMap,
                FullPath(path): FullPath,
                body: RawBody,
            ) -> Result<Response, Problem> {
                let work = create_object(&state, &scope, $kind, &path, &body);
                once(&state, &scope, &headers, &path, &body.bytes, work).await
            }

            /// Read.
            #[utoipa::path(get, path = $item, tag = $tag, operation_id = concat!("read_", $tag),
                params(("t" = String, Path, description = "tenant id"), ("id" = String, Path)),
                responses((status = 200, body = Stored<$body>), (status = 304), (status = 404, body = ProblemBody)))]
            pub(crate) async fn read(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                PathId(id): PathId,
                headers: HeaderMap,
            ) -> Result<Response, Problem> {
                let view = state.config.get(&scope, ObjectRef { kind: $kind, id }).await?;
                Ok(Reply::ok(&view_value(&view)).tagged().unless_known(&headers))
            }

            /// Replace; with `If-None-Match: *` create under this id.
            #[utoipa::path(put, path = $item, tag = $tag, operation_id = concat!("replace_", $tag), request_body = $body,
                params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
                responses((status = 200, body = Stored<$body>), (status = 201, body = Stored<$body>), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 412, body = ProblemBody), (status = 422, body = ProblemBody)))]
            pub(crate) async fn replace(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                PathId(id): PathId,
                headers: HeaderMap,
                body: RawBody,
            ) -> Result<Reply, Problem> {
                replace_object(&state, &scope, ObjectRef { kind: $kind, id }, &headers, &body).await
            }

            /// Change some fields (RFC 7396): null removes one, a missing one stays.
            #[utoipa::path(patch, path = $item, tag = $tag, operation_id = concat!("change_", $tag), request_body(content = Object, content_type = "application/merge-patch+json"),
                params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
                responses((status = 200, body = Stored<$body>), (status = 404, body = ProblemBody), (status = 412, body = ProblemBody), (status = 422, body = ProblemBody)))]
            pub(crate) async fn change(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                PathId(id): PathId,
                headers: HeaderMap,
                body: RawBody,
            ) -> Result<Reply, Problem> {
                patch_object(&state, &scope, ObjectRef { kind: $kind, id }, &headers, &body).await
            }

            /// Delete.
            #[utoipa::path(delete, path = $item, tag = $tag, operation_id = concat!("delete_", $tag),
                params(("t" = String, Path, description = "tenant id"), ("id" = String, Path), ("If-Match" = Option<String>, Header)),
                responses((status = 204), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody), (status = 412, body = ProblemBody)))]
            pub(crate) async fn delete(
                Scoped(scope): Scoped,
                State(state): State<AdminState>,
                PathId(id): PathId,
                headers: HeaderMap,
            ) -> Result<Reply, Problem> {
                delete_object(&state, &scope, ObjectRef { kind: $kind, id }, &headers).await
            }
        }
    };
}

object_handlers!(
    services,
    ObjectKind::Service,
    ServiceBody,
    "/tenants/{t}/services",
    "/tenants/{t}/services/{id}",
    "services"
);
object_handlers!(routes, ObjectKind::Route, RouteBody, "/tenants/{t}/routes", "/tenants/{t}/routes/{id}", "routes");
object_handlers!(
    consumers,
    ObjectKind::Consumer,
    ConsumerBody,
    "/tenants/{t}/consumers",
    "/tenants/{t}/consumers/{id}",
    "consumers"
);

async fn list_objects(
    state: &AdminState,
    scope: &TenantScope,
    kind: ObjectKind,
    mut query: Query,
) -> Result<Reply, Problem> {
    let page = query.page();
    query.finish()?;
    let page = state.config.list(scope, kind, None, &page).await?;
    Ok(Reply::ok(&page_of(&page.map(|view| view_value(&view)))))
}

async fn create_object(
    state: &AdminState,
    scope: &TenantScope,
    kind: ObjectKind,
    path: &str,
    body: &RawBody,
) -> Result<Reply, Problem> {
    let draft = parse_object(kind, Uuid::nil(), &body.json()?).map_err(Problem::invalid)?;
    let written = state.config.create(scope, draft).await?;
    let place = format!("{path}/{}", written.view.object.reference().id);
    Ok(written_reply(&written).located(place))
}

async fn replace_object(
    state: &AdminState,
    scope: &TenantScope,
    object: ObjectRef,
    headers: &HeaderMap,
    body: &RawBody,
) -> Result<Reply, Problem> {
    let draft = parse_object(object.kind, object.id, &body.json()?).map_err(Problem::invalid)?;
    let precondition = if none_match_any(headers) {
        Precondition::Absent
    } else {
        precondition_of(state, scope, object, &if_match(headers)?).await?
    };
    Ok(written_reply(&state.config.replace(scope, draft, precondition).await?))
}

async fn patch_object(
    state: &AdminState,
    scope: &TenantScope,
    object: ObjectRef,
    headers: &HeaderMap,
    body: &RawBody,
) -> Result<Reply, Problem> {
    let patch = patch_value(body)?;
    let condition = if_match(headers)?;
    for attempt in 1.. {
        let view = state.config.get(scope, object).await?;
        condition.admits(&view_value(&view))?;
        let mut value = render_object(&view.object);
        merge(&mut value, &patch);
        let draft = parse_object(object.kind, object.id, &value).map_err(Problem::invalid)?;
        match state.config.replace(scope, draft, Precondition::Unchanged(view.seq)).await {
            Ok(written) => return Ok(written_reply(&written)),
            // Without a condition the last write wins: read again, merge again.
            Err(refusal)
                if refusal.code == ErrorCode::PreconditionFailed
                    && condition == Matches::Anything
                    && attempt < PATCH_ATTEMPTS => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Err(Problem::new(ErrorCode::Conflict, "the resource changes too quickly; try again"))
}

async fn delete_object(
    state: &AdminState,
    scope: &TenantScope,
    object: ObjectRef,
    headers: &HeaderMap,
) -> Result<Reply, Problem> {
    let precondition = precondition_of(state, scope, object, &if_match(headers)?).await?;
    Ok(Reply::empty().at(state.config.delete(scope, object, precondition).await?))
}

async fn precondition_of(
    state: &AdminState,
    scope: &TenantScope,
    object: ObjectRef,
    condition: &Matches,
) -> Result<Precondition, Problem> {
    if *condition == Matches::Anything {
        return Ok(Precondition::None);
    }
    let view = state.config.get(scope, object).await?;
    condition.admits(&view_value(&view))?;
    Ok(Precondition::Unchanged(view.seq))
}

fn written_reply(written: &Written) -> Reply {
    let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
    Reply::new(status, &view_value(&written.view)).tagged().at(written.head)
}

/// The object in the config language with its id and times.
pub(super) fn view_value(view: &ObjectView) -> Value {
    let mut value = render_object(&view.object);
    if let Value::Object(fields) = &mut value {
        fields.insert("id".to_owned(), json!(view.object.reference().id.to_string()));
        fields.insert("createdAt".to_owned(), json!(format_timestamp(view.created_at)));
        fields.insert("updatedAt".to_owned(), json!(format_timestamp(view.updated_at)));
    }
    value
}

/// A merge patch; plain JSON is taken for one.
pub(super) fn patch_value(body: &RawBody) -> Result<Value, Problem> {
    if body.media_type == "application/merge-patch+json" { json_value(&body.bytes) } else { body.json() }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7396, appendix A, that concern objects.
    #[test]
    fn merging_follows_rfc_7396() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut target, patch, wanted) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, wanted);
        }
    }
}
