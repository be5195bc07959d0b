//! Which handler answers which path.

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};
use novagate_kernel::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    AdminState, api_document,
    handlers::{
        auth, config, consumer_keys, gateway_keys, gateways,
        objects::{consumers, routes as route_objects, services},
        pages, revisions, stream, telemetry, tenants,
    },
    web::{API_BASE, Envelope, Problem, envelope},
};

/// The control plane's whole public HTTP side, but for `/sync/v1`.
pub fn router(state: AdminState) -> Router {
    let document = api_document();
    let openapi =
        move || async move { ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document) };
    let (api, _) = api().split_for_parts();
    Router::new()
        .nest(API_BASE, api)
        .route("/api/v1/openapi.json", get(openapi))
        .route("/", get(pages::start))
        .route("/docs", get(pages::docs))
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .route("/.well-known/security.txt", get(pages::security_txt))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async {
            Problem::new(ErrorCode::MethodNotAllowed, "this path has no such method; see Allow")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Envelope::new(state.clone()), envelope))
        .with_state(state)
}

/// The paths below `/api/v1`: each line gives the router and the OpenAPI document the same handler.
pub(crate) fn api() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::verify))
        .routes(routes!(auth::login))
        .routes(routes!(auth::forgot_password))
        .routes(routes!(auth::reset_password))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::change_password))
        .routes(routes!(tenants::read, tenants::change, tenants::erase))
        .routes(routes!(gateway_keys::list, gateway_keys::create))
        .routes(routes!(gateway_keys::read, gateway_keys::revoke))
        .routes(routes!(services::list, services::create))
        .routes(routes!(services::read, services::replace, services::change, services::delete))
        .routes(routes!(route_objects::list, route_objects::create))
        .routes(routes!(route_objects::read, route_objects::replace, route_objects::change, route_objects::delete))
        .routes(routes!(consumers::list, consumers::create))
        .routes(routes!(consumers::read, consumers::replace, consumers::change, consumers::delete))
        .routes(routes!(consumer_keys::list, consumer_keys::create))
        .routes(routes!(consumer_keys::read, consumer_keys::revoke))
        .routes(routes!(config::export, config::apply))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::read))
        .routes(routes!(revisions::rollback))
        .routes(routes!(gateways::list))
        .routes(routes!(gateways::read, gateways::forget))
        .routes(routes!(telemetry::logs))
        .routes(routes!(telemetry::errors))
        .routes(routes!(telemetry::metrics))
        .routes(routes!(stream::metrics))
        .routes(routes!(telemetry::health))
        .routes(routes!(telemetry::audit))
}

/// A panic is a defect of ours: the client gets a code, the log the rest.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::new(ErrorCode::Internal, "internal error").into_response()
}
