//! Names of config objects.

use std::fmt;
use std::sync::Arc;

/// The name of a service, route, consumer or group: `[a-z0-9][a-z0-9-]{0,62}`, unique per kind in a tenant.
///
/// The alphabet is that of a DNS label, so a name is safe in a URL path, a file name, a metric label and a log field.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Which rule of [`Name`] a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("must not be empty")]
    Empty,
    /// More than 63 characters.
    #[error("must have at most 63 characters")]
    TooLong,
    /// A character outside the alphabet, or a hyphen in front.
    #[error("must match [a-z0-9][a-z0-9-]*; byte {at} does not")]
    BadByte {
        /// Offset of the first byte that does not fit.
        at: usize,
    },
}

impl Name {
    /// Reads a name, or says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 63 {
            return Err(NameError::TooLong);
        }
        let fits = |(at, byte): (usize, u8)| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || (byte == b'-' && at > 0);
        match text.bytes().enumerate().find(|&pair| !fits(pair)) {
            Some((at, _)) => Err(NameError::BadByte { at }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Name({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_inner_hyphens_are_a_name() {
        for text in ["a", "0", "get-user", "a-", &"x".repeat(63)] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn each_rule_is_named_when_it_breaks() {
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse(&"x".repeat(64)), Err(NameError::TooLong));
        assert_eq!(Name::parse("-a"), Err(NameError::BadByte { at: 0 }));
        assert_eq!(Name::parse("aB"), Err(NameError::BadByte { at: 1 }));
        assert_eq!(Name::parse("aé"), Err(NameError::BadByte { at: 1 }));
        assert_eq!(Name::parse("a\u{202e}"), Err(NameError::BadByte { at: 1 }));
    }
}
