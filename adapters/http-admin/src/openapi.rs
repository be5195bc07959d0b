//! The OpenAPI 3.1 document, made from the handlers, and the list of operations that tests and the docs page read from it.

use serde_json::Value;
use utoipa::{
    OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::router::api;

#[derive(OpenApi)]
#[openapi(info(
    title = "NovaGate control plane",
    description = "Administration of a NovaGate tenant. Errors are application/problem+json (RFC 9457) with a stable `code`.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
), servers((url = "/api/v1")))]
struct Document;

/// One operation of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The method, upper case.
    pub method: String,
    /// The path below `/api/v1`, with `{parameters}`.
    pub path: String,
    /// Its group.
    pub tag: String,
    /// What it does, in a line.
    pub summary: String,
    /// Whether it works without a token.
    pub public: bool,
}

/// The OpenAPI document as pretty JSON: what `/api/v1/openapi.json` serves and `docs/openapi.json` holds.
pub fn api_document() -> String {
    let mut document = Document::openapi();
    document.merge(api().into_openapi());
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_with(Default::default);
    components.add_security_scheme("platformToken", SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new("platformToken", Vec::<String>::new())]);
    // Serialising a document of our own making cannot fail.
    document.to_pretty_json().unwrap_or_default()
}

/// Every operation of the router, by tag, then path: the router's own table, since both are made by one call.
pub fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&api_document()).unwrap_or(Value::Null);
    let mut operations = Vec::new();
    for (path, item) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            let open = |security: &Value| {
                security.as_array().is_some_and(|rules| {
                    rules.iter().any(|rule| rule.as_object().is_some_and(serde_json::Map::is_empty))
                })
            };
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                tag: text(operation.get("tags").and_then(|tags| tags.get(0))),
                summary: text(operation.get("summary").or_else(|| operation.get("description"))),
                public: operation.get("security").is_some_and(open),
            });
        }
    }
    operations
        .sort_by(|left, right| (&left.tag, &left.path, &left.method).cmp(&(&right.tag, &right.path, &right.method)));
    operations
}
