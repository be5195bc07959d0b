//! `cargo xtask`: the tasks of this workspace, so that people, scripts and CI say one word for one thing.
//!
//! Not here: any rule about the code (`testkit/tidy`), any measurement (`testkit/bench`).
#![expect(clippy::print_stderr, reason = "a task runner talks to the terminal")]

mod fuzzing;
mod image;
mod linking;
mod profiling;
mod servers;
mod setup;
mod steps;
mod testing;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs a task of the NovaGate workspace. Example: cargo xtask test
#[derive(Parser)]
#[command(name = "cargo xtask", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need and this machine lacks (Debian, Ubuntu), or prints the command that does.
    Setup,
    /// Runs every test. Example: cargo xtask test --stack postgres
    Test {
        /// Only the end-to-end tests on this storage, and its contracts.
        #[arg(long)]
        stack: Option<testing::Stack>,
        /// Leave out the tests that need database servers, and say how many.
        #[arg(long)]
        offline_services: bool,
        /// Passed on to the test runner, e.g. a part of a test's name.
        #[arg(last = true)]
        filter: Vec<String>,
    },
    /// Troubles a gateway for some time and looks whether anything leaks. Example: cargo xtask soak --minutes 30
    Soak {
        /// How long.
        #[arg(long, default_value_t = 10)]
        minutes: u64,
    },
    /// Looks for inputs that break what must hold, by coverage. Example: cargo xtask fuzz responses
    Fuzz {
        /// What is fuzzed.
        #[arg(value_enum)]
        target: fuzzing::Target,
        /// How long.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Runs what a change must pass: format, lints, documentation, tests, tidiness, instructions of a request.
    Ci,
    /// Builds the programs as they are published: optimised as a whole, stripped, static.
    Dist,
    /// Makes the profile that the published gateway is compiled by anew; before a release, and when much of the request path
    /// has changed.
    Profile,
    /// Builds the container images from programs built here, without network. Example: cargo xtask image --profile ci
    Image {
        /// How the programs are built.
        #[arg(long, value_enum, default_value_t = image::Profile::Dist)]
        profile: image::Profile,
        /// The images' tag.
        #[arg(long, default_value = "latest")]
        tag: String,
    },
    /// Measures. Example: cargo xtask bench edge
    Bench {
        /// Passed on to the bench: `edge`, `latency`, `memory`, `codings`, `limits`, `lookup`, `cold-start`, `propagation`, `size`,
        /// `tenants`, `ingest`, `instructions`, or `--help`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    if let Some(code) = linking::as_rustc() {
        return code;
    }
    let outcome = match Arguments::parse().task {
        Task::Setup => setup::ensure(true),
        Task::Test { stack, offline_services, filter } => {
            testing::test(&testing::Selection { stack, offline_services, filter })
        }
        Task::Soak { minutes } => testing::soak(minutes),
        Task::Fuzz { target, seconds } => fuzzing::fuzz(target, seconds),
        Task::Ci => steps::ci(),
        Task::Dist => steps::dist(&steps::BINARIES).map(|folder| eprintln!("the programs are in {}", folder.display())),
        Task::Profile => profiling::remake(),
        Task::Image { profile, tag } => image::build(profile, &tag),
        Task::Bench { arguments } => steps::bench(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
