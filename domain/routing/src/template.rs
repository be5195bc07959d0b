//! Paths and hosts that are put together from parts of the path that was matched.
//!
//! Decides which texts are templates. Always: a path that is put together begins with a slash and is in normal form:
//! parameters are whole segments of a normal path, literals are checked, and what groups of an expression have captured is
//! checked in its place, for every request. Not here: when a path or host is replaced (`action`).

use std::fmt;
use std::sync::Arc;

use crate::octets::{self, Class, Escape};
use crate::{Expression, MAX_PATTERN_BYTES, NormalPath, RouteMatch, Segment, normalise};

mod host;

pub use self::host::HostTemplate;

/// A path with places for the parameters of a route's pattern, for what named groups of its expression have captured and,
/// at its end, for what a prefix stands for: `/v2/{id}/details`, `/v2/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    text: Arc<str>,
    parts: Box<[Part]>,
    /// Whose groups the parts name; `None` when they name none.
    expression: Option<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    /// The segment with this number, from 0.
    Parameter(usize),
    /// The group with this number.
    Group(usize),
    /// Everything behind this many segments.
    Rest(usize),
}

/// What names in braces can stand for.
struct Names<'a> {
    segments: Vec<Segment<'a>>,
    expression: Option<&'a Expression>,
}

/// What a template makes of a path is no path in normal form, or no host: a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was captured does not fit where the template has it")]
pub struct Unwritable;

/// Which rule of [`PathTemplate`] or [`HostTemplate`] a text breaks.
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
    /// Neither the pattern nor the expression has this name.
    #[error("byte {at}: match.path has no parameter and match.pathRegex no group of this name")]
    UnknownName {
        /// Where it begins.
        at: usize,
    },
    /// The pattern and the expression have this name.
    #[error("byte {at}: match.path has a parameter and match.pathRegex a group of this name")]
    AmbiguousName {
        /// Where it begins.
        at: usize,
    },
    /// A `*` that is not the whole last segment, or whose route has no prefix.
    #[error("byte {at}: * is the whole last segment, of a route whose match.path ends in /*")]
    StrayStar {
        /// Its offset.
        at: usize,
    },
    /// What it makes could not be a host.
    #[error("must be a host, with a port or without, in which names in braces stand for letters, digits, - and .")]
    NotHost,
}

impl PathTemplate {
    /// Reads a template for what `matcher` takes.
    pub fn parse(text: &str, matcher: &RouteMatch) -> Result<Self, TemplateError> {
        if !text.starts_with('/') || text.len() > MAX_PATTERN_BYTES {
            return Err(TemplateError::NotAbsolute);
        }
        let names = Names::of(matcher);
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 1;
        let mut rest = text.split('/').skip(1).peekable();
        while let Some(segment) = rest.next() {
            let is_last = rest.peek().is_none();
            if segment == "*" {
                if !is_last || names.segments.last() != Some(&Segment::Rest) {
                    return Err(TemplateError::StrayStar { at });
                }
                parts.extend((!literal.is_empty()).then(|| Part::Text(std::mem::take(&mut literal).into())));
                parts.push(Part::Rest(names.segments.len() - 1));
                break;
            }
            if matches!(segment, "." | "..") || (segment.is_empty() && !is_last) {
                return Err(TemplateError::NotNormal { at });
            }
            literal.push('/');
            read_segment(segment, at, &names, &mut literal, &mut parts)?;
            at += segment.len() + 1;
        }
        parts.extend((!literal.is_empty()).then(|| Part::Text(literal.into())));
        Ok(Self { text: text.into(), expression: names.expression_for(&parts), parts: parts.into() })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes the path for one that the route has taken.
    pub(crate) fn write(&self, path: &str, out: &mut impl FnMut(&str)) -> Result<(), Unwritable> {
        if let Some(expression) = &self.expression {
            return self.write_captured(expression, path, out);
        }
        let mut is_empty = true;
        fill(&self.parts, path, None, &mut |text| {
            is_empty &= text.is_empty();
            out(text);
        })?;
        if is_empty {
            out("/");
        }
        Ok(())
    }

    /// What groups have captured can be any piece of a path: empty segments that come of it vanish, as they do in requests,
    /// and anything else that is not in normal form is refused, above all `..`, which would lead out of the literal parts.
    fn write_captured(
        &self,
        expression: &Expression,
        path: &str,
        out: &mut impl FnMut(&str),
    ) -> Result<(), Unwritable> {
        let mut written = String::with_capacity(path.len() + self.text.len());
        fill(&self.parts, path, Some(expression), &mut |text| {
            let is_behind_slash = written.ends_with('/');
            written.push_str(text.strip_prefix('/').filter(|_| is_behind_slash).unwrap_or(text));
        })?;
        let normal = normalise(&written).ok().filter(NormalPath::is_borrowed).ok_or(Unwritable)?;
        out(normal.as_str());
        Ok(())
    }
}

impl<'a> Names<'a> {
    fn of(matcher: &'a RouteMatch) -> Self {
        Self { segments: matcher.path.segments().collect(), expression: matcher.expression() }
    }

    /// What a name stands for that begins at byte `at`.
    fn part(&self, name: &str, at: usize) -> Result<Part, TemplateError> {
        let parameter = self.segments.iter().position(|segment| *segment == Segment::Parameter(name));
        let group = self.expression.and_then(|expression| expression.group(name));
        match (parameter, group) {
            (Some(number), None) => Ok(Part::Parameter(number)),
            (None, Some(number)) => Ok(Part::Group(number)),
            (None, None) => Err(TemplateError::UnknownName { at }),
            (Some(_), Some(_)) => Err(TemplateError::AmbiguousName { at }),
        }
    }

    /// The expression, if any of the parts is a group of it.
    fn expression_for(&self, parts: &[Part]) -> Option<Expression> {
        self.expression.filter(|_| parts.iter().any(|part| matches!(part, Part::Group(_)))).cloned()
    }
}

/// Gives what the parts stand for, one after the other. A group that took no part is empty.
fn fill(
    parts: &[Part],
    path: &str,
    expression: Option<&Expression>,
    out: &mut impl FnMut(&str),
) -> Result<(), Unwritable> {
    let places = expression.map(|expression| expression.places(path).ok_or(Unwritable)).transpose()?;
    for part in parts {
        out(match part {
            Part::Text(text) => text,
            Part::Parameter(number) => path.split('/').nth(number + 1).unwrap_or_default(),
            Part::Group(number) => match places.as_ref().and_then(|places| places.get(*number)) {
                Some((begin, end)) => whole(path, begin, end)?,
                None => "",
            },
            Part::Rest(count) => behind(path, *count),
        });
    }
    Ok(())
}

/// A piece of a path that cuts no escape apart: its halves could make others with what stands beside them.
fn whole(path: &str, begin: usize, end: usize) -> Result<&str, Unwritable> {
    let is_inside =
        |at: usize| (1..=2).any(|back| at.checked_sub(back).and_then(|at| path.as_bytes().get(at)) == Some(&b'%'));
    if is_inside(begin) || is_inside(end) {
        return Err(Unwritable);
    }
    path.get(begin..end).ok_or(Unwritable)
}

/// Reads literals and names of one segment; `literal` is what no part has yet.
fn read_segment(
    segment: &str,
    begin: usize,
    names: &Names<'_>,
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
        let part = names.part(name, at + 1)?;
        parts.push(Part::Text(std::mem::take(literal).into()));
        parts.push(part);
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
