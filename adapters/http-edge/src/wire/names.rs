//! Field names that mean something to a proxy, recognised without allocation.
//!
//! Always: names compare without case. Names of identity fields also match with underscores for dashes, because gateways to
//! application servers (CGI, WSGI) make both the same variable. Not here: what is done with a field (`request`, `response`).

/// What a field means to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldName {
    /// Nothing: it is passed on, unless `Connection` names it.
    Plain,
    /// Nothing, and `Connection` cannot take it away: it is meant for everybody on the way.
    EndToEnd,
    /// Ends here: it is about this connection only (RFC 9110, section 7.6.1).
    HopByHop,
    /// `Connection`
    Connection,
    /// `Upgrade`
    Upgrade,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Host`
    Host,
    /// `Authorization`
    Authorization,
    /// `X-API-Key`
    ApiKey,
    /// `X-Request-ID`
    RequestId,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Proto`
    ForwardedProto,
    /// `X-Forwarded-Host`
    ForwardedHost,
    /// Other fields in which proxies tell about the client.
    ForwardedOther,
    /// A field that only the gateway may set.
    Identity,
    /// `RateLimit` and `RateLimit-Policy`
    RateLimit,
    /// `Date`
    Date,
}

/// A name as numbers that cover all its bytes, letters in lower case: comparing them is comparing the name.
type Words = [u64; 3];

/// A name with what it means.
type Known = (Words, FieldName);

const NAMES_OF_4: [Known; 2] = [known(b"host", FieldName::Host), known(b"date", FieldName::Date)];
const NAMES_OF_6: [Known; 2] = [known(b"cookie", FieldName::EndToEnd), known(b"expect", FieldName::HopByHop)];
const NAMES_OF_7: [Known; 1] = [known(b"upgrade", FieldName::Upgrade)];
const NAMES_OF_9: [Known; 4] = [
    known(b"x-api-key", FieldName::ApiKey),
    known(b"x-real-ip", FieldName::ForwardedOther),
    known(b"forwarded", FieldName::ForwardedOther),
    known(b"ratelimit", FieldName::RateLimit),
];
const NAMES_OF_10: [Known; 3] = [
    known(b"connection", FieldName::Connection),
    known(b"keep-alive", FieldName::HopByHop),
    known(b"set-cookie", FieldName::EndToEnd),
];
const NAMES_OF_12: [Known; 2] =
    [known(b"content-type", FieldName::EndToEnd), known(b"x-request-id", FieldName::RequestId)];
const NAMES_OF_13: [Known; 2] =
    [known(b"authorization", FieldName::Authorization), known(b"cache-control", FieldName::EndToEnd)];
const NAMES_OF_14: [Known; 2] =
    [known(b"content-length", FieldName::ContentLength), known(b"http2-settings", FieldName::HopByHop)];
const NAMES_OF_15: [Known; 1] = [known(b"x-forwarded-for", FieldName::ForwardedFor)];
const NAMES_OF_16: [Known; 5] = [
    known(b"x-forwarded-host", FieldName::ForwardedHost),
    known(b"x-forwarded-port", FieldName::ForwardedOther),
    known(b"ratelimit-policy", FieldName::RateLimit),
    known(b"content-encoding", FieldName::EndToEnd),
    known(b"proxy-connection", FieldName::HopByHop),
];
const NAMES_OF_17: [Known; 2] =
    [known(b"transfer-encoding", FieldName::TransferEncoding), known(b"x-forwarded-proto", FieldName::ForwardedProto)];
const NAMES_OF_18: [Known; 1] = [known(b"proxy-authenticate", FieldName::HopByHop)];
const NAMES_OF_19: [Known; 1] = [known(b"proxy-authorization", FieldName::HopByHop)];

const fn known(name: &[u8], means: FieldName) -> Known {
    (words(name), means)
}

/// Covers names of 4 to 24 bytes; others become nothing that is known. Setting one bit makes letters small and leaves what
/// else stands in known names as it is; what would become equal to it by that may not stand in a name at all.
const fn words(name: &[u8]) -> Words {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let middle = match name.split_at_checked(8) {
        Some((_, rest)) => match rest.first_chunk::<8>() {
            Some(middle) => u64::from_le_bytes(*middle) | SMALL,
            None => 0,
        },
        None => 0,
    };
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64),
            _ => (0, 0),
        },
    };
    [first | SMALL, middle, last | SMALL]
}

