//! `/tenants/{t}/config`: the whole configuration at once.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use novagate_documents::config::{
    ConfigDocument, Format, parse_config, parse_config_yaml, render_config, render_object,
};
use novagate_kernel::{ErrorCode, Head, ObjectKind};
use novagate_policies::ConfigObject;
use novagate_ports_control::{
    inbound::{Applied, DiffEntry},
    outbound::RevisionChangeOp,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    AdminState,
    web::{Matches, Problem, ProblemBody, Query, RawBody, Reply, Scoped, client_has, if_match},
};

const YAML: &str = "application/yaml";

/// What applying did, or would do.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppliedBody {
    epoch: u64,
    seq: u64,
    digest: String,
    /// The differences, parents first.
    changes: Vec<ChangeBody>,
    /// Remarks that refuse nothing.
    warnings: Vec<String>,
}

/// One difference.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeBody {
    #[schema(example = "updated")]
    op: &'static str,
    #[schema(example = "route")]
    kind: &'static str,
    name: Option<String>,
    /// The object before.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// The object after.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

/// Export the whole configuration, as JSON or YAML. Keys are not part of it.
#[utoipa::path(get, path = "/tenants/{t}/config", tag = "config", params(("t" = String, Path, description = "tenant id")),
    responses((status = 200, content((ConfigDocument = "application/json"), (ConfigDocument = "application/yaml"))),
        (status = 404, body = ProblemBody), (status = 406, body = ProblemBody)))]
pub(crate) async fn export(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (format, media_type) = wanted_format(&headers)?;
    let (head, views) = state.config.export(&scope).await?;
    let etag = etag_of_head(head);
    let tag = HeaderValue::from_str(&etag).map_err(|_| Problem::new(ErrorCode::Internal, "internal error"))?;
    let common = [(header::ETAG, tag), (header::VARY, HeaderValue::from_static("accept"))];
    if client_has(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let text = render_config(views.iter().map(|view| &view.object), format);
    Ok((common, [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response())
}

/// Make the configuration be this one: matched by name, ids and consumer keys kept, what is missing deleted.
#[utoipa::path(put, path = "/tenants/{t}/config", tag = "config",
    params(("t" = String, Path, description = "tenant id"), ("dryRun" = Option<bool>, Query, description = "only tell the difference"), ("If-Match" = Option<String>, Header)),
    request_body(content((ConfigDocument = "application/json"), (ConfigDocument = "application/yaml"))),
    responses((status = 200, body = AppliedBody, description = "dry run, or nothing changed"), (status = 202, body = AppliedBody),
        (status = 412, body = ProblemBody), (status = 415, body = ProblemBody), (status = 422, body = ProblemBody)))]
pub(crate) async fn apply(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    mut query: Query,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Reply, Problem> {
    let dry_run = query.take("dryRun", |text| text.parse::<bool>().map_err(|_| "must be true or false"));
    query.finish()?;
    let dry_run = dry_run.unwrap_or(false);
    let drafts = document(&body)?;
    let precondition = expected_head(&state, &scope, &if_match(&headers)?).await?;
    let applied = state.config.apply(&scope, drafts, precondition, dry_run).await?;
    let status = if dry_run || applied.diff.is_empty() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(Reply::new(status, &applied_body(&applied)).at(applied.head))
}

pub(super) fn applied_body(applied: &Applied) -> AppliedBody {
    AppliedBody {
        epoch: applied.head.revision.epoch.get(),
        seq: applied.head.revision.seq,
        digest: applied.head.digest.to_string(),
        changes: applied.diff.iter().map(change_body).collect(),
        warnings: applied.warnings.clone(),
    }
}

pub(super) const fn op_word(op: RevisionChangeOp) -> &'static str {
    match op {
        RevisionChangeOp::Created => "created",
        RevisionChangeOp::Updated => "updated",
        RevisionChangeOp::Deleted => "deleted",
    }
}

fn change_body(entry: &DiffEntry) -> ChangeBody {
    let render = |object: &Option<ConfigObject>| {
        object.as_ref().filter(|object| object.kind() != ObjectKind::ConsumerKey).map(render_object)
    };
    ChangeBody {
        op: op_word(entry.op),
        kind: entry.kind.as_str(),
        name: entry.name.as_ref().map(ToString::to_string),
        before: render(&entry.before),
        after: render(&entry.after),
    }
}

fn document(body: &RawBody) -> Result<Vec<ConfigObject>, Problem> {
    match body.media_type.as_str() {
        "application/json" => parse_config(&body.json()?).map_err(Problem::invalid),
        "application/yaml" | "application/x-yaml" | "text/yaml" => {
            let text = std::str::from_utf8(&body.bytes)
                .map_err(|_| Problem::new(ErrorCode::BadRequest, "the body is not UTF-8"))?;
            parse_config_yaml(text).map_err(Problem::invalid)
        }
        _ => Err(Problem::new(ErrorCode::UnsupportedMediaType, "send application/json or application/yaml")),
    }
}

/// The first of the two that the client accepts; JSON when it does not say.
fn wanted_format(headers: &HeaderMap) -> Result<(Format, &'static str), Problem> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for part in accept.split(',') {
        match part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "*/*" | "application/*" | "application/json" => return Ok((Format::Json, "application/json")),
            "application/yaml" | "application/x-yaml" | "text/yaml" => return Ok((Format::Yaml, YAML)),
            _ => {}
        }
    }
    Err(Problem::new(ErrorCode::NotAcceptable, "the configuration is sent as application/json or application/yaml"))
}

fn etag_of_head(head: Head) -> String {
    format!("\"{}\"", head.digest)
}

async fn expected_head(
    state: &AdminState,
    scope: &novagate_access::TenantScope,
    condition: &Matches,
) -> Result<Option<Head>, Problem> {
    let Matches::OneOf(tags) = condition else { return Ok(None) };
    let head = state.config.head(scope).await?;
    if tags.contains(&etag_of_head(head)) {
        Ok(Some(head))
    } else {
        let detail = "the configuration has another ETag than If-Match names; read it again";
        Err(Problem::new(ErrorCode::PreconditionFailed, detail))
    }
}
