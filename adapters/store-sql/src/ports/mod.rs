//! The ports, each method one transaction: enter, run statements, commit. Not here: statements.

mod audit;
mod config;
mod idempotency;
mod keys;
mod nodes;
mod telemetry;
mod tenants;
