//! A request that was admitted: to a target, and what becomes of the connections afterwards.
//!
//! Always: a target that cannot be connected to is replaced by one other; what was sent once is sent again only when that
//! cannot be noticed (a request without effects, or nothing of it was sent) and only because an old connection was dead.

use std::time::{Duration, Instant};

use novagate_kernel::ErrorCode;
use novagate_policies::CompiledService;
use novagate_routing::LoadBalancing;

use super::answer::upstream_us;
use super::{Connection, Manners, MethodKind, Then};
use crate::admission::{Passage, Request};
use crate::exchange::{Asks, End, Exchange, Outcome, Repeat, Terms, Upload};
use crate::generation::{Generation, Upstream};
use crate::mirror::Copy;
use crate::observe::cells::add;
use crate::refusal::Refusal;
use crate::upstream::connect::ConnectFault;
use crate::upstream::load::Running;
use crate::upstream::stream::UpstreamConn;
use crate::wire::request::replace_authority;

/// The one interim response that the gateway gives.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Everything about where a request goes.
struct Course<'a> {
    generation: &'a Generation,
    service: &'a CompiledService,
    upstream: &'a Upstream,
    passage: Passage,
    /// The target that could not be connected to.
    failed: Option<usize>,
    head_limit: Duration,
    /// An old connection was dead: no other old one is trusted with this request.
    wants_fresh: bool,
    /// It counts at its target until it is over.
    running: Option<Running>,
}

impl Connection {
    /// Sends a request to its service and the response to the client.
    pub(super) async fn proxy(&mut self, request: Request, mut passage: Passage, manners: &Manners) -> Then {
        self.copy(&mut passage, manners);
        let Some(generation) = request.generation.clone() else { return Then::Close };
        let Some((service, upstream)) = generation.service(passage.service) else { return Then::Close };
        if let Some(most) = passage.max_body {
            self.client.framing.narrow_body(most);
        }
        let head_limit = passage.timeout.unwrap_or(self.worker.shared.settings.timeouts.proxy);
        let total = passage.total_timeout.map_or(u32::MAX, |limit| self.deadline.tick_after(limit));
        let (failed, wants_fresh, running) = (None, false, None);
        let generation = &*generation;
        let mut course = Course { generation, service, upstream, passage, failed, head_limit, wants_fresh, running };
        if manners.expects_continue && self.client.input.is_empty() {
            self.client.output.extend_from_slice(CONTINUE);
        }
        loop {
            let mut conn = match self.obtain(&mut course).await {
                Ok(conn) => conn,
                Err(code) => return self.fail(&request, &course, code, manners).await,
            };
            let sent = Instant::now();
            let (end, outcome) = self.exchange(&request, &course, &mut conn, manners, total).await;
            let upstream_us = upstream_us(sent, &outcome);
            course.note_upstream(upstream_us);
            match end {
                End::Stale => course.wants_fresh = true,
                End::Complete { upstream_reusable, client_reusable } => {
                    if upstream_reusable {
                        course.put_idle(conn, outcome.answered.unwrap_or(sent), self);
                    }
                    self.record(&request, manners.started, outcome.status, None, upstream_us);
                    return self.after_response(client_reusable);
                }
                End::Switched => {
                    self.record(&request, manners.started, outcome.status, None, upstream_us);
                    return self.switch(conn, course.passage.websocket);
                }
                End::Failed(code) => return self.fail(&request, &course, code, manners).await,
                End::Violated(violation) => return self.refuse(&request, Refusal::broken(violation), manners).await,
                End::Aborted(code) => {
                    course.note_timeout(code);
                    self.client.reset();
                    self.record(&request, manners.started, outcome.status, Some(code), upstream_us);
                    return Then::Close;
                }
                End::ClientGone => {
                    let code = ErrorCode::ClientClosed;
                    self.record(&request, manners.started, code.status(), Some(code), upstream_us);
                    return Then::Close;
                }
            }
        }
    }

    /// Sends a copy to the mirror, if there is to be one.
    fn copy(&self, passage: &mut Passage, manners: &Manners) {
        let Some((target, limit)) = passage.mirror.take() else { return };
        let mut head = self.drafts.head.clone();
        if let Some(place) = &passage.authority {
            replace_authority(&mut head, &mut place.clone(), &target.authority);
        }
        let copy = Copy { target, head, asks_head_only: manners.method == MethodKind::Head, limit };
        copy.send(&self.worker, manners.body, self.client.input.unread());
    }

