//! `novagate`: everything in one process for a first look and for development, and small tools for operators.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to its terminal")]

mod dev;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs NovaGate: control plane, gateway and a demo upstream in one process.
#[derive(Parser)]
#[command(name = "novagate", version, after_help = "Example: novagate dev --data-dir /tmp/try-novagate")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: `dev`.
    #[command(flatten)]
    dev: dev::DevArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Serve control plane, one gateway and a demo upstream on embedded storage. Example: novagate dev --no-demo
    Dev(dev::DevArguments),
    /// Ask a program's admin address whether it is ready. Example: novagate healthcheck 127.0.0.1:9100
    Healthcheck {
        /// The admin address.
        #[arg(default_value = "127.0.0.1:9100")]
        addr: std::net::SocketAddr,
    },
    /// Serve the demo upstream alone: it answers every request with what it got. Example: novagate demo-upstream
    DemoUpstream {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:8001")]
        listen: std::net::SocketAddr,
    },
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        // clap would end with 2; 64 is what sysexits.h says of bad usage.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    match arguments.command {
        None => dev::run(&arguments.dev),
        Some(Command::Dev(arguments)) => dev::run(&arguments),
        Some(Command::DemoUpstream { listen }) => dev::run_upstream(listen),
        Some(Command::Healthcheck { addr }) => healthcheck(addr),
        Some(Command::Version) => {
            println!("novagate {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    }
}

fn healthcheck(addr: std::net::SocketAddr) -> ExitCode {
    match novagate_http_ops::check_ready(addr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("not ready: {fault}");
            ExitCode::from(69)
        }
    }
}
