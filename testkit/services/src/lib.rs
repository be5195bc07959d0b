//! Throw-away servers for tests: PostgreSQL and Redis, each in a temporary folder and on a free loopback port, and one
//! database per test.
//!
//! Always: a server runs as an unprivileged user, with a password of its own; it ends and its folder goes with the value
//! that stands for it, after a panic and after SIGKILL of the test process too, since a watching shell waits for the end of
//! the pipe that the process holds. `TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use instead, so that one server
//! of each kind serves a whole run. A missing server fails with the command that installs it, except under
//! `NOVAGATE_OFFLINE_SERVICES`, where the test is left out and counted. Not here: what is in a database.
#![expect(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's material fails by panicking, with a message that names what is wrong"
)]

mod database;
mod keeper;
mod offline;
mod ports;
mod postgres;
mod programs;
mod redis;
mod secret;
mod wait;

pub use self::{
    database::{Database, Template},
    offline::{OFFLINE, SKIPPED_FILE, are_offline, skip},
    ports::free_port,
    postgres::{POSTGRES_URL, Postgres},
    programs::{
        NGINX_PACKAGE, POSTGRES_PACKAGE, REDIS_PACKAGE, nginx, postgres_is_installed, postgres_program,
        redis_is_installed,
    },
    redis::{REDIS_URL, Redis, RedisDatabase},
    wait::{PATIENCE, wait_for, wait_until},
};
