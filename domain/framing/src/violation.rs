//! Every rule a client can break, with the code it is answered with and a short text that never repeats the input.
//!
//! Always: the texts are fixed, so they may be shown to the client. Not here: how a refusal is written (`http-edge`).

use std::fmt;

use novagate_kernel::ErrorCode;

macro_rules! violations {
    ($($(#[$doc:meta])* $variant:ident = $code:ident, $reason:literal;)+) => {
        /// The first rule that a client broke. After it nothing of the connection can be trusted: refuse and close.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Violation { $($(#[$doc])* $variant,)+ }

        impl Violation {
            /// Every violation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The error code of the refusal.
            pub const fn code(self) -> ErrorCode {
                match self { $(Self::$variant => ErrorCode::$code,)+ }
            }

            /// What is wrong, in a few fixed words that are safe to show.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$variant => $reason,)+ }
            }
        }
    };
}

violations! {
    // Anywhere in a head, a chunk-size line or a trailer section.
    /// A line feed without a carriage return before it.
    BareLf = BadRequest, "bare line feed";
    /// A carriage return without a line feed after it.
    BareCr = BadRequest, "bare carriage return";
    /// A NUL byte.
    NulByte = BadRequest, "NUL byte";

    // The request line.
    /// More than one empty line before the request line.
    EmptyLines = BadRequest, "more than one empty line before the request";
    /// The method is missing or not a token.
    BadMethod = BadRequest, "invalid method";
    /// The method is longer than any that exists.
    MethodTooLong = NotImplemented, "method too long";
    /// The request line is not method, one space, target, one space, version.
    BadRequestLine = BadRequest, "malformed request line";
    /// A byte that a request target may not hold raw.
    BadTargetByte = BadRequest, "invalid byte in the request target";
    /// A `#` in the request target.
    FragmentInTarget = BadRequest, "fragment in the request target";
    /// The target is none of the four forms, or its scheme is neither http nor https.
    BadTargetForm = BadRequest, "invalid form of the request target";
    /// The authority of an absolute target is not `host[:port]`.
    BadTargetAuthority = BadRequest, "invalid authority in the request target";
    /// `*` with another method than OPTIONS.
    AsteriskWithoutOptions = BadRequest, "asterisk target without OPTIONS";
    /// The target is longer than its limit.
    TargetTooLong = UriTooLong, "request target too long";
    /// The version is not `HTTP/` digit `.` digit.
    BadVersion = BadRequest, "malformed HTTP version";
    /// A well-formed version other than 1.0 and 1.1.
    UnsupportedVersion = VersionNotSupported, "unsupported HTTP version";
    /// CONNECT: the gateway is no tunnel.
    ConnectRefused = MethodNotAllowed, "CONNECT is not served here";

    // Fields.
    /// A field without a name.
    EmptyFieldName = BadRequest, "empty field name";
    /// The field name is not a token.
    BadFieldName = BadRequest, "invalid field name";
    /// A field name longer than any that exists.
    FieldNameTooLong = HeadersTooLarge, "field name too long";
    /// White space between the field name and its colon.
    SpaceBeforeColon = BadRequest, "white space before the colon";
    /// A line that begins with white space: a folded field.
    ObsFold = BadRequest, "folded field";
    /// A control byte in a field value.
    BadFieldValue = BadRequest, "invalid byte in a field value";
    /// The head is longer than its limit.
    HeadTooLarge = HeadersTooLarge, "head too large";
    /// More fields than the limit.
    TooManyFields = HeadersTooLarge, "too many fields";

    // Fields that decide about host, length and life of the connection.
    /// An HTTP/1.1 request without Host.
    MissingHost = BadRequest, "missing Host";
    /// More than one Host field.
    DuplicateHost = BadRequest, "more than one Host";
    /// An empty Host.
    EmptyHost = BadRequest, "empty Host";
    /// Host is not `host[:port]`.
    BadHost = BadRequest, "invalid Host";
    /// Host names another authority than the absolute target.
    HostMismatch = BadRequest, "Host differs from the request target";
    /// Content-Length is not one decimal number.
    BadContentLength = BadRequest, "invalid Content-Length";
    /// Content-Length does not fit 63 bits.
    ContentLengthOverflow = BadRequest, "Content-Length out of range";
    /// More than one Content-Length field.
    DuplicateContentLength = BadRequest, "more than one Content-Length";
    /// Transfer-Encoding is malformed or does not end in one `chunked`.
    BadTransferEncoding = BadRequest, "invalid Transfer-Encoding";
    /// More than one Transfer-Encoding field.
    DuplicateTransferEncoding = BadRequest, "more than one Transfer-Encoding";
    /// A coding below `chunked` that is not spoken here.
    UnknownTransferCoding = NotImplemented, "unknown transfer coding";
    /// Transfer-Encoding in an HTTP/1.0 request.
    TransferEncodingInHttp10 = BadRequest, "Transfer-Encoding in HTTP/1.0";
    /// Content-Length beside Transfer-Encoding.
    LengthAndEncoding = BadRequest, "Content-Length beside Transfer-Encoding";
    /// An Expect other than one `100-continue`.
    UnknownExpectation = ExpectationFailed, "unknown expectation";

    // Bodies.
    /// The body is longer than its limit.
    BodyTooLarge = RequestTooLarge, "body too large";
    /// The chunk size is missing or not hexadecimal.
    BadChunkSize = BadRequest, "invalid chunk size";
    /// The chunk size has more than 16 digits or does not fit 63 bits.
    ChunkSizeOverflow = BadRequest, "chunk size out of range";
    /// White space after the chunk size.
    SpaceAfterChunkSize = BadRequest, "white space after the chunk size";
    /// A chunk extension outside the grammar.
    BadChunkExtension = BadRequest, "invalid chunk extension";
    /// Chunk extensions longer than their fixed bounds.
    ChunkExtensionTooLong = BadRequest, "chunk extensions too long";
    /// Chunk data is not followed by CRLF.
    MissingChunkEnd = BadRequest, "missing line end after chunk data";
    /// A field that may not be in a trailer section.
    ForbiddenTrailer = BadRequest, "field not allowed in trailers";
    /// The trailer section is longer than its limit.
    TrailerTooLarge = HeadersTooLarge, "trailers too large";
}

impl Violation {
    /// The HTTP status of the refusal: that of its code.
    pub const fn status(self) -> u16 {
        self.code().status()
    }

    /// What a byte outside its grammar means: the line-end and NUL rules come before the element's own.
    pub(crate) const fn of_byte(byte: u8, otherwise: Self) -> Self {
        match byte {
            b'\n' => Self::BareLf,
            0 => Self::NulByte,
            _ => otherwise,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_violation_is_the_clients_fault_or_something_we_do_not_speak() {
        for violation in Violation::ALL {
            assert!(matches!(violation.status(), 400 | 405 | 413 | 414 | 417 | 431 | 501 | 505), "{violation:?}");
        }
    }

    #[test]
    fn reasons_are_distinct_short_and_plain() {
        let reasons: HashSet<_> = Violation::ALL.iter().map(|violation| violation.reason()).collect();
        assert_eq!(reasons.len(), Violation::ALL.len());
        assert!(reasons.iter().all(|reason| reason.len() <= 48 && reason.bytes().all(|b| (b' '..=b'~').contains(&b))));
    }
}
