//! The operating system behind ports: clock, pause, randomness, environment, secret files, signals, the service manager.
//!
//! Always: this is the one crate that asks the wall clock, and nothing it reads is logged. Not here: what a setting means
//! (`apps/settings`), how a program stops (`adapters/net`).

mod descriptors;
mod environment;
mod manager;
mod signals;
mod world;

pub use self::{
    descriptors::raise_descriptor_limit,
    environment::{SecretFileError, environment, host_name, read_secret_file},
    manager::{PassedListeners, passed_listeners, tell_alive, tell_ready, tell_stopping, watchdog_interval},
    signals::{ShutdownSignals, StopSignal},
    world::{OsEntropy, SystemClock, SystemPause},
};
