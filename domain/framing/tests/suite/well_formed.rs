//! Requests that must pass, and what their heads say.

use crate::driver::{Event, byte_by_byte, whole};
use novagate_framing::{BodyKind, HeadInfo, Limits, TargetForm, Version};

fn accepts(input: &str) -> Vec<HeadInfo> {
    let outcome = whole(input.as_bytes(), Limits::default());
    assert_eq!(outcome.violation(), None, "{input:?}");
    assert_eq!(outcome.released, input.len(), "{input:?}");
    assert_eq!(byte_by_byte(input.as_bytes(), Limits::default()), outcome, "{input:?}");
    outcome.heads()
}

fn head_of(input: &str) -> HeadInfo {
    let heads = accepts(input);
    assert_eq!(heads.len(), 1, "{input:?}");
    heads[0]
}

#[test]
fn ordinary_targets_and_values_pass() {
    for target in
        ["/", "/a/b;c=d", "/%7Euser", "//a", "/a?b=c&d", "/?{\"x\"}".replace('"', "'").as_str(), "/a|b?c|d^`\\"]
    {
        let head = head_of(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!((head.form, head.target.len()), (TargetForm::Origin, target.len()));
    }
    head_of("M-SEARCH / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab: a\tb\r\nX-Obs: \u{e9}\r\n!#$%&'*+-.^_`|~: x\r\n\r\n");
}

#[test]
fn absolute_targets_pass_when_host_agrees() {
    for (target, host) in
        [("http://a/", "a"), ("http://a", "A:80"), ("HTTPS://A:443/x?y", "a"), ("http://[::1]:8000?q", "[0::1]:8000")]
    {
        let head = head_of(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.form, TargetForm::Absolute);
    }
    assert_eq!(head_of("GET http://a/ HTTP/1.0\r\n\r\n").host, None);
    assert_eq!(head_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").form, TargetForm::Asterisk);
}

#[test]
fn one_empty_line_before_a_request_belongs_to_its_head() {
    let input = "\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = head_of(input);
    assert_eq!(head.len, input.len());
    assert_eq!((head.method.of(input.as_bytes()), head.target.of(input.as_bytes())), (&b"GET"[..], &b"/x"[..]));
}

#[test]
fn heads_say_version_close_expectation_and_upgrade() {
    let head = head_of("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((head.version, head.close, head.body), (Version::Http10, true, BodyKind::None));
    let head = head_of("GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n");
    assert!(!head.close && !head.expect_continue);
    let head = head_of("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx");
    assert!(head.expect_continue && !head.close && !head.ends_message());
    let head = head_of("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert!(head.upgrade && head.ends_message());
}

#[test]
fn pipelined_requests_are_separated() {
    let post = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let chunked =
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n00\r\nX: y\r\n\r\n";
    let empty = "POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let heads = accepts(&format!("{post}{chunked}\r\n{empty}{post}"));
    let bodies: Vec<_> = heads.iter().map(|head| head.body).collect();
    assert_eq!(bodies, [BodyKind::Length(5), BodyKind::Chunked, BodyKind::Length(0), BodyKind::Length(5)]);
}

#[test]
fn nothing_passes_after_a_message_that_closes() {
    let first = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    let input = format!("{first}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let outcome = whole(input.as_bytes(), Limits::default());
    assert_eq!(outcome.released, first.len());
    assert_eq!(outcome.events[1..], [Event::Body(2), Event::End, Event::Closed]);
}

#[test]
fn largest_lengths_pass_and_wait_for_their_data() {
    let input = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nx";
    let outcome = whole(input.as_bytes(), Limits::default());
    assert_eq!((outcome.violation(), outcome.released), (None, input.len()));
}
