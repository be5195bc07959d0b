//! Responsible disclosure.

use novagate_documents::time::parse_timestamp;
use novagate_e2e::{Control, Request, now_seconds};

#[test]
fn promise_d1_security_txt_is_served_not_expired_and_agrees_with_the_policy() {
    let policy = include_str!("../../../../SECURITY.md");
    let control = Control::start();
    let served = control.send(&Request::get("/.well-known/security.txt")).expect(200);
    assert!(served.header("content-type").unwrap().starts_with("text/plain"));
    let text = served.text();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name}: {text}"))
    };
    assert_eq!(field("Contact"), "mailto:security@novagate.dev");
    let expires = parse_timestamp(field("Expires")).unwrap().as_seconds();
    let now = i64::try_from(now_seconds()).unwrap();
    assert!(expires > now + 30 * 86_400 && expires < now + 366 * 86_400, "{text}");
    for promised in ["security@novagate.dev", "48 hours", "7 days"] {
        assert!(policy.contains(promised) && text.contains(promised), "{promised}");
    }
    assert!(policy.contains("/.well-known/security.txt"));
}
