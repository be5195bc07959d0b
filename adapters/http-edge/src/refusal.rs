//! Answers that the gateway gives itself: `{"error": CODE, "message": text, "requestId": id}`, and redirections.
//!
//! Always: texts are fixed, so that a refusal never repeats what a request carried. Not here: where a redirection leads
//! (`admission`).

use novagate_framing::Violation;
use novagate_kernel::ErrorCode;
use novagate_routing::RedirectStatus;

use crate::wire::grammar::push_number;
use crate::wire::response::push_line;

/// An answer of the gateway's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: &'static str,
}

/// A response that no upstream gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Refusal(Refusal),
    /// With its `Location` among the lines of its [`Manner`].
    Redirect(RedirectStatus),
}

/// How an answer is sent.
#[derive(Debug)]
pub(crate) struct Manner<'a> {
    pub(crate) request_id: &'a [u8],
    pub(crate) date: &'a [u8],
    /// Lines that belong to the answer: `Allow`, `Retry-After`, `Location`, ...
    pub(crate) extra: &'a [u8],
    /// The request was HEAD.
    pub(crate) without_body: bool,
    pub(crate) close: bool,
    /// The client is HTTP/1.0 and has asked to keep the connection.
    pub(crate) say_keep_alive: bool,
}

impl Refusal {
    /// With the code's usual text.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        Self { code, message: message(code) }
    }

    /// For a broken rule of HTTP.
    pub(crate) const fn broken(violation: Violation) -> Self {
        Self { code: violation.code(), message: violation.reason() }
    }

    fn body(self, request_id: &[u8]) -> [&[u8]; 7] {
        [
            b"{\"error\":\"",
            self.code.as_str().as_bytes(),
            b"\",\"message\":\"",
            self.message.as_bytes(),
            b"\",\"requestId\":\"",
            request_id,
            b"\"}",
        ]
    }
}

impl Answer {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Refusal(refusal) => refusal.code.status(),
            Self::Redirect(status) => status.code(),
        }
    }

    /// What stands in the record; a redirection is no failure.
    pub(crate) const fn code(self) -> Option<ErrorCode> {
        match self {
            Self::Refusal(refusal) => Some(refusal.code),
            Self::Redirect(_) => None,
        }
    }

    /// Writes the whole response. A redirection has no body.
    pub(crate) fn write(self, out: &mut Vec<u8>, manner: &Manner<'_>) {
        let body = match self {
            Self::Refusal(refusal) => refusal.body(manner.request_id),
            Self::Redirect(_) => [b"".as_slice(); 7],
        };
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, u64::from(self.status()));
        out.push(b' ');
        out.extend_from_slice(reason(self.status()).as_bytes());
        if self.code().is_some() {
            out.extend_from_slice(b"\r\ncontent-type: application/json");
        }
        out.extend_from_slice(b"\r\ncontent-length: ");
        push_number(out, body.iter().map(|part| part.len() as u64).sum());
        out.extend_from_slice(b"\r\n");
        push_line(out, b"date", manner.date);
        push_line(out, b"x-request-id", manner.request_id);
        if self.status() == 401 {
            out.extend_from_slice(b"www-authenticate: Bearer\r\n");
        }
        if self.code() == Some(ErrorCode::Overloaded) {
            out.extend_from_slice(b"retry-after: 1\r\n");
        }
        out.extend_from_slice(manner.extra);
        if manner.close {
            out.extend_from_slice(b"connection: close\r\n");
        } else if manner.say_keep_alive {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !manner.without_body {
            for part in body {
                out.extend_from_slice(part);
            }
        }
    }
}

const fn message(code: ErrorCode) -> &'static str {
    use ErrorCode as C;
    match code {
        C::BadRequest => "the request is malformed",
        C::TokenMissing => "a credential is required",
        C::TokenExpired => "the token has expired",
        C::TokenInvalid => "the token is not valid",
        C::KeyInvalid => "the key is not valid",
        C::Forbidden => "this is not allowed",
        C::IpRestricted => "this address is not admitted",
        C::AclDenied => "this consumer is not admitted",
        C::RouteNotFound => "no route matches this request",
        C::MethodNotAllowed => "the method is not allowed here",
        C::RequestTimeout => "the request was not completed in time",
        C::RequestTooLarge => "the request body is too large",
        C::UriTooLong => "the request target is too long",
        C::UnsupportedMediaType => "the body is in a form that is not read here",
        C::ExpectationFailed => "the expectation cannot be met",
        C::RateLimitExceeded => "too many requests",
        C::HeadersTooLarge => "the header section is too large",
        C::NotImplemented => "this is not implemented",
        C::DownstreamError => "the upstream could not be reached or gave no valid answer",
        C::NoHealthyTargets => "no target of the service is available",
        C::NotReady => "the gateway has no configuration yet",
        C::Overloaded => "the gateway is at its limit",
        C::DownstreamTimeout => "the upstream did not answer in time",
        C::VersionNotSupported => "the HTTP version is not supported",
        C::ClientClosed
        | C::ValidationFailed
        | C::InvalidCredentials
        | C::KeyRevoked
        | C::TenantSuspended
        | C::PlanLimit
        | C::RegistrationClosed
        | C::NotFound
        | C::NameTaken
        | C::EmailTaken
        | C::InUse
        | C::IdempotencyInProgress
        | C::Conflict
        | C::PreconditionFailed
        | C::IdempotencyKeyReused
        | C::TooManyAttempts
        | C::Internal
        | C::Unavailable
        | C::NotAcceptable => "the gateway failed to handle the request",
    }
}

/// The registered phrases (RFC 9110, section 15).
const fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_complete_response_with_the_documented_body() {
        let mut out = Vec::new();
        let manner = Manner {
            request_id: b"ID",
            date: b"NOW",
            extra: b"allow: GET\r\n",
            without_body: false,
            close: true,
            say_keep_alive: false,
        };
        Answer::Refusal(Refusal::of(ErrorCode::MethodNotAllowed)).write(&mut out, &manner);
        let body = r#"{"error":"METHOD_NOT_ALLOWED","message":"the method is not allowed here","requestId":"ID"}"#;
        let expected = format!(
            "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: NOW\r\n\
             x-request-id: ID\r\nallow: GET\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn every_text_can_stand_in_json_as_it_is() {
        let texts = ErrorCode::ALL.iter().map(|&code| message(code));
        for text in texts.chain(Violation::ALL.iter().map(|violation| violation.reason())) {
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\'), "{text}");
        }
    }
}
