//! The load generator.
//!
//! Always: a run with a failed or refused request is an error, not a number.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::machine;

/// One run: what for, for how long.
#[derive(Debug, Clone)]
pub(crate) struct Load<'a> {
    pub(crate) address: SocketAddr,
    /// Over TLS, whatever the certificate says.
    pub(crate) tls: bool,
    pub(crate) path: &'a str,
    pub(crate) bearer: Option<&'a str>,
    /// What the requests are like, in the load generator's language.
    pub(crate) script: Option<&'a Path>,
    pub(crate) connections: u32,
    pub(crate) run_for: Duration,
}

/// What one run came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) requests: u32,
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// The load generator, or how to get it.
pub(crate) fn find() -> Result<PathBuf> {
    machine::installed("wrk").context("wrk is not installed: apt-get install wrk")
}

/// Runs the load: one thread, so that it takes one CPU at the most.
pub(crate) fn run(wrk: &PathBuf, load: &Load<'_>) -> Result<Outcome> {
    let mut command = Command::new(wrk);
    command.args(["-t1", "--latency", "--timeout", "5s"]);
    command.arg(format!("-c{}", load.connections)).arg(format!("-d{}s", load.run_for.as_secs().max(1)));
    if let Some(token) = load.bearer {
        command.arg("-H").arg(format!("Authorization: Bearer {token}"));
    }
    if let Some(script) = load.script {
        command.arg("-s").arg(script);
    }
    let output =
        command.arg(format!("{}://{}{}", if load.tls { "https" } else { "http" }, load.address, load.path)).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("wrk failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&said)
}

fn parse(said: &str) -> Result<Outcome> {
    if let Some(line) = said.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        bail!("not every request was answered well: {}", line.trim());
    }
    let after = |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests = said.lines().find_map(|line| line.trim().split_once(" requests in ")).map(|(count, _)| count);
    let outcome = (|| {
        Some(Outcome {
            requests: requests?.parse().ok()?,
            rate: after("Requests/sec:")?.parse().ok()?,
            p50: duration(after("50%")?)?,
            p99: duration(after("99%")?)?,
        })
    })();
    outcome.with_context(|| format!("wrk said something unexpected: {said}"))
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let seconds = number.parse::<f64>().ok()?
        * match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            _ => return None,
        };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 3s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Thread Stats   Avg      \
        Stdev     Max   +/- Stdev\n    Latency     1.57ms  612.90us  12.21ms   85.00%\n  Latency Distribution\n     \
        50%    1.42ms\n     75%    1.71ms\n     90%    2.20ms\n     99%  950.00us\n  120321 requests in 3.00s, 21.46MB \
        read\nRequests/sec:  40012.11\nTransfer/sec:      7.14MB\n";

    #[test]
    fn a_run_is_read() {
        let outcome = parse(SAID).unwrap();
        assert_eq!((outcome.requests, outcome.rate), (120_321, 40_012.11));
        assert_eq!((outcome.p50, outcome.p99), (Duration::from_micros(1_420), Duration::from_micros(950)));
    }

    #[test]
    fn a_run_with_refused_requests_is_an_error() {
        assert!(parse(&format!("{SAID}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(parse(&format!("{SAID}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err());
        assert!(parse("").is_err());
    }
}
