//! What is no request, row by row: the rule that it breaks, and so its status, its code and its text. Whatever a row is
//! about, a request that is hidden in it or behind it reaches no upstream.

use std::collections::HashSet;
use std::io::Write;

use novagate_framing::{Limits, Violation};

use crate::harness::{HELLO, Setup, Upstream, get, wait_until};

/// Request, and the rule that it breaks. `{H}` is a good host line, `{S}` a request that must never be served.
const HEADS: &[(&str, Violation)] = &[
    // The request line.
    ("\r\n\r\nGET / HTTP/1.1\r\n{H}\r\n", Violation::EmptyLines),
    (" GET / HTTP/1.1\r\n{H}\r\n", Violation::BadMethod),
    ("G(T / HTTP/1.1\r\n{H}\r\n", Violation::BadMethod),
    ("G\u{e9}T / HTTP/1.1\r\n{H}\r\n", Violation::BadMethod),
    ("\x16\x03\x01\x02", Violation::BadMethod),
    ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\n{H}\r\n", Violation::MethodTooLong),
    ("GET  / HTTP/1.1\r\n{H}\r\n", Violation::BadRequestLine),
    ("GET /  HTTP/1.1\r\n{H}\r\n", Violation::BadRequestLine),
    ("GET / HTTP/1.1 \r\n{H}\r\n", Violation::BadRequestLine),
    ("GET /\r\n", Violation::BadRequestLine),
    ("GET\r\n{H}\r\n", Violation::BadMethod),
    ("GET\t/ HTTP/1.1\r\n{H}\r\n", Violation::BadMethod),
    ("GET /\t HTTP/1.1\r\n{H}\r\n", Violation::BadTargetByte),
    ("GET /\u{e4} HTTP/1.1\r\n{H}\r\n", Violation::BadTargetByte),
    ("GET /a\x7fb HTTP/1.1\r\n{H}\r\n", Violation::BadTargetByte),
    ("GET /a#b HTTP/1.1\r\n{H}\r\n", Violation::FragmentInTarget),
    ("GET ftp://a/ HTTP/1.1\r\n{H}\r\n", Violation::BadTargetForm),
    ("GET a/b HTTP/1.1\r\n{H}\r\n", Violation::BadTargetForm),
    ("GET ?a HTTP/1.1\r\n{H}\r\n", Violation::BadTargetForm),
    ("GET http:///x HTTP/1.1\r\n{H}\r\n", Violation::BadTargetAuthority),
    ("GET http://user@a/ HTTP/1.1\r\n{H}\r\n", Violation::BadTargetAuthority),
    ("GET http://a:x/ HTTP/1.1\r\n{H}\r\n", Violation::BadTargetAuthority),
    ("GET * HTTP/1.1\r\n{H}\r\n", Violation::AsteriskWithoutOptions),
    ("GET / HTTP/1\r\n{H}\r\n", Violation::BadVersion),
    ("GET / http/1.1\r\n{H}\r\n", Violation::BadVersion),
    ("GET / HTTP/1.10\r\n{H}\r\n", Violation::BadVersion),
    ("GET / HTTP/1,1\r\n{H}\r\n", Violation::BadVersion),
    ("GET / HTTP/1.2\r\n{H}\r\n", Violation::UnsupportedVersion),
    ("GET / HTTP/0.9\r\n{H}\r\n", Violation::UnsupportedVersion),
    ("GET / HTTP/3.0\r\n{H}\r\n", Violation::UnsupportedVersion),
    ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Violation::ConnectRefused),
    // Line ends and bytes.
    ("GET / HTTP/1.1\n{H}\r\n", Violation::BareLf),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", Violation::BareLf),
    ("GET / HTTP/1.1\r\n{H}X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}", Violation::BareLf),
    ("GET / HTTP/1.1\r\n{H}\n{S}", Violation::BareLf),
    ("GET / HTTP/1.1\r{H}\r\n", Violation::BareCr),
    ("GET / HTTP/1.1\r\n{H}X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}", Violation::BareCr),
    ("GET / HTTP/1.1\r\n{H}\r{S}", Violation::BareCr),
    ("GET / HTTP/1.1\r\n{H}X: a\0b\r\n\r\n", Violation::NulByte),
    ("GET /a\0 HTTP/1.1\r\n{H}\r\n", Violation::NulByte),
    ("GET / HTTP/1.1\r\n{H}X\0: a\r\n\r\n", Violation::NulByte),
    // Fields.
    ("GET / HTTP/1.1\r\n{H}: a\r\n\r\n", Violation::EmptyFieldName),
    ("GET / HTTP/1.1\r\n{H}no colon\r\n\r\n", Violation::SpaceBeforeColon),
    ("GET / HTTP/1.1\r\n{H}X@Y: a\r\n\r\n", Violation::BadFieldName),
    ("GET / HTTP/1.1\r\n{H}X\u{e9}: a\r\n\r\n", Violation::BadFieldName),
    ("GET / HTTP/1.1\r\n{H}X : a\r\n\r\n", Violation::SpaceBeforeColon),
    ("POST / HTTP/1.1\r\n{H}Content-Length : 40\r\n\r\n{S}", Violation::SpaceBeforeColon),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n{S}", Violation::SpaceBeforeColon),
    ("GET / HTTP/1.1\r\n{H}X: a\r\n b\r\n\r\n", Violation::ObsFold),
    ("GET / HTTP/1.1\r\n {H}\r\n", Violation::ObsFold),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 4\r\n\t0\r\n\r\n{S}", Violation::ObsFold),
    ("GET / HTTP/1.1\r\n{H}X: a\x0bb\r\n\r\n", Violation::BadFieldValue),
    ("GET / HTTP/1.1\r\n{H}X: a\x7f\r\n\r\n", Violation::BadFieldValue),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{S}", Violation::BadFieldValue),
    // Host.
    ("GET / HTTP/1.1\r\n\r\n", Violation::MissingHost),
    ("GET http://a/ HTTP/1.1\r\n\r\n", Violation::MissingHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Violation::DuplicateHost),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Violation::DuplicateHost),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Violation::DuplicateHost),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Violation::EmptyHost),
    ("GET / HTTP/1.1\r\nHost: \t \r\n\r\n", Violation::EmptyHost),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Violation::BadHost),
    ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Violation::BadHost),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Violation::BadHost),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Violation::BadHost),
    ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", Violation::BadHost),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Violation::BadHost),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Violation::HostMismatch),
    ("GET http://a:8080/ HTTP/1.1\r\nHost: a\r\n\r\n", Violation::HostMismatch),
    ("GET https://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", Violation::HostMismatch),
    // How long the body is.
    (
        "POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
        Violation::LengthAndEncoding,
    ),
    (
        "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{S}",
        Violation::LengthAndEncoding,
    ),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n{S}", Violation::LengthAndEncoding),
    (
        "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
        Violation::DuplicateTransferEncoding,
    ),
    (
        "POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{S}",
        Violation::DuplicateTransferEncoding,
    ),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: identity\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding:\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n{S}", Violation::BadTransferEncoding),
    ("POST / HTTP/1.1\r\n{H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{S}", Violation::UnknownTransferCoding),
    ("POST / HTTP/1.0\r\n{H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}", Violation::TransferEncodingInHttp10),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Violation::DuplicateContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 0\r\nContent-Length: 40\r\n\r\n{S}", Violation::DuplicateContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 5, 5\r\n\r\nhello", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: +5\r\n\r\nhello", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: -1\r\n\r\n", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 0x5\r\n\r\nhello", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 5.0\r\n\r\nhello", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length:\r\n\r\n{S}", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 1 2\r\n\r\n{S}", Violation::BadContentLength),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 18446744073709551622\r\n\r\nhello", Violation::ContentLengthOverflow),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 9223372036854775808\r\n\r\n", Violation::ContentLengthOverflow),
    ("POST / HTTP/1.1\r\n{H}Content-Length: 1000001\r\n\r\n", Violation::BodyTooLarge),
    ("POST / HTTP/1.1\r\n{H}Expect: a-miracle\r\n\r\n", Violation::UnknownExpectation),
    (
        "POST / HTTP/1.1\r\n{H}Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        Violation::UnknownExpectation,
    ),
];

