//! P1 to P3: what a request costs the gateway beside what it costs nginx, `HAProxy`, Caddy and Pingora.
//!
//! Always: all programs run during the whole benchmark and one is under load at a time; rounds alternate between them; a
//! ratio is made within a round; answers are compared before and after each run. CPU time is that of the proxy alone.
//! Nothing is switched off: the gateway writes its request log in both configurations.

mod contender;
mod table;

use anyhow::{Context as _, Result, ensure};

use self::contender::{Contender, Kind};
use crate::config::{PIPELINE_PATH, ROUTES, open_route, token, whole_pipeline};
use crate::gateway::{Gateway, Origin};
use crate::http::{self, Request};
use crate::report::{Goal, Report};
use crate::stats::Summary;
use crate::workspace::{Scope, WorkDir};
use crate::{machine, peers, wrk};

const WHOLE_PIPELINE_GOAL: f64 = 0.8;
const OPEN_ROUTE_GOAL: f64 = 0.9;
const PINGORA_GOAL: f64 = 0.45;

/// Measures all of them.
///
/// # Errors
/// The load generator or the upstream is missing, a program of ours does not start, or an answer is wrong.
pub fn edge(scope: &Scope) -> Result<Report> {
    let generator = wrk::find()?;
    let work = WorkDir::new("edge")?;
    let upstream = peers::upstream(&work)?.context("nginx is not installed: apt-get install nginx-light")?;
    let token = token()?;
    let mut contenders = start(scope, &work, &upstream, &token)?;
    for contender in &mut contenders {
        contender.run(&generator, scope, None)?;
    }
    for round in 0..scope.rounds {
        progress(round, scope.rounds);
        for contender in &mut contenders {
            contender.run(&generator, scope, Some(round))?;
        }
    }
    let to_pingora = contender::ratios_to(&contenders, Kind::Pipeline, Kind::Pingora);
    let goals = vec![
        goal(
            "P1",
            "whole pipeline / nginx with access log and limit",
            WHOLE_PIPELINE_GOAL,
            &contender::ratios(&contenders, Kind::Pipeline),
        ),
        goal("P2", "open route / nginx plain", OPEN_ROUTE_GOAL, &contender::ratios(&contenders, Kind::Open)),
        goal("P3", "whole pipeline / Pingora, minimal", PINGORA_GOAL, &to_pingora),
    ];
    let text = format!("{}\n\n{}", notes(scope), table::render(&contenders));
    Ok(Report { key: "edge", title: "The gateway beside other proxies", text, goals })
}

/// Every contender, the missing ones too; a bar stands before those that are compared with it.
fn start(scope: &Scope, work: &WorkDir, upstream: &peers::Peer, token: &str) -> Result<Vec<Contender>> {
    let origin = upstream.address;
    let open = work.file("open.yaml", &open_route(origin).to_string())?;
    let pipeline = work.file("pipeline.yaml", &whole_pipeline(origin).to_string())?;
    let (mut open_gateway, mut pipeline_gateway) = (None, None);
    if scope.program("novagate-gateway").is_ok() {
        let gateway = open_gateway.insert(Gateway::start(scope, work, "gateway-open", &Origin::File(&open))?);
        gateway.ready(Request::get(PIPELINE_PATH, None))?;
        let gateway = Gateway::start(scope, work, "gateway-pipeline", &Origin::File(&pipeline))?;
        let gateway = pipeline_gateway.insert(gateway);
        gateway.ready(Request::get(PIPELINE_PATH, Some(token)))?;
        check_pipeline(gateway, token)?;
    }
    Ok(vec![
        Contender::of_peer(Kind::Nginx, peers::nginx_plain(work, origin)?, None),
        Contender::of_peer(Kind::Haproxy, peers::haproxy(work, origin)?, None),
        Contender::of_peer(Kind::Caddy, peers::caddy(work, origin)?, None),
        Contender::of_peer(Kind::Pingora, peers::pingora(work, origin)?, None),
        Contender::of_gateway(Kind::Open, open_gateway, None),
        Contender::of_peer(Kind::NginxLogged, peers::nginx_logged(work, origin)?, Some(token)),
        Contender::of_gateway(Kind::Pipeline, pipeline_gateway, Some(token)),
    ])
}

/// That what is measured as the whole pipeline does all of it.
fn check_pipeline(gateway: &Gateway, token: &str) -> Result<()> {
    let served = http::ask(gateway.traffic, Request::get(PIPELINE_PATH, Some(token)))?;
    for header in ["x-request-id", "ratelimit", "ratelimit-policy"] {
        ensure!(served.header(header).is_some(), "the whole pipeline answers without {header}");
    }
    let refused = http::ask(gateway.traffic, Request::get(PIPELINE_PATH, None))?;
    ensure!(refused.status == 401, "the whole pipeline answers {} to a request without token", refused.status);
    let metrics = http::ask(gateway.admin, Request::get("/metrics", None))?.text();
    ensure!(metrics.contains("http_requests_total{"), "the whole pipeline counts no requests");
    Ok(())
}

fn goal(id: &'static str, what: &str, at_most: f64, ratios: &[f64]) -> Goal {
    let measured = Summary::of(ratios).map(|ratio| ratio.median);
    Goal { id, what: format!("CPU for a request, {what}"), measured, at_most, unit: "" }
}

fn notes(scope: &Scope) -> String {
    format!(
        "{}; {}. `wrk -t1 -c{} -d{}s`, {} interleaved rounds, medians; a small JSON from nginx as upstream, connections to it \
         are kept; one thread for each proxy. CPU is user and system time of the proxy, the latter being what the kernel does \
         for it; a ratio is made within a round and is followed by its spread. The whole pipeline: {ROUTES} routes, HS256 \
         token, limits of client and route, request id, request log, metrics; its bar gets the same requests. The open route \
         has neither token nor limits of its own, but the node's limit, request id, request log and metrics like every \
         request.",
        machine::describe(),
        peers::versions(),
        scope.connections,
        scope.run_for.as_secs(),
        scope.rounds,
    )
}

#[expect(clippy::print_stderr, reason = "a benchmark of minutes says that it lives")]
fn progress(round: u32, rounds: u32) {
    eprintln!("round {} of {rounds}", round + 1);
}
