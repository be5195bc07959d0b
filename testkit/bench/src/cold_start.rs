//! P8: from starting the gateway to its first proxied 200, out of the snapshot on disk, without a control plane.
//!
//! Always: the clock starts before the process does; the answer comes through the whole pipeline from the upstream.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::config::{PIPELINE_PATH, ROUTES, config_set, token, whole_pipeline};
use crate::http::{self, Request};
use crate::peers::{self, ANSWER};
use crate::report::{Goal, Report, table};
use crate::stats::Summary;
use crate::workspace::{Scope, WorkDir};
use crate::{machine, snapshot, wait};

const GOAL_MS: f64 = 50.0;
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);
const BETWEEN_ATTEMPTS: Duration = Duration::from_micros(200);

/// Milliseconds from start to first answer.
///
/// # Errors
/// The upstream or the gateway does not start, or the first answer is wrong.
pub fn cold_start(scope: &Scope) -> Result<Report> {
    let work = WorkDir::new("cold-start")?;
    let upstream = peers::upstream(&work)?.context("nginx is not installed: apt-get install nginx-light")?;
    let token = token()?;
    let config = config_set(&whole_pipeline(upstream.address))?;
    let mut samples = Vec::new();
    for start in 0..scope.rounds.max(5) {
        let name = format!("gateway-{start}");
        snapshot::save(&work, &name, &config)?;
        samples.push(start_once(scope, &work, &name, &token)?.as_secs_f64() * 1e3);
    }
    let summary = Summary::of(&samples).context("no rounds")?;
    let row = vec![
        ROUTES.to_string(),
        format!("{:.1}", summary.median),
        format!("{:.1} to {:.1}", summary.least, summary.most),
        samples.len().to_string(),
    ];
    let text = format!(
        "{}. From the start of the process to the first answer of the upstream through the whole pipeline; configuration from \
         the disk, control plane unreachable; files are in the page cache.\n\n{}",
        machine::describe(),
        table(&["routes", "ms (median)", "spread", "starts"], &[row])
    );
    let what = format!("cold start with {ROUTES} routes to the first proxied 200");
    let goals = vec![Goal { id: "P8", what, measured: Some(summary.median), at_most: GOAL_MS, unit: "ms" }];
    Ok(Report { key: "cold-start", title: "Cold start", text, goals })
}

fn start_once(scope: &Scope, work: &WorkDir, name: &str, token: &str) -> Result<Duration> {
    let begin = Instant::now();
    let mut gateway = snapshot::start(scope, work, name)?;
    let request = Request::get(PIPELINE_PATH, Some(token));
    let (answer, after) = wait::until("the first 200", GIVE_UP_AFTER, BETWEEN_ATTEMPTS, || {
        let answer = http::ask(gateway.traffic, request).ok().filter(|answer| answer.status == 200);
        if answer.is_none() {
            gateway.program.still_runs()?;
        }
        Ok(answer.map(|answer| (answer, begin.elapsed())))
    })?;
    ensure!(answer.body == ANSWER.as_bytes(), "the first answer is another one: {}", answer.text());
    Ok(after)
}
