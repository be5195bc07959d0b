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

impl FieldName {
    /// Recognises a name.
    pub(crate) fn of(name: &[u8]) -> Self {
        use FieldName as F;
        let known: &[(&[u8], F)] = match name.len() {
            2 => &[(b"te", F::HopByHop)],
            4 => &[(b"host", F::Host), (b"date", F::Date)],
            6 => &[(b"cookie", F::EndToEnd), (b"expect", F::HopByHop)],
            7 => &[(b"upgrade", F::Upgrade)],
            9 => &[
                (b"x-api-key", F::ApiKey),
                (b"x-real-ip", F::ForwardedOther),
                (b"forwarded", F::ForwardedOther),
                (b"ratelimit", F::RateLimit),
            ],
            10 => &[(b"connection", F::Connection), (b"keep-alive", F::HopByHop), (b"set-cookie", F::EndToEnd)],
            12 => &[(b"x-request-id", F::RequestId), (b"content-type", F::EndToEnd)],
            13 => &[(b"authorization", F::Authorization), (b"cache-control", F::EndToEnd)],
            14 => &[(b"content-length", F::ContentLength), (b"http2-settings", F::HopByHop)],
            15 => &[(b"x-forwarded-for", F::ForwardedFor)],
            16 => &[
                (b"proxy-connection", F::HopByHop),
                (b"x-forwarded-host", F::ForwardedHost),
                (b"x-forwarded-port", F::ForwardedOther),
                (b"ratelimit-policy", F::RateLimit),
                (b"content-encoding", F::EndToEnd),
            ],
            17 => &[(b"transfer-encoding", F::TransferEncoding), (b"x-forwarded-proto", F::ForwardedProto)],
            18 => &[(b"proxy-authenticate", F::HopByHop)],
            19 => &[(b"proxy-authorization", F::HopByHop)],
            _ => &[],
        };
        known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or_else(|| Self::other(name), |&(_, f)| f)
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
