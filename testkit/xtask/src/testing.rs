//! Running the tests, with everything they are told: programs, images, servers.
//!
//! Always: every run selects the whole workspace and narrows it by target and name. A run of one package alone has feature
//! sets of its own, and cargo would compile most third-party crates once more. Not here: what is installed (`setup`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::image::{self, Profile, TemporaryImages};
use crate::servers::Servers;
use crate::setup;
use crate::steps::{has_cargo_tool, programs, run};

/// Which tests, and with which servers.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// The end-to-end tests and contracts of this stack only.
    pub(crate) stack: Option<Stack>,
    /// Leaves out what needs a server.
    pub(crate) offline_services: bool,
    /// Passed on to the test runner.
    pub(crate) filter: Vec<String>,
}

/// What the control plane keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stack {
    /// Files, on one control node.
    Sqlite,
    /// PostgreSQL and Redis.
    Postgres,
}

/// Tells the end-to-end tests where the control plane keeps its data.
const STACK: &str = "NOVAGATE_E2E_STACK";

/// Tells the soak test how long it takes.
const SOAK: &str = "NOVAGATE_SOAK_SECONDS";

/// Modules of end-to-end tests that choose their storage themselves, or start no control plane with any.
const ON_ANY_STACK: [&str; 10] = [
    "several_nodes::",
    "faults::",
    "settings::",
    "images::",
    "file_node::",
    "soak::",
    "large_bodies::",
    "differential::",
    "floods::",
    "gateway_api::",
];

/// Targets with tests of adapters that talk to PostgreSQL or Redis.
const ON_SERVERS: [&str; 6] = ["postgres*", "bus", "contract", "cache", "faults", "secure"];

/// A test that fails is tried once more: most of them talk to real sockets and programs on a machine that may be busy. One
/// that passes only then is named FLAKY at the end of the run, and is a defect to be mended all the same.
const NEXTEST: [&str; 9] =
    ["nextest", "run", "--workspace", "--cargo-profile", "ci", "--locked", "--no-fail-fast", "--retries", "1"];

/// What tests work with.
struct Material {
    programs: PathBuf,
    images: Option<TemporaryImages>,
    servers: Servers,
}

/// Tests on programs built just before.
pub(crate) fn test(selection: &Selection) -> Result<()> {
    if selection.offline_services && selection.stack == Some(Stack::Postgres) {
        bail!("--stack postgres needs the servers that --offline-services leaves out");
    }
    setup::ensure(!selection.offline_services)?;
    let programs = programs()?;
    let images = if image::are_wanted(&selection.filter) { image::temporary(Profile::Ci)? } else { None };
    let servers = if selection.offline_services { Servers::none() } else { Servers::start() };
    let material = Material { programs, images, servers };
    let outcome = match selection.stack {
        None => material.everything(selection),
        Some(stack) => material.one_stack(stack, &selection.filter),
    };
    material.servers.report();
    outcome
}

/// The soak test, for longer than in every run.
pub(crate) fn soak(minutes: u64) -> Result<()> {
    setup::ensure(false)?;
    let mut command = Command::new("cargo");
    command.args([
        "test",
        "--workspace",
        "--profile",
        "ci",
        "--locked",
        "--test",
        "e2e",
        "--",
        "soak::",
        "--nocapture",
    ]);
    command.env("NOVAGATE_BIN_DIR", programs()?).env(SOAK, minutes.saturating_mul(60).to_string());
    run("soak", command)
}

impl Material {
    fn everything(&self, selection: &Selection) -> Result<()> {
        let filter = selection.filter.iter().map(String::as_str);
        let tests = if has_cargo_tool("nextest") {
            NEXTEST.to_vec()
        } else {
            vec!["test", "--workspace", "--all-targets", "--profile", "ci", "--locked", "--no-fail-fast"]
        };
        self.run(None, "tests", tests.into_iter().chain(filter))?;
        if selection.filter.is_empty() && !selection.offline_services {
            self.end_to_end(Stack::Postgres, ON_ANY_STACK.iter().flat_map(|module| ["--skip", module]))?;
        }
        self.run(None, "documentation tests", ["test", "--workspace", "--profile", "ci", "--locked", "--doc"])
    }

    fn one_stack(&self, stack: Stack, filter: &[String]) -> Result<()> {
        let filter = filter.iter().map(String::as_str);
        if stack == Stack::Postgres {
            let tests = ["test", "--workspace", "--profile", "ci", "--locked", "--no-fail-fast"];
            let targets = ON_SERVERS.iter().flat_map(|target| ["--test", target]);
            let tests = tests.into_iter().chain(targets).chain(["--"]);
            self.run(None, "adapters of PostgreSQL and Redis", tests.chain(filter.clone()))?;
        }
        self.end_to_end(stack, filter)
    }

    /// The end-to-end tests on one storage; arguments go to the test harness.
    fn end_to_end<'a>(&self, stack: Stack, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let tests = if has_cargo_tool("nextest") {
            NEXTEST.to_vec()
        } else {
            vec!["test", "--workspace", "--profile", "ci", "--locked", "--no-fail-fast"]
        };
        let tests = tests.into_iter().chain(["--test", "e2e", "--"]);
        self.run(Some(stack), &format!("end to end on {stack:?}"), tests.chain(arguments))
    }

    fn run<'a>(&self, stack: Option<Stack>, step: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut command = Command::new("cargo");
        command.args(arguments).env("NOVAGATE_BIN_DIR", &self.programs);
        TemporaryImages::tell(self.images.as_ref(), &mut command);
        self.servers.tell(&mut command);
        if let Some(stack) = stack.and_then(|stack| stack.to_possible_value()) {
            command.env(STACK, stack.get_name());
        }
        run(step, command)
    }
}