impl FieldName {
    /// Recognises a name.
    pub(crate) fn of(name: &[u8]) -> Self {
        let known: &[Known] = match name.len() {
            2 if name.eq_ignore_ascii_case(b"te") => return Self::HopByHop,
            4 => &NAMES_OF_4,
            6 => &NAMES_OF_6,
            7 => &NAMES_OF_7,
            9 => &NAMES_OF_9,
            10 => &NAMES_OF_10,
            12 => &NAMES_OF_12,
            13 => &NAMES_OF_13,
            14 => &NAMES_OF_14,
            15 => &NAMES_OF_15,
            16 => &NAMES_OF_16,
            17 => &NAMES_OF_17,
            18 => &NAMES_OF_18,
            19 => &NAMES_OF_19,
            _ => &[],
        };
        let words = words(name);
        known.iter().find(|(known, _)| *known == words).map_or_else(|| Self::other(name), |&(_, means)| means)
    }

    fn other(name: &[u8]) -> Self {
        let identity: &[u8] = match name.len() {
            11 => b"client-cert",
            13 => b"x-consumer-id",
            15 => b"x-token-subject",
            17 if matches!(name.first(), Some(b'c' | b'C')) => b"client-cert-chain",
            17 => b"x-consumer-groups",
            _ => return Self::Plain,
        };
        let same =
            |(&byte, &wanted): (&u8, &u8)| (if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }) == wanted;
        if name.iter().zip(identity).all(same) { Self::Identity } else { Self::Plain }
    }

    /// Whether a trailer section may carry it on.
    pub(crate) const fn may_trail(self) -> bool {
        matches!(self, Self::Plain)
    }
}

/// The elements of a list (`Connection`, `Upgrade`), without blanks.
pub(crate) fn options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_without_case() {
        for (name, meaning) in [
            ("Connection", FieldName::Connection),
            ("TE", FieldName::HopByHop),
            ("te", FieldName::HopByHop),
            ("Proxy-Authorization", FieldName::HopByHop),
            ("KEEP-ALIVE", FieldName::HopByHop),
            ("X-Api-Key", FieldName::ApiKey),
            ("x-real-ip", FieldName::ForwardedOther),
            ("X-Forwarded-Proto", FieldName::ForwardedProto),
            ("Date", FieldName::Date),
            ("UPGRADE", FieldName::Upgrade),
            ("accept", FieldName::Plain),
            ("", FieldName::Plain),
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), meaning, "{name}");
        }
    }

    #[test]
    fn a_name_is_known_when_all_its_bytes_are() {
        let all = [
            &NAMES_OF_4[..],
            &NAMES_OF_6,
            &NAMES_OF_7,
            &NAMES_OF_9,
            &NAMES_OF_10,
            &NAMES_OF_12,
            &NAMES_OF_13,
            &NAMES_OF_14,
            &NAMES_OF_15,
            &NAMES_OF_16,
            &NAMES_OF_17,
            &NAMES_OF_18,
            &NAMES_OF_19,
        ];
        assert_eq!(all.iter().map(|names| names.len()).sum::<usize>(), 28);
        let name = b"proxy-authorization";
        for at in 0..name.len() {
            for byte in
                (b'!'..=b'~').filter(|byte| !byte.eq_ignore_ascii_case(&name[at]) && byte.is_ascii_alphanumeric())
            {
                let mut other = *name;
                other[at] = byte;
                assert_eq!(FieldName::of(&other), FieldName::Plain, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn identity_fields_match_with_underscores_too() {
        for name in [
            "X-Consumer-Id",
            "x_consumer_id",
            "X-Consumer_GROUPS",
            "x-token-subject",
            "X_Token-Subject",
            "Client-Cert",
            "client_cert",
            "CLIENT-Cert_Chain",
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), FieldName::Identity, "{name}");
        }
        assert_eq!(FieldName::of(b"x-consumer-ix"), FieldName::Plain);
    }

    #[test]
    fn connection_options_are_split_at_commas() {
        let found: Vec<_> = options(b" close ,, x-a,keep-alive ").collect();
        assert_eq!(found, [&b"close"[..], b"x-a", b"keep-alive"]);
    }
}
