//! Bounded words for metric labels and log fields.

/// A request method, or `Other` for anything that is not one of the registered methods NovaGate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MethodLabel {
    /// GET (RFC 9110, section 9.3.1).
    Get,
    /// HEAD (RFC 9110, section 9.3.2).
    Head,
    /// POST (RFC 9110, section 9.3.3).
    Post,
    /// PUT (RFC 9110, section 9.3.4).
    Put,
    /// DELETE (RFC 9110, section 9.3.5).
    Delete,
    /// CONNECT (RFC 9110, section 9.3.6).
    Connect,
    /// OPTIONS (RFC 9110, section 9.3.7).
    Options,
    /// TRACE (RFC 9110, section 9.3.8).
    Trace,
    /// PATCH (RFC 5789).
    Patch,
    /// Any other token.
    Other,
}

impl MethodLabel {
    /// Every label.
    pub const ALL: [Self; 10] = [
        Self::Get,
        Self::Head,
        Self::Post,
        Self::Put,
        Self::Delete,
        Self::Connect,
        Self::Options,
        Self::Trace,
        Self::Patch,
        Self::Other,
    ];

    /// The label of a method token; methods are case-sensitive (RFC 9110, section 9.1).
    pub fn of(method: &str) -> Self {
        Self::ALL.into_iter().find(|label| label.as_str() == method).unwrap_or(Self::Other)
    }

    /// The word; `OTHER` for anything unknown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "OTHER",
        }
    }

    /// Position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The class of a status code; metrics carry it in place of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StatusClass {
    /// 100 to 199.
    Informational,
    /// 200 to 299.
    Success,
    /// 300 to 399.
    Redirection,
    /// 400 to 499.
    ClientError,
    /// 500 and above.
    ServerError,
}

impl StatusClass {
    /// Every class.
    pub const ALL: [Self; 5] =
        [Self::Informational, Self::Success, Self::Redirection, Self::ClientError, Self::ServerError];

    /// The class of a status code.
    pub const fn of(status: u16) -> Self {
        match status {
            0..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    /// `1xx` to `5xx`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }

    /// Position in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_n2_an_unknown_method_is_other() {
        assert_eq!(MethodLabel::of("GET"), MethodLabel::Get);
        for method in ["get", "BREW", "", "secret-token-in-a-method"] {
            assert_eq!(MethodLabel::of(method).as_str(), "OTHER", "{method}");
        }
    }

    #[test]
    fn positions_agree_with_the_lists() {
        for (at, label) in MethodLabel::ALL.into_iter().enumerate() {
            assert_eq!(label.index(), at);
        }
        for (at, class) in StatusClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), at);
        }
    }
}
