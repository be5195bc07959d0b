//! Where a request goes, and what its targets are told to have done.
//!
//! Always: what a client did is never held against a target. Not here: making the tries (`proxy`).

use std::cell::Cell;
use std::time::{Duration, Instant};

use novagate_framing::BodyKind;
use novagate_kernel::ErrorCode;
use novagate_policies::CompiledService;
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::{LoadBalancing, Protocol, Retries, RetryGround};

use super::answer::micros;
use super::{Connection, Manners};
use crate::admission::Passage;
use crate::deadlines::Deadline;
use crate::exchange::{End, Hedging, Outcome, Winner};
use crate::generation::{Candidate, Generation, Upstream};
use crate::observe::cells::{ServiceCells, add};
use crate::upstream::health::HealthBoard;
use crate::upstream::http2::Fate;
use crate::upstream::load::Running;
use crate::upstream::retry::{Ground, Tries, is_listed};
use crate::upstream::stream::UpstreamConn;

/// How often a request that was not touched is sent again: a server may refuse, or close, what others have just begun.
const UNTOUCHED: u8 = 3;

/// Everything about where a request goes.
pub(super) struct Course<'a> {
    pub(super) generation: &'a Generation,
    pub(super) service: &'a CompiledService,
    pub(super) upstream: &'a Upstream,
    pub(super) passage: &'a mut Passage,
    /// Targets that were tried in vain.
    pub(super) tried: Vec<usize>,
    /// The one other target of a request whose connection could not be made was taken.
    pub(super) is_replaced: bool,
    pub(super) tries: Option<Tries<'a>>,
    /// Where a slow target is not all that is asked.
    pub(super) hedging: Option<Box<Hedging<'a>>>,
    /// Of one try, until its response head.
    pub(super) head_limit: Duration,
    /// The limit is one of a try, its connection included: it runs since then.
    pub(super) begun: Option<Instant>,
    /// The tick at which everything ends.
    pub(super) total: u32,
    /// The client has said so: it may be less than any target can do.
    pub(super) is_clients_total: bool,
    /// An old connection was dead: no other old one is trusted with this request.
    pub(super) wants_fresh: bool,
    /// How often it was sent again because nothing of it was touched.
    pub(super) repeats: u8,
    /// It counts at its target until it is over.
    pub(super) running: Option<Running>,
}

