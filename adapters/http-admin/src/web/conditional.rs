//! ETags and the headers that compare them (RFC 9110, sections 8.8.3 and 13.1).

use axum::http::{HeaderMap, header};
use novagate_kernel::ErrorCode;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Problem;

/// The strong ETag of a representation: a hash of its JSON.
pub(crate) fn etag_of(body: &Value) -> String {
    let hash: [u8; 32] = Sha256::digest(body.to_string().as_bytes()).into();
    let short = hash.get(..16).unwrap_or_default();
    format!("\"{}\"", novagate_kernel::encode_hex(short))
}

/// What `If-Match` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matches {
    /// There is no such header.
    Anything,
    /// `*`: it must exist.
    Existing,
    /// One of these.
    OneOf(Vec<String>),
}

impl Matches {
    /// Whether a representation may be changed.
    pub(crate) fn admits(&self, body: &Value) -> Result<(), Problem> {
        match self {
            Self::Anything | Self::Existing => Ok(()),
            Self::OneOf(tags) if tags.contains(&etag_of(body)) => Ok(()),
            Self::OneOf(_) => Err(changed()),
        }
    }
}

pub(crate) fn changed() -> Problem {
    Problem::new(ErrorCode::PreconditionFailed, "the resource has another ETag than If-Match names; read it again")
}

/// Reads `If-Match`. Weak tags never match (RFC 9110, section 13.1.1), so they are dropped.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Matches, Problem> {
    let mut tags = Vec::new();
    let mut present = false;
    for value in headers.get_all(header::IF_MATCH) {
        present = true;
        let text = value.to_str().map_err(|_| malformed("If-Match"))?;
        for tag in text.split(',').map(str::trim) {
            match tag {
                "*" => return Ok(Matches::Existing),
                _ if is_entity_tag(tag) => tags.push(tag.to_owned()),
                _ if tag.strip_prefix("W/").is_some_and(is_entity_tag) => {}
                _ => return Err(malformed("If-Match")),
            }
        }
    }
    Ok(if present { Matches::OneOf(tags) } else { Matches::Anything })
}

/// Whether `If-None-Match: *` asks for something that must not exist yet.
pub(crate) fn none_match_any(headers: &HeaderMap) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.as_bytes().trim_ascii() == b"*")
}

/// Whether a GET's `If-None-Match` names this ETag: the client has it already.
pub(crate) fn client_has(headers: &HeaderMap, etag: &str) -> bool {
    let names = |text: &str| text.split(',').map(str::trim).any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag);
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.to_str().is_ok_and(names))
}

fn is_entity_tag(tag: &str) -> bool {
    tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"')
}

fn malformed(name: &str) -> Problem {
    Problem::new(ErrorCode::BadRequest, format!("{name} is not a list of entity tags (RFC 9110, section 13.1)"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))])
    }

    #[test]
    fn if_match_is_read_as_rfc_9110_says() {
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), Matches::Anything);
        assert_eq!(if_match(&headers("*")).unwrap(), Matches::Existing);
        assert_eq!(if_match(&headers("\"a\", \"b\"")).unwrap(), Matches::OneOf(vec!["\"a\"".into(), "\"b\"".into()]));
        assert_eq!(if_match(&headers("W/\"a\"")).unwrap(), Matches::OneOf(vec![]));
        assert!(if_match(&headers("a")).is_err());
    }
}
