//! Requests whose bodies are decoded on their way.

use std::io::Write;
use std::sync::{Arc, Mutex};

use novagate_kernel::ErrorCode;
use novagate_ports_edge::ContentEvent;
use novagate_routing::{ContentCoding, Mirror, RouteAction};

use crate::harness::{HELLO, Setup, Upstream, get, name, service, wait_until};
use crate::harness_content::{counted, decompressing, encode, noise, text};
use crate::harness_http2::{Http2, request};
use crate::harness_http2_upstream::{Http2Upstream, http2};
use crate::resilience::at_once;

const ALL: [ContentCoding; 3] = ContentCoding::ALL;

/// Heads in lower case and bodies out of their chunks, of each request; `false` when a body had no end.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>, bool)>>>;

/// An upstream that keeps what it gets.
fn keeping() -> (Upstream, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let (head, mut body, mut is_whole) = (head.to_ascii_lowercase(), Vec::new(), true);
            if head.contains("transfer-encoding: chunked") {
                loop {
                    let Some(line) = conn.try_read_until("\r\n") else {
                        is_whole = false;
                        break;
                    };
                    let size = usize::from_str_radix(String::from_utf8(line).unwrap().trim_end(), 16).unwrap();
                    match conn.try_read_exact(size + 2) {
                        Some(piece) => body.extend_from_slice(&piece[..size]),
                        None => is_whole = false,
                    }
                    if size == 0 || !is_whole {
                        break;
                    }
                }
            }
            log.lock().unwrap().push((head, body, is_whole));
            if !is_whole {
                return;
            }
            conn.send(HELLO);
        }
    });
    (upstream, seen)
}

