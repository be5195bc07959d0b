//! The machine that a connection is fed through.
//!
//! Decides how far the presented bytes may be released, where messages end, and the first violation. Always: bytes before
//! a violation that are valid are reported first; after a violation, or after a message that closes the connection, nothing
//! is ever released again. Not here: reading, writing, answers (`adapters/http-edge`).

use crate::{
    chunked::{ChunkedBody, Element},
    head::HeadScanner,
    host::KnownHost,
    info::{BodyKind, HeadInfo},
    limits::Limits,
    violation::Violation,
};

/// What the presented bytes mean. `consumed` bytes from their beginning are valid and may be released unchanged; the
/// driver presents the rest again, with more behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing more can be said without more bytes; nothing was consumed.
    NeedMore,
    /// A complete valid head of `len` bytes, which are consumed. When [`HeadInfo::ends_message`] says so the message ends
    /// with it and no `EndOfMessage` follows.
    Head(HeadInfo),
    /// Bytes of the body, with their chunk framing if any; never zero.
    Body {
        /// Bytes that are valid.
        consumed: usize,
    },
    /// The last bytes of the body; never zero.
    EndOfMessage {
        /// Bytes that are valid.
        consumed: usize,
    },
    /// The last message closed the connection: what follows belongs to no request.
    Closed,
    /// A rule is broken at or after the first presented byte; nothing was consumed, and every later call says the same.
    Violation(Violation),
}

/// Where a connection stands: what the driver needs to know at a time limit and at the end of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Between messages: the end of input is clean here.
    BetweenMessages,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
    /// Behind the last message.
    Closed,
    /// Behind a violation.
    Failed(Violation),
}

/// Framing of the requests of one connection.
#[derive(Debug, Clone)]
pub struct RequestFraming {
    limits: Limits,
    state: State,
    known_host: KnownHost,
    /// The current message is the last one.
    last: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head(HeadScanner),
    /// Bytes of a Content-Length body still to come, never zero.
    Length(u64),
    Chunked(ChunkedBody),
    Closed,
    Failed(Violation),
}

