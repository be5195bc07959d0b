//! `novagate dev`: both programs and a demo upstream in one process, talking over real loopback sockets.

mod banner;
mod demo;
mod secrets;
mod stack;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::{banner::Banner, stack::Stack};

/// Where everything listens and keeps its data.
#[derive(Args, Debug, Clone)]
pub(crate) struct DevArguments {
    /// Where the control plane listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) control_addr: SocketAddr,
    /// Where the gateway takes traffic.
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub(crate) gateway_addr: SocketAddr,
    /// Where the gateway's operators look.
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub(crate) gateway_admin_addr: SocketAddr,
    /// Where the demo upstream listens.
    #[arg(long, default_value = "127.0.0.1:8001")]
    pub(crate) upstream_addr: SocketAddr,
    /// Where all data is kept.
    #[arg(long, default_value = "./.novagate")]
    pub(crate) data_dir: PathBuf,
    /// No demo service, routes and consumer; the tenant is empty.
    #[arg(long)]
    pub(crate) no_demo: bool,
    /// How to say that everything is ready.
    #[arg(long, value_enum, default_value_t = Print::Text)]
    pub(crate) print: Print,
}

/// How to say that everything is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Print {
    /// For people.
    Text,
    /// One JSON object on the first line of standard output.
    Json,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(arguments: &DevArguments) -> ExitCode {
    novagate_net::install_crypto_provider();
    run_to_end("dev", serve(arguments))
}

/// Runs the demo upstream alone until SIGINT or SIGTERM.
pub(crate) fn run_upstream(listen: SocketAddr) -> ExitCode {
    run_to_end("demo-upstream", upstream::serve(listen))
}

fn run_to_end(command: &str, work: impl Future<Output = Result<(), StartError>>) -> ExitCode {
    novagate_telemetry::install(novagate_telemetry::LogLevel::Warn, novagate_telemetry::LogFormat::Text);
    let outcome = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(StartError::internal(format!("no runtime: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("novagate {command}: {}", error.text);
            ExitCode::from(error.code)
        }
    }
}

/// Why `dev` does not start.
#[derive(Debug)]
pub(crate) struct StartError {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl StartError {
    pub(crate) fn internal(text: impl std::fmt::Display) -> Self {
        Self { text: text.to_string(), code: 70 }
    }

    /// Settings are made here: what the programs call by a key goes by a flag.
    pub(crate) fn of_program(text: &str, code: u8) -> Self {
        let flags = [
            ("LISTEN_ADDR", "--control-addr"),
            ("ADMIN_ADDR", "--gateway-admin-addr"),
            ("PORT", "--gateway-addr"),
            ("OPS_ADDR", "an internal address"),
        ];
        let named = flags.iter().fold(text.to_owned(), |text, (key, flag)| text.replace(key, flag));
        Self { text: named, code }
    }
}

async fn serve(arguments: &DevArguments) -> Result<(), StartError> {
    let mut signals = novagate_system::ShutdownSignals::install().map_err(StartError::internal)?;
    let stack = Stack::start(arguments).await?;
    println!("{}", Banner { arguments, stack: &stack }.render());
    signals.next().await;
    if arguments.print == Print::Text {
        eprintln!("stopping: what runs is finished first (Ctrl-C again ends it at once)");
    }
    tokio::select! {
        () = stack.stop() => {}
        _ = signals.next() => {}
    }
    Ok(())
}
