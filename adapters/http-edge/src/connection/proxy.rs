//! A request that was admitted: to a target, and what becomes of the connections afterwards.
//!
//! Always: a target that cannot be connected to is replaced by one other; what was sent once is sent again only when that
//! cannot be noticed (a request without effects, or nothing of it was sent), because an old connection was dead or because
//! the service says so; nothing of a response that is not the last one reaches the client.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use novagate_kernel::ErrorCode;
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::RetryGround;

use super::answer::upstream_us;
use super::course::Course;
use super::{Connection, Manners, MethodKind, Then};
use crate::admission::{Passage, Request};
use crate::exchange::{Asks, DecodedBody, End, Exchange, Hedges, Outcome, Repeat, RequestBody, Terms, Upload};
use crate::mirror::{MirroredRequest, WaitingCopy};
use crate::refusal::Refusal;
use crate::upstream::connect::{CONNECT_LIMIT, ConnectFault};
use crate::upstream::load::Running;
use crate::upstream::reach::{connect, kept};
use crate::upstream::stream::UpstreamConn;
use crate::wire::request::replace_authority;

/// The one interim response that the gateway gives.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

const CIRCUIT_OPEN: Refusal =
    Refusal { code: ErrorCode::Overloaded, message: "too many requests to the service run already" };

impl Connection {
    /// Sends a request to its service and the response to the client.
    pub(super) async fn proxy(&mut self, request: &Request, passage: &mut Passage, manners: &Manners) -> Then {
        let Some(generation) = &request.generation else { return Then::Close };
        let Some((service, upstream)) = generation.service(passage.service) else { return Then::Close };
        if let Some(most) = passage.max_body {
            self.client.framing.narrow_body(most);
        }
        let head_limit = passage.timeout.unwrap_or(self.worker.shared.settings.timeouts.proxy);
        let (total_timeout, is_clients) = self.total_timeout(passage);
        let total = total_timeout.map_or(u32::MAX, |limit| self.deadline.tick_after(limit));
        let mut course = Course {
            generation,
            service,
            upstream,
            passage,
            tried: Vec::new(),
            is_replaced: false,
            tries: None,
            hedging: None,
            head_limit,
            begun: None,
            total,
            is_clients_total: is_clients,
            wants_fresh: false,
            repeats: 0,
            running: None,
        };
        let Ok(_running) = upstream.run(service) else {
            return self.fail(request, &course, ErrorCode::Overloaded, manners).await;
        };
        course.prepare_tries(&self.drafts.head, &self.deadline, manners);
        let Some(mut body) = self.body(&mut course, manners) else {
            return self.fail(request, &course, ErrorCode::Overloaded, manners).await;
        };
        if manners.expects_continue && self.client.input.is_empty() {
            self.client.output.extend_from_slice(CONTINUE);
        }
        loop {
            let mut conn = match self.obtain(&mut course).await {
                Ok(conn) => conn,
                Err(code) => return self.fail(request, &course, code, manners).await,
            };
            let (sent, end, outcome) = self.exchange(request, &mut course, (&mut conn, &mut body), manners).await;
            let end = course.judge(end, &outcome);
            let upstream_us = upstream_us(sent, &outcome);
            course.note_end(end, &outcome, upstream_us, self);
            match end {
                End::Stale => (course.wants_fresh, course.repeats) = (true, course.repeats + 1),
                End::Unwanted(_) => self.next_try(&mut course, conn).await,
                End::Failed(code) if course.takes_failed(code, &outcome, &self.deadline) => {
                    course.note_timeout(code);
                    self.next_try(&mut course, conn).await;
                }
                End::Failed(code) => return self.fail(request, &course, code, manners).await,
                End::Violated(refusal) => return self.refuse(request, refusal, manners).await,
                End::Complete { .. } | End::Switched | End::Aborted(_) | End::ClientGone => {
                    return self.conclude(request, &mut course, conn, (end, outcome), (manners.started, upstream_us));
                }
            }
        }
    }

    /// How long the whole exchange may take, and whether that is the client's own wish.
    fn total_timeout(&self, passage: &Passage) -> (Option<Duration>, bool) {
        let (ours, call) = (passage.total_timeout, self.client.transport.call());
        match call.and_then(|call| call.timeout) {
            Some(timeout) if ours.is_none_or(|ours| timeout < ours) => (Some(timeout), true),
            _ => (ours, false),
        }
    }

