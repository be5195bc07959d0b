//! Further criteria of a route: about a header field, a query parameter, or the path as a whole.
//!
//! Decides whether a request meets one. Always: in time linear in the length of what is tested, whatever the expression. Of
//! a field or parameter that comes several times the first counts. Not here: which of several routes whose criteria
//! all hold is served (`table`).

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use crate::octets::Escape;

/// Longest text of an expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 512;
/// What a compiled expression may take, in bytes: several times what telling identifiers, versions or dates apart needs.
pub(crate) const EXPRESSION_MEMORY: usize = 32 * 1024;
/// Longest name of a field or parameter, in bytes.
pub const MAX_CONDITION_NAME: usize = 64;
/// Longest value of a field or parameter that a condition compares with, in bytes.
pub const MAX_CONDITION_VALUE: usize = 256;

/// One criterion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// What it is about.
    pub on: ConditionOn,
    /// What must hold.
    pub test: ValueTest,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ConditionOn {
    /// The normalised path.
    Path,
    /// The field with this name, in lower case.
    Header(Box<str>),
    /// The parameter of the query with this name, as it is when decoded (`application/x-www-form-urlencoded`, WHATWG URL).
    Query(Box<str>),
}

/// What must hold for the value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueTest {
    /// It is there.
    Present,
    /// It is this one.
    Exact(Box<str>),
    /// The expression matches it from its beginning to its end.
    Matches(Expression),
}

/// A regular expression over bytes, compared by its text. Without look-around and back-references: it takes linear time.
#[derive(Clone)]
pub struct Expression {
    text: Box<str>,
    regex: Regex,
}

/// Why texts are no condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The name cannot be a field's.
    #[error("must be the name of a field, with 1 to {MAX_CONDITION_NAME} characters (RFC 9110, section 5.6.2)")]
    HeaderName,
    /// The gateway sets the field itself, from what it has proven, after a route was found.
    #[error("is set by the gateway, after a route was found")]
    GatewayHeader,
    /// The name cannot be a parameter's.
    #[error("must be the name of a parameter, decoded, with 1 to {MAX_CONDITION_NAME} bytes")]
    QueryName,
    /// No request could have the value.
    #[error(
        "must be a value of at most {MAX_CONDITION_VALUE} bytes, without control characters and white space at its ends"
    )]
    Value,
    /// The expression is empty or has more than [`MAX_EXPRESSION_BYTES`].
    #[error("an expression has 1 to {MAX_EXPRESSION_BYTES} bytes")]
    Length,
    /// Its syntax is not that of an expression.
    #[error("must be a regular expression, without look-around and back-references")]
    Syntax,
    /// It would take too much memory.
    #[error("the expression is too large: repeat less")]
    TooLarge,
}

/// What conditions ask of a request.
pub trait RequestView {
    /// The first value of the field with this name, which is in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// The query, with or without its question mark.
    fn query(&self) -> &[u8];
}

/// A request without fields and query.
impl RequestView for () {
    fn header(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    fn query(&self) -> &[u8] {
        &[]
    }
}

impl Condition {
    /// Whether the request meets it. `path` is the reading of the path that is looked up.
    pub fn holds(&self, path: &str, view: &impl RequestView) -> bool {
        match &self.on {
            ConditionOn::Path => self.test.accepts(path.as_bytes()),
            ConditionOn::Header(name) => view.header(name).is_some_and(|value| self.test.accepts(value)),
            ConditionOn::Query(name) => parameter(view.query(), name).is_some_and(|value| self.test.accepts(&value)),
        }
    }

    /// Whether every request that meets `self` meets `other`, as far as that can be told.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        self.on == other.on
            && match (&self.test, &other.test) {
                (_, ValueTest::Present) => true,
                (ValueTest::Exact(value), ValueTest::Matches(expression)) => expression.matches(value.as_bytes()),
                (one, other) => one == other,
            }
    }

