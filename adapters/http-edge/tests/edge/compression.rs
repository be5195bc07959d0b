//! Responses that are compressed on their way.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use novagate_ports_edge::ContentEvent;
use novagate_routing::ContentCoding;

use crate::harness::{Client, PATIENCE, Upstream, get, wait_until};
use crate::harness_content::{Reading, compressing, counted, decode, noise, text};
use crate::harness_http2::{Http2, answer, request};
use crate::harness_http2_upstream::{Http2Upstream, http2, push, send, trailers};

const ALL: [ContentCoding; 3] = ContentCoding::ALL;

fn accepting(path: &str, coding: ContentCoding) -> String {
    get(path, &format!("Accept-Encoding: {}\r\n", coding.as_str()))
}

/// Answers with `content` as the path says: by its length, in chunks, or until the close.
fn serving(content: Arc<Vec<u8>>) -> Upstream {
    Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            let fields = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\n";
            if head.contains("/known") {
                conn.send(format!("{fields}Content-Length: {}\r\n\r\n", content.len()));
                conn.send(&*content);
            } else if head.contains("/chunked") {
                conn.send(format!("{fields}Transfer-Encoding: chunked\r\n\r\n"));
                for piece in content.chunks(10_007) {
                    conn.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
                }
                conn.send("0\r\nX-Sum: 7\r\n\r\n");
            } else {
                conn.send(format!("{fields}\r\n"));
                conn.send(&*content);
                return;
            }
        }
    })
}

#[test]
fn every_framing_reaches_the_client_in_every_coding() {
    for length in [1000, 1_000_000] {
        let content = Arc::new(text(length));
        let upstream = serving(Arc::clone(&content));
        let edge = compressing(&upstream.url).start();
        let mut client = edge.connect();
        for (path, coding) in
            ["/known", "/chunked", "/close"].into_iter().flat_map(|path| ALL.map(|coding| (path, coding)))
        {
            client.send(accepting(path, coding));
            let response = client.response();
            assert_eq!(response.status, 200);
            assert_eq!(response.field("content-encoding"), Some(coding.as_str()), "{path}");
            assert_eq!(response.field("etag"), Some("w/\"a\""));
            assert_eq!(response.field("vary"), Some("accept-encoding"));
            assert_eq!((response.field("content-length"), response.field("accept-ranges")), (None, None));
            assert!(response.body.len() < length / 2, "{path} {coding:?}: {}", response.body.len());
            assert!(decode(coding, &response.body) == *content, "{path} {coding:?}");
        }
        // Two connections at most: those that end with a response are no more.
        assert!(upstream.connections() <= 4, "{}", upstream.connections());
        for coding in ALL {
            wait_until("all is counted", || counted(&edge, ContentEvent::Compressed, coding) == 3);
            assert_eq!(counted(&edge, ContentEvent::CompressedFrom, coding), 3 * length as u64);
            let to = counted(&edge, ContentEvent::CompressedTo, coding);
            assert!(to > 0 && to < 3 * length as u64 / 2, "{to}");
        }
    }
}

#[test]
fn trailers_stand_behind_the_coded_content() {
    let upstream = serving(Arc::new(text(5000)));
    let edge = compressing(&upstream.url).start();
    let mut client = edge.connect();
    client.send(accepting("/chunked", ContentCoding::Gzip));
    client.head();
    assert!(client.read_until("\r\n0\r\n").len() > 100);
    assert_eq!(client.read_until("\r\n\r\n"), b"X-Sum: 7\r\n\r\n");
}

