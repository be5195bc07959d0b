//! Other targets that are asked too, while the first one has not answered.
//!
//! Always: only what is whole and can be sent again goes to others; each of them is paid for like a retry and finds its
//! place like any request, or is not asked; the first response that is none to be tried again goes on as the exchange, and
//! the others are let go. A target that has failed meanwhile is told so, one that was only slower is not. Not here: which
//! requests (`connection::course`), what follows when all have failed (`connection`).

mod run;

use std::cell::Cell;
use std::mem::swap;
use std::ops::Range;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use novagate_kernel::ErrorCode;
use novagate_policies::{Affinity, CompiledService};
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::{Hedge, Retries};

use self::run::{Answer, Place, Run};
use super::download::Download;
use super::{End, Exchange, Moved};
use crate::deadlines::NEVER;
use crate::generation::Upstream;
use crate::observe::cells::ServiceCells;
use crate::upstream::health::HealthBoard;
use crate::upstream::load::Running;
use crate::upstream::reach::kept;
use crate::upstream::retry::Budget;
use crate::wire::request::replace_authority;

/// How a request may go to other targets too.
#[derive(Debug)]
pub(crate) struct Hedging<'a> {
    pub(crate) rule: &'a Hedge,
    pub(crate) service: &'a CompiledService,
    pub(crate) upstream: &'a Upstream,
    pub(crate) budget: &'a Budget,
    pub(crate) cells: Option<&'a ServiceCells>,
    pub(crate) affinity: Option<Affinity>,
    /// Others that were asked.
    pub(crate) made: Cell<u8>,
}

/// The others of one try.
pub(crate) struct Hedges<'a> {
    how: &'a Hedging<'a>,
    head: &'a [u8],
    /// Where the target's own name stands in the head.
    authority: Option<Range<usize>>,
    /// Targets that are not asked: those of this try and of those before; the first one of this try is `primary`.
    tried: Vec<usize>,
    /// So many of them belong to those before, the first one included.
    earlier: usize,
    primary: usize,
    /// Of each, until its response head.
    head_limit: Duration,
    /// The tick at which the next one is asked; known when the request is whole.
    due: Option<u32>,
    runs: Vec<Run<'a>>,
    /// How the first one has ended, while others go on.
    held: Option<End>,
}

/// The one whose response goes on.
pub(crate) struct Winner {
    pub(crate) candidate: usize,
    pub(crate) running: Running,
    pub(crate) begun: Instant,
}

impl Hedging<'_> {
    fn count(&self, event: UpstreamEvent) {
        if let Some(cells) = self.cells {
            cells.count(event);
        }
    }

    /// A target has failed by itself.
    fn note_failed(&self, at: usize, is_unconnected: bool, board: &HealthBoard) {
        match &self.service.resilience.outlier_detection {
            Some(rule) if self.upstream.note(rule, at, true, board.now_ms()) => self.count(UpstreamEvent::Ejection),
            None if is_unconnected => {
                if let Some(candidate) = self.upstream.targets.get(at) {
                    candidate.state.note_failure(board.now_ms());
                }
            }
            Some(_) | None => {}
        }
    }
}