    /// Whether no request meets both.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        self.on == other.on
            && match (&self.test, &other.test) {
                (ValueTest::Exact(one), ValueTest::Exact(other)) => one != other,
                (ValueTest::Exact(value), ValueTest::Matches(expression))
                | (ValueTest::Matches(expression), ValueTest::Exact(value)) => !expression.matches(value.as_bytes()),
                (ValueTest::Present | ValueTest::Matches(_), _) | (_, ValueTest::Present) => false,
            }
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let name = match &self.on {
            ConditionOn::Path => 0,
            ConditionOn::Header(name) | ConditionOn::Query(name) => name.len(),
        };
        let test = match &self.test {
            ValueTest::Present => 0,
            ValueTest::Exact(value) => value.len(),
            ValueTest::Matches(expression) => expression.text.len() + EXPRESSION_MEMORY / 4,
        };
        size_of::<Self>() + name + test
    }
}

impl ConditionOn {
    /// The field with this name, whose case makes no difference.
    pub fn header(name: &str) -> Result<Self, ConditionError> {
        let lower = name.to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !(1..=MAX_CONDITION_NAME).contains(&lower.len()) || !lower.bytes().all(is_token) {
            return Err(ConditionError::HeaderName);
        }
        match lower.as_str() {
            "x-consumer-id" | "x-consumer-groups" | "x-token-subject" | "client-cert" | "client-cert-chain" => {
                Err(ConditionError::GatewayHeader)
            }
            _ => Ok(Self::Header(lower.into())),
        }
    }

    /// The parameter with this name.
    pub fn query(name: &str) -> Result<Self, ConditionError> {
        let fits = (1..=MAX_CONDITION_NAME).contains(&name.len());
        if fits { Ok(Self::Query(name.into())) } else { Err(ConditionError::QueryName) }
    }
}

impl ValueTest {
    /// That the value is this one.
    pub fn exact(value: &str) -> Result<Self, ConditionError> {
        let fits = value.len() <= MAX_CONDITION_VALUE && !value.chars().any(char::is_control) && value.trim() == value;
        if fits { Ok(Self::Exact(value.into())) } else { Err(ConditionError::Value) }
    }

    fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(wanted) => wanted.as_bytes() == value,
            Self::Matches(expression) => expression.matches(value),
        }
    }
}

impl Expression {
    /// Reads the text of an expression.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        if !(1..=MAX_EXPRESSION_BYTES).contains(&text.len()) {
            return Err(ConditionError::Length);
        }
        // By itself first: a parenthesis too many must not close the one around it.
        build(text)?;
        Ok(Self { text: text.into(), regex: build(&format!(r"\A(?:{text})\z"))? })
    }

    /// Its text.
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    fn matches(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
    }

    /// The number of the group with this name.
    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.regex.capture_names().position(|group| group == Some(name))
    }

    /// Where its groups lie in a value that it matches.
    pub(crate) fn places(&self, value: &str) -> Option<CaptureLocations> {
        let mut places = self.regex.capture_locations();
        self.regex.captures_read(&mut places, value.as_bytes()).map(|_whole| places)
    }
}

fn build(text: &str) -> Result<Regex, ConditionError> {
    let built = RegexBuilder::new(text).unicode(false).size_limit(EXPRESSION_MEMORY).nest_limit(32).build();
    let is_too_large = |error: &regex::Error| matches!(error, regex::Error::CompiledTooBig(_));
    built.map_err(|error| if is_too_large(&error) { ConditionError::TooLarge } else { ConditionError::Syntax })
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, formatter)
    }
}

/// The value of the first parameter with this name. A parameter without `=` has an empty value.
fn parameter<'q>(query: &'q [u8], name: &str) -> Option<Cow<'q, [u8]>> {
    let query = query.strip_prefix(b"?").unwrap_or(query);
    query.split(|&octet| octet == b'&').find_map(|pair| {
        let at = pair.iter().position(|&octet| octet == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at(at);
        (decoded(key).as_ref() == name.as_bytes() && !pair.is_empty())
            .then(|| decoded(value.get(1..).unwrap_or_default()))
    })
}

/// Without percent-escapes, `+` as a blank. What is no escape stays.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|octet| matches!(octet, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        let escape = if octet == b'%' { Escape::parse(tail) } else { None };
        if let Some(escape) = escape {
            out.push(escape.octet);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(if octet == b'+' { b' ' } else { octet });
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
