//! How much a client may send: the limits of one connection.
//!
//! Always: a `Limits` lies within what the machine can count and what the parser behind it takes, so that the parser never
//! refuses by itself. Not here: time limits, and where the numbers come from (`apps/settings`).

/// Largest admissible head limit, in bytes.
const HEAD_CEILING: usize = 1024 * 1024;
/// Smallest head limit that still lets an ordinary request through, in bytes.
const HEAD_FLOOR: usize = 256;
/// Largest admissible number of fields; the header map behind us holds 32,768.
const FIELDS_CEILING: usize = 10_000;
/// The `http` crate refuses longer targets.
const TARGET_CEILING: usize = 65_534;

/// The limits of one connection. Each is enforced as soon as it is exceeded, not when the whole element has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    head_bytes: usize,
    headers: usize,
    target_bytes: usize,
    body_bytes: Option<u64>,
}

/// Why a set of limits was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The head limit is out of range.
    #[error("the limit of head bytes must be between {HEAD_FLOOR} and {HEAD_CEILING}")]
    HeadBytes,
    /// The field limit is out of range.
    #[error("the limit of header fields must be between 1 and {FIELDS_CEILING}")]
    Headers,
    /// The target limit is out of range.
    #[error("the limit of target bytes must be between 1 and {TARGET_CEILING}")]
    TargetBytes,
}

impl Limits {
    /// Limits without a bound on bodies: bytes of a head from its first byte to the empty line (also the bound of a trailer
    /// section, which is never longer than 8 KiB), fields in a head or a trailer section, bytes of a request target.
    ///
    /// # Errors
    /// Names the number that is out of range.
    pub fn new(max_head_bytes: usize, max_headers: usize, max_target_bytes: usize) -> Result<Self, LimitsError> {
        if !(HEAD_FLOOR..=HEAD_CEILING).contains(&max_head_bytes) {
            return Err(LimitsError::HeadBytes);
        }
        if !(1..=FIELDS_CEILING).contains(&max_headers) {
            return Err(LimitsError::Headers);
        }
        if !(1..=TARGET_CEILING).contains(&max_target_bytes) {
            return Err(LimitsError::TargetBytes);
        }
        Ok(Self { head_bytes: max_head_bytes, headers: max_headers, target_bytes: max_target_bytes, body_bytes: None })
    }

    /// The same limits with this bound on the bytes of a body (chunk data without its framing); `None` is no bound.
    pub fn with_max_body_bytes(self, max_body_bytes: Option<u64>) -> Self {
        Self { body_bytes: max_body_bytes, ..self }
    }

    /// Bytes of a head, including an empty line before it and the empty line after it.
    pub const fn max_head_bytes(&self) -> usize {
        self.head_bytes
    }

    /// Fields of a head, and of a trailer section.
    pub const fn max_headers(&self) -> usize {
        self.headers
    }

    /// Bytes of a request target.
    pub const fn max_target_bytes(&self) -> usize {
        self.target_bytes
    }

    /// Bytes of a body, when bounded.
    pub const fn max_body_bytes(&self) -> Option<u64> {
        self.body_bytes
    }

    /// Whether a body of this many bytes is within the bound.
    pub(crate) fn admit_body(&self, bytes: u64) -> bool {
        self.body_bytes.is_none_or(|max| bytes <= max)
    }
}

impl Default for Limits {
    /// The documented defaults of a gateway: 32 KiB of head, 100 fields, 8 KiB of target, bodies without a bound.
    fn default() -> Self {
        Self { head_bytes: 32 * 1024, headers: 100, target_bytes: 8 * 1024, body_bytes: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_door() {
        let limits = Limits::default();
        let made = Limits::new(limits.max_head_bytes(), limits.max_headers(), limits.max_target_bytes());
        assert_eq!(made, Ok(limits));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        assert_eq!(Limits::new(255, 100, 100), Err(LimitsError::HeadBytes));
        assert_eq!(Limits::new(HEAD_CEILING + 1, 100, 100), Err(LimitsError::HeadBytes));
        assert_eq!(Limits::new(256, 0, 100), Err(LimitsError::Headers));
        assert_eq!(Limits::new(256, 10_001, 100), Err(LimitsError::Headers));
        assert_eq!(Limits::new(256, 1, 0), Err(LimitsError::TargetBytes));
        assert_eq!(Limits::new(256, 1, 65_535), Err(LimitsError::TargetBytes));
    }

    #[test]
    fn body_bound_is_inclusive() {
        let limits = Limits::default().with_max_body_bytes(Some(10));
        assert!(limits.admit_body(10) && !limits.admit_body(11));
        assert!(Limits::default().admit_body(u64::MAX));
    }
}
