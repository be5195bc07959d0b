//! The certificate that a client has shown, as requests use it.
//!
//! Always: made only of a certificate that was verified for this connection; decisions get digests of its names, an upstream
//! that is to know gets the certificate itself, nobody else gets anything of it. Not here: whose it is
//! (`novagate_policies`).

use std::fmt;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use novagate_kernel::Timestamp;
use novagate_policies::{CertificateFacts, CertificateName};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::ServerConnection;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Names of one certificate that are looked at.
const MAX_NAMES: usize = 64;

/// A client's certificate.
pub(crate) struct ClientCertificate {
    pub(crate) facts: CertificateFacts,
    /// The value of `Client-Cert` (RFC 9440, section 2.2).
    pub(crate) field: Box<[u8]>,
}

impl ClientCertificate {
    /// What the client of this connection has shown; nothing also when it cannot be read.
    pub(crate) fn of(connection: &ServerConnection) -> Option<Rc<Self>> {
        let own = connection.peer_certificates()?.first()?;
        Self::read(own).map(Rc::new)
    }

    fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let expires_at = Timestamp::from_seconds(certificate.validity().not_after.timestamp());
        let facts = CertificateFacts::new(&names(der, &certificate), expires_at);
        let field = [":", &STANDARD.encode(der), ":"].concat().into_bytes().into();
        Some(Self { facts, field })
    }
}

/// Its fingerprint, its URIs, its DNS names, the common name of its subject, in this order.
fn names(der: &[u8], certificate: &X509Certificate<'_>) -> Vec<CertificateName> {
    let fingerprint: [u8; 32] = Sha256::digest(der).into();
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.map_or(&[][..], |names| names.value.general_names.as_slice());
    let uris =
        alternative.iter().filter_map(|name| named("uri", if let GeneralName::URI(uri) = name { uri } else { "" }));
    let dns =
        alternative.iter().filter_map(|name| named("dns", if let GeneralName::DNSName(dns) = name { dns } else { "" }));
    let common = certificate.subject().iter_common_name().filter_map(|name| named("cn", name.as_str().ok()?));
    let all = uris.chain(dns).chain(common);
    std::iter::once(CertificateName::of_fingerprint(&fingerprint)).chain(all).take(MAX_NAMES).collect()
}

/// What a consumer cannot be known by is passed over.
fn named(kind: &str, value: &str) -> Option<CertificateName> {
    CertificateName::parse(&format!("{kind}:{value}")).ok()
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientCertificate(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn digest(text: &str) -> novagate_access::KeyDigest {
        CertificateName::parse(text).unwrap().digest()
    }

    #[test]
    fn names_are_read_in_the_order_of_what_they_say() {
        let der = made(|params| {
            params.distinguished_name.push(DnType::CommonName, "Orders");
            params.subject_alt_names = vec![
                SanType::DnsName("Orders.Example.com".try_into().unwrap()),
                SanType::URI("spiffe://example.com/orders".try_into().unwrap()),
                SanType::DnsName("*.example.com".try_into().unwrap()),
                SanType::Rfc822Name("ada@example.com".try_into().unwrap()),
            ];
        });
        let read = ClientCertificate::read(&der).unwrap();
        let fingerprint = CertificateName::of_fingerprint(&Sha256::digest(&der).into()).digest();
        let named = ["uri:spiffe://example.com/orders", "dns:orders.example.com", "cn:Orders"].map(digest);
        assert_eq!(read.facts.names(), [&[fingerprint][..], &named[..]].concat());
        assert!(read.facts.is_over(Timestamp::from_seconds(1_893_456_000)));
        assert!(!read.facts.is_over(Timestamp::from_seconds(1_893_455_999)));
    }

    #[test]
    fn the_field_is_the_certificate_as_a_byte_sequence_and_nothing_is_printed() {
        let der = made(|params| params.distinguished_name.push(DnType::CommonName, "CANARY7F"));
        let read = ClientCertificate::read(&der).unwrap();
        let inside = read.field.strip_prefix(b":").and_then(|rest| rest.strip_suffix(b":")).unwrap();
        assert_eq!(STANDARD.decode(inside).unwrap(), der);
        assert!(!format!("{read:?} {:?}", read.facts).contains("CANARY7F"));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert!(ClientCertificate::read(b"").is_none());
        assert!(ClientCertificate::read(&[0x30, 0x82, 0xff, 0xff, 0]).is_none());
    }
}
