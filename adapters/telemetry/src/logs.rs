//! Diagnostics: one line per event on standard error.

use std::io;
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::redact::Redacting;

/// From which severity on events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON objects, for machines.
    Json,
    /// Words, for a person at a terminal.
    Text,
}

struct Stderr;

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Redacting<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacting(io::stderr())
    }
}

/// Installs the process-wide subscriber, and what says that a thread panicked. A second call changes nothing.
///
/// Libraries speak from `warn` on: at `trace`, HTTP and TLS libraries log headers and bytes, which could be anybody's.
pub fn install(level: LogLevel, format: LogFormat) {
    let ours = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let others = if level == LogLevel::Error { "error" } else { "warn" };
    let filter = EnvFilter::new(format!("{others},novagate={ours},{}", own_crates(ours)));
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Stderr).with_ansi(false);
    let installed = match format {
        LogFormat::Json => base.json().flatten_event(true).try_init(),
        LogFormat::Text => base.with_target(false).try_init(),
    };
    if installed.is_ok() {
        panic::set_hook(Box::new(tell_panic));
    }
}

/// Where it happened, and never the text: that may hold anything which a request has brought.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        code = "INTERNAL",
        thread = thread.name().unwrap_or("unnamed"),
        location = place,
        "a thread panicked: this is a defect of the program"
    );
}

/// `EnvFilter` compares whole path segments: each of our crates is named.
fn own_crates(level: &str) -> String {
    const CRATES: [&str; 17] = [
        "control",
        "control_core",
        "disk",
        "edge_core",
        "gateway",
        "http_admin",
        "http_edge",
        "http_ops",
        "mail",
        "net",
        "passwords",
        "store_sql",
        "sync_client",
        "sync_hub",
        "system",
        "telemetry",
        "tokens",
    ];
    CRATES.map(|name| format!("novagate_{name}={level}")).join(",")
}
