//! Whether a request that has failed is tried again.
//!
//! Always: asked before anything is lost, so that the original failure can still be told; every retry is taken out of its
//! service's budget, and one that the budget does not allow is counted. Not here: whether bytes of the request can be sent
//! again (`exchange`), making the next try (`connection`).

use std::cell::{Cell, RefCell};
use std::time::Duration;

use novagate_policies::{RetryBudget, longest_retry_pause, retry_pause};
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::{Retries, RetryGround};

use crate::deadlines::Deadline;
use crate::observe::cells::ServiceCells;

/// The budget of one worker for one service.
#[derive(Debug)]
pub(crate) struct Budget {
    spent: RefCell<RetryBudget>,
    /// Workers of the gateway, which have as many budgets.
    workers: usize,
}

/// Why a request would be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// There was no response.
    Failure(RetryGround),
    /// The upstream has answered so.
    Status(u16),
}

/// The tries that a request may make.
#[derive(Debug)]
pub(crate) struct Tries<'a> {
    rule: &'a Retries,
    budget: &'a Budget,
    cells: Option<&'a ServiceCells>,
    /// Sending it more than once does what sending it once does.
    is_repeatable: bool,
    /// The tick at which everything ends.
    total: u32,
    made: Cell<u8>,
}

impl Budget {
    pub(crate) fn new(workers: usize) -> Self {
        Self { spent: RefCell::default(), workers }
    }
}

impl<'a> Tries<'a> {
    /// For a request that begins; `head` is the one that was written for the upstream.
    pub(crate) fn new(
        rule: &'a Retries,
        budget: &'a Budget,
        cells: Option<&'a ServiceCells>,
        head: &[u8],
        deadline: &Deadline,
        total: u32,
    ) -> Self {
        budget.spent.borrow_mut().note_request(deadline.now_ms());
        let is_of = |method: &http::Method| {
            head.strip_prefix(method.as_str().as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
        };
        let is_repeatable = rule.methods.iter().any(is_of);
        Self { rule, budget, cells, is_repeatable, total, made: Cell::new(0) }
    }

    /// Whether sending it more than once does what sending it once does.
    pub(crate) const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// How long one try may take until its response head.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.rule.per_try_timeout.filter(|_| self.is_repeatable)
    }

    /// Further tries that were made.
    pub(crate) const fn made(&self) -> u8 {
        self.made.get()
    }

    /// Whether the request is tried again for this reason; then it is paid for, and the try is to be made.
    pub(crate) fn take(&self, ground: Ground, deadline: &Deadline) -> bool {
        let is_wanted = match ground {
            // Nothing was sent, so any request will do.
            Ground::Failure(RetryGround::Connect) => self.rule.on.contains(&RetryGround::Connect),
            Ground::Failure(ground) => self.is_repeatable && self.rule.on.contains(&ground),
            Ground::Status(status) => self.is_repeatable && self.rule.statuses.contains(&status),
        };
        let made = self.made.get();
        let is_early = deadline.tick_after(longest_retry_pause(made)) < self.total;
        if !is_wanted || made >= self.rule.attempts || !is_early {
            return false;
        }
        let mut spent = self.budget.spent.borrow_mut();
        let is_affordable = spent.spend(deadline.now_ms(), self.rule.budget_percent, self.budget.workers);
        let event = if is_affordable { UpstreamEvent::Retry } else { UpstreamEvent::RetryOverBudget };
        if let Some(cells) = self.cells {
            cells.count(event);
        }
        self.made.set(made + u8::from(is_affordable));
        is_affordable
    }

    /// How long to wait before the try that was taken.
    pub(crate) fn pause(&self, entropy: u64) -> Duration {
        retry_pause(self.made.get().saturating_sub(1), entropy)
    }
}