    /// What becomes of both connections when no other answer is to be given.
    fn conclude(
        &mut self,
        request: &Request,
        course: &mut Course<'_>,
        conn: Box<UpstreamConn>,
        (end, outcome): (End, Outcome),
        (started, upstream_us): (Instant, Option<u32>),
    ) -> Then {
        match end {
            End::Complete { upstream_reusable, client_reusable } => {
                if upstream_reusable {
                    course.put_idle(conn, outcome.answered.unwrap_or(started), self);
                }
                self.record(request, started, outcome.status, None, upstream_us);
                self.after_response(client_reusable)
            }
            End::Switched => {
                self.record(request, started, outcome.status, None, upstream_us);
                self.switch(conn, course.passage.websocket.take())
            }
            End::Aborted(code) => {
                course.note_timeout(code);
                self.client.reset();
                self.record(request, started, outcome.status, Some(code), upstream_us);
                Then::Close
            }
            End::ClientGone | End::Stale | End::Unwanted(_) | End::Failed(_) | End::Violated(_) => {
                let code = ErrorCode::ClientClosed;
                self.record(request, started, code.status(), Some(code), upstream_us);
                Then::Close
            }
        }
    }

    /// The body as it goes on, with the mirror's copy that waits for it. Nothing when there is no room for its decoder.
    fn body(&self, course: &mut Course<'_>, manners: &Manners) -> Option<RequestBody> {
        let copy = self.copy(course.passage, manners);
        match course.passage.decoding {
            None => Some(RequestBody::new(manners.body, course.kept_body(), copy)),
            // What is decoded on its way is not there to be copied.
            Some(decoding) => DecodedBody::new(manners.body, decoding, &self.worker).map(RequestBody::decoded),
        }
    }

    /// A copy for the mirror, if there is to be one.
    fn copy(&self, passage: &mut Passage, manners: &Manners) -> Option<Box<WaitingCopy>> {
        let to = passage.mirror.take()?;
        let mut head = self.drafts.head.clone();
        if let Some(place) = &passage.authority {
            replace_authority(&mut head, &mut place.clone(), &to.target.authority);
        }
        let asks_head_only = manners.method == MethodKind::Head;
        let copy = MirroredRequest { to: *to, head, asks_head_only, trailers: None };
        Some(Box::new(WaitingCopy::new(copy, &self.worker)))
    }

    async fn exchange(
        &mut self,
        request: &Request,
        course: &mut Course<'_>,
        (conn, body): (&mut UpstreamConn, &mut RequestBody),
        manners: &Manners,
    ) -> (Instant, End, Outcome) {
        let sent = Instant::now();
        let terms = Terms {
            asks: match manners.method {
                MethodKind::Head => Asks::HeadOnly,
                MethodKind::Idempotent if course.passage.websocket.is_some() => Asks::WebSocket,
                MethodKind::Idempotent | MethodKind::Other => Asks::Response,
            },
            is_http_10: manners.is_http_10(),
            close: manners.close,
            request_id_line: request.tag.line(),
            extra: &self.drafts.extra,
            head_limit: course.head_limit_at(sent),
            total: course.total,
            tries: course.tries.as_ref(),
            compression: course.passage.compression.as_ref(),
        };
        let repeat = match (conn.reused, manners.method) {
            (false, _) => Repeat::Never,
            (true, MethodKind::Other) => Repeat::IfUnsent,
            (true, MethodKind::Head | MethodKind::Idempotent) => Repeat::Freely,
        };
        let upload = Upload::new(&self.drafts.head, body, repeat);
        let hedges = course.hedging.as_deref().map(|hedging| {
            let head = (&*self.drafts.head, course.passage.authority.clone());
            Box::new(Hedges::new(hedging, head, (course.passage.candidate, &course.tried), course.head_limit))
        });
        let mut exchange = Exchange::new(&self.worker, &mut self.client, conn, &self.deadline, terms, (upload, hedges));
        let end = (&mut exchange).await;
        let (outcome, winner) = (exchange.outcome, exchange.winner.take());
        let asked = exchange.hedges.as_ref().map_or_else(Vec::new, |hedges| hedges.asked());
        drop(exchange);
        course.tried.extend(asked);
        (winner.map_or(sent, |winner| course.follow(*winner, sent)), end, outcome)
    }

