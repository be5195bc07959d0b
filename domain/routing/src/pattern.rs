//! Path patterns: exact `/a/b`, parameters `/a/{id}`, prefixes `/a/*`.
//!
//! Decides which texts are patterns. Always: a pattern's literals are in the normal form of request paths, so what is
//! written is what is compared; text that is not is refused with the rule and the place, never silently changed. Not here:
//! which of several patterns wins (`table`).

use std::fmt;
use std::sync::Arc;

use crate::octets::{self, Class, Escape};

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Most segments of a pattern.
pub const MAX_PATTERN_SEGMENTS: usize = 64;
/// Longest name of a parameter, in bytes.
pub const MAX_PARAMETER_BYTES: usize = 32;

/// The path criterion of a route. Matching is case-sensitive and by whole segments.
///
/// `/a` matches itself alone (the trailing slash counts); `/a/{id}` any one non-empty segment in the place of `{id}`;
/// `/a/*` matches `/a`, `/a/` and everything below, `/*` everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern(Arc<str>);

/// Which rule of [`PathPattern`] a text breaks; `at` is the offset of the byte where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// The first byte is not a slash.
    #[error("a path pattern begins with /")]
    NotAbsolute,
    /// More than [`MAX_PATTERN_BYTES`].
    #[error("a path pattern has at most {MAX_PATTERN_BYTES} bytes")]
    TooLong,
    /// More than [`MAX_PATTERN_SEGMENTS`].
    #[error("a path pattern has at most {MAX_PATTERN_SEGMENTS} segments")]
    TooManySegments,
    /// Two slashes in a row: requests have one in that place.
    #[error("byte {at}: a segment is empty; request paths have one slash for //")]
    EmptySegment {
        /// Where the segment begins.
        at: usize,
    },
    /// `.` or `..`: removed from request paths.
    #[error("byte {at}: . and .. are removed from request paths and match nothing")]
    DotSegment {
        /// Where the segment begins.
        at: usize,
    },
    /// An octet that has to be written as `%XX`.
    #[error("byte {at}: this character must be percent-encoded")]
    BadByte {
        /// Its offset.
        at: usize,
    },
    /// A `%` without two hexadecimal digits.
    #[error("byte {at}: % must be followed by two hexadecimal digits")]
    BadEscape {
        /// Its offset.
        at: usize,
    },
    /// `%00` or `%5C`: refused in requests.
    #[error("byte {at}: this escape is refused in request paths")]
    ForbiddenEscape {
        /// Its offset.
        at: usize,
    },
    /// `%61` for `a`, or `%3a` for `%3A`: request paths have the normal form.
    #[error("byte {at}: write letters, digits and - . _ ~ as they are, and the digits of other escapes in upper case")]
    EscapeNotNormal {
        /// Its offset.
        at: usize,
    },
    /// A brace that does not enclose a whole segment.
    #[error("byte {at}: braces enclose a whole segment, as in /a/{{id}}")]
    StrayBrace {
        /// Its offset.
        at: usize,
    },
    /// A parameter's name is not `[a-zA-Z_][a-zA-Z0-9_]*` of at most [`MAX_PARAMETER_BYTES`].
    #[error(
        "byte {at}: a parameter's name is a letter or _, then letters, digits and _, at most {MAX_PARAMETER_BYTES}"
    )]
    BadParameter {
        /// Where the name breaks the rule.
        at: usize,
    },
    /// A parameter's name stands twice.
    #[error("byte {at}: the parameter has the name of an earlier one")]
    DuplicateParameter {
        /// Where the second begins.
        at: usize,
    },
    /// A `*` that is not the whole last segment.
    #[error("byte {at}: * is the whole last segment, as in /a/*; a literal one cannot be matched")]
    StrayStar {
        /// Its offset.
        at: usize,
    },
}

