//! Calls of gRPC: all four kinds, with trailers; refusals, deadlines and failures as gRPC has them.

use std::io::Write;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use novagate_kernel::ErrorCode;
use novagate_policies::ConfigObject;

use crate::harness::{Setup, Upstream, get as get_http1, route, service};
use crate::harness_http2::{Answer, HEADERS, Http2, RST_STREAM, answer, frame, literal, request, send_all};
use crate::harness_http2_upstream::{
    Asked, DATA, Http2Upstream, by_hand, http2, next, over_http2, piece, push, trailers,
};
use crate::resilience::at_once;

const CALL: [(&str, &str); 2] = [("content-type", "application/grpc+proto"), ("te", "trailers")];
const OK: [(&str, &str); 2] = [("grpc-status", "0"), ("grpc-message", "")];

/// A message with its length before it.
fn message(text: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn told<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get(name).map(|value| value.to_str().unwrap())
}

/// The status of a response that is nothing but a head.
fn status(seen: &Answer) -> (u16, &str) {
    assert!(seen.body.is_empty() && seen.trailers.is_none());
    let fields = seen.head.headers();
    assert_eq!(told(fields, "content-type"), Some("application/grpc"));
    assert!(fields.contains_key("x-request-id") && !fields.contains_key("www-authenticate"));
    (told(fields, "grpc-status").unwrap().parse().unwrap(), told(fields, "grpc-message").unwrap())
}

