//! What a connection is waiting for, and until when.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Where in an exchange a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A request's head is awaited or arriving.
    Head {
        /// When that began.
        since: Instant,
    },
    /// A handler works, or its response is on the way.
    Busy,
    /// Between two requests.
    Idle {
        /// When the last response ended.
        since: Instant,
    },
    /// It speaks another protocol; its owner sets the deadlines.
    Upgraded,
}

/// Why a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// No complete head in time.
    Head,
    /// No further request in time.
    Idle,
}

/// The phase of one connection, written by its halves and watched by its driver.
#[derive(Debug, Clone)]
pub(super) struct PhaseCell(Arc<watch::Sender<Phase>>);

impl PhaseCell {
    /// A connection that has just been opened.
    pub(super) fn open() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Head { since: Instant::now() })))
    }

    /// Bytes arrived: between two requests they begin the next one.
    pub(super) fn bytes_arrived(&self) {
        self.0.send_if_modified(|phase| {
            let begins = matches!(phase, Phase::Idle { .. });
            if begins {
                *phase = Phase::Head { since: Instant::now() };
            }
            begins
        });
    }

    /// A request's head is complete.
    pub(super) fn request_began(&self) {
        self.0.send_replace(Phase::Busy);
    }

    /// A response's body is through.
    pub(super) fn response_ended(&self) {
        self.0.send_if_modified(|phase| {
            let ends = *phase == Phase::Busy;
            if ends {
                *phase = Phase::Idle { since: Instant::now() };
            }
            ends
        });
    }

    /// The connection leaves HTTP.
    pub(super) fn upgraded(&self) {
        self.0.send_replace(Phase::Upgraded);
    }

    /// Waits until the connection has spent too long in a phase; for ever when it behaves.
    pub(super) fn expired(&self, head: Duration, idle: Duration) -> impl Future<Output = Cut> + use<> {
        let mut phases = self.0.subscribe();
        async move {
            loop {
                let now = *phases.borrow_and_update();
                let (deadline, cut) = match now {
                    Phase::Head { since } => (since.checked_add(head), Cut::Head),
                    Phase::Idle { since } => (since.checked_add(idle), Cut::Idle),
                    Phase::Busy | Phase::Upgraded => (None, Cut::Idle),
                };
                let due = async {
                    match deadline {
                        Some(deadline) => sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => return cut,
                    changed = phases.changed() => if changed.is_err() {
                        std::future::pending::<()>().await;
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_comes_is_cut_in_time() {
        let start = Instant::now();
        let phase = PhaseCell::open();
        assert_eq!(phase.expired(HEAD, IDLE).await, Cut::Head);
        assert_eq!(start.elapsed(), HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_do_not_extend_the_deadline_of_a_head() {
        let phase = PhaseCell::open();
        let expired = phase.expired(HEAD, IDLE);
        tokio::time::advance(HEAD).await;
        phase.bytes_arrived();
        assert_eq!(expired.now_or_never(), Some(Cut::Head));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_may_take_its_time_and_idleness_counts_from_the_response() {
        let phase = PhaseCell::open();
        let mut expired = Box::pin(phase.expired(HEAD, IDLE));
        phase.request_began();
        assert!((&mut expired).now_or_never().is_none());
        tokio::time::advance(HEAD + IDLE).await;
        assert!((&mut expired).now_or_never().is_none());
        phase.response_ended();
        let start = Instant::now();
        assert_eq!(expired.await, Cut::Idle);
        assert_eq!(start.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_has_the_deadline_of_a_head_again() {
        let phase = PhaseCell::open();
        phase.request_began();
        phase.response_ended();
        tokio::time::advance(IDLE / 2).await;
        phase.bytes_arrived();
        let start = Instant::now();
        assert_eq!(phase.expired(HEAD, IDLE).await, Cut::Head);
        assert_eq!(start.elapsed(), HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn an_upgraded_connection_has_no_deadline_of_ours() {
        let phase = PhaseCell::open();
        phase.request_began();
        phase.upgraded();
        phase.response_ended();
        assert!(tokio::time::timeout(IDLE * 100, phase.expired(HEAD, IDLE)).await.is_err());
    }
}
