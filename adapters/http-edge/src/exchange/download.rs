//! From the upstream to the client: the head, written anew, then the body.
//!
//! Always: the client gets the end of a response only when the upstream has given it; a body of known length goes on as it
//! is, any other one in chunks (or until the close, for HTTP/1.0).

use std::task::{Context, Poll};
use std::time::Instant;

use novagate_kernel::ErrorCode;

use super::encoding::Encoding;
use super::{Asks, End, Exchange, Moved};
use crate::wire::chunks::{ChunkDecoder, LAST_CHUNK, Part, push_chunk};
use crate::wire::fields::Fields;
use crate::wire::names::FieldName;
use crate::wire::response::{Additions, BodyLength, MAX_RESPONSE_HEAD, ResponseHead, ResponseParser, write_head};
use crate::wire::websocket;

/// The rest of a body of known length is copied when it has come as a whole and is not longer than this.
const COPIED: u64 = 1024;

/// The response on its way.
#[derive(Debug, Default)]
pub(crate) struct Download {
    pub(super) phase: Phase,
    /// What is put on the content.
    pub(super) encoding: Option<Box<Encoding>>,
    parser: ResponseParser,
    /// Something of a response has come.
    has_heard: bool,
    /// Bytes at the front of the upstream's buffer that go as they are.
    direct: usize,
    keeps_upstream: bool,
    closes_client: bool,
}

#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Head,
    /// Bytes that are still to come, those in `direct` included.
    Known(u64),
    Chunked {
        decoder: ChunkDecoder,
        trailers: Vec<u8>,
    },
    UntilClose,
    Ended,
    /// What follows is none of a response.
    Switched,
}

impl Download {
    /// Something was, or is about to be, sent to the client.
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.phase, Phase::Head)
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Switched) && self.direct == 0
    }

    pub(super) const fn has_switched(&self) -> bool {
        matches!(self.phase, Phase::Switched)
    }

    pub(super) const fn has_direct(&self) -> bool {
        self.direct > 0
    }

    pub(super) const fn keeps_upstream(&self) -> bool {
        self.keeps_upstream
    }

    pub(super) const fn closes_client(&self) -> bool {
        self.closes_client
    }
}

