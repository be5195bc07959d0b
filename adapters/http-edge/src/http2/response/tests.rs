//! Responses as parts, however their bytes were cut.

use proptest::prelude::*;

use super::*;

/// The parts as text, pieces of the body joined.
fn parts(bytes: &[u8], to_head: bool, cut: &[usize]) -> Result<Vec<String>, BadMessage> {
    let mut reader = ResponseReader::new(to_head, None);
    let mut seen: Vec<String> = Vec::new();
    let mut rest = bytes;
    let mut cuts = cut.iter().cycle();
    while !rest.is_empty() {
        let count = cuts.next().copied().unwrap_or(rest.len()).clamp(1, rest.len());
        let taken = reader.read(&rest[..count], &mut |frame| match frame {
            Frame::Interim(head) => seen.push(format!("interim {}", head.status())),
            Frame::Head(head, is_all) => seen.push(format!("{} {:?} {is_all}", head.status(), head.headers())),
            Frame::Data(data) => match seen.last_mut().filter(|last| last.starts_with("data ")) {
                Some(last) => last.push_str(&String::from_utf8_lossy(data)),
                None => seen.push(format!("data {}", String::from_utf8_lossy(data))),
            },
            Frame::End(trailers) => seen.push(format!("end {trailers:?}")),
        })?;
        rest = &rest[taken..];
    }
    if !reader.has_ended() {
        seen.push("cut".to_owned());
    }
    Ok(seen)
}

const WHOLE: &[usize] = &[usize::MAX];

#[test]
fn a_response_with_a_length_becomes_a_head_and_data() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\nX-A: b\r\nconnection: close\r\n\r\nhello";
    let expected =
        ["interim 100 Continue", r#"200 OK {"content-length": "5", "x-a": "b"} false"#, "data hello", "end None"];
    assert_eq!(parts(bytes, false, WHOLE).unwrap(), expected);
}

#[test]
fn chunks_become_data_and_their_trailers_trailers() {
    let bytes =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\ngrpc-status: 0\r\n\r\n";
    let expected = ["200 OK {} false", "data abcde", r#"end Some({"grpc-status": "0"})"#];
    assert_eq!(parts(bytes, false, WHOLE).unwrap(), expected);
}

#[test]
fn a_head_alone_is_all_there_is() {
    for (bytes, to_head) in [
        (&b"HTTP/1.1 204 No Content\r\n\r\n"[..], false),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", true),
    ] {
        let seen = parts(bytes, to_head, WHOLE).unwrap();
        assert!(seen.len() == 1 && seen[0].ends_with(" true"), "{seen:?}");
    }
}

#[test]
fn what_is_cut_short_has_no_end_and_what_is_too_long_is_refused() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
    ] {
        assert_eq!(parts(bytes, false, WHOLE).unwrap().last().unwrap(), "cut");
    }
    for bytes in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the close",
        b"no response\r\n\r\n",
    ] {
        assert!(parts(bytes, false, WHOLE).is_err(), "{bytes:?}");
    }
}

fn switched(bytes: &[u8]) -> Option<Vec<String>> {
    let mut reader = ResponseReader::new(false, Some(Handshake::new([7; 16])));
    let (mut seen, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let taken = reader.read(rest, &mut |frame| seen.push(format!("{frame:?}"))).ok()?;
        rest = &rest[taken..];
    }
    Some(seen)
}

#[test]
fn a_switch_becomes_a_success_when_it_answers_the_key_and_bytes_become_data() {
    let accept = String::from_utf8(super::super::accept(b"BwcHBwcHBwcHBwcHBwcHBw==")).unwrap();
    let head = |accept: &str| {
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\nraw"
        )
    };
    let seen = switched(head(&accept).as_bytes()).unwrap();
    assert!(seen[0].contains("status: 200") && seen[0].contains(r#"{"sec-websocket-protocol": "chat"}"#), "{seen:?}");
    assert_eq!(seen[1], format!("Data({:?})", b"raw"));
    assert!(switched(head("c3VyZQ==").as_bytes()).is_none());
    assert!(switched(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_none(), "it is no success over HTTP/2");
    assert!(switched(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").is_some());
    assert!(parts(head(&accept).as_bytes(), false, WHOLE).is_err(), "nobody has asked for it");
}

proptest! {
    #[test]
    fn how_bytes_are_cut_makes_no_other_parts(
        body in prop::collection::vec("[ -~]{1,20}", 0..6),
        is_chunked in any::<bool>(),
        continues in any::<bool>(),
        cut in prop::collection::vec(1..30_usize, 1..8),
    ) {
        let mut bytes = if continues { b"HTTP/1.1 100 Continue\r\n\r\n".to_vec() } else { Vec::new() };
        if is_chunked {
            bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n");
            for piece in &body {
                bytes.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
            }
            bytes.extend_from_slice(b"0\r\nx-sum: 1\r\n\r\n");
        } else {
            let body = body.concat();
            bytes.extend_from_slice(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
        }
        let seen = parts(&bytes, false, &cut).unwrap();
        prop_assert_eq!(&seen, &parts(&bytes, false, WHOLE).unwrap());
        prop_assert!(seen.last().unwrap() != "cut");
        let all = seen.iter().find_map(|part| part.strip_prefix("data "));
        prop_assert_eq!(all.unwrap_or_default(), body.concat());
    }
}
