//! `/tenants/{t}/metrics/stream`: request counts as they come in, as server-sent events (the HTML standard, section 9.2).

use std::convert::Infallible;
use std::time::Duration;

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, Sse},
};
use futures_core::Stream;
use futures_util::stream::unfold;
use novagate_access::TenantScope;
use novagate_ports_control::inbound::MetricsQuery;

use super::telemetry::{MetricsBody, metrics_body};
use crate::{
    AdminState,
    web::{Problem, ProblemBody, Query, Scoped, authenticate},
};

/// Time between two events, which is how often gateways send their counts.
const INTERVAL: Duration = Duration::from_secs(10);
/// What an event covers, so that what came late is in one of the next.
const COVERED: Duration = Duration::from_mins(1);
const BUCKET_SECONDS: u32 = 10;
/// Events of one answer: an hour. Clients connect again by themselves.
const EVENTS: u32 = 360;

/// What a running answer needs.
struct Feed {
    state: AdminState,
    scope: TenantScope,
    headers: HeaderMap,
    /// The event that is ready, if one is.
    ready: Option<Event>,
    left: u32,
}

/// Follow the request counts: every ten seconds an event `metrics` with the last minute. Ends with the token, or after an
/// hour.
#[utoipa::path(get, path = "/tenants/{t}/metrics/stream", tag = "telemetry", operation_id = "stream_metrics",
    params(("t" = String, Path, description = "tenant id")),
    responses((status = 200, body = MetricsBody, content_type = "text/event-stream"), (status = 404, body = ProblemBody)))]
pub(crate) async fn metrics(
    Scoped(scope): Scoped,
    State(state): State<AdminState>,
    headers: HeaderMap,
    query: Query,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    query.finish()?;
    // What can be refused is refused before the answer begins.
    let ready = Some(event(&state, &scope).await?);
    let feed = Feed { state, scope, headers, ready, left: EVENTS };
    Ok(Sse::new(unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    })))
}

impl Feed {
    /// The next event; `None`: the answer ends, with its token or because of a failure.
    async fn next(&mut self) -> Option<Event> {
        self.left = self.left.checked_sub(1)?;
        if let Some(event) = self.ready.take() {
            return Some(event);
        }
        tokio::time::sleep(INTERVAL).await;
        authenticate(&self.headers, &self.state).await.ok()?;
        event(&self.state, &self.scope).await.ok()
    }
}

async fn event(state: &AdminState, scope: &TenantScope) -> Result<Event, Problem> {
    let to = state.clock.now();
    let query = MetricsQuery { from: to.minus(COVERED), to, bucket_seconds: BUCKET_SECONDS };
    let body = metrics_body(state, scope, query).await?;
    // A body of our own making: it cannot fail, and has no line breaks.
    Ok(Event::default().event("metrics").data(serde_json::to_string(&body).unwrap_or_default()))
}