    /// A connection to the chosen target, or to another one when that cannot be reached.
    async fn obtain(&mut self, course: &mut Course<'_>) -> Result<Box<UpstreamConn>, ErrorCode> {
        loop {
            let candidate = course.upstream.targets.get(course.passage.candidate).ok_or(ErrorCode::NoHealthyTargets)?;
            course.running = Some(Running::at(&candidate.target));
            course.begin_try();
            let protocol = course.service.protocol;
            if let Some(conn) = kept(&candidate.target, protocol, course.wants_fresh) {
                return Ok(conn);
            }
            let longest = course.head_limit.min(CONNECT_LIMIT);
            let left = self.deadline.until(course.total);
            let slot = course.upstream.slot(course.service).map_err(|_open| ErrorCode::Overloaded)?;
            let connected = {
                let _waits = course.upstream.wait(course.service).map_err(|_open| ErrorCode::Overloaded)?;
                connect(&self.worker, &candidate.target, protocol, longest.min(left)).await
            };
            let fault = match connected {
                Ok(mut conn) => {
                    conn.slot = slot;
                    return Ok(conn);
                }
                Err(fault) => fault,
            };
            if matches!(fault, ConnectFault::NotAgreed | ConnectFault::NoTls) {
                course.count(UpstreamEvent::TlsFailure);
            }
            // It is not the target that has failed, and no other one would do better.
            if fault == ConnectFault::NoTls {
                return Err(code_of(fault));
            }
            // What was given less time than usual has not failed by itself.
            if fault != ConnectFault::TimedOut || longest <= left {
                course.note_unconnected(&self.worker.shared.board);
            }
            if !self.replace(course).await {
                return Err(code_of(fault));
            }
        }
    }

    /// Turns away from a target that could not be connected to; false when that is the end. Nothing was sent, so one other
    /// target costs nobody anything; whatever is more is a retry.
    async fn replace(&mut self, course: &mut Course<'_>) -> bool {
        course.tried.push(course.passage.candidate);
        let other = course.untried(&self.worker.shared.board);
        let is_free = other.is_some() && !std::mem::replace(&mut course.is_replaced, true);
        if !is_free && !course.takes(RetryGround::Connect, &self.deadline) {
            return false;
        }
        match other {
            Some(other) => self.turn_to(course, other),
            None => self.pause_and_turn(course).await,
        }
        true
    }

    /// Prepares another try after one that has reached its target.
    async fn next_try(&mut self, course: &mut Course<'_>, conn: Box<UpstreamConn>) {
        // What may still come on it belongs to nobody.
        drop(conn);
        course.tried.push(course.passage.candidate);
        self.pause_and_turn(course).await;
    }

    /// Waits a moment and turns to the best target for another try: one that was not tried, else any, else the same.
    async fn pause_and_turn(&mut self, course: &mut Course<'_>) {
        let random = u64::from_ne_bytes(self.worker.shared.entropy.bytes());
        let pause = course.tries.as_ref().map_or(Duration::ZERO, |tries| tries.pause(random));
        // The target is not busy with what waits here.
        course.running = None;
        self.deadline.set(pause);
        poll_fn(|_cx| if self.deadline.is_over() { Poll::Ready(()) } else { Poll::Pending }).await;
        if let Some(other) = course.other(&self.worker.shared.board) {
            self.turn_to(course, other);
        }
    }

    fn turn_to(&mut self, course: &mut Course<'_>, other: usize) {
        course.passage.candidate = other;
        if let Some(next) = course.upstream.targets.get(other)
            && let Some(place) = &mut course.passage.authority
        {
            replace_authority(&mut self.drafts.head, place, &next.target.authority);
        }
    }

    /// Tells the client that the exchange has failed.
    async fn fail(&mut self, request: &Request, course: &Course<'_>, code: ErrorCode, manners: &Manners) -> Then {
        course.note_timeout(code);
        if code == ErrorCode::Overloaded {
            course.count(UpstreamEvent::CircuitOpen);
            return self.refuse(request, CIRCUIT_OPEN, manners).await;
        }
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

const fn code_of(fault: ConnectFault) -> ErrorCode {
    match fault {
        ConnectFault::TimedOut => ErrorCode::DownstreamTimeout,
        ConnectFault::Unreachable
        | ConnectFault::Unresolved
        | ConnectFault::NotAgreed
        | ConnectFault::NoTls
        | ConnectFault::Denied => ErrorCode::DownstreamError,
    }
}
