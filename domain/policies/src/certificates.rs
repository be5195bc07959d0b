//! What a client's certificate says about who it is.
//!
//! Always: only digests of names are kept for requests, so that nothing of a certificate can be printed or recorded; a
//! certificate is a consumer's because its configuration names it, never by a likeness of names. Not here: whether the
//! certificate holds (`adapters/net`), reading it (`adapters/http-edge`).

use std::fmt;
use std::sync::Arc;

use novagate_access::KeyDigest;
use novagate_kernel::{Timestamp, decode_hex, encode_hex};
use novagate_routing::HostPattern;

/// Longest URI, in bytes.
const MAX_URI: usize = 512;
/// Longest common name, in characters (RFC 5280, appendix A.1).
const MAX_COMMON_NAME: usize = 64;

/// Something that identifies a certificate: `sha256:` and its fingerprint, `uri:` or `dns:` and a name among its
/// alternative ones (RFC 5280, section 4.2.1.6), `cn:` and the common name of its subject.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateName(Arc<str>);

/// A text identifies no certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be sha256: with 64 lower-case hexadecimal characters, dns: with a name, uri: with a URI, or cn: with a common name"
)]
pub struct CertificateNameError;

/// What is known of a certificate whose signature, time and authority hold.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Digests of all its names; those that say more stand first.
    names: Box<[KeyDigest]>,
    /// From when on it must not be accepted.
    expires_at: Timestamp,
}

impl CertificateName {
    /// Reads a name; the case of a DNS name makes no difference.
    pub fn parse(text: &str) -> Result<Self, CertificateNameError> {
        let (kind, value) = text.split_once(':').ok_or(CertificateNameError)?;
        let fits = match kind {
            "sha256" => decode_hex::<32>(value).is_ok(),
            "dns" => return dns(value),
            "uri" => (1..=MAX_URI).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()),
            "cn" => {
                (1..=MAX_COMMON_NAME).contains(&value.chars().count())
                    && value.trim().len() == value.len()
                    && !value.chars().any(char::is_control)
            }
            _ => false,
        };
        if fits { Ok(Self(text.into())) } else { Err(CertificateNameError) }
    }

    /// The name of the certificate with this fingerprint: the SHA-256 of its DER.
    pub fn of_fingerprint(fingerprint: &[u8; 32]) -> Self {
        Self(format!("sha256:{}", encode_hex(fingerprint)).into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is found by.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }
}

fn dns(value: &str) -> Result<CertificateName, CertificateNameError> {
    let name = value.to_ascii_lowercase();
    match HostPattern::parse(&name) {
        Ok(host) if !host.is_wildcard() && !name.starts_with('[') => Ok(CertificateName(format!("dns:{name}").into())),
        _ => Err(CertificateNameError),
    }
}

impl CertificateFacts {
    /// Of a certificate with these names, those that say more first, that is over at `expires_at`.
    pub fn new(names: &[CertificateName], expires_at: Timestamp) -> Self {
        Self { names: names.iter().map(CertificateName::digest).collect(), expires_at }
    }

    /// The digests of its names.
    pub fn names(&self) -> &[KeyDigest] {
        &self.names
    }

    /// Whether its time has passed.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name may be a person's.
impl fmt::Debug for CertificateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CertificateName(redacted)")
    }
}

impl fmt::Debug for CertificateFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CertificateFacts").field("names", &self.names.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_is_read_in_one_form() {
        let fingerprint = format!("sha256:{}", "ab".repeat(32));
        for (text, read) in [
            (fingerprint.as_str(), fingerprint.as_str()),
            ("dns:Orders.Example.com", "dns:orders.example.com"),
            ("uri:spiffe://example.com/orders", "uri:spiffe://example.com/orders"),
            ("cn:Orders: the Gateway", "cn:Orders: the Gateway"),
        ] {
            assert_eq!(CertificateName::parse(text).unwrap().as_str(), read);
        }
        assert_eq!(CertificateName::of_fingerprint(&[0xab; 32]).as_str(), fingerprint);
    }

    #[test]
    fn other_texts_are_refused() {
        let (upper, long) = (format!("sha256:{}", "AB".repeat(32)), format!("cn:{}", "a".repeat(65)));
        for text in [
            "",
            "orders",
            "sha256:ab",
            &upper,
            "dns:",
            "dns:*.example.com",
            "dns:[::1]",
            "uri:",
            "uri:a b",
            "cn:",
            "cn: a",
            "cn:a\n",
            &long,
            "email:a@example.com",
            "CN:a",
        ] {
            assert_eq!(CertificateName::parse(text), Err(CertificateNameError), "{text}");
        }
    }

    #[test]
    fn nothing_of_a_certificate_is_printed() {
        let name = CertificateName::parse("cn:CANARY7F").unwrap();
        let facts = CertificateFacts::new(std::slice::from_ref(&name), Timestamp::from_seconds(5));
        assert!(!format!("{name:?} {facts:?}").contains("CANARY7F"));
        assert!(facts.is_over(Timestamp::from_seconds(5)) && !facts.is_over(Timestamp::from_seconds(4)));
    }
}
