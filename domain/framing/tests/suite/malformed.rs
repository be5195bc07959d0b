//! One row per rule: a request that breaks it, and the violation that must be named, at once and byte by byte.

use crate::driver::{byte_by_byte, whole};
use novagate_framing::{Limits, Violation, Violation as V};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn refuses(input: &[u8], limits: Limits, expected: Violation) {
    let shown = String::from_utf8_lossy(&input[..input.len().min(120)]).into_owned();
    let at_once = whole(input, limits);
    assert_eq!(at_once.violation(), Some(expected), "{shown:?}");
    assert_eq!(byte_by_byte(input, limits), at_once, "{shown:?}");
}

/// A request line before a valid head.
const REQUEST_LINES: &[(&str, Violation)] = &[
    (" GET / HTTP/1.1\r\n", V::BadMethod),
    ("GE(T / HTTP/1.1\r\n", V::BadMethod),
    ("GET\t/ HTTP/1.1\r\n", V::BadMethod),
    ("GET\r\n", V::BadMethod),
    ("GET\0 / HTTP/1.1\r\n", V::NulByte),
    ("GET\n/ HTTP/1.1\r\n", V::BareLf),
    ("\n", V::BareLf),
    ("\rGET / HTTP/1.1\r\n", V::BareCr),
    ("\r\n\r\nGET / HTTP/1.1\r\n", V::EmptyLines),
    ("\r\n GET / HTTP/1.1\r\n", V::BadMethod),
    ("\u{fc} / HTTP/1.1\r\n", V::BadMethod),
    ("{\"a\":1} / HTTP/1.1\r\n", V::BadMethod),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n", V::MethodTooLong),
    ("GET  / HTTP/1.1\r\n", V::BadRequestLine),
    ("GET /  HTTP/1.1\r\n", V::BadRequestLine),
    ("GET / HTTP/1.1 \r\n", V::BadRequestLine),
    ("GET / HTTP/1.1x\r\n", V::BadRequestLine),
    ("GET /\r\n", V::BadRequestLine),
    ("GET \r\n", V::BadRequestLine),
    ("GET /a b HTTP/1.1\r\n", V::BadVersion),
    ("GET / HTTP/1.1\n", V::BareLf),
    ("GET / HTTP/1.1\rX", V::BareCr),
    ("GET / HTTP/1.1\r\r\n", V::BareCr),
    ("GET / \r\n", V::BadVersion),
    ("GET / http/1.1\r\n", V::BadVersion),
    ("GET / HTTP/1\r\n", V::BadVersion),
    ("GET / HTTP/1,1\r\n", V::BadVersion),
    ("GET / HTTP/1.10\r\n", V::BadVersion),
    ("GET / HTTP/11.1\r\n", V::BadVersion),
    ("GET / HTTPS/1.1\r\n", V::BadVersion),
    ("GET / ICY/1.1\r\n", V::BadVersion),
    ("GET / HTTP/0.9\r\n", V::UnsupportedVersion),
    ("GET / HTTP/1.2\r\n", V::UnsupportedVersion),
    ("GET / HTTP/2.0\r\n", V::UnsupportedVersion),
    ("PRI * HTTP/2.0\r\n", V::UnsupportedVersion),
    ("GET /a#b HTTP/1.1\r\n", V::FragmentInTarget),
    ("GET /a?b#c HTTP/1.1\r\n", V::FragmentInTarget),
    ("GET /\u{e9} HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /a\tb HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /\u{1} HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /\u{7f} HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /\0 HTTP/1.1\r\n", V::NulByte),
    ("GET /a<b HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /a\\b HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /{a} HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /?\"a\" HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /?a>b HTTP/1.1\r\n", V::BadTargetByte),
    ("GET /?\u{e9} HTTP/1.1\r\n", V::BadTargetByte),
    ("GET a HTTP/1.1\r\n", V::BadTargetForm),
    ("GET a:80 HTTP/1.1\r\n", V::BadTargetForm),
    ("GET ?a HTTP/1.1\r\n", V::BadTargetForm),
    ("GET ftp://a/ HTTP/1.1\r\n", V::BadTargetForm),
    ("GET http:/a HTTP/1.1\r\n", V::BadTargetForm),
    ("GET http:// HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http:///a HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http://u:p@a/ HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http://a:/ HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http://a:99999/ HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http://[::1/ HTTP/1.1\r\n", V::BadTargetAuthority),
    ("GET http://b/ HTTP/1.1\r\n", V::HostMismatch),
    ("GET http://a:8080/ HTTP/1.1\r\n", V::HostMismatch),
    ("GET https://a:80/ HTTP/1.1\r\n", V::HostMismatch),
    ("GET http://a.b/ HTTP/1.1\r\n", V::HostMismatch),
    ("GET * HTTP/1.1\r\n", V::AsteriskWithoutOptions),
    ("OPTIONS */a HTTP/1.1\r\n", V::BadTargetForm),
    ("CONNECT a:443 HTTP/1.1\r\n", V::ConnectRefused),
    ("CONNECT / HTTP/1.1\r\n", V::ConnectRefused),
];

