//! The form of a request target.
//!
//! Decides which of the forms of RFC 9112 3.2 a target has, and refuses what a gateway does not serve: CONNECT, schemes
//! other than http and https, `*` without OPTIONS. Always: the target's bytes were checked before. Not here: paths and
//! percent-encoding (`routing`).

use crate::{
    host::Authority,
    info::{Span, TargetForm},
    violation::Violation,
};

/// The authority of an absolute target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AbsoluteAuthority {
    /// Where it stands.
    pub(crate) span: Span,
    /// The port when none is written.
    pub(crate) default_port: u16,
}

/// A target's form, with the authority when it is absolute. `at` is the place of the target's first byte.
pub(crate) fn form_of(
    method: &[u8],
    target: &[u8],
    at: usize,
) -> Result<(TargetForm, Option<AbsoluteAuthority>), Violation> {
    if method == b"CONNECT" {
        return Err(Violation::ConnectRefused);
    }
    match target {
        [b'/', ..] => Ok((TargetForm::Origin, None)),
        b"*" if method == b"OPTIONS" => Ok((TargetForm::Asterisk, None)),
        b"*" => Err(Violation::AsteriskWithoutOptions),
        _ => absolute(target, at).map(|authority| (TargetForm::Absolute, Some(authority))),
    }
}

fn absolute(target: &[u8], at: usize) -> Result<AbsoluteAuthority, Violation> {
    let (scheme_len, default_port) = if has_prefix(target, b"http://") {
        (7, 80)
    } else if has_prefix(target, b"https://") {
        (8, 443)
    } else {
        return Err(Violation::BadTargetForm);
    };
    let rest = target.get(scheme_len..).unwrap_or_default();
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = rest.get(..len).unwrap_or_default();
    if Authority::parse(authority).is_none() {
        return Err(Violation::BadTargetAuthority);
    }
    Ok(AbsoluteAuthority { span: Span::new(at + scheme_len, at + scheme_len + len), default_port })
}

fn has_prefix(target: &[u8], prefix: &[u8]) -> bool {
    target.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let form = |method: &str, target: &str| {
            form_of(method.as_bytes(), target.as_bytes(), 4).map(|(form, authority)| (form, authority.map(|a| a.span)))
        };
        assert_eq!(form("GET", "/"), Ok((TargetForm::Origin, None)));
        assert_eq!(form("GET", "//a/b"), Ok((TargetForm::Origin, None)));
        assert_eq!(form("OPTIONS", "*"), Ok((TargetForm::Asterisk, None)));
        assert_eq!(form("GET", "HTTPS://a:1?q=/"), Ok((TargetForm::Absolute, Some(Span::new(12, 15)))));
        assert_eq!(form("GET", "*"), Err(Violation::AsteriskWithoutOptions));
        assert_eq!(form("OPTIONS", "**"), Err(Violation::BadTargetForm));
        assert_eq!(form("options", "*"), Err(Violation::AsteriskWithoutOptions));
        assert_eq!(form("CONNECT", "a:443"), Err(Violation::ConnectRefused));
        assert_eq!(form("GET", "a:443"), Err(Violation::BadTargetForm));
        assert_eq!(form("GET", "ftp://a/"), Err(Violation::BadTargetForm));
        assert_eq!(form("GET", "http:///x"), Err(Violation::BadTargetAuthority));
        assert_eq!(form("GET", "http://u@a/"), Err(Violation::BadTargetAuthority));
    }
}
