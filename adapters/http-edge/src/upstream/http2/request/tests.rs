//! Requests as parts, however their bytes were cut.

use proptest::prelude::*;

use super::*;

/// The parts as text, pieces of the body joined.
fn parts(bytes: &[u8], may_switch: bool, cut: &[usize]) -> Result<Vec<String>, BadMessage> {
    let mut reader = RequestReader::new(true);
    let (mut seen, mut rest, mut cuts) = (Vec::<String>::new(), bytes, cut.iter().cycle());
    while !rest.is_empty() {
        let count = cuts.next().copied().unwrap_or(rest.len()).clamp(1, rest.len());
        let taken = reader.read(&rest[..count], may_switch, &mut |part| match part {
            Part::Head(head, is_all) => {
                let protocol = head.extensions().get::<Protocol>().map(|protocol| protocol.as_str().to_owned());
                seen.push(format!("{} {} {:?} {protocol:?} {is_all}", head.method(), head.uri(), head.headers()));
            }
            Part::Data(data) => match seen.last_mut().filter(|last| last.starts_with("data ")) {
                Some(last) => last.push_str(&String::from_utf8_lossy(data)),
                None => seen.push(format!("data {}", String::from_utf8_lossy(data))),
            },
            Part::End(trailers) => seen.push(format!("end {trailers:?}")),
        })?;
        rest = &rest[taken..];
    }
    Ok(seen)
}

const WHOLE: &[usize] = &[usize::MAX];

fn head(line: &str, fields: &str) -> String {
    parts(format!("{line} HTTP/1.1\r\nhost: up.example:81\r\n{fields}\r\n").as_bytes(), false, WHOLE).unwrap().remove(0)
}

#[test]
fn a_request_without_body_is_a_head() {
    assert_eq!(
        head("GET /a?b=c", "Accept: */*\r\nX-A: b\r\n"),
        r#"GET https://up.example:81/a?b=c {"accept": "*/*", "x-a": "b"} None true"#
    );
    assert_eq!(
        head("POST /", "content-length: 0\r\n"),
        r#"POST https://up.example:81/ {"content-length": "0"} None true"#
    );
}

#[test]
fn what_is_about_a_connection_ends_here_and_trailers_are_taken() {
    let fields =
        "connection: close\r\nkeep-alive: 5\r\nte: trailers\r\nupgrade: websocket\r\nproxy-connection: close\r\n";
    assert_eq!(head("GET /", fields), r#"GET https://up.example:81/ {"te": "trailers"} None true"#);
}

#[test]
fn a_query_that_http_2_cannot_tell_is_escaped() {
    assert_eq!(head(r#"GET /a?q="<x>"&r=%20"#, ""), "GET https://up.example:81/a?q=%22%3Cx%3E%22&r=%20 {} None true");
}

#[test]
fn bodies_have_their_length_or_chunks_and_trailers() {
    let seen = parts(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello", false, WHOLE).unwrap();
    assert_eq!(seen[1..], ["data hello", "end None"]);
    assert!(seen[0].ends_with(r#"{"content-length": "5"} None false"#));
    let bytes = b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n";
    let seen = parts(bytes, false, WHOLE).unwrap();
    assert_eq!(seen[1..], ["data abc", r#"end Some({"x-sum": "1"})"#]);
}

#[test]
fn a_handshake_is_one_where_the_upstream_takes_it() {
    let bytes = b"GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  sec-websocket-version: 13\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let seen = parts(bytes, true, WHOLE).unwrap();
    assert_eq!(seen, [r#"CONNECT https://a/chat {"sec-websocket-version": "13"} Some("websocket") false"#]);
    let seen = parts(bytes, false, WHOLE).unwrap();
    assert!(seen[0].starts_with("GET https://a/chat") && seen[0].ends_with("None true"), "{seen:?}");
}

#[test]
fn what_is_no_request_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\nmore",
    ] {
        assert!(parts(bytes, false, WHOLE).is_err(), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn how_bytes_are_cut_makes_no_other_parts(
        body in prop::collection::vec("[ -~]{1,20}", 0..6),
        cut in prop::collection::vec(1..30_usize, 1..8),
    ) {
        let mut bytes = b"POST /a HTTP/1.1\r\nhost: a\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for piece in &body {
            bytes.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
        }
        bytes.extend_from_slice(b"0\r\nx-sum: 1\r\n\r\n");
        let seen = parts(&bytes, false, &cut).unwrap();
        prop_assert_eq!(&seen, &parts(&bytes, false, WHOLE).unwrap());
        let all = seen.iter().find_map(|part| part.strip_prefix("data "));
        prop_assert_eq!(all.unwrap_or_default(), body.concat());
    }
}
