//! Waiting for other processes.
//!
//! Always: it ends. This is the only place of the benchmarks that pauses.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often something is tried that is not measured.
pub(crate) const UNHURRIED: Duration = Duration::from_millis(10);

/// Tries until there is something, at most so long; the pause lies between two attempts.
pub(crate) fn until<T>(
    what: &str,
    at_most: Duration,
    pause: Duration,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = attempt()? {
            return Ok(found);
        }
        if begin.elapsed() > at_most {
            bail!("{what}: not within {at_most:.0?}");
        }
        thread::sleep(pause);
    }
}
