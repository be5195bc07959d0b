//! The registry of error codes: every word that a client of the gateway or of the control plane can be answered with.

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $status:literal, $word:literal;)+) => {
        /// A stable machine-readable error code with the HTTP status it is sent with. `docs/errors.md` lists them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ErrorCode { $($(#[$doc])* $variant = $number,)+ }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in bodies, logs and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The HTTP status this code travels with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }
        }
    };
}

error_codes! {
    // Answered by the gateway.
    /// The request is not well-formed HTTP, or its target is not acceptable.
    BadRequest = 1, 400, "BAD_REQUEST";
    /// The route needs a credential and none was presented.
    TokenMissing = 2, 401, "TOKEN_MISSING";
    /// The token was valid once: refresh it.
    TokenExpired = 3, 401, "TOKEN_EXPIRED";
    /// The token is not valid for this route.
    TokenInvalid = 4, 401, "TOKEN_INVALID";
    /// The presented key is unknown, revoked or not accepted on this route.
    KeyInvalid = 5, 401, "KEY_INVALID";
    /// The credential is valid and the action is not allowed.
    Forbidden = 6, 403, "FORBIDDEN";
    /// The client's address is not admitted.
    IpRestricted = 7, 403, "IP_RESTRICTED";
    /// The consumer's groups are not admitted.
    AclDenied = 8, 403, "ACL_DENIED";
    /// No route matches host and path.
    RouteNotFound = 9, 404, "ROUTE_NOT_FOUND";
    /// A route matches host and path, none the method; `Allow` names those that do.
    MethodNotAllowed = 10, 405, "METHOD_NOT_ALLOWED";
    /// The client did not finish its request in time.
    RequestTimeout = 11, 408, "REQUEST_TIMEOUT";
    /// The body is larger than the gateway or route admits.
    RequestTooLarge = 12, 413, "REQUEST_TOO_LARGE";
    /// The request target is longer than the gateway admits.
    UriTooLong = 13, 414, "URI_TOO_LONG";
    /// The body's media type, or its content coding, is not one that is read here.
    UnsupportedMediaType = 77, 415, "UNSUPPORTED_MEDIA_TYPE";
    /// An `Expect` other than `100-continue`.
    ExpectationFailed = 14, 417, "EXPECTATION_FAILED";
    /// A rate limit refused the request; `Retry-After` says when to come back.
    RateLimitExceeded = 15, 429, "RATE_LIMIT_EXCEEDED";
    /// The header section is larger than the gateway admits.
    HeadersTooLarge = 16, 431, "HEADERS_TOO_LARGE";
    /// The client went away before it was answered; seen in logs only.
    ClientClosed = 17, 499, "CLIENT_CLOSED";
    /// A transfer coding or method the gateway does not speak.
    NotImplemented = 18, 501, "NOT_IMPLEMENTED";
    /// The upstream refused, reset or answered something that is not HTTP.
    DownstreamError = 19, 502, "DOWNSTREAM_ERROR";
    /// No target of the service is available.
    NoHealthyTargets = 20, 503, "NO_HEALTHY_TARGETS";
    /// The gateway has no configuration yet.
    NotReady = 21, 503, "NOT_READY";
    /// The gateway is at its limit of connections or work.
    Overloaded = 22, 503, "OVERLOADED";
    /// The upstream did not answer in time.
    DownstreamTimeout = 23, 504, "DOWNSTREAM_TIMEOUT";
    /// An HTTP version the gateway does not speak.
    VersionNotSupported = 24, 505, "HTTP_VERSION_NOT_SUPPORTED";

    // Answered by the control plane (beside some of the above).
    /// A body breaks rules; `errors` names each field and rule.
    ValidationFailed = 64, 422, "VALIDATION_FAILED";
    /// E-mail or password is wrong; which one is not said.
    InvalidCredentials = 65, 401, "INVALID_CREDENTIALS";
    /// The gateway key was valid once and has been revoked.
    KeyRevoked = 66, 401, "KEY_REVOKED";
    /// The tenant is suspended.
    TenantSuspended = 67, 403, "TENANT_SUSPENDED";
    /// A limit of the tenant's plan; `limit` names it.
    PlanLimit = 68, 403, "PLAN_LIMIT";
    /// This control plane does not register tenants over the API.
    RegistrationClosed = 69, 403, "REGISTRATION_CLOSED";
    /// There is no such thing, or it belongs to somebody else.
    NotFound = 70, 404, "NOT_FOUND";
    /// The name is taken in this tenant.
    NameTaken = 71, 409, "NAME_TAKEN";
    /// The address has an account already.
    EmailTaken = 72, 409, "EMAIL_TAKEN";
    /// Other objects refer to it; `errors` names them.
    InUse = 73, 409, "IN_USE";
    /// A request with this `Idempotency-Key` is running.
    IdempotencyInProgress = 74, 409, "IDEMPOTENCY_IN_PROGRESS";
    /// The state changed while the request ran; try again.
    Conflict = 75, 409, "CONFLICT";
    /// `If-Match` or `If-None-Match` does not hold.
    PreconditionFailed = 76, 412, "PRECONDITION_FAILED";
    /// The same `Idempotency-Key` came with another body.
    IdempotencyKeyReused = 78, 422, "IDEMPOTENCY_KEY_REUSED";
    /// Too many attempts; `Retry-After` says when to come back.
    TooManyAttempts = 79, 429, "TOO_MANY_ATTEMPTS";
    /// A defect of ours; the log has the cause under the same request id.
    Internal = 80, 500, "INTERNAL";
    /// A service behind the control plane is away; nothing was changed.
    Unavailable = 81, 503, "UNAVAILABLE";
    /// None of the offered media types can be sent.
    NotAcceptable = 82, 406, "NOT_ACCEPTABLE";
}

impl ErrorCode {
    /// The code with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }

    /// The compact form for records.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// The opposite of [`Self::as_u8`].
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_u8() == number)
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_word_and_survives_both_round_trips() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
            assert_eq!(ErrorCode::from_u8(code.as_u8()), Some(code));
        }
    }
}