/// Field lines after a valid request line and Host.
const FIELDS: &[(&str, Violation)] = &[
    (": x\r\n", V::EmptyFieldName),
    ("X : x\r\n", V::SpaceBeforeColon),
    ("X\t: x\r\n", V::SpaceBeforeColon),
    ("X\r\n", V::BadFieldName),
    ("X Y: x\r\n", V::SpaceBeforeColon),
    ("X(: x\r\n", V::BadFieldName),
    ("X\u{e9}: x\r\n", V::BadFieldName),
    ("X\0: x\r\n", V::NulByte),
    ("X\n: x\r\n", V::BareLf),
    ("X: x\n", V::BareLf),
    ("X: x\n\r\n", V::BareLf),
    ("X: x\rY\r\n", V::BareCr),
    ("X: x\r\r\n", V::BareCr),
    ("X: a\0b\r\n", V::NulByte),
    ("X: a\u{1}b\r\n", V::BadFieldValue),
    ("X: a\u{b}b\r\n", V::BadFieldValue),
    ("X: a\u{7f}\r\n", V::BadFieldValue),
    ("X: a\r\n b\r\n", V::ObsFold),
    ("X: a\r\n\tb\r\n", V::ObsFold),
    ("X: a\r\n \r\n", V::ObsFold),
    ("X: a\r\n\r", V::BareCr),
    ("Host: a\r\n", V::DuplicateHost),
    ("hOST: b\r\n", V::DuplicateHost),
    ("Host:\r\n", V::DuplicateHost),
    ("Content-Length: -1\r\n", V::BadContentLength),
    ("Content-Length: +1\r\n", V::BadContentLength),
    ("Content-Length:\r\n", V::BadContentLength),
    ("Content-Length: 1 2\r\n", V::BadContentLength),
    ("Content-Length: 1,1\r\n", V::BadContentLength),
    ("Content-Length: 1, 1\r\n", V::BadContentLength),
    ("Content-Length: 0x10\r\n", V::BadContentLength),
    ("Content-Length: 1.0\r\n", V::BadContentLength),
    ("Content-Length: 1e3\r\n", V::BadContentLength),
    ("Content-Length: \u{ff11}\r\n", V::BadContentLength),
    ("Content-Length: 1_000\r\n", V::BadContentLength),
    ("Content-Length: 18446744073709551616\r\n", V::ContentLengthOverflow),
    ("Content-Length: 18446744073709551615\r\n", V::ContentLengthOverflow),
    ("Content-Length: 99999999999999999999999999\r\n", V::ContentLengthOverflow),
    ("Content-Length: 1\r\nContent-Length: 1\r\n", V::DuplicateContentLength),
    ("Content-Length: 1\r\ncontent-length: 2\r\n", V::DuplicateContentLength),
    ("Content-Length: 0\r\nContent-Length:\r\n", V::DuplicateContentLength),
    ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", V::LengthAndEncoding),
    ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", V::LengthAndEncoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", V::DuplicateTransferEncoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", V::DuplicateTransferEncoding),
    ("Transfer-Encoding: identity\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: gzip\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: xchunked\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: chunkedx\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: chunked, identity\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: chunked, chunked\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: chunked,\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: \"chunked\"\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: chunked;a=b\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding:\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: \u{b}chunked\r\n", V::BadFieldValue),
    ("Transfer-Encoding : chunked\r\n", V::SpaceBeforeColon),
    ("Transfer-Encoding\r\n : chunked\r\n", V::BadFieldName),
    ("Transfer-Encoding:\r\n chunked\r\n", V::BadTransferEncoding),
    ("Transfer-Encoding: gzip, chunked\r\n", V::UnknownTransferCoding),
    ("Expect: 200-ok\r\n", V::UnknownExpectation),
    ("Expect:\r\n", V::UnknownExpectation),
    ("Expect: 100-continue, x\r\n", V::UnknownExpectation),
    ("Expect: 100-continue\r\nExpect: 100-continue\r\n", V::UnknownExpectation),
];

