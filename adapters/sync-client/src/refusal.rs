//! What an answer other than an upgrade means.

use std::time::Duration;

use http::{Response, StatusCode, header};
use novagate_kernel::ErrorCode;
use novagate_ports_edge::DialError;
use novagate_sync::ByeCode;
use serde::Deserialize;

/// Longest `Retry-After` that is believed.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

#[derive(Deserialize)]
struct Problem {
    code: String,
}

/// Reads the answer. The status decides where the body does not say more: a proxy on the way may have answered.
pub(crate) fn dial_error(response: &Response<Option<Vec<u8>>>) -> DialError {
    let body = response.body().as_deref().unwrap_or_default();
    let code = serde_json::from_slice::<Problem>(body).ok().and_then(|problem| ErrorCode::parse(&problem.code));
    let not_ready = DialError::NotReady { retry_after: retry_after(response) };
    match (response.status(), code) {
        (StatusCode::UNAUTHORIZED, Some(ErrorCode::KeyRevoked)) => DialError::Refused { code: ByeCode::KeyRevoked },
        (StatusCode::UNAUTHORIZED, _) => DialError::Refused { code: ByeCode::KeyInvalid },
        (StatusCode::FORBIDDEN, Some(ErrorCode::TenantSuspended)) => {
            DialError::Refused { code: ByeCode::TenantSuspended }
        }
        _ => not_ready,
    }
}

fn retry_after(response: &Response<Option<Vec<u8>>>) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, retry: Option<&str>) -> DialError {
        let mut response = Response::builder().status(status);
        if let Some(retry) = retry {
            response = response.header(header::RETRY_AFTER, retry);
        }
        dial_error(&response.body(Some(body.as_bytes().to_vec())).unwrap())
    }

    #[test]
    fn refusals_are_told_apart_by_their_code() {
        let refused = |status, code: &str| match answer(status, &format!("{{\"code\":\"{code}\"}}"), None) {
            DialError::Refused { code } => Some(code),
            DialError::NotReady { .. } | DialError::Unreachable(_) => None,
        };
        assert_eq!(refused(401, "KEY_INVALID"), Some(ByeCode::KeyInvalid));
        assert_eq!(refused(401, "KEY_REVOKED"), Some(ByeCode::KeyRevoked));
        assert_eq!(refused(401, "WHATEVER"), Some(ByeCode::KeyInvalid));
        assert_eq!(refused(403, "TENANT_SUSPENDED"), Some(ByeCode::TenantSuspended));
        assert_eq!(refused(403, "PLAN_LIMIT"), None);
        assert_eq!(refused(500, "KEY_INVALID"), None);
    }

    #[test]
    fn retry_after_is_read_within_reason() {
        let wait = |text| match answer(503, "", Some(text)) {
            DialError::NotReady { retry_after } => retry_after,
            DialError::Refused { .. } | DialError::Unreachable(_) => None,
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("99999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(wait("-1"), None);
    }
}
