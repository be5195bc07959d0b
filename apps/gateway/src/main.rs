//! `novagate-gateway`: carries a tenant's live traffic on the tenant's own machines.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use novagate_gateway::{StartError, start};
use novagate_http_ops::check_ready;
use novagate_settings::{Environment, GatewaySettings, LogLevel as Level, Program, key_listing, ops_address};
use novagate_system::{PassedListeners, ShutdownSignals, passed_listeners, tell_ready, tell_stopping};
use novagate_telemetry::{LogFormat, LogLevel};

/// Serves the live traffic of a NovaGate tenant; configuration comes from the control plane or from a file.
#[derive(Parser)]
#[command(
    name = "novagate-gateway",
    version,
    after_help = "Example: CONTROL_PLANE_URL=wss://control.example.com GATEWAY_API_KEY_FILE=/run/secrets/key JWT_SECRET_FILE=/run/secrets/jwt novagate-gateway\n\nSettings come from the environment or --config; --settings lists them."
)]
struct Arguments {
    /// A TOML file with settings; the environment wins over it.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// List every setting with its default and meaning.
    #[arg(long)]
    settings: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the gateway on this machine whether it is ready, at `ADMIN_ADDR` of the same settings.
    Healthcheck,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        // clap would end with 2; 64 is what sysexits.h says of bad usage.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    if arguments.settings {
        print!("{}", key_listing(Program::Gateway));
        return ExitCode::SUCCESS;
    }
    let environment = Environment::new(novagate_system::environment(), novagate_system::read_secret_file);
    if let Some(Command::Healthcheck) = arguments.command {
        return healthcheck(&environment, arguments.config.as_deref());
    }
    novagate_net::install_crypto_provider();
    let settings = match GatewaySettings::read(&environment, arguments.config.as_deref()) {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(64);
        }
    };
    drop(environment);
    novagate_telemetry::install(log_level(settings.log_level), LogFormat::Json);
    // Takes what was passed out of the environment, so before there are threads.
    let passed = match passed_listeners() {
        Ok(passed) => passed,
        Err(error) => return report(Err(StartError::Setting(format!("LISTEN_FDS: {error}")))),
    };
    // Traffic has threads of its own: one is enough for the link, records and operators, one for compiling beside them.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Err(StartError::Internal(format!("no runtime: {error}")))),
    };
    report(runtime.block_on(serve(settings, passed)))
}

fn healthcheck(environment: &Environment, config: Option<&Path>) -> ExitCode {
    match ops_address(Program::Gateway, environment, config) {
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(64)
        }
        Ok(addr) => report(check_ready(addr).map_err(|fault| StartError::NotReady(fault.to_string()))),
    }
}

async fn serve(settings: GatewaySettings, passed: PassedListeners) -> Result<(), StartError> {
    let mut signals = ShutdownSignals::install()
        .map_err(|error| StartError::Internal(format!("signals cannot be listened for: {error}")))?;
    let running = start(settings, passed).await?;
    tell_ready();
    signals.next().await;
    tell_stopping();
    tracing::info!("stopping: what runs is finished first");
    tokio::select! {
        () = running.stop() => {}
        _ = signals.next() => {}
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
            eprintln!("novagate-gateway: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
