//! E-mail addresses of platform accounts.

use std::fmt;

/// Which rule an address breaks; never the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Longer than a path may be (RFC 5321, section 4.5.3.1.3).
    #[error("must have at most 254 characters")]
    TooLong,
    /// Not `local@domain` in the dot-atom form.
    #[error(
        "must be local@domain with letters, digits and .!#$%&'*+/=?^_`{{|}}~- before the @ and a host name after it"
    )]
    Malformed,
}

/// An address that mail can be sent to: the dot-atom form of RFC 5322, section 3.4.1, in ASCII, with a dotted domain.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(Box<str>);

impl EmailAddress {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if text.len() > 254 {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Malformed)?;
        if is_dot_atom(local) && local.len() <= 64 && is_domain(domain) {
            Ok(Self(text.into()))
        } else {
            Err(EmailError::Malformed)
        }
    }

    /// The address as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key by which an account is found: one per mailbox, whatever the case it was typed in.
    pub fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase().into())
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress(redacted)")
    }
}

/// An address in lower case. Whole addresses compare without case: mailboxes that differ by case alone are one account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailKey(Box<str>);

impl EmailKey {
    /// Wraps a stored key.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The lower-case address, for storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EmailKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailKey(redacted)")
    }
}

fn is_dot_atom(local: &str) -> bool {
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !local.is_empty() && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(atext))
}

fn is_domain(domain: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_are_read() {
        for text in ["a@b.co", "first.last+tag@Example.COM", "o'hara@mail.example.org"] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn header_injection_and_malformed_addresses_are_refused() {
        let bad = [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b.co\r\nBcc: x@y.zz",
            "a@@b.co",
            ".a@b.co",
            "a..b@c.de",
            "a@-b.co",
            "ä@b.co",
            "a@b..co",
            "<a@b.co>",
        ];
        for text in bad {
            assert_eq!(EmailAddress::parse(text).err(), Some(EmailError::Malformed), "{text}");
        }
        assert_eq!(EmailAddress::parse(&format!("a@{}.co", "b".repeat(254))).err(), Some(EmailError::TooLong));
    }

    #[test]
    fn case_makes_no_second_account() {
        let key = |text| EmailAddress::parse(text).unwrap().key();
        assert_eq!(key("A@B.co"), key("a@b.CO"));
    }

    #[test]
    fn an_address_never_prints() {
        let address = EmailAddress::parse("canary@example.org").unwrap();
        assert!(!format!("{address:?} {:?}", address.key()).contains("canary"));
    }
}
