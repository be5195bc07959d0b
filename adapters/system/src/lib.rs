//! The operating system behind ports: clock, pause, randomness, environment, secret files, signals.
//!
//! Always: this is the one crate that asks the wall clock, and nothing it reads is logged. Not here: what a setting means
//! (`apps/settings`), how a program stops (`adapters/net`).

mod environment;
mod signals;
mod world;

pub use self::{
    environment::{SecretFileError, environment, host_name, read_secret_file},
    signals::{ShutdownSignals, StopSignal},
    world::{OsEntropy, SystemClock, SystemPause},
};