/// Answers each message at once, and ends when the client does.
async fn converse(mut asked: Asked) {
    assert_eq!(asked.head.headers["te"], "trailers");
    let mut stream = asked.begin(200, &CALL[..1]);
    while let Some(piece) = piece(&mut asked.body).await {
        assert!(push(&mut stream, &piece).await);
    }
    stream.send_trailers(trailers(&OK)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_one_answer_has_its_trailers() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        let (body, _) = asked.read().await;
        assert_eq!(body, message("ping"));
        if asked.head.uri.path() == "/a.Service/Fail" {
            // Nothing but a head.
            let fields = [CALL[0], ("grpc-status", "5"), ("grpc-message", "no%20such%20thing")];
            return asked.answer(200, &fields, b"", None).await;
        }
        asked.answer(200, &CALL[..1], b"\0\0\0\0\x04pong", Some(trailers(&OK))).await;
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let seen = client.ask(request("POST", "/a.Service/Do", &CALL), &message("ping")).await.unwrap();
    assert_eq!((seen.status(), seen.body.clone()), (200, message("pong")));
    assert_eq!(seen.trailers.as_ref().and_then(|trailers| told(trailers, "grpc-status")), Some("0"));
    let seen = client.ask(request("POST", "/a.Service/Fail", &CALL), &message("ping")).await.unwrap();
    assert_eq!(told(seen.head.headers(), "grpc-status"), Some("5"));
    assert!(seen.trailers.is_none());
    assert!(edge.records(2).iter().all(|record| record.status == 200 && record.code.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_call_speak_in_turn() {
    let upstream = Http2Upstream::new(converse).await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (response, mut stream) = client.begin(request("POST", "/a.Service/Talk", &CALL)).await;
    let mut body = response.await.unwrap().into_body();
    for number in 0..50 {
        let said = message(&format!("message {number}"));
        stream.send_data(Bytes::from(said.clone()), false).unwrap();
        let mut heard = Vec::new();
        while heard.len() < said.len() {
            heard.extend(piece(&mut body).await.unwrap());
        }
        assert_eq!(heard, said);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(piece(&mut body).await.is_none());
    assert_eq!(told(&body.trailers().await.unwrap().unwrap(), "grpc-status"), Some("0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_messages_pass_as_they_come() {
    let (go, may_go) = tokio::sync::mpsc::channel::<()>(8);
    let may_go = std::sync::Arc::new(tokio::sync::Mutex::new(may_go));
    let upstream = Http2Upstream::new(move |mut asked| {
        let may_go = std::sync::Arc::clone(&may_go);
        async move {
            if asked.head.uri.path() == "/a.Service/Collect" {
                let (body, _) = asked.read().await;
                assert_eq!(body.len(), 100 * message("xxxx").len());
                return asked.answer(200, &CALL[..1], b"\0\0\0\0\0", Some(trailers(&OK))).await;
            }
            let mut stream = asked.begin(200, &CALL[..1]);
            for number in 0..5 {
                may_go.lock().await.recv().await.unwrap();
                assert!(push(&mut stream, &message(&number.to_string())).await);
            }
            stream.send_trailers(trailers(&OK)).unwrap();
        }
    })
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (response, stream) = client.begin(request("POST", "/a.Service/List", &CALL)).await;
    send_all(stream, &message(""), None).await;
    let mut body = response.await.unwrap().into_body();
    for number in 0..5 {
        go.send(()).await.unwrap();
        assert_eq!(piece(&mut body).await.unwrap(), message(&number.to_string()), "each as soon as it was said");
    }
    assert!(piece(&mut body).await.is_none());
    assert_eq!(told(&body.trailers().await.unwrap().unwrap(), "grpc-status"), Some("0"));

    let (response, mut stream) = client.begin(request("POST", "/a.Service/Collect", &CALL)).await;
    for _ in 0..100 {
        assert!(push(&mut stream, &message("xxxx")).await);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer(response).await.unwrap().trailers.unwrap()["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_call_has_a_status_and_its_record_the_code() {
    let mut closed = route(2, "/closed", "up");
    closed.auth.required = true;
    let mut up = service(1, "up", &["http://127.0.0.1:1"]);
    http2(&mut up);
    let objects =
        vec![ConfigObject::Service(up), ConfigObject::Route(route(1, "/open", "up")), ConfigObject::Route(closed)];
    let edge = Setup::new(objects).with(|settings| settings.node_limits.unauth_max = 1).start();
    let client = Http2::connect(&edge).await;
    for (path, grpc, code) in [
        ("/nowhere", (12, "ROUTE_NOT_FOUND: no route matches this request"), ErrorCode::RouteNotFound),
        ("/closed", (16, "TOKEN_MISSING: a credential is required"), ErrorCode::TokenMissing),
        ("/a%zz", (13, "BAD_REQUEST: the request path is not acceptable"), ErrorCode::BadRequest),
        (
            "/open",
            (14, "DOWNSTREAM_ERROR: the upstream could not be reached or gave no valid answer"),
            ErrorCode::DownstreamError,
        ),
        ("/open", (8, "RATE_LIMIT_EXCEEDED: too many requests"), ErrorCode::RateLimitExceeded),
    ] {
        let seen = client.ask(request("POST", path, &CALL), &message("ping")).await.unwrap();
        assert_eq!((seen.status(), status(&seen)), (200, grpc), "{path}");
        let limited = code == ErrorCode::RateLimitExceeded;
        assert_eq!(seen.head.headers().contains_key("retry-after"), limited);
    }
    let records = edge.records(5);
    let codes: Vec<_> = records.iter().map(|record| (record.status, record.code.unwrap())).collect();
    assert_eq!(codes[0], (404, ErrorCode::RouteNotFound));
    assert_eq!(codes[4], (429, ErrorCode::RateLimitExceeded));
    // gRPC-Web has its own ways, and HTTP/1.1 has no calls.
    let web = client.ask(request("POST", "/nowhere", &[("content-type", "application/grpc-web")]), b"").await.unwrap();
    assert_eq!((web.status(), web.code().as_str()), (404, "ROUTE_NOT_FOUND"));
    assert_eq!(edge.ask(&get_http1("/nowhere", "Content-Type: application/grpc\r\n")).status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_bounds_the_call_and_is_passed_on_and_not_held_against_the_target() {
    let upstream = Http2Upstream::new(|mut asked| async move {
        assert_eq!(asked.head.headers["grpc-timeout"], if asked.head.uri.path() == "/late" { "100m" } else { "1H" });
        if asked.head.uri.path() == "/late" {
            // Until it is cancelled.
            asked.read().await;
            let _ = std::future::poll_fn(|cx| asked.respond.poll_reset(cx)).await;
            return;
        }
        asked.answer(200, &CALL[..1], b"\0\0\0\0\0", Some(trailers(&OK))).await;
    })
    .await;
    let spare = Http2Upstream::hello().await;
    let setup = over_http2(&[&upstream.url, &spare.url]).with_service(|service| {
        service.load_balancing =
            novagate_routing::LoadBalancing::ConsistentHash(novagate_routing::HashOn::Header("x-user".into()));
        service.resilience.outlier_detection = Some(at_once(100));
    });
    let edge = setup.start();
    let client = Http2::connect(&edge).await;
    // A value that belongs to the first target.
    let mut user = 0;
    while upstream.heads().is_empty() {
        user += 1;
        let user = user.to_string();
        let fields = [CALL[0], CALL[1], ("grpc-timeout", "1H"), ("x-user", &user)];
        client.ask(request("POST", "/", &fields), &message("")).await.unwrap();
    }
    let user = user.to_string();
    for _ in 0..3 {
        let fields = [CALL[0], CALL[1], ("grpc-timeout", "100m"), ("x-user", &user)];
        let seen = client.ask(request("POST", "/late", &fields), &message("")).await.unwrap();
        assert_eq!(status(&seen), (4, "DOWNSTREAM_TIMEOUT: the upstream did not answer in time"));
    }
    assert_eq!(upstream.heads().len(), 4, "it takes traffic as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_in_the_middle_is_reset() {
    let upstream = by_hand(|_, stream| {
        while let Some(seen) = next(stream, &[HEADERS]) {
            let mut bytes = frame(HEADERS, 4, seen.stream, &literal(&[(":status", "200"), CALL[0]]));
            bytes.extend(frame(DATA, 0, seen.stream, &message("one")));
            if seen.stream == 1 {
                bytes.extend(frame(RST_STREAM, 0, 1, &u32::from(Reason::INTERNAL_ERROR).to_be_bytes()));
            }
            stream.write_all(&bytes).unwrap();
        }
    });
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    for path in ["/cut", "/late"] {
        let fields = [CALL[0], CALL[1], ("grpc-timeout", "200m")];
        let fault = client.ask(request("POST", path, &fields), &message("")).await.unwrap_err();
        assert_eq!(fault.reason(), Some(Reason::INTERNAL_ERROR), "{path}: {fault:?}");
    }
    let codes: Vec<_> = edge.records(2).iter().map(|record| record.code).collect();
    assert_eq!(codes, [Some(ErrorCode::DownstreamError), Some(ErrorCode::DownstreamTimeout)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_http_1_1_may_answer_calls_too() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            assert!(!head.contains("te: trailers"), "nothing about a connection");
            conn.read_until("0\r\n\r\n");
            conn.send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 0\r\n\r\n",
            );
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let seen = client.ask(request("POST", "/", &CALL), &message("ping")).await.unwrap();
    assert_eq!(seen.trailers.unwrap()["grpc-status"], "0");
}
