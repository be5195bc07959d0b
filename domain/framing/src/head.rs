//! Request line and fields of a head.
//!
//! Always: a scanner remembers its place in the head, so a head that comes in pieces costs no more than one that comes at
//! once; violations come in byte order, then those of the head as a whole. One empty line before the request line is
//! skipped (RFC 9112 2.2), a second one is a violation. Not here: what follows the head (`machine`).

use crate::{
    facts::Facts,
    fields::{FieldScanner, Scan, line_feed},
    host::KnownHost,
    info::{HeadInfo, Span, TargetForm, Version},
    limits::Limits,
    tables::{self, PATH, QUERY},
    target::{self, AbsoluteAuthority},
    violation::Violation,
};

/// The longest registered method has 17 bytes.
const MAX_METHOD_BYTES: usize = 32;
/// Bytes of `HTTP/1.1`.
const VERSION_BYTES: usize = 8;

/// Where a scanner stands in a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadScanner {
    phase: Phase,
    /// Next byte to look at; while in the fields, their scanner knows.
    at: usize,
    /// First byte of the current element.
    mark: usize,
    method: Span,
    target: Span,
    form: TargetForm,
    absolute: Option<AbsoluteAuthority>,
    version: Version,
    fields: FieldScanner,
    facts: Facts,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Start,
    EmptyLineEnd,
    SecondStart,
    Method,
    Path,
    Query,
    Version,
    RequestLineEnd,
    Fields,
}