impl Exchange<'_> {
    /// Sends what there is, and receives more when there is nothing.
    pub(super) fn poll_download(&mut self, cx: &mut Context<'_>) -> Result<Moved, End> {
        let mut moved = Moved::No;
        loop {
            while self.client.has_output() || self.download.has_direct() {
                let direct = self.conn.input.unread().get(..self.download.direct).unwrap_or_default();
                match self.client.poll_send(cx, direct) {
                    Poll::Ready(Ok(of_direct)) => self.direct_sent(of_direct),
                    Poll::Ready(Err(_reset)) => return Err(End::ClientGone),
                    Poll::Pending => return Ok(moved),
                }
                moved = Moved::Yes;
            }
            if self.download.has_ended() {
                return Ok(moved);
            }
            let began = self.download.has_begun();
            if self.take_received()? {
                // What has come of the body with its head leaves with its head.
                if !began && self.download.has_begun() {
                    self.take_received().map_err(|end| self.take_back(end))?;
                }
                moved = Moved::Yes;
                continue;
            }
            if self.conn.input.is_full() && !self.conn.input.grow(MAX_RESPONSE_HEAD) {
                return Err(self.invalid());
            }
            match self.poll_upstream(cx) {
                Poll::Ready(Ok(0)) => self.on_upstream_end()?,
                Poll::Ready(Ok(_)) => self.download.has_heard = true,
                Poll::Ready(Err(_reset)) => return Err(self.lost()),
                Poll::Pending if self.flush_encoded()? => {}
                Poll::Pending => return Ok(moved),
            }
            moved = Moved::Yes;
        }
    }

    /// A body that is broken where it begins: nothing of the response has left, and what was before it has, so the client can
    /// be told.
    #[cold]
    fn take_back(&mut self, end: End) -> End {
        self.client.output.clear();
        if let End::Aborted(code) = end { End::Failed(code) } else { end }
    }

    fn direct_sent(&mut self, count: usize) {
        self.conn.input.consume(count);
        self.download.direct -= count.min(self.download.direct);
        if let Phase::Known(left) = &mut self.download.phase {
            *left = left.saturating_sub(count as u64);
            if *left == 0 {
                self.download.phase = Phase::Ended;
            }
        }
    }

    /// Makes output of what was received; false when that takes more.
    fn take_received(&mut self) -> Result<bool, End> {
        if self.download.encoding.is_some() {
            return self.take_encoded();
        }
        let received = self.conn.input.unread();
        if received.is_empty() {
            return Ok(false);
        }
        match &mut self.download.phase {
            Phase::Head => return self.take_head(),
            // Copying little costs less than sending from two places.
            Phase::Known(left) if *left <= COPIED && received.len() as u64 >= *left => {
                let count = usize::try_from(*left).unwrap_or(received.len());
                self.client.output.extend_from_slice(received.get(..count).unwrap_or_default());
                self.conn.input.consume(count);
                self.download.phase = Phase::Ended;
                self.pass_trailers();
            }
            Phase::Known(left) => {
                self.download.direct = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
                if self.download.direct as u64 == *left {
                    self.pass_trailers();
                }
            }
            Phase::UntilClose if !self.terms.is_http_10 => {
                push_chunk(&mut self.client.output, received);
                let count = received.len();
                self.conn.input.consume(count);
            }
            Phase::UntilClose => self.download.direct = received.len(),
            Phase::Chunked { decoder, trailers } => {
                let (output, in_chunks) = (&mut self.client.output, !self.terms.is_http_10);
                let decoded = decoder.decode(received, |part| match part {
                    Part::Data(data) if in_chunks => push_chunk(output, data),
                    Part::Data(data) => output.extend_from_slice(data),
                    Part::Trailer(line) => keep_trailer(trailers, line),
                });
                let decoded = decoded.map_err(|_bad| End::Aborted(ErrorCode::DownstreamError))?;
                if decoded.ended {
                    let trailers = std::mem::take(trailers);
                    self.end_chunks(&trailers)?;
                }
                self.conn.input.consume(decoded.consumed);
                return Ok(decoded.consumed > 0);
            }
            Phase::Ended | Phase::Switched => return Ok(false),
        }
        Ok(true)
    }

    /// Hands on what stands behind a body of known length, before its last bytes go.
    pub(super) fn pass_trailers(&mut self) {
        if let Some(trailers) = self.conn.transport.take_trailers() {
            self.client.transport.trail(trailers);
        }
    }

    pub(super) fn end_chunks(&mut self, trailers: &[u8]) -> Result<(), End> {
        self.end_encoded()?;
        if !self.terms.is_http_10 {
            for part in [LAST_CHUNK, trailers, b"\r\n"] {
                self.client.output.extend_from_slice(part);
            }
        }
        self.download.phase = Phase::Ended;
        Ok(())
    }

    fn take_head(&mut self) -> Result<bool, End> {
        let mut list = self.worker.fields.borrow_mut();
        let received = self.conn.input.unread();
        let parsed = self.download.parser.parse(received, self.terms.asks == Asks::HeadOnly, &mut list);
        let head = match parsed {
            Ok(Some(head)) => head,
            // The places of fields are in room that all connections share; so the next look starts over.
            Ok(None) => {
                self.download.parser = ResponseParser::default();
                return Ok(false);
            }
            Err(_bad) => return Err(End::Failed(ErrorCode::DownstreamError)),
        };
        let fields = Fields::new(received, &list);
        let switches = head.status == 101;
        if switches && !self.may_switch(fields) {
            return Err(End::Failed(ErrorCode::DownstreamError));
        }
        if head.status >= 200 || switches {
            if self.is_unwanted(head.status) {
                self.outcome.answered = Some(Instant::now());
                return Err(End::Unwanted(head.status));
            }
            self.upload.release();
            let text = self.download.parser.status_text(received);
            let recoded = self.recode(&head, fields);
            let mut body = self.download.begin(&head, self.terms.is_http_10);
            let recoding = recoded.map(|(recoding, encoding)| {
                if encoding.is_some() {
                    body = BodyLength::Chunked;
                }
                self.download.encoding = encoding;
                recoding
            });
            let draining = self.worker.draining.get();
            let close = self.terms.close || draining || self.client.ended || !self.upload.is_done();
            self.download.closes_client |= close;
            let additions = Additions {
                request_id_line: self.terms.request_id_line,
                rate_limit: self.terms.extra,
                date: &self.worker.date.get(),
                body,
                recoding,
                connection: head.connection,
                close: self.download.closes_client,
                say_keep_alive: self.terms.is_http_10,
                switches,
            };
            write_head(&mut self.client.output, head.status, text, fields, &additions);
            self.outcome.status = head.status;
            self.outcome.answered = Some(Instant::now());
        }
        drop(list);
        self.conn.input.consume(head.len);
        self.download.parser = ResponseParser::default();
        Ok(true)
    }

    /// Whether a 101 with these fields answers the request: only what was offered can be accepted, after all of it was sent.
    fn may_switch(&self, fields: Fields<'_>) -> bool {
        self.terms.asks == Asks::WebSocket
            && self.upload.is_done()
            && !self.download.parser.is_http_10()
            && websocket::is_accepted(fields)
    }

    fn on_upstream_end(&mut self) -> Result<(), End> {
        if !matches!(self.download.phase, Phase::UntilClose) {
            return Err(self.lost());
        }
        self.end_chunks(b"")
    }

    /// The upstream's connection has ended in the middle.
    fn lost(&self) -> End {
        if self.download.has_begun() {
            End::Aborted(ErrorCode::DownstreamError)
        } else if !self.download.has_heard && self.upload.may_repeat() {
            End::Stale
        } else {
            End::Failed(ErrorCode::DownstreamError)
        }
    }

    fn invalid(&self) -> End {
        let code = ErrorCode::DownstreamError;
        if self.download.has_begun() { End::Aborted(code) } else { End::Failed(code) }
    }
}

impl Download {
    /// Goes on with the body; how it is sent to the client.
    fn begin(&mut self, head: &ResponseHead, is_http_10: bool) -> BodyLength {
        self.keeps_upstream = head.keep_alive;
        self.phase = match head.body {
            BodyLength::None if head.status == 101 => Phase::Switched,
            BodyLength::None => Phase::Ended,
            BodyLength::Known(length) => Phase::Known(length),
            BodyLength::Chunked => Phase::Chunked { decoder: ChunkDecoder::new(), trailers: Vec::new() },
            BodyLength::UntilClose => Phase::UntilClose,
        };
        match head.body {
            BodyLength::None | BodyLength::Known(_) => head.body,
            BodyLength::Chunked | BodyLength::UntilClose if is_http_10 => {
                self.closes_client = true;
                BodyLength::UntilClose
            }
            BodyLength::Chunked | BodyLength::UntilClose => BodyLength::Chunked,
        }
    }
}

pub(super) fn keep_trailer(out: &mut Vec<u8>, line: &[u8]) {
    let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
    if FieldName::of(name).may_trail() {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}
