//! How TLS is spoken to the targets of a service, as data and as text.
//!
//! Always: files are named and never held, so nothing secret is in a configuration; there is no way to say that a
//! certificate is not verified. Not here: reading the files (`adapters/net`), speaking TLS (`adapters/http-edge`).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use novagate_kernel::{HexError, decode_hex, encode_hex};

use crate::host;

/// Longest name of a file.
const MAX_FILE_NAME: usize = 128;

/// How TLS is spoken to the targets of a service; by default as to those of any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct UpstreamTls {
    /// The authorities that may vouch for a target, in place of the gateway's; PEM.
    pub ca: Option<TlsFileName>,
    /// What the gateway shows of itself; `None`: nothing.
    pub identity: Option<TlsIdentity>,
    /// Whom a target's certificate has to name, and who is asked for (SNI); `None`: the target's host.
    pub server_name: Option<TlsServerName>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The keys that a target may have; empty: any that its certificate vouches for. At most [`UpstreamTls::MAX_PINS`].
    pub pins: Vec<KeyPin>,
}

/// A certificate with its private key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsIdentity {
    /// The chain, the own certificate first; PEM.
    pub cert: TlsFileName,
    /// The key; PEM.
    pub key: TlsFileName,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TlsVersion {
    /// 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// 1.3 (RFC 8446).
    V1_3,
}

/// The name of a file in the gateway's directory for them (`UPSTREAM_TLS_DIR`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsFileName(Arc<str>);

/// A text is no name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the name of a file in the gateway's UPSTREAM_TLS_DIR: 1 to {MAX_FILE_NAME} letters, digits, . _ and -, not a dot first"
)]
pub struct TlsFileNameError;

/// A name that a certificate can have: a DNS name in lower case, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsServerName(Arc<str>);

/// A text is no name that a certificate can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a DNS name or an IP address, without port and brackets")]
pub struct TlsServerNameError;

/// The SHA-256 of a public key as certificates hold it (`SubjectPublicKeyInfo`, DER; RFC 5280, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPin([u8; 32]);

impl UpstreamTls {
    /// Most keys that are listed.
    pub const MAX_PINS: usize = 16;
}

impl TlsFileName {
    /// Reads a name: one file, directly in the directory.
    pub fn parse(text: &str) -> Result<Self, TlsFileNameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=MAX_FILE_NAME).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_allowed);
        if fits { Ok(Self(text.into())) } else { Err(TlsFileNameError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TlsServerName {
    /// Reads a DNS name, whose case makes no difference, or an address.
    pub fn parse(text: &str) -> Result<Self, TlsServerNameError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string().into()));
        }
        let name = text.to_ascii_lowercase();
        let is_name = name.len() <= host::MAX_HOST_BYTES && host::check_name(&name, 0).is_ok();
        if is_name { Ok(Self(name.into())) } else { Err(TlsServerNameError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyPin {
    /// Reads 64 lower-case hexadecimal characters.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        decode_hex(text).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TlsFileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for TlsServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&encode_hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_and_never_led_to() {
        for name in ["users-ca.pem", "K.key", "1", "a..b"] {
            assert_eq!(TlsFileName::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(MAX_FILE_NAME + 1);
        for text in ["", ".", "..", ".hidden", "a/b", "/etc/key.pem", "../key", "a b", "a\0", "\u{e9}", &long] {
            assert_eq!(TlsFileName::parse(text), Err(TlsFileNameError), "{text}");
        }
    }

    #[test]
    fn what_is_secret_is_no_name_of_a_file_and_not_told_again() {
        let pem = "-----BEGIN PRIVATE KEY-----\nCANARY7F\n-----END PRIVATE KEY-----\n";
        assert!(!TlsFileName::parse(pem).unwrap_err().to_string().contains("CANARY7F"));
    }

    #[test]
    fn names_of_servers_are_read_in_one_form() {
        for (text, read) in
            [("Users.Internal", "users.internal"), ("10.0.0.1", "10.0.0.1"), ("2001:DB8:0::1", "2001:db8::1")]
        {
            assert_eq!(TlsServerName::parse(text).unwrap().as_str(), read);
        }
        for text in ["", "*.example.com", "a:443", "[::1]", "10.0.0.256", "a..b", "a/b", "\u{e9}"] {
            assert_eq!(TlsServerName::parse(text), Err(TlsServerNameError), "{text}");
        }
    }

    #[test]
    fn a_pin_is_a_digest_in_lower_case() {
        let text = "0f".repeat(32);
        assert_eq!(KeyPin::parse(&text).unwrap().to_string(), text);
        for text in [String::new(), "0F".repeat(32), "0f".repeat(31), "zz".repeat(32)] {
            assert!(KeyPin::parse(&text).is_err(), "{text}");
        }
    }
}