impl Course<'_> {
    /// Takes up what the service says about trying again.
    pub(super) fn prepare_tries(&mut self, head: &[u8], deadline: &Deadline, manners: &Manners) {
        let Some(budget) = &self.upstream.budget else { return };
        if self.passage.websocket.is_some() {
            return;
        }
        budget.note_request(deadline.now_ms());
        let (service, upstream) = (self.service, self.upstream);
        let cells = self.generation.cells.service(self.passage.service);
        if let Some(rule) = service.resilience.hedge.as_ref().filter(|rule| is_listed(&rule.methods, head)) {
            let (affinity, made) = (self.passage.affinity, Cell::new(0));
            self.hedging = Some(Box::new(Hedging { rule, service, upstream, budget, cells, affinity, made }));
        }
        let Some(rule) = &service.resilience.retries else { return };
        let tries = Tries::new(rule, budget, cells, head, self.total);
        if let Some(limit) = tries.limit() {
            let is_whole = matches!(manners.body, BodyKind::None | BodyKind::Length(0));
            self.begun = is_whole.then(Instant::now);
            // What cannot be sent again may take as long as if there were no other try.
            let is_kept = matches!(manners.body, BodyKind::Length(length) if length <= u64::from(rule.max_body));
            if is_whole || is_kept {
                self.head_limit = self.head_limit.min(limit);
            }
        }
        self.tries = Some(tries);
    }

    /// Bytes of the body that are kept: of a request that may be sent twice, or whose target may say that it did nothing
    /// of it.
    pub(super) fn kept_body(&self) -> usize {
        let most = self.service.resilience.retries.as_ref().map_or(Retries::USUALLY_KEPT, |rule| rule.max_body);
        let is_of_use = |tries: &Tries<'_>| tries.is_repeatable() || self.service.protocol == Protocol::Http2;
        let is_kept = self.hedging.is_some() || self.tries.as_ref().is_some_and(is_of_use);
        if is_kept { usize::try_from(most).unwrap_or_default() } else { 0 }
    }

    /// Another target was asked beside the last one, and its response goes on; when that was sent.
    pub(super) fn follow(&mut self, winner: Winner, sent: Instant) -> Instant {
        let Winner { candidate, running, begun } = winner;
        // How slow the last one is will not be known: at least as slow as this.
        if let (LoadBalancing::Latency, Some(slow)) = (&self.service.load_balancing, self.candidate()) {
            let now = Instant::now();
            slow.target.load.note_slower(micros(sent, now), now);
        }
        (self.passage.candidate, self.running) = (candidate, Some(running));
        begun
    }

    fn candidate(&self) -> Option<&Candidate> {
        self.upstream.targets.get(self.passage.candidate)
    }

    /// A try begins.
    pub(super) fn begin_try(&mut self) {
        if let Some(begun) = &mut self.begun {
            *begun = Instant::now();
        }
    }

    /// What is left until the response head, when the request is sent.
    pub(super) fn head_limit_at(&self, sent: Instant) -> Duration {
        self.begun
            .map_or(self.head_limit, |begun| self.head_limit.saturating_sub(sent.saturating_duration_since(begun)))
    }

    /// Whether the request is tried again after this failure.
    pub(super) fn takes(&self, ground: RetryGround, deadline: &Deadline) -> bool {
        self.tries.as_ref().is_some_and(|tries| tries.take(Ground::Failure(ground), deadline))
    }

    /// Whether the request is tried again after it has failed with this code.
    pub(super) fn takes_failed(&self, code: ErrorCode, outcome: &Outcome, deadline: &Deadline) -> bool {
        let grounds =
            [(ErrorCode::DownstreamError, RetryGround::Reset), (ErrorCode::DownstreamTimeout, RetryGround::Timeout)];
        let ground = grounds.into_iter().find_map(|(of, ground)| (of == code).then_some(ground));
        let is_unsent = outcome.fate == Fate::Untouched && code == ErrorCode::DownstreamError;
        outcome.is_replayable
            && ((is_unsent && self.takes(RetryGround::Connect, deadline))
                || ground.is_some_and(|ground| self.takes(ground, deadline)))
    }

    /// Tells apart how a stream has failed. Some times a request that its upstream has not touched is taken for one whose
    /// connection was dead before; one whose stream was reset is not.
    pub(super) fn judge(&self, end: End, outcome: &Outcome) -> End {
        let failed = End::Failed(ErrorCode::DownstreamError);
        match outcome.fate {
            Fate::Untouched if end == failed && outcome.is_replayable && self.repeats < UNTOUCHED => End::Stale,
            Fate::Reset if end == End::Stale => failed,
            Fate::Untouched | Fate::Reset | Fate::Unknown => end,
        }
    }

    /// A try has ended.
    pub(super) fn note_end(&self, end: End, outcome: &Outcome, upstream_us: Option<u32>, at: &Connection) {
        if let (Some(cells), Some(upstream_us)) = (self.cells_if(upstream_us.is_some()), upstream_us) {
            cells.latency.count(upstream_us);
        }
        let candidate = self.upstream.targets.get(self.passage.candidate);
        if let (Some(candidate), Some(upstream_us)) = (candidate, upstream_us)
            && matches!(self.service.load_balancing, LoadBalancing::Latency)
        {
            candidate.target.load.note_latency(upstream_us, Instant::now());
        }
        if self.service.resilience.outlier_detection.is_some() {
            let is_short = self.is_clients_total || self.tries.as_ref().is_some_and(|tries| tries.made() > 0);
            let is_cut = at.deadline.has_passed(self.total) && is_short;
            if let Some(failed) = verdict(end, outcome).filter(|_| !outcome.spares_target && !is_cut) {
                self.note_target(failed, &at.worker.shared.board);
            }
        } else if let (Some(candidate), Some(_)) = (candidate, upstream_us) {
            candidate.state.note_success();
        }
    }

    /// No connection could be made.
    pub(super) fn note_unconnected(&self, board: &HealthBoard) {
        if self.service.resilience.outlier_detection.is_some() {
            self.note_target(true, board);
        } else if let Some(candidate) = self.upstream.targets.get(self.passage.candidate) {
            candidate.state.note_failure(board.now_ms());
        }
    }

    fn note_target(&self, failed: bool, board: &HealthBoard) {
        let Some(rule) = &self.service.resilience.outlier_detection else { return };
        if self.upstream.note(rule, self.passage.candidate, failed, board.now_ms()) {
            self.count(UpstreamEvent::Ejection);
        }
    }

    pub(super) fn count(&self, event: UpstreamEvent) {
        if let Some(cells) = self.cells_if(true) {
            cells.count(event);
        }
    }

    pub(super) fn note_timeout(&self, code: ErrorCode) {
        if let Some(cells) = self.cells_if(code == ErrorCode::DownstreamTimeout) {
            add(&cells.timeouts, 1);
        }
    }

    /// Memory is taken for a service when it first counts.
    fn cells_if(&self, counts: bool) -> Option<&ServiceCells> {
        if counts { self.generation.cells.service(self.passage.service) } else { None }
    }

    pub(super) fn put_idle(&self, conn: Box<UpstreamConn>, now: Instant, connection: &Connection) {
        if let Some(candidate) = self.upstream.targets.get(self.passage.candidate) {
            candidate.target.put_idle(conn, now, &connection.worker.buffers);
        }
    }

    /// Another target for the next try: one that was not tried.
    pub(super) fn untried(&self, board: &HealthBoard) -> Option<usize> {
        self.upstream.pick(self.service, self.passage.affinity, || board.now_ms(), &self.tried)
    }

    /// The same, or when there is none any but the last one.
    pub(super) fn other(&mut self, board: &HealthBoard) -> Option<usize> {
        self.untried(board).or_else(|| {
            self.tried.clear();
            self.tried.push(self.passage.candidate);
            self.untried(board)
        })
    }
}

/// Whether the target has failed; nothing when the end tells nothing about it.
fn verdict(end: End, outcome: &Outcome) -> Option<bool> {
    let is_failure = |status: u16| matches!(status, 502..=504);
    match end {
        End::Complete { .. } | End::Switched => Some(is_failure(outcome.status)),
        End::Unwanted(status) => Some(is_failure(status)),
        End::Failed(code) | End::Aborted(code) => {
            matches!(code, ErrorCode::DownstreamError | ErrorCode::DownstreamTimeout).then_some(true)
        }
        End::ClientGone => outcome.answered.map(|_| is_failure(outcome.status)),
        End::Stale | End::Violated(_) => None,
    }
}
