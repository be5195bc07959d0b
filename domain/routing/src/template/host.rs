//! Hosts that are put together from parts of the path that was matched.
//!
//! Always: what is put together is a DNS name or an IPv4 address in lower case, with the template's port. Not here: what names
//! in braces stand for, which paths have in common (`template`).

use std::fmt;
use std::sync::Arc;

use super::{Names, Part, TemplateError, Unwritable, fill};
use crate::host::{MAX_HOST_BYTES, check_name};
use crate::{Expression, RouteMatch, TargetUrl};

/// A host, with a port or without, that has places for parameters of a route's pattern and for what named groups of its
/// expression have captured: `{shop}.shops.internal:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTemplate {
    text: Arc<str>,
    parts: Box<[Part]>,
    /// With its colon; empty: the scheme's.
    port: Box<str>,
    /// Whose groups the parts name; `None` when they name none.
    expression: Option<Expression>,
}

impl HostTemplate {
    /// Whether a text has names in braces, so that it is a template rather than a host.
    pub fn is_template(text: &str) -> bool {
        text.contains(['{', '}'])
    }

    /// What can be told of a template without its route.
    pub fn check(text: &str) -> Result<(), TemplateError> {
        sample(text).map(drop)
    }

    /// Reads a template for what `matcher` takes. What it says of host and port is kept in lower case.
    pub fn parse(text: &str, matcher: &RouteMatch) -> Result<Self, TemplateError> {
        let url = sample(text)?;
        let names = Names::of(matcher);
        let (mut written, mut parts) = (String::with_capacity(text.len()), Vec::new());
        let mut rest = text;
        while let Some((before, name, behind)) = next_name(rest) {
            let at = text.len() - rest.len() + before.len() + 1;
            let literal = before.to_ascii_lowercase();
            written = written + &literal + "{" + name + "}";
            parts.extend([Part::Text(literal.into()), names.part(name, at)?]);
            rest = behind;
        }
        // The sample was a host, so the only colon is that of a port.
        let end = rest.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let port = if url.port == 80 { String::new() } else { format!(":{}", url.port) };
        let text = (written + &end + &port).into();
        parts.push(Part::Text(end.into()));
        Ok(Self { text, expression: names.expression_for(&parts), parts: parts.into(), port: port.into() })
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host for a path that the route has taken.
    pub(crate) fn write(&self, path: &str) -> Result<String, Unwritable> {
        let mut host = String::with_capacity(self.text.len());
        fill(&self.parts, path, self.expression.as_ref(), &mut |text| host.push_str(text))?;
        host.make_ascii_lowercase();
        if host.len() > MAX_HOST_BYTES || check_name(&host, 0).is_err() {
            return Err(Unwritable);
        }
        host.push_str(&self.port);
        Ok(host)
    }
}

impl fmt::Display for HostTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The origin that a template stands for when each of its names stands for one letter.
fn sample(text: &str) -> Result<TargetUrl, TemplateError> {
    let mut sample = String::from("http://");
    let mut rest = text;
    while let Some((before, _name, behind)) = next_name(rest) {
        sample = sample + before + "a";
        rest = behind;
    }
    if let Some(at) = rest.find(['{', '}']) {
        return Err(TemplateError::StrayBrace { at: text.len() - rest.len() + at });
    }
    TargetUrl::parse(&(sample + rest)).map_err(|_fault| TemplateError::NotHost)
}

/// What stands before the first name in braces, the name, and what stands behind it.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (name, behind) = rest.split_once('}')?;
    Some((before, name, behind))
}

#[cfg(test)]
mod tests;
