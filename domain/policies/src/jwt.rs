//! Rules about the claims of a token whose signature holds.
//!
//! Always: decided on every request against the wall clock, never remembered; a token without `exp` is refused. Not here:
//! signatures and encodings (`adapters/tokens`).

use std::fmt;
use std::time::Duration;

use novagate_kernel::{ErrorCode, Timestamp};

/// Longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 256;

/// What a verified token says, as far as decisions need it (RFC 7519, section 4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// `sub`: whom it is about.
    pub subject: Option<Box<str>>,
    /// `exp`: from when on it must not be accepted.
    pub expires_at: Option<Timestamp>,
    /// `nbf`: before when it must not be accepted.
    pub not_before: Option<Timestamp>,
    /// `iss`: who made it.
    pub issuer: Option<Box<str>>,
    /// `aud`: whom it is for; one or several.
    pub audiences: Box<[Box<str>]>,
}

/// What this node demands of every token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JwtRules {
    /// Tolerance for clocks that differ (`JWT_LEEWAY_S`).
    pub leeway: Duration,
    /// The `iss` that is required.
    pub issuer: Option<Box<str>>,
    /// The audience that must be among `aud`.
    pub audience: Option<Box<str>>,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It was valid once; a new one will help.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Form, signature, issuer, audience or subject do not hold.
    #[error("the token is not valid")]
    Invalid,
}

impl TokenFault {
    /// What the client is told.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::NotYetValid | Self::Invalid => ErrorCode::TokenInvalid,
        }
    }
}

impl JwtRules {
    /// Whether a token with these claims may be used at `now`. What no new token would mend is said before what one
    /// would: [`TokenFault::Expired`] comes last.
    pub fn check(&self, facts: &TokenFacts, now: Timestamp) -> Result<(), TokenFault> {
        let expires_at = facts.expires_at.ok_or(TokenFault::Invalid)?;
        if facts.subject.as_deref().is_some_and(|subject| !is_acceptable_subject(subject)) {
            return Err(TokenFault::Invalid);
        }
        if self.issuer.is_some() && self.issuer != facts.issuer {
            return Err(TokenFault::Invalid);
        }
        if self.audience.as_ref().is_some_and(|wanted| !facts.audiences.contains(wanted)) {
            return Err(TokenFault::Invalid);
        }
        if facts.not_before.is_some_and(|start| now.plus(self.leeway) < start) {
            return Err(TokenFault::NotYetValid);
        }
        // RFC 7519, section 4.1.4: "on or after which" it is not accepted.
        if now >= expires_at.plus(self.leeway) { Err(TokenFault::Expired) } else { Ok(()) }
    }
}

impl fmt::Debug for TokenFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TokenFacts")
            .field("expires_at", &self.expires_at)
            .field("not_before", &self.not_before)
            .finish_non_exhaustive()
    }
}

/// A subject travels upstream in a header field: without control characters, and without the blanks around it that a field
/// would lose (two subjects would become one).
fn is_acceptable_subject(subject: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&subject.len())
        && !subject.chars().any(char::is_control)
        && subject.trim().len() == subject.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> TokenFacts {
        TokenFacts {
            subject: Some("ada".into()),
            expires_at: Some(Timestamp::from_seconds(1000)),
            not_before: None,
            issuer: Some("https://issuer.example".into()),
            audiences: Box::new(["api".into(), "other".into()]),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_token_ends_exactly_at_its_expiry() {
        let rules = JwtRules::default();
        assert_eq!(rules.check(&facts(), Timestamp::from_micros(999_999_999)), Ok(()));
        assert_eq!(rules.check(&facts(), at(1000)), Err(TokenFault::Expired));
        assert_eq!(TokenFault::Expired.code(), ErrorCode::TokenExpired);
    }

    #[test]
    fn leeway_moves_both_ends() {
        let rules = JwtRules { leeway: Duration::from_secs(5), ..JwtRules::default() };
        let token = TokenFacts { not_before: Some(at(500)), ..facts() };
        assert_eq!(rules.check(&token, at(494)), Err(TokenFault::NotYetValid));
        assert_eq!(rules.check(&token, at(495)), Ok(()));
        assert_eq!(rules.check(&token, at(1004)), Ok(()));
        assert_eq!(rules.check(&token, at(1005)), Err(TokenFault::Expired));
    }

    #[test]
    fn a_token_without_expiry_is_refused() {
        let token = TokenFacts { expires_at: None, ..facts() };
        assert_eq!(JwtRules::default().check(&token, at(0)), Err(TokenFault::Invalid));
    }

    #[test]
    fn issuer_and_audience_are_required_when_they_are_set() {
        let rules = JwtRules {
            issuer: Some("https://issuer.example".into()),
            audience: Some("api".into()),
            ..JwtRules::default()
        };
        assert_eq!(rules.check(&facts(), at(0)), Ok(()));
        for token in [
            TokenFacts { issuer: None, ..facts() },
            TokenFacts { issuer: Some("https://issuer.example/".into()), ..facts() },
            TokenFacts { audiences: Box::default(), ..facts() },
            TokenFacts { audiences: Box::new(["API".into()]), ..facts() },
        ] {
            assert_eq!(rules.check(&token, at(0)), Err(TokenFault::Invalid));
        }
    }

    #[test]
    fn an_expired_token_of_a_wrong_issuer_is_invalid_not_expired() {
        let rules = JwtRules { issuer: Some("another".into()), ..JwtRules::default() };
        assert_eq!(rules.check(&facts(), at(5000)), Err(TokenFault::Invalid));
    }

    #[test]
    fn subjects_that_a_header_could_not_carry_are_refused() {
        let with =
            |subject: &str| JwtRules::default().check(&TokenFacts { subject: Some(subject.into()), ..facts() }, at(0));
        for good in ["a", "ünïcödé", "auth0|123", &"x".repeat(256)] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        for bad in ["", " ada", "ada ", "a\r\nX-Consumer-Id: 1", "a\0", "a\u{85}b", &"x".repeat(257)] {
            assert_eq!(with(bad), Err(TokenFault::Invalid), "{bad:?}");
        }
    }

    #[test]
    fn claims_never_print() {
        assert!(!format!("{:?}", facts()).contains("ada"));
    }

    proptest! {
        #[test]
        fn no_combination_of_times_accepts_a_token_outside_its_bounds(
            now in any::<i64>(), exp in any::<i64>(), nbf in proptest::option::of(any::<i64>()), leeway in 0_u64..600,
        ) {
            let rules = JwtRules { leeway: Duration::from_secs(leeway), ..JwtRules::default() };
            let token = TokenFacts {
                expires_at: Some(Timestamp::from_micros(exp)),
                not_before: nbf.map(Timestamp::from_micros),
                ..facts()
            };
            let slack = i128::from(leeway) * 1_000_000;
            if rules.check(&token, Timestamp::from_micros(now)).is_ok() {
                prop_assert!(i128::from(now) < i128::from(exp) + slack);
                prop_assert!(nbf.is_none_or(|nbf| i128::from(now) + slack >= i128::from(nbf)));
            }
        }
    }
}