/// What follows a good chunk, and the rule that it breaks.
const CHUNKS: &[(&str, Violation)] = &[
    ("\r\n", Violation::BadChunkSize),
    ("x\r\n", Violation::BadChunkSize),
    ("-1\r\n", Violation::BadChunkSize),
    ("+1\r\n", Violation::BadChunkSize),
    ("0x1\r\n", Violation::BadChunkSize),
    ("1g\r\n", Violation::BadChunkSize),
    (" 1\r\n", Violation::BadChunkSize),
    (";a\r\n", Violation::BadChunkSize),
    ("\u{ff11}\r\n", Violation::BadChunkSize),
    ("1 \r\nx\r\n", Violation::SpaceAfterChunkSize),
    ("0 \r\n\r\n{S}", Violation::SpaceAfterChunkSize),
    ("10000000000000000\r\n", Violation::ChunkSizeOverflow),
    ("ffffffffffffffff\r\n", Violation::ChunkSizeOverflow),
    ("00000000000000000\r\n", Violation::ChunkSizeOverflow),
    ("8000000000000000\r\n", Violation::ChunkSizeOverflow),
    ("fffff\r\n", Violation::BodyTooLarge),
    ("1;\r\nx\r\n", Violation::BadChunkExtension),
    ("1;a=\r\nx\r\n", Violation::BadChunkExtension),
    ("1;a=\"b\r\nx\r\n", Violation::BadChunkExtension),
    ("1; a\r\nx\r\n", Violation::BadChunkExtension),
    ("1;a=b c\r\nx\r\n", Violation::BadChunkExtension),
    ("0;a\n\r\n{S}", Violation::BareLf),
    ("0\n\n{S}", Violation::BareLf),
    ("1\nx\n", Violation::BareLf),
    ("1\rx\r\n", Violation::BareCr),
    ("0\r\r{S}", Violation::BareCr),
    ("1;a=\0\r\nx\r\n", Violation::NulByte),
    ("1\r\nxy\r\n", Violation::MissingChunkEnd),
    ("1\r\nx\n0\r\n\r\n", Violation::MissingChunkEnd),
    ("2\r\nx\r\n0\r\n\r\n{S}", Violation::MissingChunkEnd),
    ("0\r\nContent-Length: 40\r\n\r\n{S}", Violation::ForbiddenTrailer),
    ("0\r\nTransfer-Encoding: chunked\r\n\r\n{S}", Violation::ForbiddenTrailer),
    ("0\r\nHost: b\r\n\r\n", Violation::ForbiddenTrailer),
    ("0\r\nAuthorization: Basic eDp5\r\n\r\n", Violation::ForbiddenTrailer),
    ("0\r\nX: a\r\n b\r\n\r\n", Violation::ObsFold),
    ("0\r\nX : a\r\n\r\n", Violation::SpaceBeforeColon),
    ("0\r\nX: a\n\r\n{S}", Violation::BareLf),
    ("0\r\n: a\r\n\r\n", Violation::EmptyFieldName),
    ("0\r\n{S}", Violation::SpaceBeforeColon),
];

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