#[test]
fn who_takes_no_coding_gets_the_content_as_it_is_and_caches_are_told() {
    let content = Arc::new(text(5000));
    let upstream = serving(Arc::clone(&content));
    let edge = compressing(&upstream.url).start();
    for fields in ["", "Accept-Encoding: identity\r\n", "Accept-Encoding: gzip;q=0, br;q=0, deflate\r\n"] {
        let response = edge.ask(&get("/known", fields));
        assert!(response.body == *content, "{fields}");
        assert_eq!((response.field("content-encoding"), response.field("content-length")), (None, Some("5000")));
        assert_eq!((response.field("etag"), response.field("accept-ranges")), (Some("\"a\""), Some("bytes")));
        assert_eq!(response.field("vary"), Some("accept-encoding"));
    }
    let old = edge.ask("GET /chunked HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert!(old.body == *content && old.field("content-encoding").is_none());
    assert_eq!(old.field("vary"), Some("accept-encoding"));
    for coding in ALL {
        assert_eq!(counted(&edge, ContentEvent::Compressed, coding), 0);
    }
}

#[test]
fn responses_without_content_keep_their_fields() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            conn.send(if head.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\nETag: \"a\"\r\n\r\n"
            } else if head.contains("If-None-Match") {
                "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nVary: Origin\r\n\r\n"
            } else {
                "HTTP/1.1 204 No Content\r\nETag: \"a\"\r\n\r\n"
            });
        }
    });
    let edge = compressing(&upstream.url).start();
    let mut client = edge.connect();
    client.send(accepting("/", ContentCoding::Gzip).replace("GET", "HEAD"));
    let head = client.response_to("HEAD");
    assert_eq!((head.field("content-length"), head.field("etag")), (Some("5000"), Some("\"a\"")));
    assert_eq!((head.field("vary"), head.field("content-encoding")), (Some("accept-encoding"), None));
    // The validator that the client has is the weak one of the compressed response; it is that of the 304 too.
    client.send(get("/", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"a\"\r\n"));
    let unchanged = client.response();
    assert_eq!((unchanged.status, unchanged.field("etag")), (304, Some("w/\"a\"")));
    assert_eq!(unchanged.field("vary"), Some("origin, accept-encoding"));
    client.send(accepting("/", ContentCoding::Gzip));
    let nothing = client.response();
    assert_eq!((nothing.status, nothing.field("etag"), nothing.field("vary")), (204, Some("\"a\""), None));
}

/// Reads chunks until what they hold decodes to `content`.
fn read_content(client: &mut Client, reading: &mut Reading, content: &[u8]) {
    while reading.content() != content {
        let line = String::from_utf8(client.read_until("\r\n")).unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        assert!(size > 0, "the end before {:?}", String::from_utf8_lossy(content));
        reading.push(&client.read_exact(size));
        client.read_exact(2);
    }
}

#[test]
fn what_the_upstream_has_sent_arrives_while_it_waits() {
    for framing in ["Transfer-Encoding: chunked", "Content-Length: 130", "X-None: 1"] {
        for coding in ALL {
            let (go, may_go) = channel::<()>();
            let may_go = Mutex::new(may_go);
            let upstream = Upstream::scripted(move |_, conn| {
                conn.next_head();
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n"));
                for number in 0..10 {
                    let event = format!("data: no {number}\n\n\n");
                    conn.send(if framing.ends_with("chunked") { format!("d\r\n{event}\r\n") } else { event });
                    may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                }
                if framing.ends_with("chunked") {
                    conn.send("0\r\n\r\n");
                }
            });
            let edge = compressing(&upstream.url).start();
            let mut client = edge.connect();
            client.send(accepting("/events", coding));
            assert!(client.head().contains(&format!("content-encoding: {}\r\n", coding.as_str())), "{framing}");
            let (mut reading, mut content) = (Reading::new(coding), Vec::new());
            for number in 0..10 {
                content.extend_from_slice(format!("data: no {number}\n\n\n").as_bytes());
                read_content(&mut client, &mut reading, &content);
                go.send(()).unwrap();
            }
            let rest = String::from_utf8_lossy(&client.read_until("0\r\n\r\n")).into_owned();
            assert!(rest.ends_with("0\r\n\r\n"));
        }
    }
}

#[test]
fn a_response_that_breaks_off_has_no_end() {
    for (framing, content) in [
        ("Content-Length: 100000", text(50_000)),
        ("Transfer-Encoding: chunked", [b"c350\r\n", &text(50_000)[..], b"\r\n"].concat()),
        ("Transfer-Encoding: chunked", [b"c350\r\n", &text(50_000)[..], b"\r\nno chunk\r\n"].concat()),
    ] {
        for coding in ALL {
            let content = content.clone();
            let upstream = Upstream::scripted(move |_, conn| {
                conn.next_head();
                conn.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{framing}\r\n\r\n"));
                conn.send(&content);
            });
            let edge = compressing(&upstream.url).start();
            let mut client = edge.connect();
            client.send(accepting("/", coding));
            client.head();
            let (bytes, _) = client.read_to_its_end();
            assert!(!bytes.ends_with(b"0\r\n\r\n"), "{framing} {coding:?}");
            assert_eq!(edge.records(1)[0].code, Some(novagate_kernel::ErrorCode::DownstreamError));
        }
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    for coding in ALL {
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            conn.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1073741824\r\n\r\n",
            );
            conn.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
            let piece = noise(65_536);
            while std::io::Write::write_all(&mut conn.stream, &piece).is_ok() {
                counter.fetch_add(piece.len(), Ordering::SeqCst);
            }
            counter.fetch_add(1 << 60, Ordering::SeqCst);
        });
        let edge = compressing(&upstream.url).start();
        let mut client = edge.connect();
        client.send(accepting("/", coding));
        client.head();
        wait_until("the upstream is stopped", || written.load(Ordering::SeqCst) >= 1 << 60);
        assert!(written.load(Ordering::SeqCst) - (1 << 60) < 64 * 1024 * 1024);
    }
}

