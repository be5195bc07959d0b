//! Which credential a request presents, read from its header fields.
//!
//! Always: `X-API-Key` decides alone when it is there; else a Bearer `ck_...` is a consumer key and any other Bearer value a
//! JWT. A field that comes twice is an invalid credential: gateway and upstream might each read another one. An
//! `Authorization` of another scheme (Basic, Digest, ...) is none of the gateway's: it counts as no credential and is passed
//! on. Not here: whether the credential holds (`jwt`, `compiled`).

use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use novagate_kernel::ErrorCode;

/// The field that carries a consumer key.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A consumer key.
    Key,
    /// A JWT.
    Token,
    /// A certificate that the client has shown in TLS.
    Certificate,
}

impl CredentialKind {
    /// What a client is told whose credential of this kind does not hold.
    pub const fn refusal(self) -> ErrorCode {
        match self {
            Self::Key => ErrorCode::KeyInvalid,
            Self::Token => ErrorCode::TokenInvalid,
            // One that is not accepted is as good as none.
            Self::Certificate => ErrorCode::TokenMissing,
        }
    }
}

/// What a request presents; nothing of it is proven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No credential for the gateway.
    Nothing,
    /// Something that claims to be a consumer key.
    Key(&'a [u8]),
    /// Something that claims to be a JWT; visible ASCII.
    Token(&'a str),
    /// A credential of this kind that cannot be read: present twice, empty, or not ASCII.
    Malformed(CredentialKind),
}

impl<'a> Presented<'a> {
    /// Reads the fields of a request.
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        let values = |name: &HeaderName| headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
        Self::from_values(values(&X_API_KEY), values(&AUTHORIZATION))
    }

    /// Decides from the values of every `X-API-Key` and every `Authorization` field, in any order.
    pub fn from_values(
        api_keys: impl IntoIterator<Item = &'a [u8]>,
        authorizations: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let key = Field::read(api_keys);
        let authorization = Field::read(authorizations);
        match (key, authorization) {
            (Field::Twice, _) | (Field::Once(_), Field::Twice) => Self::Malformed(CredentialKind::Key),
            (Field::Once(value), _) => Self::Key(value.trim_ascii()),
            (Field::Missing, Field::Twice) => Self::Malformed(CredentialKind::Token),
            (Field::Missing, Field::Once(value)) => bearer(value).map_or(Self::Nothing, Self::from_bearer),
            (Field::Missing, Field::Missing) => Self::Nothing,
        }
    }

    /// What kind it is, when there is one.
    pub const fn kind(&self) -> Option<CredentialKind> {
        match self {
            Self::Nothing => None,
            Self::Key(_) => Some(CredentialKind::Key),
            Self::Token(_) => Some(CredentialKind::Token),
            Self::Malformed(kind) => Some(*kind),
        }
    }

    fn from_bearer(value: &'a [u8]) -> Self {
        if value.starts_with(b"ck_") {
            return Self::Key(value);
        }
        match std::str::from_utf8(value) {
            Ok(text) if !text.is_empty() && is_graphic(value) => Self::Token(text),
            _ => Self::Malformed(CredentialKind::Token),
        }
    }
}

/// Without a way out early, so that the compiler takes many bytes at a time: tokens are long.
fn is_graphic(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic())
}

/// Whether an `Authorization` value carries a consumer key, which is never forwarded: not even where `X-API-Key` decided.
pub fn carries_consumer_key(authorization: &[u8]) -> bool {
    bearer(authorization).is_some_and(|value| value.starts_with(b"ck_"))
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Key(_) => "Key(redacted)",
            Self::Token(_) => "Token(redacted)",
            Self::Malformed(CredentialKind::Key) => "Malformed(Key)",
            Self::Malformed(CredentialKind::Token) => "Malformed(Token)",
            Self::Malformed(CredentialKind::Certificate) => "Malformed(Certificate)",
        })
    }
}

enum Field<'a> {
    Missing,
    Once(&'a [u8]),
    Twice,
}

impl<'a> Field<'a> {
    fn read(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Missing,
            (Some(value), None) => Self::Once(value),
            (Some(_), Some(_)) => Self::Twice,
        }
    }
}