/// Values of Host.
const HOSTS: &[(&str, Violation)] = &[
    ("", V::EmptyHost),
    (" \t ", V::EmptyHost),
    ("a b", V::BadHost),
    ("a,b", V::BadHost),
    ("user@host", V::BadHost),
    ("host/path", V::BadHost),
    ("http://a", V::BadHost),
    ("a:", V::BadHost),
    ("a:b", V::BadHost),
    ("a:65536", V::BadHost),
    ("a:80:80", V::BadHost),
    ("a..b", V::BadHost),
    (".a", V::BadHost),
    ("[::1", V::BadHost),
    ("[::g]", V::BadHost),
    ("[::1]x", V::BadHost),
    ("::1", V::BadHost),
    ("a%2eb", V::BadHost),
    ("256.256.256.256", V::BadHost),
    ("b\u{fc}cher", V::BadHost),
    ("a?b", V::BadHost),
    ("a\\b", V::BadHost),
];

/// Bodies after a valid chunked head.
const CHUNKED_BODIES: &[(&str, Violation)] = &[
    ("\r\n", V::BadChunkSize),
    ("g\r\n", V::BadChunkSize),
    ("-1\r\n", V::BadChunkSize),
    ("+1\r\n", V::BadChunkSize),
    ("0x1\r\n", V::BadChunkSize),
    (" 1\r\n", V::BadChunkSize),
    (";a\r\n", V::BadChunkSize),
    ("1 \r\n", V::SpaceAfterChunkSize),
    ("1\t\r\n", V::SpaceAfterChunkSize),
    ("1 ;a\r\n", V::SpaceAfterChunkSize),
    ("1\n", V::BareLf),
    ("1\rx", V::BareCr),
    ("1\r\r\n", V::BareCr),
    ("1\0\r\n", V::NulByte),
    ("10000000000000000\r\n", V::ChunkSizeOverflow),
    ("ffffffffffffffff\r\n", V::ChunkSizeOverflow),
    ("00000000000000000\r\n", V::ChunkSizeOverflow),
    ("1;\r\n", V::BadChunkExtension),
    ("1;;\r\n", V::BadChunkExtension),
    ("1;a=\r\n", V::BadChunkExtension),
    ("1; a\r\n", V::BadChunkExtension),
    ("1;a \r\n", V::BadChunkExtension),
    ("1;a=\"b\"c\r\n", V::BadChunkExtension),
    ("1;a=\"\u{1}\"\r\n", V::BadChunkExtension),
    ("1;a\u{e9}\r\n", V::BadChunkExtension),
    ("1;a\n", V::BareLf),
    ("1;a=\"b\nc\"\r\n", V::BareLf),
    ("1;a\0\r\n", V::NulByte),
    ("1\r\nxy", V::MissingChunkEnd),
    ("1\r\nx\n", V::MissingChunkEnd),
    ("1\r\nx\rx", V::MissingChunkEnd),
    ("1\r\nx0\r\n\r\n", V::MissingChunkEnd),
    ("0\r\nX : 1\r\n\r\n", V::SpaceBeforeColon),
    ("0\r\n: 1\r\n\r\n", V::EmptyFieldName),
    ("0\r\nX: 1\n\r\n", V::BareLf),
    ("0\r\nX: 1\r\n y\r\n\r\n", V::ObsFold),
    ("0\r\n X: 1\r\n\r\n", V::ObsFold),
    ("0\r\n\rX", V::BareCr),
    ("0\r\n\n", V::BareLf),
    ("0\r\nContent-Length: 1\r\n\r\n", V::ForbiddenTrailer),
    ("0\r\ntransfer-encoding: chunked\r\n\r\n", V::ForbiddenTrailer),
    ("0\r\nHost: b\r\n\r\n", V::ForbiddenTrailer),
    ("0\r\nX: 1\r\nAuthorization: x\r\n\r\n", V::ForbiddenTrailer),
    ("0\r\nTrailer: x\r\n\r\n", V::ForbiddenTrailer),
    ("1\r\nx\r\n0\r\n\r\nGET /\x01", V::BadTargetByte),
];

#[test]
fn malformed_request_lines_are_named() {
    for (line, expected) in REQUEST_LINES {
        refuses(format!("{line}Host: a\r\n\r\n").as_bytes(), Limits::default(), *expected);
    }
}

