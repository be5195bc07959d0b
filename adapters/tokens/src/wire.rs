//! What both kinds of tokens share: bounds, the header's limits and claims as they are written.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use novagate_kernel::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use std::time::Duration;

/// The longest token that is looked at, in bytes; a header section of 32 KiB could carry more.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Shortest secret, in bytes: as long as the hash (RFC 7518, section 3.2).
pub(crate) const MIN_SECRET_BYTES: usize = 32;

/// Verifies the signature with one key and one of its algorithms, and reads the claims. Nothing about time is decided here.
pub(crate) fn verified<T: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    algorithms: &[Algorithm],
) -> Option<(Header, T)> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut rules = Validation::new(*algorithms.first()?);
    algorithms.clone_into(&mut rules.algorithms);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_aud = false;
    let data = jsonwebtoken::decode::<T>(token, key, &rules).ok()?;
    data.header.crit.is_none().then_some((data.header, data.claims))
}

/// A `NumericDate` (RFC 7519, section 2): seconds since the epoch, possibly with a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumericDate(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        date(&number).map(Self).ok_or_else(|| D::Error::custom("not a date"))
    }
}

fn date(number: &Number) -> Option<Timestamp> {
    if let Some(seconds) = number.as_i64() {
        return Some(Timestamp::from_seconds(seconds));
    }
    let since_epoch = Duration::try_from_secs_f64(number.as_f64()?).ok()?;
    Some(Timestamp::UNIX_EPOCH.plus(since_epoch))
}

/// For a claim that may be missing but, when it is there, must not be `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
