//! The signals that end a program.

use std::{fmt, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM: an orchestrator or service manager.
    Terminate,
    /// SIGINT: Ctrl-C.
    Interrupt,
}

/// Receives SIGTERM and SIGINT in place of the default, which would end the process at once. The first one begins a
/// drain, the second one ends it; what they cause is up to `main`.
#[derive(Debug)]
pub struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Takes the signals over. Must be called inside a runtime, before anything is served.
    pub fn install() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal. Cancel-safe.
    pub async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _received = self.terminate.recv() => StopSignal::Terminate,
            _received = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}

impl fmt::Display for StopSignal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn send_to_self(signal: &str) {
        let kill = format!("kill -{signal} {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    #[tokio::test]
    async fn each_signal_is_told_and_a_second_one_too() {
        let mut signals = ShutdownSignals::install().unwrap();
        send_to_self("TERM");
        assert_eq!(signals.next().await, StopSignal::Terminate);
        send_to_self("INT");
        assert_eq!(signals.next().await, StopSignal::Interrupt);
        assert_eq!(StopSignal::Terminate.to_string(), "SIGTERM");
    }
}
