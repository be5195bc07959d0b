//! From an edit over REST to the moment each of ten gateways serves it.
//!
//! Always: the clock starts before the edit is sent; every gateway is asked for the new path all the time; the edit and the
//! gateways are the real programs. The asking itself takes CPU time from them, so the numbers are upper bounds.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::gateway::{Control, Gateway, Origin};
use crate::http::{Connection, Request};
use crate::peers;
use crate::report::{Goal, Report, table};
use crate::session::Session;
use crate::stats::{Summary, percentile};
use crate::workspace::{Scope, WorkDir};
use crate::{machine, wait};

const NODES: usize = 10;
/// Edits in one round.
const EDITS: u32 = 20;
const GOAL_MS: f64 = 50.0;
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(2);

/// Milliseconds from edit to serving, over all edits and gateways.
///
/// # Errors
/// A program does not start, the edit is refused, or a gateway does not get it.
pub fn propagation(scope: &Scope) -> Result<Report> {
    let work = WorkDir::new("propagation")?;
    let upstream = peers::upstream(&work)?.context("nginx is not installed: apt-get install nginx-light")?;
    let control = Control::start(scope, &work)?;
    let mut session = Session::register(control.address)?;
    let route = session.create_config(upstream.address, "/edit-0")?;
    let gateways = start_gateways(scope, &work, &control, &session.api_key)?;
    let nodes: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.traffic).collect();
    let (mut samples, mut calls) = (Vec::new(), Vec::new());
    for edit in 1..=scope.rounds * EDITS {
        let path = format!("/edit-{edit}");
        let (call, served) = measure_edit(&mut session, &route, &path, &nodes)?;
        calls.push(call.as_secs_f64() * 1e3);
        samples.extend(served.iter().map(|after| after.as_secs_f64() * 1e3));
    }
    Ok(report(&samples, &calls))
}

fn start_gateways(scope: &Scope, work: &WorkDir, control: &Control, api_key: &str) -> Result<Vec<Gateway>> {
    let origin = Origin::ControlPlane { address: control.address, api_key };
    let start = |number| Gateway::start(scope, work, &format!("gateway-{number}"), &origin);
    let mut gateways = (0..NODES).map(start).collect::<Result<Vec<_>>>()?;
    for gateway in &mut gateways {
        gateway.ready(Request::get("/edit-0", None))?;
    }
    Ok(gateways)
}

/// How long the call took, and how long each node.
fn measure_edit(
    session: &mut Session,
    route: &str,
    path: &str,
    nodes: &[SocketAddr],
) -> Result<(Duration, Vec<Duration>)> {
    thread::scope(|threads| {
        let begin = Instant::now();
        let askers: Vec<_> = nodes.iter().map(|node| threads.spawn(move || serves_after(*node, path, begin))).collect();
        session.move_route(route, path)?;
        let call = begin.elapsed();
        let joined = askers.into_iter().map(|asker| asker.join().map_err(|_| anyhow!("an asking thread panicked"))?);
        Ok((call, joined.collect::<Result<_>>()?))
    })
}

fn serves_after(node: SocketAddr, path: &str, begin: Instant) -> Result<Duration> {
    let mut connection = Connection::open(node)?;
    wait::until("serving an edit", GIVE_UP_AFTER, BETWEEN_ATTEMPTS, || {
        let answer = connection.send(Request::get(path, None))?;
        ensure!(matches!(answer.status, 200 | 404), "a gateway answers {}: {}", answer.status, answer.text());
        Ok((answer.status == 200).then(|| begin.elapsed()))
    })
}

fn report(samples: &[f64], calls: &[f64]) -> Report {
    let row = |what: &str, samples: &[f64]| {
        let at = |percent| percentile(samples, percent).map_or_else(String::new, |value| format!("{value:.1}"));
        let most = Summary::of(samples).map_or_else(String::new, |summary| format!("{:.1}", summary.most));
        vec![what.to_owned(), at(50), at(99), most, samples.len().to_string()]
    };
    let rows = [row("edit to serving", samples), row("the call itself", calls)];
    let text = format!(
        "{}. Control plane on SQLite, {NODES} gateways and the client on one machine; time from before the edit (`PATCH` of a \
         route) is sent until a gateway serves the new path, each asked every {} ms.\n\n{}",
        machine::describe(),
        BETWEEN_ATTEMPTS.as_millis(),
        table(&["what", "p50 ms", "p99 ms", "worst ms", "samples"], &rows)
    );
    let what = format!("edit to serving on {NODES} nodes, 99th percentile");
    let goals = vec![Goal { id: "P9", what, measured: percentile(samples, 99), at_most: GOAL_MS, unit: "ms" }];
    Report { key: "propagation", title: "Edit to serving", text, goals }
}
