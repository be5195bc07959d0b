//! Instructions of the gateway for one request, and the code that it reads for it, counted by callgrind: they hardly depend
//! on how busy the machine is, so a regression shows on any machine.
//!
//! Always: the gateway is a process of its own with one worker; requests come one after the other on one connection; what
//! starting costs is taken out by the difference of two runs. Not here: what instructions cost in time (`edge`).

mod counts;
mod origin;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::counts::{ARGUMENTS, Cost, Counts};
use self::origin::Origin as Upstream;
use crate::config::{PIPELINE_PATH, open_route, token, whole_pipeline};
use crate::gateway::{Gateway, Origin};
use crate::http::{Connection, Request};
use crate::machine;
use crate::report::{Goal, Report, table};
use crate::workspace::{Scope, WorkDir};

/// What a request took with the `release` profile when this was last changed on purpose. Lower them when it takes less.
const OPEN_ROUTE: f64 = 17_300.0;
const WHOLE_PIPELINE: f64 = 22_010.0;
/// How much more than that is a regression: compilers and libraries move it a little.
const TOLERANCE: f64 = 1.05;

/// Requests of the shorter run: caches are filled, memory is there.
const WARM: u32 = 500;
/// Requests that the longer run has more.
const MEASURED: u32 = 2_000;
const START_WITHIN: Duration = Duration::from_mins(2);
const END_WITHIN: Duration = Duration::from_mins(1);

/// Counts for an open route and for the whole pipeline.
///
/// # Errors
/// valgrind is missing, the gateway does not start, or an answer is wrong.
pub fn instructions(scope: &Scope) -> Result<Report> {
    let valgrind = Command::new("valgrind").arg("--version").output().context("apt-get install valgrind")?;
    let version = String::from_utf8_lossy(&valgrind.stdout).trim().to_owned();
    let work = WorkDir::new("instructions")?;
    let upstream = Upstream::start()?;
    let token = token()?;
    let open = count(scope, &work, "open", &open_route(upstream.address), None)?;
    let pipeline = count(scope, &work, "pipeline", &whole_pipeline(upstream.address), Some(&token))?;
    let row = |name: &str, Cost { instructions, lines }: Cost, known: f64| {
        let ratio = format!("{:.3}", instructions / known);
        vec![name.to_owned(), format!("{instructions:.0}"), format!("{known:.0}"), ratio, lines.to_string()]
    };
    let rows = [row("open route", open, OPEN_ROUTE), row("whole pipeline", pipeline, WHOLE_PIPELINE)];
    let text = format!(
        "{}; {version}. User-space instructions of all threads of the gateway for one request of a kept connection: the \
         difference between {} and {WARM} requests. Kernel and waiting are not in it. The known numbers are those of \
         the `release` profile, which every change is checked with. Lines are the 64 bytes of code that a processor reads \
         at a time; those are counted that at least every other request reads.\n\n{}",
        machine::describe(),
        WARM + MEASURED,
        table(&["request", "instructions", "known", "ratio", "lines of code"], &rows)
    );
    let goal = |what: &str, counted: Cost, known: f64| Goal {
        id: "P1",
        what: format!("instructions for a request, {what}, / the known number"),
        measured: Some(counted.instructions / known),
        at_most: TOLERANCE,
        unit: "",
    };
    let goals = vec![goal("open route", open, OPEN_ROUTE), goal("whole pipeline", pipeline, WHOLE_PIPELINE)];
    Ok(Report { key: "instructions", title: "Instructions for a request", text, goals })
}

fn count(scope: &Scope, work: &WorkDir, name: &str, config: &Value, token: Option<&str>) -> Result<Cost> {
    let file = work.file(&format!("{name}.yaml"), &config.to_string())?;
    let run = |requests: u32| run(scope, work, &format!("{name}-{requests}"), &file, token, requests);
    Ok(run(WARM + MEASURED)?.since(&run(WARM)?, MEASURED))
}

/// What a gateway runs from its start to its end.
fn run(scope: &Scope, work: &WorkDir, name: &str, config: &Path, token: Option<&str>, requests: u32) -> Result<Counts> {
    let counts = work.path().join(format!("{name}.callgrind"));
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind"])
        .args(ARGUMENTS)
        .arg(format!("--callgrind-out-file={}", counts.display()));
    command.arg(scope.program("novagate-gateway")?);
    let request = Request::get(PIPELINE_PATH, token);
    let mut gateway = Gateway::launch(command, work, name, &Origin::File(config), &[])?;
    gateway.ready_within(request, START_WITHIN)?;
    let mut connection = Connection::open(gateway.traffic)?;
    for _ in 0..requests {
        let answer = connection.send(request)?;
        ensure!(answer.status == 200, "a request is answered {} {}", answer.status, answer.text());
    }
    drop(connection);
    gateway.program.finish(END_WITHIN)?;
    Counts::parse(&fs::read_to_string(&counts).context("callgrind has left no counts")?)
}
