//! A beat that is as even as the kernel can make it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::net::unix::pipe::Receiver;

/// A timer of the kernel that counts its beats.
pub(super) struct Pace {
    /// It is read as a pipe is.
    timer: Receiver,
}

impl Pace {
    /// Begins at once.
    pub(super) fn new(period: Duration) -> Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(period)), TimerSetTimeFlags::empty())?;
        Ok(Self { timer: Receiver::from_file_unchecked(File::from(OwnedFd::from(timer)))? })
    }

    /// Waits for the next beat; how many there were since it was asked for the last time.
    pub(super) async fn beats(&self) -> Result<usize> {
        let mut count = [0; 8];
        loop {
            self.timer.readable().await?;
            match self.timer.try_read(&mut count) {
                Err(none) if none.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    read.context("the timer cannot be read")?;
                    return Ok(usize::try_from(u64::from_ne_bytes(count))?);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_late_is_told_all_beats() {
        let pace = Pace::new(Duration::from_micros(100)).unwrap();
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        assert!(pace.beats().await.unwrap() >= 49);
        assert!(pace.beats().await.unwrap() >= 1);
    }
}
