//! Heads of responses, before and after.

use novagate_routing::MediaRange;

use super::*;
use crate::wire::fields::scan;
use crate::wire::response::ResponseParser;

fn compression() -> Arc<Compression> {
    let types = vec![MediaRange::parse("text/*").unwrap(), MediaRange::parse("application/json").unwrap()];
    Arc::new(Compression { encodings: ContentCoding::ALL.to_vec(), min_bytes: 100, types })
}

/// The plan for a response to a client that takes gzip, and the lines that stand in the place of others.
fn planned(accepts: &str, response: &str, is_head: bool, may_code: bool) -> (Recoding, String, Vec<String>) {
    let request = format!("{accepts}\r\n");
    let mut list = Vec::new();
    scan(request.as_bytes(), 0, &mut list);
    let compressing = Compressing::new(&compression(), Fields::new(request.as_bytes(), &list));
    let bytes = format!("HTTP/1.1 {response}\r\n\r\n");
    let mut list = Vec::new();
    let head = ResponseParser::default().parse(bytes.as_bytes(), is_head, &mut list).unwrap().unwrap();
    let fields = Fields::new(bytes.as_bytes(), &list);
    let recoding = compressing.plan(&head, fields, may_code);
    let mut out = Vec::new();
    recoding.write(&mut out, fields);
    let left_out = fields.lines().filter(|(_, name, _)| recoding.replaces(name));
    let left_out = left_out.map(|(_, name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    (recoding, String::from_utf8(out).unwrap(), left_out)
}

fn plan(response: &str) -> Recoding {
    planned("accept-encoding: gzip\r\n", response, false, true).0
}

const CODED: Recoding = Recoding { coding: Some(ContentCoding::Gzip), varies: true, is_weak: true };
const UNTOUCHED: Recoding = Recoding { coding: None, varies: false, is_weak: false };

#[test]
fn what_is_coded_depends_on_type_length_and_what_the_fields_say() {
    for (response, recoding) in [
        ("200 OK\r\nContent-Type: text/html\r\nContent-Length: 100", CODED),
        ("200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked", CODED),
        ("200 OK\r\nContent-Type: application/json; charset=utf-8", CODED),
        ("404 Not Found\r\nContent-Type: text/html", CODED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Encoding: identity", CODED),
        ("200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store, max-age=0", CODED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Length: 99", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Length: 0", UNTOUCHED),
        ("200 OK\r\nContent-Type: image/png", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/event-stream", UNTOUCHED),
        ("200 OK\r\nX-A: 1", UNTOUCHED),
        ("204 No Content\r\nContent-Type: text/html", UNTOUCHED),
        ("205 Reset Content\r\nContent-Type: text/html\r\nContent-Length: 100", UNTOUCHED),
        ("206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-99/200", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Range: bytes 0-99/200", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Encoding: unknown", UNTOUCHED),
        ("200 OK\r\nCache-Control: max-age=1, No-Transform\r\nContent-Type: text/html", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-Digest: sha-256=:x:", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nRepr-Digest: sha-256=:x:", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nDigest: md5=x", UNTOUCHED),
        ("200 OK\r\nContent-Type: text/html\r\nContent-MD5: x", UNTOUCHED),
    ] {
        assert_eq!(plan(response), recoding, "{response}");
    }
}

#[test]
fn caches_are_told_also_where_the_client_takes_no_coding() {
    let response = "200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\nETag: \"a\"";
    let only_varies = Recoding { coding: None, varies: true, is_weak: false };
    for (accepts, may_code) in [("", true), ("accept-encoding: br;q=0\r\n", true), ("accept-encoding: gzip\r\n", false)]
    {
        let (recoding, written, left_out) = planned(accepts, response, false, may_code);
        assert_eq!((recoding, written.as_str()), (only_varies, "vary: accept-encoding\r\n"), "{accepts}");
        assert!(left_out.is_empty());
    }
    let to_head = planned("accept-encoding: gzip\r\n", response, true, false);
    assert_eq!((to_head.0, to_head.1.as_str()), (only_varies, "vary: accept-encoding\r\n"));
    let short = response.replace("100", "99");
    assert_eq!(planned("accept-encoding: gzip\r\n", &short, true, false).0, UNTOUCHED);
}

#[test]
fn fields_become_those_of_the_coded_content() {
    for (fields, written, left_out) in [
        (
            "ETag: \"a\"\r\nAccept-Ranges: bytes",
            "etag: W/\"a\"\r\nvary: accept-encoding\r\n",
            &["ETag", "Accept-Ranges"][..],
        ),
        ("ETag: W/\"a\"", "etag: W/\"a\"\r\nvary: accept-encoding\r\n", &["ETag"]),
        ("Content-Encoding: identity", "vary: accept-encoding\r\n", &["Content-Encoding"]),
        ("Vary: Origin", "vary: Origin, accept-encoding\r\n", &["Vary"]),
        ("Vary: Origin, Accept-Encoding", "vary: Origin, accept-encoding\r\n", &["Vary"]),
        (
            "vary: Origin\r\nVARY: Accept , accept-encoding",
            "vary: Origin, Accept, accept-encoding\r\n",
            &["vary", "VARY"],
        ),
        ("Vary: *", "vary: *\r\n", &["Vary"]),
        ("Vary: Origin\r\nVary: *", "vary: *\r\n", &["Vary", "Vary"]),
    ] {
        let response = format!("200 OK\r\nContent-Type: text/html\r\n{fields}");
        let (recoding, lines, found) = planned("accept-encoding: gzip\r\n", &response, false, true);
        assert_eq!((recoding, lines), (CODED, format!("content-encoding: gzip\r\n{written}")), "{fields}");
        assert_eq!(found, left_out, "{fields}");
    }
}

#[test]
fn a_304_has_the_validator_that_the_200_had() {
    let response = "304 Not Modified\r\nETag: \"a\"\r\nVary: Origin";
    let (_, written, left_out) = planned("accept-encoding: gzip\r\n", response, false, true);
    assert_eq!(written, "etag: W/\"a\"\r\nvary: Origin, accept-encoding\r\n");
    assert_eq!(left_out, ["ETag", "Vary"]);
    let (_, written, left_out) = planned("", response, false, true);
    assert_eq!(written, "vary: Origin, accept-encoding\r\n");
    assert_eq!(left_out, ["Vary"]);
}
