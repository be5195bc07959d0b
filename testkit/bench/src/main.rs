//! The command line of the benchmarks.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to the terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use novagate_bench::{
    Report, Scope, codings, cold_start, edge, ingest, instructions, latency, limits, lookup, memory, propagation,
    repository_root, size, tenants, training, write_section,
};

/// Measures NovaGate's programs side by side with others. Example: cargo xtask bench edge --rounds 7
#[derive(Parser)]
#[command(name = "novagate-bench", version, about, long_about = None)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, required = true)]
    benches: Vec<Bench>,
    /// Interleaved rounds; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=101))]
    rounds: u32,
    /// Length of one run under load, seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Connections of the load generator.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// How many tenants are many.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    tenants: u32,
    /// Where the programs are; by default beside this one.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Writes the result into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// CPU, latency and rate of the gateway beside nginx and `HAProxy`.
    Edge,
    /// Latency at half of the rate that nginx can serve, beside that of nginx.
    Latency,
    /// Memory of the gateway: idle, with a large configuration, after many edits.
    Memory,
    /// Memory and CPU of the gateway for compressed responses, and how long these are.
    Codings,
    /// What limits that a fleet counts together cost beside local ones.
    Limits,
    /// Instructions of the gateway for one request, by callgrind.
    Instructions,
    /// Finding a route among 10,000 beside finding it among 10.
    Lookup,
    /// From starting the gateway to its first answer, out of the snapshot on disk.
    ColdStart,
    /// From an edit over REST to serving it on ten gateways.
    Propagation,
    /// Size of the programs.
    Size,
    /// Provisioning, migrating, starting and reading with many tenants on PostgreSQL.
    Tenants,
    /// Storing telemetry in PostgreSQL beside COPY.
    Ingest,
    /// Measures nothing: the loads that the profile of the gateway's program is made under.
    Training,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal was met.
fn run(arguments: &Arguments) -> Result<bool> {
    let bin_dir = match &arguments.bin_dir {
        Some(dir) => dir.clone(),
        None => std::env::current_exe()?.parent().context("this program has no directory")?.to_owned(),
    };
    let scope = Scope {
        bin_dir,
        rounds: arguments.rounds,
        run_for: Duration::from_secs(arguments.seconds),
        connections: arguments.connections,
        tenants: arguments.tenants,
    };
    let mut all_met = true;
    for bench in &arguments.benches {
        let report = measure(*bench, &scope)?;
        println!("{}", report.to_markdown());
        all_met &= report.passed();
        if arguments.write {
            let page = repository_root()?.join("docs/benchmarks.md");
            write_section(&page, &report)?;
            eprintln!("written to docs/benchmarks.md");
        }
    }
    Ok(all_met)
}

fn measure(bench: Bench, scope: &Scope) -> Result<Report> {
    match bench {
        Bench::Edge => edge(scope).context("edge"),
        Bench::Latency => latency(scope).context("latency"),
        Bench::Memory => memory(scope).context("memory"),
        Bench::Codings => codings(scope).context("codings"),
        Bench::Limits => limits(scope).context("limits"),
        Bench::Instructions => instructions(scope).context("instructions"),
        Bench::Lookup => lookup(scope).context("lookup"),
        Bench::ColdStart => cold_start(scope).context("cold start"),
        Bench::Propagation => propagation(scope).context("propagation"),
        Bench::Size => size(scope).context("size"),
        Bench::Tenants => tenants(scope).context("tenants"),
        Bench::Ingest => ingest(scope).context("ingest"),
        Bench::Training => training(scope).context("training"),
    }
}