impl<'a> Hedges<'a> {
    /// Beside the request with this head, which goes to `primary` after `tried`.
    pub(crate) fn new(
        how: &'a Hedging<'a>,
        (head, authority): (&'a [u8], Option<Range<usize>>),
        (primary, tried): (usize, &[usize]),
        head_limit: Duration,
    ) -> Self {
        let earlier = tried.len() + 1;
        let tried = tried.iter().copied().chain([primary]).collect();
        Self { how, head, authority, tried, earlier, primary, head_limit, due: None, runs: Vec::new(), held: None }
    }

    /// Whether another one is asked that may still answer.
    pub(super) fn is_under_way(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Targets that were asked beside the first one.
    pub(crate) fn asked(&self) -> Vec<usize> {
        self.tried.get(self.earlier..).unwrap_or_default().to_vec()
    }

    /// The tick at which something is to be done.
    fn wakes(&self) -> u32 {
        let next = self.due.filter(|_| self.held.is_none()).unwrap_or(NEVER);
        self.runs.iter().map(|run| run.due).fold(next, u32::min)
    }
}

impl<'a> Exchange<'a> {
    /// Both directions, and the others beside them.
    pub(super) fn poll_hedged(&mut self, cx: &mut Context<'_>) -> Result<(Moved, Moved), End> {
        let mut moved = (Moved::No, Moved::No);
        if self.hedges.as_ref().is_some_and(|hedges| hedges.held.is_some()) {
            self.watch_client(cx)?;
        } else {
            match self.poll_directions(cx) {
                Ok(both) => moved = both,
                Err(end) => self.hold(end)?,
            }
        }
        if self.download.has_begun() {
            self.hedges = None;
            return Ok(moved);
        }
        self.ask_next();
        Ok((moved.0, if self.poll_runs(cx)? { Moved::Yes } else { moved.1 }))
    }

    /// Keeps the end of the first one for later, if it is one that others can make good.
    pub(super) fn hold(&mut self, end: End) -> Result<(), End> {
        let is_failure = match end {
            End::Stale | End::Unwanted(_) => true,
            End::Failed(code) => matches!(code, ErrorCode::DownstreamError | ErrorCode::DownstreamTimeout),
            End::Complete { .. } | End::Switched | End::Violated(_) | End::Aborted(_) | End::ClientGone => false,
        };
        let is_early = !self.deadline.has_passed(self.terms.total) && !self.client.ended;
        let hedges = self.hedges.as_mut().filter(|hedges| is_failure && is_early && hedges.is_under_way());
        let Some(hedges) = hedges else { return Err(end) };
        hedges.held = Some(end);
        (self.head_due, self.limit) = (Some(NEVER), self.terms.total);
        Ok(())
    }

    /// Waits for whatever comes first.
    pub(super) fn wait_hedged(&mut self) -> Result<(), End> {
        if self.deadline.has_passed(self.limit) {
            let end = self.overdue();
            self.hold(end)?;
        }
        let wakes = self.hedges.as_ref().map_or(NEVER, |hedges| hedges.wakes());
        self.deadline.set_tick(self.limit.min(wakes));
        Ok(())
    }

    /// Asks another target when it is time to.
    fn ask_next(&mut self) {
        let is_whole = self.upload.is_whole();
        let Some(hedges) = self.hedges.as_mut().filter(|hedges| is_whole && hedges.held.is_none()) else { return };
        let rule = hedges.how.rule;
        let after = || self.deadline.tick_after(rule.delay);
        if !self.deadline.has_passed(*hedges.due.get_or_insert_with(after)) {
            return;
        }
        let is_made = hedges.how.made.get() < rule.max_extra && self.ask_other().is_some();
        let due = if is_made { self.deadline.tick_after(rule.delay) } else { NEVER };
        if let Some(hedges) = &mut self.hedges {
            hedges.due = Some(due);
        }
    }

    /// Asks a target that was not tried; nothing when there is none, or none may be asked.
    fn ask_other(&mut self) -> Option<()> {
        let hedges = self.hedges.as_mut()?;
        let Hedging { service, upstream, budget, .. } = *hedges.how;
        let board = &self.worker.shared.board;
        let at = upstream.pick(service, hedges.how.affinity, || board.now_ms(), &hedges.tried)?;
        let target = &upstream.targets.get(at)?.target;
        let permit = upstream.run(service).ok()?;
        let place = match kept(target, service.protocol, false) {
            Some(conn) => Place::Old(conn),
            None => Place::New(upstream.slot(service).ok()?, upstream.wait(service).ok()?),
        };
        let percent = service.resilience.retries.as_ref().map_or(Retries::USUAL_BUDGET, |rule| rule.budget_percent);
        if !budget.spend(percent, self.deadline.now_ms(), hedges.how.cells, UpstreamEvent::Hedge) {
            if let Place::Old(conn) = place {
                target.put_idle(conn, Instant::now(), &self.worker.buffers);
            }
            return None;
        }
        let mut bytes = hedges.head.to_vec();
        if let Some(authority) = &hedges.authority {
            replace_authority(&mut bytes, &mut authority.clone(), &target.authority);
        }
        bytes.extend_from_slice(self.upload.whole_body());
        let due = self.deadline.tick_after(hedges.head_limit);
        let trailers = self.upload.whole_trailers();
        let limit = hedges.head_limit;
        let conn = run::reach(self.worker, target, service.protocol, limit, place, trailers);
        hedges.runs.push(Run::new(at, Running::at(target), permit, due, bytes, conn));
        hedges.tried.push(at);
        hedges.how.made.set(hedges.how.made.get() + 1);
        Some(())
    }

    /// Lets the others go on; whether something has come of it. When the last of them has failed, the first one's end counts.
    fn poll_runs(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let Some(hedges) = &mut self.hedges else { return Ok(false) };
        let (tries, asks) = (self.terms.tries, self.terms.asks);
        let is_listed = |status: u16| tries.is_some_and(|tries| tries.lists(status));
        let mut at = 0;
        while let Some(run) = hedges.runs.get_mut(at) {
            let answer = match run.poll(cx, self.worker, asks, is_listed) {
                Poll::Pending if !self.deadline.has_passed(run.due) => {
                    at += 1;
                    continue;
                }
                Poll::Pending => Answer::Failed { is_unconnected: false },
                Poll::Ready(answer) => answer,
            };
            let run = hedges.runs.swap_remove(at);
            match answer {
                Answer::Good => {
                    self.go_on_with(run);
                    return Ok(true);
                }
                Answer::Failed { is_unconnected } => {
                    hedges.how.note_failed(run.candidate, is_unconnected, &self.worker.shared.board);
                }
                Answer::NoTls { is_targets } => {
                    hedges.how.count(UpstreamEvent::TlsFailure);
                    if is_targets {
                        hedges.how.note_failed(run.candidate, true, &self.worker.shared.board);
                    }
                }
                Answer::Useless => {}
            }
        }
        match hedges.held.filter(|_| hedges.runs.is_empty()) {
            // Its head is still there.
            Some(End::Unwanted(_)) => hedges.held = None,
            Some(end) => return Err(end),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// The exchange goes on with this one's response, of which nothing was taken.
    fn go_on_with(&mut self, run: Run<'a>) {
        let Some(hedges) = self.hedges.take() else { return };
        let (candidate, begun) = (run.candidate, run.begun);
        let Some((mut conn, running)) = run.into_conn() else { return };
        let is_failure = match hedges.held {
            Some(End::Unwanted(status)) => matches!(status, 502..=504),
            Some(End::Failed(_)) => true,
            _ => false,
        };
        if is_failure {
            hedges.how.note_failed(hedges.primary, false, &self.worker.shared.board);
        }
        hedges.how.count(UpstreamEvent::HedgeWon);
        swap(self.conn, &mut *conn);
        self.download = Download::default();
        self.upload.finish();
        self.quiet.upstream = false;
        self.winner = Some(Box::new(Winner { candidate, running, begun }));
    }
}