/// One segment of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Itself; empty only behind a trailing slash.
    Literal(&'a str),
    /// Any one non-empty segment.
    Parameter(&'a str),
    /// The last one of a prefix: everything from here on, the slash before it included.
    Rest,
}

impl PathPattern {
    /// Reads a pattern, or says which rule it breaks where.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let Some(rest) = text.strip_prefix('/') else { return Err(PathPatternError::NotAbsolute) };
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PathPatternError::TooLong);
        }
        let mut names: Vec<&str> = Vec::new();
        let mut at = 1;
        let mut segments = rest.split('/').enumerate().peekable();
        while let Some((index, segment)) = segments.next() {
            if index >= MAX_PATTERN_SEGMENTS {
                return Err(PathPatternError::TooManySegments);
            }
            let is_last = segments.peek().is_none();
            match segment {
                "" | "*" if is_last => {}
                "" => return Err(PathPatternError::EmptySegment { at }),
                "." | ".." => return Err(PathPatternError::DotSegment { at }),
                _ if segment.starts_with('{') => match parameter(segment, at)? {
                    name if names.contains(&name) => return Err(PathPatternError::DuplicateParameter { at }),
                    name => names.push(name),
                },
                _ => check_literal(segment, at)?,
            }
            at += segment.len() + 1;
        }
        Ok(Self(text.into()))
    }

    /// The text as it was written: the template in metrics and logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments from the left; at least one.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.split('/').skip(1).map(Segment::of)
    }

    /// The names of its parameters from the left.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name),
            Segment::Literal(_) | Segment::Rest => None,
        })
    }

    /// Whether it ends in `/*`.
    pub fn is_prefix(&self) -> bool {
        self.0.ends_with("/*")
    }

    /// Length in bytes of the literal segments in front, each with its slash: 2 for `/a/*` and `/a/{id}`, 0 for `/*`.
    pub fn literal_prefix_len(&self) -> usize {
        let literal = |segment| match segment {
            Segment::Literal(text) => Some(text.len() + 1),
            Segment::Parameter(_) | Segment::Rest => None,
        };
        self.segments().map_while(literal).sum()
    }

    /// Whether both match the same paths: equal but for the names of parameters.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        self.segments().map(Segment::unnamed).eq(other.segments().map(Segment::unnamed))
    }

    /// Whether it matches the path, which is in normal form. This is the meaning of a pattern; `RouteTable` agrees with it.
    pub fn matches(&self, path: &str) -> bool {
        let mut given = path.split('/').skip(1);
        for segment in self.segments() {
            let fits = match (segment, given.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Literal(literal), Some(text)) => literal == text,
                (Segment::Parameter(_), Some(text)) => !text.is_empty(),
                (Segment::Literal(_) | Segment::Parameter(_), None) => false,
            };
            if !fits {
                return false;
            }
        }
        given.next().is_none()
    }
}

impl<'a> Segment<'a> {
    /// Reads a segment of a valid pattern.
    fn of(text: &'a str) -> Self {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => Self::Parameter(name),
            None if text == "*" => Self::Rest,
            None => Self::Literal(text),
        }
    }

    fn unnamed(self) -> Self {
        if let Self::Parameter(_) = self { Self::Parameter("") } else { self }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PathPattern({})", self.0)
    }
}

/// The name in a segment that begins with `{` at byte `at`.
fn parameter(segment: &str, at: usize) -> Result<&str, PathPatternError> {
    let name = segment.strip_prefix('{').unwrap_or(segment);
    let Some(name) = name.strip_suffix('}') else {
        let close = segment.find('}').unwrap_or(0);
        return Err(PathPatternError::StrayBrace { at: at + close });
    };
    let fits = |(index, octet): (usize, u8)| {
        octet.is_ascii_alphabetic() || octet == b'_' || (index > 0 && octet.is_ascii_digit())
    };
    let broken = name.bytes().enumerate().position(|pair| pair.0 >= MAX_PARAMETER_BYTES || !fits(pair));
    match broken {
        Some(index) => Err(PathPatternError::BadParameter { at: at + 1 + index }),
        None if name.is_empty() => Err(PathPatternError::BadParameter { at: at + 1 }),
        None => Ok(name),
    }
}

fn check_literal(segment: &str, start: usize) -> Result<(), PathPatternError> {
    for (index, octet) in segment.bytes().enumerate() {
        let at = start + index;
        match octet {
            b'{' | b'}' => return Err(PathPatternError::StrayBrace { at }),
            b'*' => return Err(PathPatternError::StrayStar { at }),
            b'%' => check_escape(segment.as_bytes().get(index + 1..).unwrap_or_default(), at)?,
            _ if octets::class_of(octet) == Class::Plain => {}
            _ => return Err(PathPatternError::BadByte { at }),
        }
    }
    Ok(())
}

fn check_escape(digits: &[u8], at: usize) -> Result<(), PathPatternError> {
    match Escape::parse(digits) {
        None => Err(PathPatternError::BadEscape { at }),
        Some(escape) if escape.is_forbidden() => Err(PathPatternError::ForbiddenEscape { at }),
        Some(escape) if !escape.is_normal() => Err(PathPatternError::EscapeNotNormal { at }),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
