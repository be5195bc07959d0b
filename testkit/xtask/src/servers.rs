//! The servers of one test run: started once, named to every test process, gone with the run.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use novagate_services::{
    OFFLINE, POSTGRES_PACKAGE, POSTGRES_URL, Postgres, REDIS_PACKAGE, REDIS_URL, Redis, SKIPPED_FILE,
    postgres_is_installed, redis_is_installed,
};

/// Debian packages of servers that are neither here nor named.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if !is_named(POSTGRES_URL) && !postgres_is_installed() {
        missing.push(POSTGRES_PACKAGE);
    }
    if !is_named(REDIS_URL) && !redis_is_installed() {
        missing.push(REDIS_PACKAGE);
    }
    missing
}

/// What tests are told of servers.
pub(crate) struct Servers {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    skipped: Option<PathBuf>,
}

impl Servers {
    /// Starts what is not named already.
    pub(crate) fn start() -> Self {
        let postgres = (!is_named(POSTGRES_URL)).then(Postgres::start);
        let redis = (!is_named(REDIS_URL)).then(Redis::start);
        Self { postgres, redis, skipped: None }
    }

    /// None: tests that need one are left out and counted.
    pub(crate) fn none() -> Self {
        let name = format!("novagate-left-out-{}", std::process::id());
        Self { postgres: None, redis: None, skipped: Some(std::env::temp_dir().join(name)) }
    }

    /// Tells a test process.
    pub(crate) fn tell(&self, command: &mut Command) {
        if let Some(postgres) = &self.postgres {
            command.env(POSTGRES_URL, postgres.url());
        }
        if let Some(redis) = &self.redis {
            command.env(REDIS_URL, redis.url());
        }
        if let Some(file) = &self.skipped {
            command.env(OFFLINE, "1").env(SKIPPED_FILE, file);
        }
    }

    /// Says how many tests were left out, when servers were not wanted.
    pub(crate) fn report(&self) {
        if let Some(file) = &self.skipped {
            let count = fs::read_to_string(file).map_or(0, |text| text.lines().count());
            eprintln!("{count} tests need database servers and were left out");
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Some(file) = &self.skipped {
            drop(fs::remove_file(file));
        }
    }
}

fn is_named(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}
