//! `X-Request-ID` on every request.

use novagate_e2e::{Connection, FileWorld, Request, Response, World};

/// Lower case, hyphenated.
fn is_uuid(text: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(shape)
}

fn id_of(response: &Response) -> String {
    let id = response.header("x-request-id").unwrap_or_else(|| panic!("no id: {response:?}")).to_owned();
    assert!(is_uuid(&id), "{id}");
    id
}

#[test]
fn promise_x4_every_answer_has_an_id_and_client_upstream_and_log_agree_on_it() {
    let world = World::start();
    let own = "0198c0de-0000-4000-8000-0000000000ff";
    let kept = world.gateway.send(&Request::get("/open/kept").header("x-request-id", own)).expect(200);
    assert_eq!(id_of(&kept), own);
    assert_eq!(world.upstream.last_to("/open/kept").unwrap().header("x-request-id"), Some(own));
    assert_eq!(world.api.wait_log(own)["requestId"], own);

    for (target, status) in [("/open/made", 200), ("/open/status/404", 404), ("/open/status/500", 500)] {
        let answer = world.gateway.get(target).expect(status);
        let id = id_of(&answer);
        assert_eq!(world.upstream.last_to(target).unwrap().header("x-request-id"), Some(id.as_str()));
        let item = world.api.wait_log(&id);
        assert_eq!(item["status"], status);
    }
    for junk in ["1", "not-a-uuid", "0198c0de-0000-4000-8000-0000000000ff; drop", "<script>alert(1)</script>"] {
        let answer = world.gateway.send(&Request::get("/open/junk").header("x-request-id", junk)).expect(200);
        assert_ne!(id_of(&answer), junk);
        let upstream = world.upstream.last_to("/open/junk").unwrap();
        let ids: Vec<_> = upstream.headers.iter().filter(|(name, _)| name == "x-request-id").collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(ids[0].1, id_of(&answer));
    }
    for (target, status, code) in
        [("/closed/x", 401, "TOKEN_MISSING"), ("/nowhere", 404, "ROUTE_NOT_FOUND"), ("/%zz", 400, "BAD_REQUEST")]
    {
        let answer = world.gateway.get(target).expect(status);
        assert_eq!(answer.code(), code);
        assert_eq!(answer.str_at("/requestId"), id_of(&answer));
        world.api.wait_log(&id_of(&answer));
    }
    let api = world.api.get("/services").expect(200);
    id_of(&api);
}

#[test]
fn promise_x4_requests_refused_as_malformed_have_an_id_too() {
    let world = FileWorld::start(Vec::new());
    let long = format!("GET /open HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let malformed: [(&[u8], u16); 8] = [
        (b"GET /open HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n", 400),
        (b"GET /open HTTP/1.1\r\n\r\n", 400),
        (b"GET /open HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (b"POST /open HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx", 400),
        (b"GET /open HTTP/1.1\nhost: a\n\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (long.as_bytes(), 431),
    ];
    for (bytes, status) in malformed {
        let mut connection = Connection::open(world.gateway.address()).unwrap();
        let answer = connection.send_raw(bytes, false).unwrap();
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(bytes));
        assert_eq!(answer.str_at("/requestId"), id_of(&answer));
    }
    let received = world.upstream.received();
    assert!(received.is_empty(), "none of them reaches an upstream: {received:?}");
}
