//! Heads of responses: what is read, what is refused, what is written.

use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8]) -> Result<Option<ResponseHead>, BadResponse> {
    ResponseParser::default().parse(bytes, false, &mut Vec::new())
}

fn rewrite(bytes: &[u8], add: &Additions<'_>) -> String {
    let mut fields = Vec::new();
    let mut parser = ResponseParser::default();
    let head = parser.parse(bytes, false, &mut fields).unwrap().unwrap();
    let mut out = Vec::new();
    let add = Additions { connection: head.connection, ..*add };
    write_head(&mut out, head.status, parser.status_text(bytes), Fields::new(bytes, &fields), &add);
    String::from_utf8(out).unwrap()
}

const NOTHING: Additions<'static> = Additions {
    request_id_line: b"x-request-id: ID\r\n",
    rate_limit: b"",
    date: b"NOW",
    body: BodyLength::None,
    recoding: None,
    connection: ConnectionOptions { closes: false, keeps_alive: false, names_fields: false },
    close: false,
    say_keep_alive: false,
    switches: false,
};

#[test]
fn the_length_of_the_body_follows_from_status_and_fields() {
    for (head, body, keep) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", BodyLength::Known(5), true),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", BodyLength::None, true),
        ("HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", BodyLength::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", BodyLength::UntilClose, false),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", BodyLength::None, true),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", BodyLength::None, true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\n", BodyLength::Known(5), false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n", BodyLength::Known(5), false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 5\r\nConnection: x, Keep-Alive\r\n\r\n", BodyLength::Known(5), true),
    ] {
        let found = parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!((found.len, found.body, found.keep_alive), (head.len(), body, keep), "{head}");
    }
}

#[test]
fn a_switch_is_said_anew_and_instead_of_a_close() {
    let head = b"HTTP/1.1 101 Yes\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\nContent-Length: 3\r\n\r\n";
    let written = rewrite(head, &Additions { close: true, switches: true, ..NOTHING });
    assert_eq!(
        written,
        "HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: a\r\ndate: NOW\r\nx-request-id: ID\r\nconnection: upgrade\r\n\
         upgrade: websocket\r\n\r\n"
    );
}

#[test]
fn what_is_not_http_1_or_ambiguous_is_refused() {
    for bad in [
        "HTTP/2 200\r\n\r\n",
        "HTTX",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "\r\n\r\n",
    ] {
        assert_eq!(parse(bad.as_bytes()), Err(BadResponse), "{bad:?}");
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let head = [&b"HTTP/1.1 200 OK\r\nA: "[..], &vec![b'a'; MAX_RESPONSE_HEAD]].concat();
    assert_eq!(parse(&head), Err(BadResponse));
}

#[test]
fn what_concerns_the_upstream_connection_ends_here() {
    let head =
        b"HTTP/1.1 201 Made It\r\nServer: x\r\nConnection: X-Hop, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\n\
        Content-Length: 2\r\nX-Request-Id: theirs\r\nProxy-Authenticate: Basic\r\nX-Kept: y\r\n\r\n";
    assert_eq!(
        rewrite(head, &NOTHING),
        "HTTP/1.1 201 Made It\r\nServer: x\r\nContent-Length: 2\r\nX-Kept: y\r\ndate: NOW\r\nx-request-id: ID\r\n\r\n"
    );
}

#[test]
fn connection_cannot_take_away_what_is_meant_for_the_client() {
    let head = b"HTTP/1.1 200 OK\r\nConnection: content-length, set-cookie, date\r\nSet-Cookie: a=b\r\nDate: then\r\n\
        Content-Length: 2\r\n\r\n";
    let rewritten = rewrite(head, &NOTHING);
    for kept in ["Set-Cookie: a=b", "Date: then", "Content-Length: 2"] {
        assert!(rewritten.contains(kept), "{kept}");
    }
}

#[test]
fn the_gateways_own_fields_replace_the_upstreams() {
    let head = b"HTTP/1.1 200 OK\r\nRateLimit: \"theirs\"\r\nTransfer-Encoding: chunked\r\n\r\n";
    let add = Additions { rate_limit: b"ratelimit: ours\r\n", body: BodyLength::Chunked, close: true, ..NOTHING };
    assert_eq!(
        rewrite(head, &add),
        "HTTP/1.1 200 OK\r\ndate: NOW\r\nx-request-id: ID\r\nratelimit: ours\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n"
    );
}

proptest! {
    #[test]
    fn the_cut_of_the_bytes_changes_nothing(
        head in "HTTP/1.[01] [1-5][0-9]{2}( [a-z]{0,4})?\r\n([A-Za-z-]{1,8}: ?[a-z0-9]{0,6}\r\n){0,4}(content-length: 7\r\n)?\r\n",
        cut in 1_usize..40,
    ) {
        let whole = parse(head.as_bytes());
        let (mut parser, mut fields) = (ResponseParser::default(), Vec::new());
        let mut pieces = Ok(None);
        for end in (0..head.len()).step_by(cut).chain([head.len()]) {
            pieces = parser.parse(&head.as_bytes()[..end], false, &mut fields);
            if !matches!(pieces, Ok(None)) { break; }
        }
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn no_bytes_panic_and_what_is_written_is_read_the_same(tail in proptest::collection::vec(any::<u8>(), 0..120)) {
        let bytes = [&b"HTTP/1.1 200 OK\r\n"[..], &tail].concat();
        let mut fields = Vec::new();
        let mut parser = ResponseParser::default();
        if let Ok(Some(head)) = parser.parse(&bytes, false, &mut fields) {
            let mut out = Vec::new();
            let add = Additions { body: head.body, connection: head.connection, ..NOTHING };
            write_head(&mut out, head.status, parser.status_text(&bytes), Fields::new(&bytes, &fields), &add);
            let again = parse(&out).unwrap().unwrap();
            prop_assert_eq!((again.status, again.body, again.len), (head.status, head.body, out.len()));
        }
    }
}
