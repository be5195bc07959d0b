//! HTTP/2: how streams and connections end.

use std::io::Write;
use std::time::Duration;

use h2::Reason;
use novagate_kernel::ErrorCode;

use crate::harness::{HELLO, PATIENCE, Setup, Upstream, wait_until};
use crate::harness_http2::{
    GOAWAY, HEADERS, Http2, PREFACE, RST_STREAM, WHOLE, frame, get, literal, next_frame, raw, reason, request,
};

const PLAIN: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_a_stream_is_gone_and_its_upstream_is_told() {
    let (told, is_told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            conn.read_until("half");
            told.send(false).unwrap();
            while !conn.some().is_empty() {}
            told.send(true).unwrap();
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let (_response, mut stream) = client.begin(request("POST", "/", &[("content-length", "100")])).await;
    stream.send_data("half".into(), false).unwrap();
    assert!(!is_told.recv_timeout(PATIENCE).unwrap());
    stream.send_reset(Reason::CANCEL);
    assert!(is_told.recv_timeout(PATIENCE).unwrap());
    assert_eq!(edge.records(1)[0].code, Some(ErrorCode::ClientClosed));
    assert_eq!(edge.handle.active_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_while_it_waits_is_gone_too() {
    let (told, is_told) = std::sync::mpsc::channel();
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            told.send(()).unwrap();
            assert!(conn.is_closed());
            told.send(()).unwrap();
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut send = client.send.clone().ready().await.unwrap();
    let (_response, mut stream) = send.send_request(get("/"), true).unwrap();
    is_told.recv_timeout(PATIENCE).unwrap();
    stream.send_reset(Reason::CANCEL);
    is_told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(edge.records(1)[0].code, Some(ErrorCode::ClientClosed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_dies_in_the_middle_resets_the_stream_and_nothing_else() {
    let upstream = Upstream::scripted(|_, conn| {
        let Some(head) = conn.next_head() else { return };
        let coding = if head.contains("/chunks") {
            "Transfer-Encoding: chunked\r\n\r\n4\r\n"
        } else {
            "Content-Length: 100\r\n\r\n"
        };
        conn.send(format!("HTTP/1.1 200 OK\r\n{coding}half"));
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    for path in ["/length", "/chunks"] {
        let fault = client.ask(get(path), b"").await.unwrap_err();
        assert_eq!(fault.reason(), Some(Reason::INTERNAL_ERROR), "{path}: {fault:?}");
    }
    assert_eq!(edge.records(2)[1].code, Some(ErrorCode::DownstreamError));
    assert_eq!(edge.handle.active_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_finished_when_the_gateway_stops() {
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let (told, is_told) = std::sync::mpsc::channel();
    let may_go = std::sync::Mutex::new(may_go);
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            told.send(()).unwrap();
            may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            conn.send(HELLO);
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let (client, idle) = (Http2::connect(&edge).await, Http2::connect(&edge).await);
    let mut send = client.send.clone().ready().await.unwrap();
    let (response, _stream) = send.send_request(get("/"), true).unwrap();
    is_told.recv_timeout(PATIENCE).unwrap();
    let draining = async { edge.handle.drain(PATIENCE).await };
    let finishing = async {
        // The idle one is told to leave while the other one is waited for.
        assert!(idle.end().await.is_ok());
        go.send(()).unwrap();
        let seen = crate::harness_http2::answer(response).await.unwrap();
        assert_eq!((seen.status(), seen.text().as_str()), (200, "hello"));
        drop(send);
        assert!(client.end().await.is_ok());
    };
    assert_eq!(tokio::join!(draining, finishing).0, 0);
    assert_eq!(edge.records(1)[0].status, 200);
}

#[test]
fn a_connection_without_streams_is_told_to_leave_and_one_without_preface_is_closed() {
    let upstream = Upstream::fixed(HELLO);
    let setup = Setup::open(&[&upstream.url]).with(|settings| {
        settings.timeouts.idle = Duration::from_millis(500);
        settings.timeouts.header = Duration::from_millis(150);
    });
    let edge = setup.start();
    let mut client = raw(&edge);
    client.write_all(&frame(HEADERS, WHOLE, 1, &literal(&PLAIN))).unwrap();
    assert_eq!(next_frame(&mut client, &[HEADERS, GOAWAY]).unwrap().0, HEADERS);
    let seen = next_frame(&mut client, &[GOAWAY]).unwrap();
    assert_eq!(reason(&seen), Reason::NO_ERROR);
    assert!(next_frame(&mut client, &[HEADERS]).is_none());
    let mut cut = edge.connect();
    cut.send(&PREFACE[..18]);
    cut.rest();
    wait_until("both are gone", || edge.handle.active_connections() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_keeps_cancelling_is_expelled_and_others_live() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).start();
    let other = Http2::connect(&edge).await;
    let mut fickle = raw(&edge);
    let mut burst = Vec::new();
    for number in 0..1_000 {
        burst.extend(frame(HEADERS, WHOLE, number * 2 + 1, &literal(&PLAIN)));
        burst.extend(frame(RST_STREAM, 0, number * 2 + 1, &8_u32.to_be_bytes()));
    }
    // It may be refused before all of it is taken.
    let _ = fickle.write_all(&burst);
    let seen = next_frame(&mut fickle, &[GOAWAY]).unwrap();
    assert_eq!(reason(&seen), Reason::ENHANCE_YOUR_CALM);
    assert_eq!(other.ask(get("/"), b"").await.unwrap().text(), "hello");
    wait_until("it is gone", || edge.handle.active_connections() == 1);
}

#[test]
fn one_that_cancels_after_each_request_has_begun_is_expelled_too() {
    let (told, is_told) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let upstream = Upstream::scripted(move |_, conn| {
        if conn.next_head().is_some() {
            told.lock().unwrap().send(()).unwrap();
            assert!(conn.is_closed());
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let mut client = raw(&edge);
    let mut begun = 0;
    for number in 0..1_000 {
        let stream = number * 2 + 1;
        if client.write_all(&frame(HEADERS, WHOLE, stream, &literal(&PLAIN))).is_err() {
            break;
        }
        if is_told.recv_timeout(Duration::from_secs(2)).is_err() {
            break;
        }
        begun += 1;
        if client.write_all(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).is_err() {
            break;
        }
    }
    assert!((100..200).contains(&begun), "{begun}");
    assert_eq!(reason(&next_frame(&mut client, &[GOAWAY]).unwrap()), Reason::ENHANCE_YOUR_CALM);
    wait_until("it is gone", || edge.handle.active_connections() == 0);
    let records = edge.records(begun);
    assert!(records.iter().all(|record| record.code == Some(ErrorCode::ClientClosed)));
}
