//! P7: memory of the gateway, all resident pages and its program among them, and what it takes for a connection.
//!
//! Always: it has answered requests before it is measured. Not here: memory of the control plane (`tenants`).

mod connections;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::connections::{CONNECTIONS, Each, connections};
use crate::config::{LARGE_PATH, LARGE_ROUTES, PIPELINE_PATH, large, open_route};
use crate::gateway::{Control, Gateway, Origin};
use crate::http::{Connection, Request};
use crate::report::{Goal, Report, table};
use crate::session::Session;
use crate::workspace::{Scope, WorkDir};
use crate::{machine, peers, snapshot, wait};

const IDLE_GOAL: f64 = 16.0;
const LARGE_GOAL: f64 = 64.0;
/// More than the allocator needs to settle is growth.
const GROWTH_GOAL: f64 = 1.0;
const RESTING_GOAL: f64 = 6.0;
/// No room for a buffer.
const WAITING_GOAL: f64 = 9.0;
const EDITS: u32 = 10_000;
/// Edits before the first look: caches and pools have been filled.
const WARM_EDITS: u32 = 1_000;
const REQUESTS: u32 = 1_000;
const READY_WITHIN: Duration = Duration::from_mins(1);

/// MiB of a gateway in some states, and what it has for a connection.
///
/// # Errors
/// A program does not start, or an answer is wrong.
pub fn memory(scope: &Scope) -> Result<Report> {
    let work = WorkDir::new("memory")?;
    let upstream = peers::upstream(&work)?.context("nginx is not installed: apt-get install nginx-light")?;
    let idle = idle(scope, &work, upstream.address)?;
    let large = large_configuration(scope, &work, upstream.address)?;
    let Each { resting, waiting } = connections(scope, &work, upstream.address)?;
    let (warm, edited) = edits(scope, &work, upstream.address)?;
    let row = |state: String, mib: f64| vec![state, format!("{mib:.1}")];
    let rows = [
        row("one open route, idle".into(), idle),
        row(format!("{LARGE_ROUTES} routes, 100000 consumer keys"), large),
        row(format!("after {WARM_EDITS} edits"), warm),
        row(format!("after {EDITS} edits"), edited),
    ];
    let text = format!(
        "{}. Resident memory of the whole process (VmRSS) with one worker, after {REQUESTS} requests; edits are `PATCH`es of a \
         route over REST, each of them compiled by the gateway. Each of {CONNECTIONS} connections takes {resting:.1} KiB while it \
         rests between two requests, and {waiting:.1} KiB with a request that its upstream has not answered, the connection to \
         that included.\n\n{}",
        machine::describe(),
        table(&["state", "MiB"], &rows)
    );
    let goal = |what: &str, measured, at_most, unit| Goal {
        id: "P7",
        what: what.into(),
        measured: Some(measured),
        at_most,
        unit,
    };
    let goals = vec![
        goal("memory of an idle gateway", idle, IDLE_GOAL, "MiB"),
        goal("memory with 10,000 routes and 100,000 keys", large, LARGE_GOAL, "MiB"),
        goal("growth over 9,000 more edits", edited - warm, GROWTH_GOAL, "MiB"),
        goal("memory of a connection at rest", resting, RESTING_GOAL, "KiB"),
        goal("memory of a connection whose upstream has not answered", waiting, WAITING_GOAL, "KiB"),
    ];
    Ok(Report { key: "memory", title: "Memory of the gateway", text, goals })
}

fn idle(scope: &Scope, work: &WorkDir, upstream: SocketAddr) -> Result<f64> {
    let config = work.file("open.yaml", &open_route(upstream).to_string())?;
    let mut gateway = Gateway::start(scope, work, "gateway-idle", &Origin::File(&config))?;
    used(&mut gateway, PIPELINE_PATH)
}

fn large_configuration(scope: &Scope, work: &WorkDir, upstream: SocketAddr) -> Result<f64> {
    snapshot::save(work, "gateway-large", &large(upstream)?)?;
    let mut gateway = snapshot::start(scope, work, "gateway-large")?;
    used(&mut gateway, LARGE_PATH)
}

/// After some edits, and after many.
fn edits(scope: &Scope, work: &WorkDir, upstream: SocketAddr) -> Result<(f64, f64)> {
    let control = Control::start(scope, work)?;
    let mut session = Session::register(control.address)?;
    let route = session.create_config(upstream, "/edit-0")?;
    let origin = Origin::ControlPlane { address: control.address, api_key: &session.api_key };
    let mut gateway = Gateway::start(scope, work, "gateway-edited", &origin)?;
    used(&mut gateway, "/edit-0")?;
    let mut at = |edits: std::ops::RangeInclusive<u32>| -> Result<f64> {
        let last = *edits.end();
        for edit in edits {
            session.move_route(&route, &format!("/edit-{edit}"))?;
        }
        used(&mut gateway, &format!("/edit-{last}"))
    };
    Ok((at(1..=WARM_EDITS)?, at(WARM_EDITS + 1..=EDITS)?))
}

/// MiB once it has served requests.
fn used(gateway: &mut Gateway, path: &str) -> Result<f64> {
    gateway.ready_within(Request::get(path, None), READY_WITHIN)?;
    let mut connection = Connection::open(gateway.traffic)?;
    for _ in 0..REQUESTS {
        connection.send(Request::get(path, None))?;
    }
    drop(connection);
    settled(gateway)
}

/// MiB once nothing happens any more.
fn settled(gateway: &Gateway) -> Result<f64> {
    // Connections that have ended are noticed in a moment, and the kernel counts pages in batches: the least of some looks.
    let mut least = f64::MAX;
    let mut looks = 0;
    wait::until("memory at rest", READY_WITHIN, Duration::from_millis(50), || {
        least = least.min(gateway.program.resident_kib()? / 1024.0);
        looks += 1;
        Ok((looks == 10).then_some(least))
    })
}
