//! Paths that are put together from parts of the path that was matched.
//!
//! Decides which texts are templates. Always: what is put together begins with a slash and is in normal form, as parameters
//! are whole segments of a normal path and literals are checked. Not here: when a path is replaced (`action`).

use std::fmt;
use std::sync::Arc;

use crate::octets::{self, Class, Escape};
use crate::{MAX_PATTERN_BYTES, PathPattern, Segment};

/// A path with places for the parameters of a route's pattern and, at its end, for what a prefix stands for:
/// `/v2/{id}/details`, `/v2/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: Arc<str>,
    parts: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// The segment with this number, from 0.
    Parameter(usize),
    /// Everything behind this many segments.
    Rest(usize),
}

/// Which rule of [`PathTemplate`] a text breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not `/...` of at most [`MAX_PATTERN_BYTES`].
    #[error("begins with / and has at most {MAX_PATTERN_BYTES} bytes")]
    NotAbsolute,
    /// An empty segment, `.` or `..`, or an octet that a normal path does not have in this form.
    #[error(
        "byte {at}: must be a path in normal form, without empty segments, . and .., other characters percent-encoded"
    )]
    NotNormal {
        /// Where it breaks the rule.
        at: usize,
    },
    /// A brace without its other one.
    #[error("byte {at}: braces enclose the name of a parameter")]
    StrayBrace {
        /// Its offset.
        at: usize,
    },
    /// The pattern has no parameter of this name.
    #[error("byte {at}: match.path has no parameter of this name")]
    UnknownParameter {
        /// Where its name begins.
        at: usize,
    },
    /// A `*` that is not the whole last segment, or whose route has no prefix.
    #[error("byte {at}: * is the whole last segment, of a route whose match.path ends in /*")]
    StrayStar {
        /// Its offset.
        at: usize,
    },
}

impl PathTemplate {
    /// Reads a template for what `pattern` matches.
    pub fn parse(text: &str, pattern: &PathPattern) -> Result<Self, TemplateError> {
        if !text.starts_with('/') || text.len() > MAX_PATTERN_BYTES {
            return Err(TemplateError::NotAbsolute);
        }
        let segments: Vec<Segment<'_>> = pattern.segments().collect();
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 1;
        let mut rest = text.split('/').skip(1).peekable();
        while let Some(segment) = rest.next() {
            let is_last = rest.peek().is_none();
            if segment == "*" {
                if !is_last || segments.last() != Some(&Segment::Rest) {
                    return Err(TemplateError::StrayStar { at });
                }
                parts.extend((!literal.is_empty()).then(|| Part::Text(literal.as_str().into())));
                parts.push(Part::Rest(segments.len() - 1));
                return Ok(Self { text: text.into(), parts: parts.into() });
            }
            if matches!(segment, "." | "..") || (segment.is_empty() && !is_last) {
                return Err(TemplateError::NotNormal { at });
            }
            literal.push('/');
            read_segment(segment, at, &segments, &mut literal, &mut parts)?;
            at += segment.len() + 1;
        }
        parts.extend((!literal.is_empty()).then(|| Part::Text(literal.into())));
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes the path for one that the pattern has matched.
    pub(crate) fn write(&self, path: &str, out: &mut impl FnMut(&str)) {
        let mut is_empty = true;
        for part in &self.parts {
            let text = match part {
                Part::Text(text) => text,
                Part::Parameter(number) => path.split('/').nth(number + 1).unwrap_or_default(),
                Part::Rest(count) => behind(path, *count),
            };
            is_empty &= text.is_empty();
            out(text);
        }
        if is_empty {
            out("/");
        }
    }
}

/// Reads literals and parameters of one segment; `literal` is what no part has yet.
fn read_segment(
    segment: &str,
    begin: usize,
    segments: &[Segment<'_>],
    literal: &mut String,
    parts: &mut Vec<Part>,
) -> Result<(), TemplateError> {
    let mut rest = segment;
    loop {
        let at = begin + segment.len() - rest.len();
        let Some((before, behind)) = rest.split_once('{') else {
            check_literal(rest, at)?;
            literal.push_str(rest);
            return Ok(());
        };
        check_literal(before, at)?;
        literal.push_str(before);
        let at = at + before.len();
        let (name, behind) = behind.split_once('}').ok_or(TemplateError::StrayBrace { at })?;
        let number = segments.iter().position(|segment| *segment == Segment::Parameter(name));
        let number = number.ok_or(TemplateError::UnknownParameter { at: at + 1 })?;
        parts.push(Part::Text(std::mem::take(literal).into()));
        parts.push(Part::Parameter(number));
        rest = behind;
    }
}

fn check_literal(text: &str, begin: usize) -> Result<(), TemplateError> {
    let octets = text.as_bytes();
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        let rest = octets.get(at + 1..).unwrap_or_default();
        at += match (octet, octets::class_of(octet)) {
            (b'}', _) => return Err(TemplateError::StrayBrace { at: begin + at }),
            (b'*', _) => return Err(TemplateError::StrayStar { at: begin + at }),
            (b'%', _) if Escape::parse(rest).is_some_and(|escape| escape.is_normal() && !escape.is_forbidden()) => 3,
            (_, Class::Plain) => 1,
            (_, Class::Special | Class::Foreign) => return Err(TemplateError::NotNormal { at: begin + at }),
        };
    }
    Ok(())
}

/// What follows so many segments, with its slash.
fn behind(path: &str, count: usize) -> &str {
    let slash = path.match_indices('/').nth(count).map_or(path.len(), |(at, _)| at);
    path.get(slash..).unwrap_or_default()
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