/// What follows the scheme `Bearer` (RFC 6750, section 2.1; schemes compare without case), or `None` for another scheme.
/// A `Bearer` followed by anything but blanks and a value is still a Bearer, so that it is refused and not passed on.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(6)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && !rest.first().is_some_and(|&byte| is_token_byte(byte));
    let value = rest.trim_ascii_start();
    // Without a blank in between there is no value.
    is_bearer.then_some(if value.len() < rest.len() { value } else { b"" })
}

/// RFC 9110, section 5.6.2.
const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(keys: &[&'a str], authorizations: &[&'a str]) -> Presented<'a> {
        Presented::from_values(
            keys.iter().map(|key| key.as_bytes()),
            authorizations.iter().map(|value| value.as_bytes()),
        )
    }

    #[test]
    fn an_api_key_field_decides_alone() {
        assert_eq!(read(&["nonsense"], &["Bearer a.b.c"]), Presented::Key(b"nonsense"));
        assert_eq!(read(&[""], &["Bearer a.b.c"]), Presented::Key(b""));
        assert_eq!(read(&["ck_1"], &["Basic eDp5"]), Presented::Key(b"ck_1"));
    }

    #[test]
    fn a_bearer_value_is_a_key_or_a_token() {
        assert_eq!(read(&[], &["Bearer ck_1"]), Presented::Key(b"ck_1"));
        assert_eq!(read(&[], &["bEARER   a.b.c "]), Presented::Token("a.b.c"));
        assert_eq!(read(&[], &["Bearer gw_x"]), Presented::Token("gw_x"));
    }

    #[test]
    fn other_schemes_are_none_of_the_gateways() {
        for value in ["Basic eDp5", "Digest a=b", "Bearerx a.b.c", "Bearer-2 a", "", "abc"] {
            assert_eq!(read(&[], &[value]), Presented::Nothing, "{value}");
        }
        assert_eq!(read(&[], &[]), Presented::Nothing);
    }

    #[test]
    fn a_credential_that_cannot_be_read_is_invalid_not_absent() {
        let token = Presented::Malformed(CredentialKind::Token);
        for value in ["Bearer", "Bearer ", "Bearer\ta.b c", "Bearer a b", "Bearer \u{fc}", "Bearer,a", "Bearer=a b"] {
            assert_eq!(read(&[], &[value]), token, "{value}");
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_an_invalid_credential() {
        assert_eq!(read(&["ck_1", "ck_1"], &[]), Presented::Malformed(CredentialKind::Key));
        assert_eq!(read(&["ck_1"], &["Basic a", "Basic b"]), Presented::Malformed(CredentialKind::Key));
        assert_eq!(read(&[], &["Bearer a.b.c", "Basic b"]), Presented::Malformed(CredentialKind::Token));
    }

    #[test]
    fn a_consumer_key_in_authorization_is_recognised_for_removal() {
        assert!(carries_consumer_key(b"bearer ck_0123"));
        assert!(!carries_consumer_key(b"Bearer a.b.c"));
        assert!(!carries_consumer_key(b"Basic ck_0123"));
    }

    #[test]
    fn headers_and_values_are_read_alike() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Bearer a.b.c"));
        assert_eq!(Presented::from_headers(&headers), Presented::Token("a.b.c"));
        headers.append(X_API_KEY, http::HeaderValue::from_static("ck_1"));
        assert_eq!(Presented::from_headers(&headers), Presented::Key(b"ck_1"));
    }

    proptest! {
        #[test]
        fn a_token_is_visible_ascii_and_nothing_ever_prints(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..3),
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..3),
        ) {
            let mut bearers = values.clone();
            for value in &mut bearers {
                value.splice(0..0, *b"Bearer ");
            }
            for list in [&values, &bearers] {
                let presented = Presented::from_values(keys.iter().map(Vec::as_slice), list.iter().map(Vec::as_slice));
                if let Presented::Token(text) = presented {
                    prop_assert!(keys.is_empty() && list.len() == 1);
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty());
                }
                prop_assert_eq!(presented == Presented::Nothing, keys.is_empty() && list.len() < 2 && presented.kind().is_none());
                let printed = format!("{presented:?}");
                prop_assert!(printed.len() < 20);
            }
        }
    }
}