impl HeadScanner {
    /// A scanner before the first byte of a head.
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Start,
            at: 0,
            mark: 0,
            method: Span::new(0, 0),
            target: Span::new(0, 0),
            form: TargetForm::Origin,
            absolute: None,
            version: Version::Http11,
            fields: FieldScanner::new(0),
            facts: Facts::new(),
        }
    }

    /// Whether any byte of the head was seen.
    pub(crate) const fn is_untouched(&self) -> bool {
        self.at == 0
    }

    /// Goes on through the bytes of the head, which begin with its first; nothing when they end inside it.
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        known: &mut KnownHost,
    ) -> Result<Option<HeadInfo>, Violation> {
        // Bytes beyond the limit are never looked at, or the violation would depend on how many came at once.
        let view = bytes.get(..limits.max_head_bytes()).unwrap_or(bytes);
        let complete = self.request_line(view, limits)? && self.fields(view, limits, known)?;
        if complete {
            return self.conclude(view, limits).map(Some);
        }
        if view.len() >= limits.max_head_bytes() {
            return Err(Violation::HeadTooLarge);
        }
        Ok(None)
    }

    /// True when the request line is complete.
    fn request_line(&mut self, view: &[u8], limits: &Limits) -> Result<bool, Violation> {
        loop {
            let goes_on = match self.phase {
                Phase::Start | Phase::SecondStart => self.start(view)?,
                Phase::EmptyLineEnd => self.line_end(view, Phase::SecondStart)?,
                Phase::Method => self.method(view)?,
                Phase::Path | Phase::Query => self.target(view, limits)?,
                Phase::Version => self.version(view)?,
                Phase::RequestLineEnd => self.request_line_end(view)?,
                Phase::Fields => return Ok(true),
            };
            if !goes_on {
                return Ok(false);
            }
        }
    }

    fn start(&mut self, view: &[u8]) -> Result<bool, Violation> {
        match view.get(self.at) {
            None => return Ok(false),
            Some(b'\r') if matches!(self.phase, Phase::SecondStart) => return Err(Violation::EmptyLines),
            Some(b'\r') => self.enter(Phase::EmptyLineEnd, self.at + 1),
            Some(_) => self.enter(Phase::Method, self.at),
        }
        Ok(true)
    }

    fn line_end(&mut self, view: &[u8], then: Phase) -> Result<bool, Violation> {
        let there = line_feed(view, self.at)?;
        if there {
            self.enter(then, self.at + 1);
        }
        Ok(there)
    }

    fn method(&mut self, view: &[u8]) -> Result<bool, Violation> {
        self.at = tables::end_of_token(view, self.at);
        if self.at - self.mark > MAX_METHOD_BYTES {
            return Err(Violation::MethodTooLong);
        }
        match view.get(self.at) {
            None => return Ok(false),
            Some(b' ') if self.at > self.mark => {}
            Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadMethod)),
        }
        self.method = Span::new(self.mark, self.at);
        self.enter(Phase::Path, self.at + 1);
        Ok(true)
    }

    fn target(&mut self, view: &[u8], limits: &Limits) -> Result<bool, Violation> {
        let class = if matches!(self.phase, Phase::Query) { QUERY } else { PATH };
        self.at = tables::end_of_target(view, self.at, class);
        if self.at - self.mark > limits.max_target_bytes() {
            return Err(Violation::TargetTooLong);
        }
        match view.get(self.at) {
            None => return Ok(false),
            // Only a path stops here: `?` may stand in a query. The mark stays at the target's first byte.
            Some(b'?') => self.phase = Phase::Query,
            Some(b' ') if self.at > self.mark => {
                self.target = Span::new(self.mark, self.at);
                self.enter(Phase::Version, self.at + 1);
            }
            Some(b' ' | b'\r') => return Err(Violation::BadRequestLine),
            Some(b'#') => return Err(Violation::FragmentInTarget),
            Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadTargetByte)),
        }
        Ok(true)
    }

    fn version(&mut self, view: &[u8]) -> Result<bool, Violation> {
        let rest = view.get(self.mark..).unwrap_or_default();
        for (place, &byte) in rest.iter().take(VERSION_BYTES).enumerate() {
            let fits = match place {
                5 | 7 => byte.is_ascii_digit(),
                _ => b"HTTP/1.1".get(place) == Some(&byte),
            };
            if !fits {
                let otherwise =
                    if place == 0 && byte == b' ' { Violation::BadRequestLine } else { Violation::BadVersion };
                return Err(Violation::of_byte(byte, otherwise));
            }
        }
        self.version = match rest.get(..VERSION_BYTES) {
            None => return Ok(false),
            Some(b"HTTP/1.1") => Version::Http11,
            Some(b"HTTP/1.0") => Version::Http10,
            Some(_) => return Err(Violation::UnsupportedVersion),
        };
        match rest.get(VERSION_BYTES) {
            None => return Ok(false),
            Some(b'\r') => self.enter(Phase::RequestLineEnd, self.mark + VERSION_BYTES + 1),
            Some(&byte) if byte.is_ascii_digit() => return Err(Violation::BadVersion),
            Some(&byte) => return Err(Violation::of_byte(byte, Violation::BadRequestLine)),
        }
        Ok(true)
    }

    fn request_line_end(&mut self, view: &[u8]) -> Result<bool, Violation> {
        if !self.line_end(view, Phase::Fields)? {
            return Ok(false);
        }
        (self.form, self.absolute) = target::form_of(self.method.of(view), self.target.of(view), self.target.start())?;
        self.fields = FieldScanner::new(self.at);
        Ok(true)
    }

    /// True when the empty line after the fields was read; `at` is then behind it.
    fn fields(&mut self, view: &[u8], limits: &Limits, known: &mut KnownHost) -> Result<bool, Violation> {
        loop {
            match self.fields.next(view, limits.max_headers())? {
                Scan::Field { name, value, value_at } => self.facts.observe(name, value, value_at, known)?,
                Scan::End(at) => {
                    self.at = at;
                    return Ok(true);
                }
                Scan::Partial => return Ok(false),
            }
        }
    }

    fn conclude(&self, view: &[u8], limits: &Limits) -> Result<HeadInfo, Violation> {
        let conclusion = self.facts.conclude(view, self.version, self.absolute, limits)?;
        Ok(HeadInfo {
            len: self.at,
            fields: self.fields.count(),
            method: self.method,
            target: self.target,
            form: self.form,
            host: conclusion.host,
            version: self.version,
            body: conclusion.body,
            close: conclusion.close,
            expect_continue: conclusion.expect_continue,
            upgrade: conclusion.upgrade,
        })
    }

    fn enter(&mut self, phase: Phase, at: usize) {
        self.phase = phase;
        self.at = at;
        self.mark = at;
    }
}