fn spelt(row: &str) -> String {
    row.replace("{H}", "Host: a\r\n").replace("{S}", SMUGGLED)
}

/// Rows that are too long to be written down.
fn long() -> Vec<(String, Violation)> {
    let head = |rest: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n\r\n");
    vec![
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(2_000)), Violation::TargetTooLong),
        (head(&format!("{}: a", "X".repeat(300))), Violation::FieldNameTooLong),
        (head(&format!("X: {}", "y".repeat(10_000))), Violation::HeadTooLarge),
        (head(&"X: y\r\n".repeat(60)), Violation::TooManyFields),
    ]
}

fn long_chunks() -> Vec<(String, Violation)> {
    let trailers = "X-Trailer: some value\r\n".repeat(400);
    vec![
        (format!("1;a={}\r\nx\r\n", "b".repeat(600)), Violation::ChunkExtensionTooLong),
        (format!("0\r\nX: {}", "y".repeat(10_000)), Violation::TrailerTooLarge),
        (format!("0\r\n{trailers}\r\n"), Violation::TooManyFields),
    ]
}

#[test]
fn every_broken_rule_has_its_answer_and_hides_no_request() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            assert!(!head.contains("smuggled"), "{head}");
            conn.read_until("1\r\nz\r\n");
            // The rest of the body never comes.
            conn.rest();
        }
    });
    let limits = Limits::new(8_192, 50, 1_024).unwrap().with_max_body_bytes(Some(1_000_000));
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.framing = limits).start();
    let heads = HEADS.iter().map(|(row, rule)| (spelt(row), *rule)).chain(long());
    let begun = "POST /begun HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nz\r\n";
    let chunks = CHUNKS.iter().map(|(row, rule)| (spelt(row), *rule)).chain(long_chunks());
    let rows: Vec<(String, Violation)> =
        heads.chain(chunks.map(|(row, rule)| (format!("{begun}{row}"), rule))).collect();
    let mut offences = Vec::new();
    for (row, rule) in &rows {
        let mut client = edge.connect();
        // It may be refused before all of it is taken.
        drop(client.stream.write_all(row.as_bytes()));
        drop(client.stream.write_all(SMUGGLED.as_bytes()));
        let response = client.response();
        let message = format!("\"message\":\"{}\"", rule.reason());
        let is_right = (response.status, response.code().as_str()) == (rule.status(), rule.code().as_str())
            && response.text().contains(&message)
            && response.field("connection") == Some("close")
            && client.read_to_its_end().0.is_empty();
        if !is_right {
            offences.push(format!("{row:?} is answered {:?} {}", response.status, response.text()));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
    let seen: HashSet<Violation> = rows.iter().map(|(_, rule)| *rule).collect();
    let missing: Vec<_> = Violation::ALL.iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(missing.is_empty(), "no row breaks {missing:?}");
    wait_until("everybody is gone", || edge.handle.active_connections() == 0);
    let records = edge.records(rows.len());
    for ((row, rule), record) in rows.iter().zip(&records) {
        assert_eq!((record.status, record.code), (rule.status(), Some(rule.code())), "{row:?}");
    }
}

/// Requests that are fine here and read otherwise elsewhere: body and next request are where RFC 9112 says.
#[test]
fn a_request_in_a_body_is_a_body() {
    let upstream = Upstream::recording(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let length = SMUGGLED.len();
    let inside = [
        // CL.0: a GET has the body that its length says.
        format!("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
        format!("HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{SMUGGLED}"),
        format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 000{length}\r\n\r\n{SMUGGLED}"),
        format!("POST /a HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: \t{length} \r\n\r\n{SMUGGLED}"),
        // Fields that only look like framing.
        format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nX-Transfer-Encoding: chunked\r\n\r\n{SMUGGLED}"
        ),
        format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer_Encoding: chunked\r\n\r\n{SMUGGLED}"
        ),
        format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nContent_Length: 0\r\n\r\n{SMUGGLED}"),
        // Connection cannot take the length away.
        format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: content-length\r\n\r\n{SMUGGLED}"
        ),
    ];
    for (number, request) in inside.iter().enumerate() {
        let method = request.split(' ').next().unwrap();
        let mut client = edge.connect();
        client.send(request);
        client.send(get("/next", ""));
        assert_eq!(client.response_to(method).status, 200, "{request:?}");
        assert_eq!(client.response().status, 200, "{request:?}");
        let seen = upstream.requests();
        let [before, last] = &seen[number * 2..] else { panic!("two requests, not {seen:?}") };
        assert!(before.starts_with(&format!("{method} /a HTTP/1.1\r\n")) && before.ends_with(SMUGGLED), "{before:?}");
        assert!(last.starts_with("GET /next HTTP/1.1\r\n"), "{last:?}");
    }
}
