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

    /// A request begins.
    pub(crate) fn note_request(&self, now_ms: u64) {
        self.spent.borrow_mut().note_request(now_ms);
    }

    /// Takes a further try out of it, and counts that or that there is none left.
    pub(crate) fn spend(&self, percent: u8, now_ms: u64, cells: Option<&ServiceCells>, event: UpstreamEvent) -> bool {
        let is_affordable = self.spent.borrow_mut().spend(now_ms, percent, self.workers);
        if let Some(cells) = cells {
            cells.count(if is_affordable { event } else { UpstreamEvent::RetryOverBudget });
        }
        is_affordable
    }
}

impl<'a> Tries<'a> {
    /// For a request that begins; `head` is the one that was written for the upstream.
    pub(crate) fn new(
        rule: &'a Retries,
        budget: &'a Budget,
        cells: Option<&'a ServiceCells>,
        head: &[u8],
        total: u32,
    ) -> Self {
        let is_repeatable = is_listed(&rule.methods, head);
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
        let (percent, now_ms) = (self.rule.budget_percent, deadline.now_ms());
        let is_affordable = self.budget.spend(percent, now_ms, self.cells, UpstreamEvent::Retry);
        self.made.set(made + u8::from(is_affordable));
        is_affordable
    }

    /// Whether it would be tried again after this status.
    pub(crate) fn lists(&self, status: u16) -> bool {
        self.is_repeatable && self.rule.statuses.contains(&status)
    }

    /// How long to wait before the try that was taken.
    pub(crate) fn pause(&self, entropy: u64) -> Duration {
        retry_pause(self.made.get().saturating_sub(1), entropy)
    }
}

/// Whether the method of this head is one of these.
pub(crate) fn is_listed(methods: &[http::Method], head: &[u8]) -> bool {
    let is_of = |method: &http::Method| {
        head.strip_prefix(method.as_str().as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
    };
    methods.iter().any(is_of)
}