    async fn exchange(
        &mut self,
        request: &Request,
        course: &Course<'_>,
        conn: &mut UpstreamConn,
        manners: &Manners,
        total: u32,
    ) -> (End, Outcome) {
        let terms = Terms {
            asks: match manners.method {
                MethodKind::Head => Asks::HeadOnly,
                MethodKind::Idempotent if course.passage.websocket.is_some() => Asks::WebSocket,
                MethodKind::Idempotent | MethodKind::Other => Asks::Response,
            },
            is_http_10: manners.is_http_10(),
            close: manners.close,
            request_id: request.tag.as_bytes(),
            extra: &self.drafts.extra,
            head_limit: course.head_limit,
            total,
        };
        let repeat = match (conn.reused, manners.method) {
            (false, _) => Repeat::Never,
            (true, MethodKind::Other) => Repeat::IfUnsent,
            (true, MethodKind::Head | MethodKind::Idempotent) => Repeat::Freely,
        };
        let upload = Upload::new(&self.drafts.head, manners.body, repeat);
        let mut exchange = Exchange::new(&self.worker, &mut self.client, conn, &self.deadline, terms, upload);
        let end = (&mut exchange).await;
        (end, exchange.outcome)
    }

    /// A connection to the chosen target, or to one other when that cannot be reached.
    async fn obtain(&mut self, course: &mut Course<'_>) -> Result<UpstreamConn, ErrorCode> {
        loop {
            let candidate = course.upstream.targets.get(course.passage.candidate).ok_or(ErrorCode::NoHealthyTargets)?;
            course.running = Some(Running::at(&candidate.target));
            if !course.wants_fresh
                && let Some(conn) = candidate.target.take_idle()
            {
                return Ok(conn);
            }
            let fault = match self.worker.shared.connector.connect(&candidate.target, course.head_limit).await {
                Ok(conn) => return Ok(conn),
                Err(fault) => fault,
            };
            let board = &self.worker.shared.board;
            candidate.state.note_failure(board.now_ms());
            let (tried, affinity) = (course.passage.candidate, course.passage.affinity);
            let other = match course.failed {
                None => course.upstream.pick(course.service, affinity, || board.now_ms(), Some(tried)),
                Some(_) => None,
            };
            let Some(other) = other else { return Err(code_of(fault)) };
            course.failed = Some(course.passage.candidate);
            course.passage.candidate = other;
            if let Some(next) = course.upstream.targets.get(other)
                && let Some(place) = &mut course.passage.authority
            {
                replace_authority(&mut self.drafts.head, place, &next.target.authority);
            }
        }
    }

    /// Tells the client that the exchange has failed.
    async fn fail(&mut self, request: &Request, course: &Course<'_>, code: ErrorCode, manners: &Manners) -> Then {
        course.note_timeout(code);
        self.refuse(request, Refusal::of(code), manners).await
    }

    fn after_response(&self, reusable: bool) -> Then {
        let is_between = self.client.framing.position() != novagate_framing::Position::Body;
        match (reusable, is_between && self.client.input.is_empty()) {
            (true, _) => Then::Next,
            (false, true) => Then::Close,
            (false, false) => Then::Linger,
        }
    }
}

impl Course<'_> {
    fn note_upstream(&self, upstream_us: Option<u32>) {
        let Some(upstream_us) = upstream_us else { return };
        if let Some(candidate) = self.upstream.targets.get(self.passage.candidate) {
            candidate.state.note_success();
            if matches!(self.service.load_balancing, LoadBalancing::Latency) {
                candidate.target.load.note_latency(upstream_us, Instant::now());
            }
        }
        if let Some(cells) = self.generation.cells.service(self.passage.service) {
            cells.latency.count(upstream_us);
        }
    }

    fn note_timeout(&self, code: ErrorCode) {
        if code == ErrorCode::DownstreamTimeout
            && let Some(cells) = self.generation.cells.service(self.passage.service)
        {
            add(&cells.timeouts, 1);
        }
    }

    fn put_idle(&self, conn: UpstreamConn, now: Instant, connection: &Connection) {
        if let Some(candidate) = self.upstream.targets.get(self.passage.candidate) {
            candidate.target.put_idle(conn, now, &connection.worker.buffers);
        }
    }
}

const fn code_of(fault: ConnectFault) -> ErrorCode {
    match fault {
        ConnectFault::TimedOut => ErrorCode::DownstreamTimeout,
        ConnectFault::Unreachable | ConnectFault::Unresolved | ConnectFault::Denied => ErrorCode::DownstreamError,
    }
}
