//! The paths of `/api/v1`, one module per resource.

pub(crate) mod auth;
pub(crate) mod config;
pub(crate) mod consumer_keys;
pub(crate) mod gateway_keys;
pub(crate) mod gateways;
pub(crate) mod objects;
pub(crate) mod pages;
pub(crate) mod revisions;
pub(crate) mod stream;
pub(crate) mod telemetry;
pub(crate) mod tenants;
