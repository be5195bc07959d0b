//! What a valid head says about its message.
//!
//! Always: a `HeadInfo` belongs to a head that broke no rule, and its spans lie inside the first `len` bytes.
//! Not here: the head's bytes; the driver has them.

/// A part of the presented bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    start: usize,
    end: usize,
}

/// The two versions that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the length of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Neither Content-Length nor Transfer-Encoding: no body.
    None,
    /// Content-Length, at most 2^63 - 1.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// The form of the request target (RFC 9112 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    Origin,
    /// `http://host/path?query`, where host equals Host.
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// What a valid head says. All spans and lengths count from the first byte presented to the call that returned it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadInfo {
    /// Bytes of the head: an empty line before the request line, if one came, through the empty line after the fields.
    pub len: usize,
    /// Number of fields.
    pub fields: usize,
    /// The method.
    pub method: Span,
    /// The request target.
    pub target: Span,
    /// The form of the target.
    pub form: TargetForm,
    /// The value of Host. Absent only in HTTP/1.0.
    pub host: Option<Span>,
    /// The version.
    pub version: Version,
    /// The body that follows. `None` and `Length(0)` end the message with its head: no `EndOfMessage` follows.
    pub body: BodyKind,
    /// The client wants the connection closed after this message (Connection: close, or HTTP/1.0 without keep-alive).
    pub close: bool,
    /// The client waits for 100 Continue before it sends the body.
    pub expect_continue: bool,
    /// The client offers another protocol (Upgrade and Connection: upgrade, HTTP/1.1). Until the answer is known the driver
    /// must not feed what follows; after a 101 it never does.
    pub upgrade: bool,
}

impl Span {
    /// A span between two places; `end` is exclusive.
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The place of its first byte.
    pub const fn start(self) -> usize {
        self.start
    }

    /// This part of the bytes it was made for; empty when it does not fit.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Bytes in the span.
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the span has no bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl HeadInfo {
    /// Whether the message ends with its head.
    pub const fn ends_message(&self) -> bool {
        matches!(self.body, BodyKind::None | BodyKind::Length(0))
    }
}
