//! From raw settings (defaults, then a TOML file, then the environment) to typed ones.
//!
//! Always: every problem is reported at once, as `KEY: rule`, and no value is ever part of a message; a key that this
//! version knows but does not honour is an error. Not here: where the environment comes from (`adapters/system`), command
//! lines and exit codes (the binaries), what the settings do.

mod control;
mod docs;
mod gateway;
mod keys;
mod layers;
mod nearest;
mod ops;
mod parse;
mod problems;
mod reader;
mod redis;
mod secret;
mod source;
mod storage;
mod url;

pub use self::{
    control::{ControlSettings, MailSettings, PlatformTokens, Registration, ServerTls, TlsFiles},
    docs::{config_toml, key_listing},
    gateway::{
        ClientCertificates, ConfigOrigin, ControlPlaneSettings, EdgeLimits, EdgeTls, EdgeTokens, FleetSettings,
        GatewaySettings, RateLimitMode, RateLimitSettings,
    },
    keys::{KEYS, KeyDoc, Program, Rule, Secrecy},
    ops::ops_address,
    parse::LogLevel,
    problems::{Problem, Problems},
    redis::RedisSettings,
    secret::Secret,
    source::{BoxError, Environment, Source},
    storage::{Database, PostgresDatabase, StorageSettings},
    url::{ControlPlaneUrl, PublicUrl},
};