#[test]
fn malformed_fields_are_named() {
    for (fields, expected) in FIELDS {
        refuses(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes(), Limits::default(), *expected);
    }
}

#[test]
fn malformed_hosts_are_named() {
    for (host, expected) in HOSTS {
        refuses(format!("GET / HTTP/1.1\r\nHost:{host}\r\n\r\n").as_bytes(), Limits::default(), *expected);
        refuses(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes(), Limits::default(), *expected);
    }
}

#[test]
fn malformed_chunked_bodies_are_named() {
    for (body, expected) in CHUNKED_BODIES {
        refuses(format!("{CHUNKED}{body}").as_bytes(), Limits::default(), *expected);
    }
}

#[test]
fn rules_that_depend_on_the_version_are_named() {
    let refuses = |input: &str, expected| refuses(input.as_bytes(), Limits::default(), expected);
    refuses("GET / HTTP/1.1\r\n\r\n", V::MissingHost);
    refuses("GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n", V::MissingHost);
    refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", V::TransferEncodingInHttp10);
    refuses("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", V::LengthAndEncoding);
    refuses("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", V::DuplicateHost);
    refuses("GET / HTTP/1.1\r\n Host: a\r\n\r\n", V::ObsFold);
}

#[test]
fn limits_bite_as_soon_as_they_are_exceeded() {
    let limits = Limits::new(256, 3, 20).unwrap().with_max_body_bytes(Some(10));
    // None of these is complete: the violation comes with the first byte too many.
    refuses(format!("GET /{}", "a".repeat(20)).as_bytes(), limits, V::TargetTooLong);
    refuses(format!("GET /?{}", "a".repeat(19)).as_bytes(), limits, V::TargetTooLong);
    refuses(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(237)).as_bytes(), limits, V::HeadTooLarge);
    refuses(b"GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\nD", limits, V::TooManyFields);
    refuses(format!("GET / HTTP/1.1\r\n{}", "n".repeat(257)).as_bytes(), Limits::default(), V::FieldNameTooLong);
    refuses(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", limits, V::BodyTooLarge);
    refuses(format!("{CHUNKED}b\r\n").as_bytes(), limits, V::BodyTooLarge);
    refuses(format!("{CHUNKED}a\r\n0123456789\r\n1\r\n").as_bytes(), limits, V::BodyTooLarge);
    refuses(format!("{CHUNKED}1;{}", "e".repeat(512)).as_bytes(), Limits::default(), V::ChunkExtensionTooLong);
    refuses(format!("{CHUNKED}0\r\nX: {}", "t".repeat(253)).as_bytes(), limits, V::TrailerTooLarge);
    refuses(format!("{CHUNKED}0\r\nX: {}", "t".repeat(8192)).as_bytes(), Limits::default(), V::TrailerTooLarge);
    refuses(format!("{CHUNKED}0\r\nA:\r\nB:\r\nC:\r\nD").as_bytes(), limits, V::TooManyFields);
}

#[test]
fn what_is_exactly_at_a_limit_passes() {
    let limits = Limits::new(256, 3, 20).unwrap().with_max_body_bytes(Some(10));
    let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let inputs = [
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(19)),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "v".repeat(256 - frame)),
        "GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC: c\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789".to_owned(),
        format!("{CHUNKED}a\r\n0123456789\r\n0\r\nA:\r\nB:\r\nC:\r\n\r\n"),
    ];
    for input in inputs {
        let outcome = byte_by_byte(input.as_bytes(), limits);
        assert_eq!((outcome.violation(), outcome.released), (None, input.len()), "{input:?}");
        assert_eq!(outcome, whole(input.as_bytes(), limits));
    }
}

#[test]
fn statuses_are_those_a_client_expects() {
    let statuses = [
        (V::BareLf, 400),
        (V::LengthAndEncoding, 400),
        (V::ConnectRefused, 405),
        (V::BodyTooLarge, 413),
        (V::TargetTooLong, 414),
        (V::UnknownExpectation, 417),
        (V::HeadTooLarge, 431),
        (V::TooManyFields, 431),
        (V::TrailerTooLarge, 431),
        (V::UnknownTransferCoding, 501),
        (V::MethodTooLong, 501),
        (V::UnsupportedVersion, 505),
    ];
    for (violation, status) in statuses {
        assert_eq!(violation.status(), status, "{violation:?}");
    }
}