fn known(coding: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /p HTTP/1.1\r\nHost: a\r\nContent-Encoding: {coding}\r\n{fields}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn chunked(coding: &str, body: &[u8], size: usize) -> Vec<u8> {
    let head =
        format!("POST /p HTTP/1.1\r\nHost: a\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut bytes = head.into_bytes();
    for piece in body.chunks(size) {
        write!(bytes, "{:x}\r\n", piece.len()).unwrap();
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn bodies_arrive_decoded_whatever_their_framing() {
    let (upstream, seen) = keeping();
    let edge = decompressing(&upstream.url, None, 100).start();
    let mut client = edge.connect();
    for length in [1, 1000, 3_000_000] {
        let content = text(length);
        for coding in ALL {
            let body = encode(coding, &content);
            for bytes in [
                known(coding.as_str(), "Content-Digest: sha-256=:x:\r\nX-Own: 1\r\n", &body),
                chunked(coding.as_str(), &body, 1000),
            ] {
                client.send(bytes);
                assert_eq!(client.response().text(), "hello", "{coding:?} {length}");
                let (head, found, is_whole) = seen.lock().unwrap().pop().unwrap();
                assert!(found == content && is_whole, "{coding:?} {length}: {}", found.len());
                for gone in ["content-encoding", "content-length", "content-digest"] {
                    assert!(!head.contains(gone), "{head}");
                }
            }
        }
    }
    assert_eq!(upstream.connections(), 1);
    for coding in ALL {
        assert_eq!(counted(&edge, ContentEvent::Decoded, coding), 6);
        assert_eq!(counted(&edge, ContentEvent::DecodedTo, coding), 2 * 3_001_001);
        assert!(counted(&edge, ContentEvent::DecodedFrom, coding) < 3_001_001);
    }
}

#[test]
fn aliases_members_and_bytes_that_come_one_by_one_are_understood() {
    let (upstream, seen) = keeping();
    let edge = decompressing(&upstream.url, None, 100).start();
    let two = [encode(ContentCoding::Gzip, b"one, "), encode(ContentCoding::Gzip, b"two")].concat();
    for bytes in [known("X-GZIP", "", &two), known("identity, gzip", "", &two), chunked("gzip", &two, 1)] {
        let mut client = edge.connect();
        for byte in bytes {
            client.send([byte]);
        }
        assert_eq!(client.response().text(), "hello");
        assert_eq!(seen.lock().unwrap().pop().unwrap().1, b"one, two");
    }
}

#[test]
fn what_is_not_coded_or_not_to_be_decoded_passes_as_it_is() {
    let upstream = Upstream::echo();
    let plain = decompressing(&upstream.url, Some(1), 1).start();
    let mut client = plain.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Encoding: identity\r\n\r\nabcde");
    let seen = client.response().text();
    assert!(seen.ends_with("\r\n\r\nabcde") && seen.contains("Content-Length: 5\r\n"), "{seen}");
    client.send(get("/", "Content-Encoding: gzip\r\n"));
    assert!(client.response().text().contains("Content-Encoding: gzip\r\n"));
    let body = encode(ContentCoding::Gzip, b"content");
    let without = Setup::open(&[&upstream.url]).start();
    let mut client = without.connect();
    client.send(known("gzip", "", &body));
    assert!(client.response().body.ends_with(&body));
}

#[test]
fn codings_that_are_not_known_are_refused_with_those_that_are() {
    let upstream = Upstream::fixed(HELLO);
    let edge = decompressing(&upstream.url, None, 100).start();
    for coding in ["deflate", "compress", "gzip, br", "gzip, gzip", "aes128gcm"] {
        let mut client = edge.connect();
        client.send(known(coding, "", b"abc"));
        let response = client.response();
        assert_eq!((response.status, response.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{coding}");
        assert_eq!(response.field("accept-encoding"), Some("gzip, br, zstd"));
        client.send(get("/", ""));
        assert_eq!(client.response().text(), "hello");
    }
    assert!(upstream.requests().iter().all(|head| head.starts_with("GET")));
}

/// Bodies that are no content of the coding.
fn spoilt(coding: ContentCoding) -> Vec<Vec<u8>> {
    let good = encode(coding, &text(100_000));
    let mut flipped = good.clone();
    let end = flipped.len() - 5;
    flipped[end] ^= 0x55;
    let mut bodies = vec![
        b"no coding at all".to_vec(),
        good[..good.len() - 1].to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..1].to_vec(),
        [&good[..], b"garbage"].concat(),
    ];
    // Only gzip has a sum.
    if coding == ContentCoding::Gzip {
        bodies.push(flipped);
    }
    bodies
}

#[test]
fn a_spoilt_body_is_the_clients_fault_and_never_a_whole_request() {
    let (upstream, seen) = keeping();
    let setup = decompressing(&upstream.url, None, 100);
    let edge = setup.with_service(|service| service.resilience.outlier_detection = Some(at_once(100))).start();
    for coding in ALL {
        for body in spoilt(coding) {
            for bytes in [known(coding.as_str(), "", &body), chunked(coding.as_str(), &body, 777)] {
                let mut client = edge.connect();
                client.send(bytes);
                let response = client.response();
                assert_eq!((response.status, response.code().as_str()), (400, "BAD_REQUEST"), "{coding:?}");
            }
        }
    }
    // The target was never blamed, and has never taken a part for the whole.
    let mut client = edge.connect();
    client.send(known("gzip", "", &encode(ContentCoding::Gzip, b"good")));
    assert_eq!(client.response().text(), "hello");
    let whole: Vec<_> = seen.lock().unwrap().iter().filter(|seen| seen.2).map(|seen| seen.1.clone()).collect();
    assert_eq!(whole, [b"good".to_vec()]);
    assert!(edge.records(1).iter().all(|record| record.status < 500));
}

#[test]
fn a_bomb_is_stopped_at_the_limits_of_its_route() {
    const ZEROS: usize = 64 << 20;
    for (max_bytes, max_ratio) in [(Some(1 << 20), 10_000), (None, 100), (Some(1000), 1)] {
        let (upstream, seen) = keeping();
        let edge = decompressing(&upstream.url, max_bytes, max_ratio).start();
        for coding in ALL {
            let bomb = encode(coding, &vec![0; ZEROS]);
            for bytes in [known(coding.as_str(), "", &bomb), chunked(coding.as_str(), &bomb, 5000)] {
                let mut client = edge.connect();
                client.send(bytes);
                let response = client.response();
                assert_eq!((response.status, response.code().as_str()), (413, "REQUEST_TOO_LARGE"), "{coding:?}");
            }
            let by_ratio = (bomb.len() as u64 * u64::from(max_ratio)).max(65_536);
            let most = max_bytes.unwrap_or(u64::MAX).min(by_ratio);
            for (_, body, is_whole) in seen.lock().unwrap().drain(..) {
                assert!(body.len() as u64 <= most && !is_whole, "{coding:?}: {} of {most}", body.len());
            }
        }
        let records = edge.records(6);
        assert!(records.iter().all(|record| record.code == Some(ErrorCode::RequestTooLarge)), "{records:?}");
    }
}

#[test]
fn without_a_limit_of_its_own_a_decoded_body_is_held_to_that_of_bodies() {
    let (upstream, seen) = keeping();
    let of_route =
        decompressing(&upstream.url, None, 100).with_forward(|forward| forward.max_body = Some(5000)).start();
    let of_node = decompressing(&upstream.url, None, 100)
        .with(|settings| settings.framing = settings.framing.with_max_body_bytes(Some(5000)))
        .start();
    for edge in [of_route, of_node] {
        for (length, status) in [(5000, 200), (5001, 413)] {
            let mut client = edge.connect();
            client.send(known("br", "", &encode(ContentCoding::Brotli, &text(length))));
            assert_eq!(client.response().status, status);
        }
    }
    assert!(seen.lock().unwrap().iter().all(|(_, body, is_whole)| body.len() == 5000 && *is_whole));
}

#[test]
fn a_connection_with_a_part_of_a_spoilt_body_is_not_used_again() {
    let (upstream, _) = keeping();
    let edge = decompressing(&upstream.url, None, 100).start();
    let spoilt = [&encode(ContentCoding::Gzip, &noise(500_000))[..], b"garbage"].concat();
    for _ in 0..3 {
        let mut client = edge.connect();
        client.send(known("gzip", "", &spoilt));
        assert_eq!(client.response().status, 400);
    }
    wait_until("all connections are there", || upstream.connections() == 3);
}

#[test]
fn a_spoilt_body_under_a_running_response_does_not_break_into_it() {
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        conn.read_until("5\r\nfirst\r\n");
        conn.send("world");
        conn.rest();
    });
    let edge = decompressing(&upstream.url, None, 100).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(client.head().contains("connection: close\r\n"));
    assert_eq!(client.read_exact(5), b"hello");
    let body = [&encode(ContentCoding::Gzip, b"first")[..], b"garbage"].concat();
    client.send(format!("{:x}\r\n", body.len()));
    client.send(&body);
    assert_eq!(client.read_exact(5), b"world");
    assert!(client.is_closed());
    assert_eq!(edge.records(1).len(), 1);
}

#[test]
fn what_is_one_too_many_at_the_same_time_is_refused() {
    const MOST: usize = 256;
    let (upstream, _) = keeping();
    let edge = decompressing(&upstream.url, None, 100).start();
    let running: Vec<_> = (0..MOST)
        .map(|_| {
            let mut client = edge.connect();
            client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n");
            client
        })
        .collect();
    wait_until("all are under way", || upstream.connections() == MOST);
    let whole = known("gzip", "", &encode(ContentCoding::Gzip, b"content"));
    let ask = || {
        let mut client = edge.connect();
        client.send(&whole);
        client.response()
    };
    let refused = ask();
    assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
    assert_eq!(edge.ask(&get("/", "")).text(), "hello", "others are not");
    drop(running);
    wait_until("there is room again", || ask().status == 200);
}

#[test]
fn a_body_that_is_decoded_is_not_copied() {
    let (first, _) = keeping();
    let second = Upstream::fixed(HELLO);
    let mut setup = decompressing(&first.url, None, 100).with_route(|route| {
        if let RouteAction::Forward(forward) = &mut route.route.action {
            forward.mirror = Some(Mirror { service: name("copy"), percent: 100, max_body: Mirror::USUAL_BODY });
        }
    });
    setup.objects.push(novagate_policies::ConfigObject::Service(service(2, "copy", &[&second.url])));
    let edge = setup.start();
    let mut client = edge.connect();
    client.send(known("gzip", "", &encode(ContentCoding::Gzip, b"content")));
    assert_eq!(client.response().text(), "hello");
    wait_until("the copy is left out", || edge.handle.mirrors_left_out() == 1);
    assert!(second.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_upstreams_of_http2_have_their_bodies_decoded_too() {
    let upstream = Http2Upstream::echo().await;
    let edge = decompressing(&upstream.url, None, 100).with_service(http2).start();
    let client = Http2::connect(&edge).await;
    let content = text(4_000_000);
    for coding in ALL {
        let body = encode(coding, &content);
        let length = body.len().to_string();
        for fields in [
            &[("content-encoding", coding.as_str())][..],
            &[("content-encoding", coding.as_str()), ("content-length", &length)],
        ] {
            let seen = client.ask(request("POST", "/", fields), &body).await.unwrap();
            assert!(seen.body == content, "{coding:?}: {}", seen.body.len());
        }
    }
    let unknown = client.ask(request("POST", "/", &[("content-encoding", "deflate")]), b"abc").await.unwrap();
    assert_eq!((unknown.status(), unknown.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"));
    for head in upstream.heads() {
        assert!(!head.headers.contains_key("content-encoding") && !head.headers.contains_key("content-length"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoilt_body_ends_the_stream_to_its_upstream_and_no_other() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        asked.read().await;
        asked.answer(200, &[], b"read", None).await;
    })
    .await;
    let edge = decompressing(&upstream.url, None, 100).with_service(http2).start();
    let client = Http2::connect(&edge).await;
    for coding in ALL {
        let body = encode(coding, &text(4_000_000));
        let post = || request("POST", "/", &[("content-encoding", coding.as_str())]);
        for spoilt in [&body[..body.len() / 2], &[&body[..], b"garbage"].concat()] {
            let seen = client.ask(post(), spoilt).await.unwrap();
            assert_eq!((seen.status(), seen.code().as_str()), (400, "BAD_REQUEST"), "{coding:?}");
        }
        assert_eq!(client.ask(post(), &body).await.unwrap().text(), "read");
    }
    assert_eq!(upstream.connections(), 1);
}
