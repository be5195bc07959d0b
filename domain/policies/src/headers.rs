//! `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) and `Retry-After` (RFC 9110, section 10.2.3).
//!
//! Always: whole seconds, rounded up, so that a client which waits as long as it was told has waited long enough. Written
//! into a value on the stack: no allocation and no formatting machinery on the request path.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

use crate::{Decision, RateLimit, Tier};

/// The field with what is left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The field with the limit itself.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Room for the longest value: `"consumer";q=4294967295;w=18446744073709551615`.
const ROOM: usize = 64;

/// The value of a header field: visible ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldText {
    bytes: [u8; ROOM],
    len: usize,
}

impl FieldText {
    /// `RateLimit-Policy`: `"name";q=<max>;w=<window in seconds>`.
    pub fn policy(tier: Tier, limit: RateLimit) -> Self {
        let mut text = Self::named(tier);
        text.push(b";q=");
        text.push_number(u64::from(limit.max));
        text.push(b";w=");
        text.push_number(seconds_up(limit.window));
        text
    }

    /// `RateLimit`: `"name";r=<remaining>;t=<seconds until there is more>`.
    pub fn remaining(tier: Tier, decision: &Decision) -> Self {
        let mut text = Self::named(tier);
        text.push(b";r=");
        text.push_number(u64::from(decision.remaining));
        text.push(b";t=");
        text.push_number(seconds_up(decision.reset_after));
        text
    }

    /// `Retry-After` in seconds; at least 1.
    pub fn retry_after(wait: Duration) -> Self {
        let mut text = Self { bytes: [0; ROOM], len: 0 };
        text.push_number(seconds_up(wait).max(1));
        text
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn named(tier: Tier) -> Self {
        let mut text = Self { bytes: [0; ROOM], len: 0 };
        text.push(b"\"");
        text.push(tier.as_str().as_bytes());
        text.push(b"\"");
        text
    }

    fn push(&mut self, part: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + part.len()) {
            room.copy_from_slice(part);
            self.len += part.len();
        }
    }

    fn push_number(&mut self, number: u64) {
        let mut digits = [0_u8; 20];
        let mut rest = number;
        let mut used = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - used..).unwrap_or_default());
    }
}

impl AsRef<[u8]> for FieldText {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for FieldText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FieldText({})", self.as_str())
    }
}

fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: RateLimit = RateLimit { max: 100, window: Duration::from_mins(1) };

    fn decision(remaining: u32, reset_after: Duration) -> Decision {
        Decision { admitted: remaining > 0, limit: LIMIT, remaining, reset_after }
    }

    #[test]
    fn the_fields_have_the_syntax_of_the_draft() {
        assert_eq!(FieldText::policy(Tier::Consumer, LIMIT).as_str(), r#""consumer";q=100;w=60"#);
        let left = decision(50, Duration::from_secs(30));
        assert_eq!(FieldText::remaining(Tier::Unauth, &left).as_str(), r#""unauth";r=50;t=30"#);
    }

    #[test]
    fn seconds_are_rounded_up_and_a_wait_is_at_least_one() {
        let text = |micros| FieldText::retry_after(Duration::from_micros(micros)).as_str().to_owned();
        assert_eq!([text(0), text(1), text(1_000_000), text(1_000_001)], ["1", "1", "1", "2"]);
        let none = decision(0, Duration::from_millis(1500));
        assert_eq!(FieldText::remaining(Tier::Route, &none).as_str(), r#""route";r=0;t=2"#);
    }

    proptest! {
        #[test]
        fn every_number_fits_and_is_written_as_it_is(max: u32, remaining: u32, window: u64, wait: u64) {
            let limit = RateLimit { max, window: Duration::from_secs(window) };
            for tier in Tier::ALL {
                let policy = FieldText::policy(tier, limit);
                prop_assert_eq!(policy.as_str(), format!("\"{}\";q={max};w={window}", tier.as_str()));
                let left = FieldText::remaining(tier, &decision(remaining, Duration::from_secs(wait)));
                prop_assert_eq!(left.as_str(), format!("\"{}\";r={remaining};t={wait}", tier.as_str()));
            }
            let retry = FieldText::retry_after(Duration::from_secs(wait));
            prop_assert_eq!(retry.as_str(), wait.max(1).to_string());
        }
    }
}