#[test]
fn what_would_become_untrue_is_left_alone() {
    for fields in [
        "Content-Encoding: gzip",
        "Content-Range: bytes 0-999/2000",
        "Cache-Control: public, no-transform",
        "Content-Digest: sha-256=:x:",
        "Content-Type: image/png",
    ] {
        let upstream = Upstream::scripted(move |_, conn| {
            conn.next_head();
            let kind = if fields.contains("image") { "X-A: 1" } else { "Content-Type: text/html" };
            conn.send(format!("HTTP/1.1 200 OK\r\n{kind}\r\n{fields}\r\nETag: \"a\"\r\nContent-Length: 1000\r\n\r\n"));
            conn.send(text(1000));
        });
        let edge = compressing(&upstream.url).start();
        let response = edge.ask(&accepting("/", ContentCoding::Brotli));
        assert!(response.body == text(1000), "{fields}");
        assert_eq!((response.field("etag"), response.field("vary")), (Some("\"a\""), None), "{fields}");
        assert!(response.field("content-encoding").is_none_or(|coding| coding == "gzip"), "{fields}");
    }
}

#[test]
fn what_is_one_too_many_at_the_same_time_stays_as_it_is() {
    const MOST: usize = 256;
    let upstream = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        conn.rest();
    });
    let edge = compressing(&upstream.url).start();
    let begin = || {
        let mut client = edge.connect();
        client.send(accepting("/", ContentCoding::Gzip));
        let head = client.head();
        (client, head)
    };
    let running: Vec<_> = (0..MOST).map(|_| begin()).collect();
    assert!(running.iter().all(|(_, head)| head.contains("content-encoding: gzip\r\n")));
    let (mut client, head) = begin();
    assert!(!head.contains("content-encoding") && head.contains("vary: accept-encoding\r\n"), "{head}");
    assert_eq!(client.read_until("hello\r\n"), b"5\r\nhello\r\n");
    assert_eq!(counted(&edge, ContentEvent::LeftOut, ContentCoding::Gzip), 1);
    drop(running);
    wait_until("there is room again", || begin().1.contains("content-encoding: gzip\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_upstreams_of_http2_have_codings_too() {
    const MANY: usize = 8 * 1024 * 1024;
    let content = Arc::new(text(MANY));
    let served = Arc::clone(&content);
    let upstream = Http2Upstream::new(move |mut asked| {
        let content = Arc::clone(&served);
        async move {
            let length = content.len().to_string();
            let known = asked.head.uri.path() == "/known";
            let fields = [("content-type", "application/json"), ("etag", "\"a\""), ("content-length", length.as_str())];
            let stream = asked.begin(200, if known { &fields } else { &fields[..2] });
            send(stream, &content, Some(trailers(&[("x-sum", "7")]))).await;
        }
    })
    .await;
    let edge = compressing(&upstream.url).with_service(http2).start();
    let client = Http2::connect(&edge).await;
    for path in ["/known", "/open"] {
        for coding in ALL {
            let asked = request("GET", path, &[("accept-encoding", coding.as_str())]);
            let seen = client.ask(asked, b"").await.unwrap();
            let field = |name: &str| seen.head.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!((field("content-encoding"), field("content-length")), (Some(coding.as_str()), None));
            assert_eq!((field("etag"), field("vary")), (Some("W/\"a\""), Some("accept-encoding")));
            assert!(decode(coding, &seen.body) == *content, "{path} {coding:?}: {}", seen.body.len());
            assert_eq!(seen.trailers.unwrap()["x-sum"], "7");
        }
    }
    let seen = client.ask(request("HEAD", "/known", &[("accept-encoding", "br")]), b"").await.unwrap();
    assert_eq!(seen.head.headers()["vary"], "accept-encoding");
    assert!(!seen.head.headers().contains_key("content-encoding"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_off_is_reset() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        let mut stream = asked.begin(200, &[("content-type", "text/html")]);
        push(&mut stream, &text(100_000)).await;
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let edge = compressing(&upstream.url).with_service(http2).start();
    let client = Http2::connect(&edge).await;
    for coding in ALL {
        let mut send = client.send.clone().ready().await.unwrap();
        let asked = request("GET", "/", &[("accept-encoding", coding.as_str())]);
        let (response, _) = send.send_request(asked, true).unwrap();
        assert!(answer(response).await.is_err(), "{coding:?}");
    }
}