impl RequestFraming {
    /// A machine before the first byte of a connection.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head(HeadScanner::new()), known_host: KnownHost::new(), last: false }
    }

    /// Says what the bytes mean. They begin with the first byte that was not consumed; call again with the rest until it
    /// answers [`Step::NeedMore`].
    pub fn feed(&mut self, bytes: &[u8]) -> Step {
        match &mut self.state {
            State::Head(scanner) => match scanner.scan(bytes, &self.limits, &mut self.known_host) {
                Ok(Some(head)) => self.head(head),
                Ok(None) => Step::NeedMore,
                Err(violation) => self.fail(violation),
            },
            State::Length(_) if bytes.is_empty() => Step::NeedMore,
            State::Length(left) => {
                let consumed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= consumed as u64;
                if *left > 0 { Step::Body { consumed } } else { self.end(consumed) }
            }
            State::Chunked(_) => self.chunks(bytes),
            State::Closed => Step::Closed,
            State::Failed(violation) => Step::Violation(*violation),
        }
    }

    /// Sets a bound on the bytes of the current body, if it is chunked; a body of known length is told by its head.
    pub fn narrow_body(&mut self, most: u64) {
        if let State::Chunked(body) = &mut self.state {
            body.narrow(most);
        }
    }

    /// Where the connection stands.
    pub fn position(&self) -> Position {
        match &self.state {
            State::Head(scanner) if scanner.is_untouched() => Position::BetweenMessages,
            State::Head(_) => Position::Head,
            State::Length(_) | State::Chunked(_) => Position::Body,
            State::Closed => Position::Closed,
            State::Failed(violation) => Position::Failed(*violation),
        }
    }

    fn head(&mut self, head: HeadInfo) -> Step {
        self.last = head.close;
        match head.body {
            BodyKind::None | BodyKind::Length(0) => self.state = self.after_message(),
            BodyKind::Length(length) => self.state = State::Length(length),
            BodyKind::Chunked => self.state = State::Chunked(ChunkedBody::new()),
        }
        Step::Head(head)
    }

    /// As many elements of a chunked body as there are, in one step.
    fn chunks(&mut self, bytes: &[u8]) -> Step {
        let mut consumed = 0;
        loop {
            let State::Chunked(body) = &mut self.state else { return Step::NeedMore };
            match body.next(bytes.get(consumed..).unwrap_or_default(), &self.limits) {
                Ok(Element::Valid(valid)) => consumed += valid,
                Ok(Element::Last(valid)) => return self.end(consumed + valid),
                Ok(Element::Partial) if consumed == 0 => return Step::NeedMore,
                Ok(Element::Partial) => return Step::Body { consumed },
                Err(violation) if consumed == 0 => return self.fail(violation),
                Err(violation) => {
                    // What is valid is reported first; the next call tells the violation.
                    self.state = State::Failed(violation);
                    return Step::Body { consumed };
                }
            }
        }
    }

    fn end(&mut self, consumed: usize) -> Step {
        self.state = self.after_message();
        Step::EndOfMessage { consumed }
    }

    const fn after_message(&self) -> State {
        if self.last { State::Closed } else { State::Head(HeadScanner::new()) }
    }

    fn fail(&mut self, violation: Violation) -> Step {
        self.state = State::Failed(violation);
        Step::Violation(violation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_host_that_was_valid_before_does_not_excuse_the_next_one() {
        let mut framing = RequestFraming::new(Limits::default());
        for _ in 0..2 {
            assert!(matches!(framing.feed(GET), Step::Head(_)));
        }
        assert_eq!(framing.feed(b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), Step::Violation(Violation::BadHost));
    }

    #[test]
    fn whole_head_without_a_body_is_one_step() {
        let mut framing = RequestFraming::new(Limits::default());
        let Step::Head(head) = framing.feed(GET) else { panic!("a head") };
        assert_eq!((head.len, head.fields, head.ends_message()), (GET.len(), 1, true));
        assert_eq!((head.method.of(GET), head.target.of(GET)), (&b"GET"[..], &b"/"[..]));
        assert_eq!(head.host.map(|host| host.of(GET)), Some(&b"a"[..]));
        assert_eq!(framing.position(), Position::BetweenMessages);
    }

    #[test]
    fn position_follows_the_message() {
        let mut framing = RequestFraming::new(Limits::default());
        assert_eq!(framing.feed(b"P"), Step::NeedMore);
        assert_eq!(framing.position(), Position::Head);
        let post = b"POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n";
        assert!(matches!(framing.feed(post), Step::Head(_)));
        assert_eq!(framing.position(), Position::Body);
        assert_eq!(framing.feed(b"ab"), Step::Body { consumed: 2 });
        assert_eq!(framing.feed(b""), Step::NeedMore);
        assert_eq!(framing.feed(b"cGET"), Step::EndOfMessage { consumed: 1 });
        assert_eq!(framing.position(), Position::Closed);
        assert_eq!(framing.feed(b"GET"), Step::Closed);
    }

    #[test]
    fn valid_bytes_before_a_violation_are_released_and_nothing_after_it() {
        let mut framing = RequestFraming::new(Limits::default());
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(framing.feed(head), Step::Head(_)));
        assert_eq!(framing.feed(b"1\r\nx\r\nzz"), Step::Body { consumed: 6 });
        assert_eq!(framing.feed(b"zz"), Step::Violation(Violation::BadChunkSize));
        assert_eq!(framing.feed(GET), Step::Violation(Violation::BadChunkSize));
        assert_eq!(framing.position(), Position::Failed(Violation::BadChunkSize));
    }

    #[test]
    fn a_chunked_body_is_held_to_its_own_bound_and_the_next_one_is_not() {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut framing = RequestFraming::new(Limits::default().with_max_body_bytes(Some(100)));
        for (most, outcome) in [
            (4, Step::EndOfMessage { consumed: 14 }),
            (9, Step::EndOfMessage { consumed: 14 }),
            (3, Step::Violation(Violation::BodyTooLarge)),
        ] {
            assert!(matches!(framing.feed(head), Step::Head(_)));
            framing.narrow_body(50);
            framing.narrow_body(most);
            assert_eq!(framing.feed(b"4\r\nabcd\r\n0\r\n\r\n"), outcome);
        }
    }

    #[test]
    fn fewer_bytes_than_before_release_nothing() {
        let mut framing = RequestFraming::new(Limits::default());
        assert_eq!(framing.feed(&GET[..20]), Step::NeedMore);
        assert_eq!(framing.feed(&GET[..3]), Step::NeedMore);
        assert!(matches!(framing.feed(GET), Step::Head(_)));
    }
}
