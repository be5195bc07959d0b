//! Answers of the gateway's own on a connection, and the record that each request leaves.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use novagate_framing::{BodyKind, Position, Step};
use novagate_kernel::ErrorCode;
use novagate_records::{MethodLabel, NO_INDEX, RequestRecord};
use novagate_routing::RedirectStatus;

use super::{Connection, DRAINED_BODY, LINGER, LINGER_BYTES, Manners, MethodKind, Then};
use crate::admission::Request;
use crate::exchange::Outcome;
use crate::grpc::write_refusal;
use crate::refusal::{Answer, Manner, Refusal};

impl Connection {
    /// Refuses a request whose head was read. Its body is read to its end when it is short, so that the connection stays.
    pub(super) async fn refuse(&mut self, request: &Request, refusal: Refusal, manners: &Manners) -> Then {
        self.answer(request, Answer::Refusal(refusal), manners).await
    }

    /// Tells the client to go where the draft of the head says.
    pub(super) async fn redirect(&mut self, request: &Request, status: RedirectStatus, manners: &Manners) -> Then {
        self.drafts.extra.append(&mut self.drafts.head);
        self.answer(request, Answer::Redirect(status), manners).await
    }

    async fn answer(&mut self, request: &Request, answer: Answer, manners: &Manners) -> Then {
        let position = self.client.framing.position();
        let (in_body, is_broken) = (position == Position::Body, matches!(position, Position::Failed(_)));
        let is_short = matches!(manners.body, BodyKind::Length(length) if length <= DRAINED_BODY);
        let drains = in_body && is_short && !manners.expects_continue;
        let must_close = is_broken || (in_body && !drains);
        let close = must_close || manners.close || self.worker.draining.get() || self.client.ended;
        let manner = Manner {
            request_id: request.tag.as_bytes(),
            date: &self.worker.date.get(),
            extra: &self.drafts.extra,
            without_body: manners.method == MethodKind::Head,
            close,
            say_keep_alive: manners.is_http_10(),
        };
        match answer {
            Answer::Refusal(refusal) if self.client.transport.call().is_some() => {
                write_refusal(&mut self.client.output, refusal, &manner);
            }
            Answer::Refusal(_) | Answer::Redirect(_) => answer.write(&mut self.client.output, &manner),
        }
        let sent = self.flush().await;
        self.record(request, manners.started, answer.status(), answer.code(), None);
        if !sent {
            return Then::Close;
        }
        if close {
            return if in_body || is_broken || !self.client.input.is_empty() { Then::Linger } else { Then::Close };
        }
        if drains && !self.drain_body().await { Then::Close } else { Then::Next }
    }

    /// Refuses what could not be read as a request.
    pub(super) async fn refuse_unread(&mut self, refusal: Refusal) -> Then {
        let started = Instant::now();
        let request = self.unknown_request();
        let manner = Manner {
            request_id: request.tag.as_bytes(),
            date: &self.worker.date.get(),
            extra: b"",
            without_body: false,
            close: true,
            say_keep_alive: false,
        };
        if self.client.transport.call().is_some() {
            write_refusal(&mut self.client.output, refusal, &manner);
        } else {
            Answer::Refusal(refusal).write(&mut self.client.output, &manner);
        }
        let sent = self.flush().await;
        self.record(&request, started, refusal.code.status(), Some(refusal.code), None);
        if sent { Then::Linger } else { Then::Close }
    }

    /// A request of which nothing is known.
    pub(super) fn unknown_request(&self) -> Request {
        Request {
            tag: self.worker.tags.borrow_mut().next(),
            at: self.worker.shared.clock.now(),
            method: MethodLabel::Other,
            generation: self.worker.generation(),
            route: NO_INDEX,
            service: NO_INDEX,
            consumer: None,
        }
    }

    /// Leaves the record of a request and counts it.
    pub(super) fn record(
        &self,
        request: &Request,
        started: Instant,
        status: u16,
        code: Option<ErrorCode>,
        upstream_us: Option<u32>,
    ) {
        let latency_us = micros(started, Instant::now());
        let generation = request.generation.as_ref();
        let cells = generation.and_then(|generation| generation.cells.route(request.route));
        cells.unwrap_or(&self.worker.cells.unmatched).count(request.method, status, latency_us);
        self.worker.records.push(RequestRecord {
            at: request.at,
            request_id: request.tag.id,
            consumer: request.consumer,
            table: generation.map_or(0, |generation| generation.live.table),
            route: request.route,
            service: request.service,
            latency_us,
            upstream_us: upstream_us.unwrap_or(NO_INDEX),
            status,
            method: request.method,
            code,
        });
    }

    /// Sends everything that is to be sent; false when the client does not take it.
    pub(super) async fn flush(&mut self) -> bool {
        let limit = self.worker.shared.settings.timeouts.body_idle;
        self.deadline.set(limit);
        poll_fn(|cx| {
            while self.client.has_output() {
                match self.client.poll_send(cx, b"") {
                    Poll::Ready(Ok(_)) => self.deadline.set(limit),
                    Poll::Ready(Err(_reset)) => return Poll::Ready(false),
                    Poll::Pending if self.deadline.is_over() => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Reads the rest of a body and drops it; false when it does not come or breaks a rule.
    async fn drain_body(&mut self) -> bool {
        let limit = self.worker.shared.settings.timeouts.body_idle;
        self.deadline.set(limit);
        poll_fn(|cx| {
            while self.client.framing.position() == Position::Body {
                match self.client.framing.feed(self.client.input.unread()) {
                    Step::Body { consumed } | Step::EndOfMessage { consumed } => {
                        self.client.input.consume(consumed);
                        continue;
                    }
                    Step::NeedMore => {}
                    Step::Head(_) | Step::Closed | Step::Violation(_) => return Poll::Ready(false),
                }
                match self.client.poll_fill(cx, &self.worker.buffers) {
                    Poll::Ready(Ok(count)) if count > 0 => self.deadline.set(limit),
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending if self.deadline.is_over() => return Poll::Ready(false),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Goes on reading for a moment after the last answer: a connection closed with unread bytes is reset, and the client
    /// would lose the answer with it.
    pub(super) async fn linger(&mut self) {
        self.deadline.set(LINGER);
        let said = poll_fn(|cx| match self.client.transport.poll_shutdown(cx) {
            Poll::Pending if !self.deadline.is_over() => Poll::Pending,
            said @ (Poll::Ready(_) | Poll::Pending) => Poll::Ready(matches!(said, Poll::Ready(Ok(())))),
        });
        if !said.await {
            return;
        }
        let mut left = LINGER_BYTES;
        poll_fn(|cx| {
            loop {
                let unread = self.client.input.unread().len();
                self.client.input.consume(unread);
                match self.client.poll_fill(cx, &self.worker.buffers) {
                    Poll::Ready(Ok(count)) if count > 0 && count < left => left -= count,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if self.deadline.is_over() => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }
}

/// Microseconds between two instants; saturates.
pub(super) fn micros(from: Instant, to: Instant) -> u32 {
    let passed = to.saturating_duration_since(from);
    let micros = passed.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(passed.subsec_micros()));
    u32::try_from(micros).unwrap_or(u32::MAX - 1)
}

/// How long the upstream took until its head.
pub(super) fn upstream_us(sent: Instant, outcome: &Outcome) -> Option<u32> {
    outcome.answered.map(|answered| micros(sent, answered))
}
