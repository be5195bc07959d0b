//! `novagate-control`: the control plane and its operator's commands.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod tenants;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use novagate_control::{Migration, StartError, migrate, start};
use novagate_http_ops::check_ready;
use novagate_settings::{
    ControlSettings, Environment, LogLevel as Level, Problems, Program, StorageSettings, key_listing, ops_address,
};
use novagate_system::{ShutdownSignals, raise_descriptor_limit};
use novagate_telemetry::{LogFormat, LogLevel};

/// Serves the control plane of NovaGate: REST API, config distribution to gateways, telemetry.
#[derive(Parser)]
#[command(
    name = "novagate-control",
    version,
    after_help = "Example: PLATFORM_JWT_SECRET=$(openssl rand -hex 32) novagate-control serve\n\nSettings come from the environment or --config; `novagate-control settings` lists them."
)]
struct Arguments {
    /// A TOML file with settings; the environment wins over it.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve,
    /// Bring all storage to this version, then end. With SQLite, and where the login that serves owns its PostgreSQL
    /// database, `serve` does the same at start.
    Migrate {
        /// Only tell what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Only tell how the storage stands, and how it could be hardened.
        #[arg(long, conflicts_with = "dry_run")]
        status: bool,
    },
    /// Create, list, suspend and heal tenants.
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    /// Ask the control plane on this machine whether it is ready, at `OPS_ADDR` of the same settings.
    Healthcheck,
    /// List every setting with its default and meaning.
    Settings,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        // clap would end with 2; 64 is what sysexits.h says of bad usage.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    let environment = Environment::new(novagate_system::environment(), novagate_system::read_secret_file);
    match run(arguments.command, &environment, arguments.config.as_deref()) {
        Ok(outcome) => report(outcome),
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(64)
        }
    }
}

/// Each command reads the settings that it needs, and no secret beyond them.
fn run(command: Command, environment: &Environment, config: Option<&Path>) -> Result<Result<(), StartError>, Problems> {
    let serving = || ControlSettings::read(environment, config);
    Ok(match command {
        Command::Settings => {
            print!("{}", key_listing(Program::Control));
            Ok(())
        }
        Command::Healthcheck => {
            let addr = ops_address(Program::Control, environment, config)?;
            check_ready(addr).map_err(|fault| StartError::NotReady(fault.to_string()))
        }
        Command::Migrate { dry_run, status } => {
            let settings = StorageSettings::read(environment, config)?;
            let migration = match (dry_run, status) {
                (true, _) => Migration::DryRun,
                (false, true) => Migration::Status,
                (false, false) => Migration::Run,
            };
            let told = block_on(settings.log_level, migrate(&settings.database, migration));
            told.map(|text| print!("{text}"))
        }
        Command::Serve => serving().map(|settings| block_on(settings.log_level, serve(&settings)))?,
        Command::Tenants(command) => {
            serving().map(|settings| block_on(settings.log_level, tenants::run(command, &settings)))?
        }
    })
}

fn block_on<T>(level: Level, work: impl Future<Output = Result<T, StartError>>) -> Result<T, StartError> {
    novagate_net::install_crypto_provider();
    novagate_telemetry::install(log_level(level), LogFormat::Json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| StartError::Internal(format!("no runtime: {error}")))?.block_on(work)
}

async fn serve(settings: &ControlSettings) -> Result<(), StartError> {
    let mut signals = ShutdownSignals::install()
        .map_err(|error| StartError::Internal(format!("signals cannot be listened for: {error}")))?;
    // Each gateway is a connection, and each open tenant a file.
    if let Err(fault) = raise_descriptor_limit() {
        tracing::warn!(%fault, "the limit of open files cannot be raised");
    }
    let running = start(settings).await?;
    signals.next().await;
    tracing::info!("stopping: what runs is finished first");
    let abort = running.abort();
    tokio::select! {
        () = running.stop() => {}
        _ = signals.next() => abort(),
    }
    Ok(())
}

const fn log_level(level: Level) -> LogLevel {
    match level {
        Level::Error => LogLevel::Error,
        Level::Warn => LogLevel::Warn,
        Level::Info => LogLevel::Info,
        Level::Debug => LogLevel::Debug,
        Level::Trace => LogLevel::Trace,
    }
}

fn report(outcome: Result<(), StartError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("novagate-control: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
