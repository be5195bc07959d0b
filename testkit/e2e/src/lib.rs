//! The real binaries, started from outside on free loopback ports over storage of their own, and what tests need
//! to talk to them: clients, upstreams, a recording proxy, tokens, a certificate authority, a load generator.
//!
//! Always: whatever is started ends with the value that stands for it, also when a test panics; nothing listens beyond
//! loopback. Blocking sockets and threads on purpose: the harness shares no runtime and no HTTP code with what it tests.
//! Not here: what is promised (`tests/e2e`).
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's material fails by panicking, with a message that names what is wrong"
)]

mod api;
mod authority;
mod control;
mod dev;
mod docker;
mod folder;
mod gateway;
mod http;
mod load;
mod nginx;
mod process;
mod proxy;
mod stack;
mod tokens;
mod upstream;
mod world;

pub use self::{
    api::{Api, Registered},
    authority::{Authority, TlsFiles},
    control::{Control, ControlOptions, PLATFORM_SECRET},
    dev::Dev,
    docker::{Container, ContainerOptions, Images, Network, Said, Volume},
    folder::{Folder, find_bytes},
    gateway::{EDGE_SECRET, Gateway, GatewayOptions},
    http::{Connection, Request, Response, request},
    load::{Load, LoadReport},
    nginx::Nginx,
    process::{Exit, Holdings, Process, binary},
    proxy::{Recording, RecordingProxy},
    stack::{Servers, Stack},
    tokens::{EdgeClaims, PlatformClaims, edge_token, forged, now_seconds, platform_token},
    upstream::{Answer, AnswerFraming, Received, Upstream},
    world::{FileWorld, World},
};
pub use novagate_services::{PATIENCE, free_port, wait_for, wait_until};
