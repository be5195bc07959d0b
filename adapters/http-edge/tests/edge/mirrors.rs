//! Copies of requests that have bodies.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use novagate_policies::ConfigObject;
use novagate_ports_edge::UpstreamEvent;
use novagate_routing::Mirror;

use crate::harness::{Edge, HELLO, PATIENCE, Setup, Upstream, get, name, wait_until};
use crate::harness_http2::{Http2, request, send_all};
use crate::harness_http2_upstream::{Asked, Http2Upstream, http2, trailers};
use crate::hedging::{hedging, silent};
use crate::observe::events_of;
use crate::routing::mirrored;

/// A mirror that tells what it was sent.
fn telling() -> (Upstream, Receiver<String>) {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = Upstream::scripted(move |_, conn| {
        while let Some(seen) = conn.next_request() {
            tell.lock().unwrap().send(String::from_utf8(seen).unwrap()).unwrap();
            conn.send(HELLO);
        }
    });
    (upstream, told)
}

/// The body of the next copy.
fn body(told: &Receiver<String>) -> String {
    let seen = told.recv_timeout(PATIENCE).unwrap();
    seen.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn bounded(setup: Setup, max_body: u32) -> Setup {
    setup.with_forward(move |forward| {
        forward.mirror = Some(Mirror { service: name("second"), percent: 100, max_body });
    })
}

/// The service that is copied has the targets and rules of the other setup's.
fn like(other: &Setup, mut setup: Setup) -> Setup {
    let [ConfigObject::Service(service), ..] = &mut *setup.objects else { panic!("the first object is the service") };
    let [ConfigObject::Service(other), ..] = &*other.objects else { panic!("the first object is the service") };
    (service.targets, service.resilience) = (other.targets.clone(), other.resilience.clone());
    setup
}

fn left_out(edge: &Edge, count: u64) {
    wait_until("copies are left out", || edge.handle.mirrors_left_out() == count);
}

const CHUNKED: &str = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunks_are_copied_with_their_trailers() {
    let (first, (second, told)) = (Upstream::echo(), telling());
    let edge = mirrored(&first.url, &second.url, 100).start();
    let mut client = edge.connect();
    client.send(format!("{CHUNKED}3;a=b\r\nabc\r\n"));
    wait_until("the first piece is on its way", || first.connections() == 1);
    client.send("4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n");
    let own = client.response().text();
    let copy = body(&told);
    assert_eq!(own.split_once("\r\n\r\n").unwrap().1, copy, "it is what its service gets");
    assert!(copy.contains("abc") && copy.ends_with("defg\r\n0\r\nX-Sum: 7\r\n\r\n"), "{copy:?}");
    assert_eq!(edge.handle.mirrors_left_out(), 0);
}

#[test]
fn a_body_that_comes_in_pieces_is_copied_when_all_of_it_has_come() {
    let (first, (second, told)) = (Upstream::echo(), telling());
    let edge = mirrored(&first.url, &second.url, 100).start();
    let mut client = edge.connect();
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    wait_until("the first piece is on its way", || first.connections() == 1);
    assert_eq!(second.connections(), 0);
    client.send("def");
    assert!(client.response().text().ends_with("abcdef"));
    assert_eq!(body(&told), "abcdef");
    client.send(get("/next", ""));
    assert!(client.response().text().starts_with("GET /next "));
    assert_eq!(body(&told), "");
    assert_eq!((edge.handle.mirrors_left_out(), edge.handle.mirrors_failed()), (0, 0));
}

#[test]
fn a_body_over_the_bound_is_left_out_and_its_request_is_served() {
    let (first, (second, told)) = (Upstream::echo(), telling());
    let edge = bounded(mirrored(&first.url, &second.url, 100), 16).start();
    let mut client = edge.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n{}", "x".repeat(17)));
    assert!(client.response().text().ends_with(&"x".repeat(17)));
    left_out(&edge, 1);
    client.send(format!("{CHUNKED}8\r\nabcdefgh\r\n8\r\nijklmnop\r\n0\r\n\r\n"));
    assert!(client.response().text().ends_with("0\r\n\r\n"));
    left_out(&edge, 2);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n{}", "x".repeat(16)));
    assert!(client.response().text().ends_with(&"x".repeat(16)));
    assert_eq!(body(&told), "x".repeat(16));
    let none = bounded(mirrored(&first.url, &second.url, 100), 0).start();
    assert_eq!(none.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").status, 200);
    left_out(&none, 1);
    assert_eq!(none.ask(&get("/", "")).status, 200);
    assert_eq!(body(&told), "");
}

#[test]
fn a_request_that_ends_before_its_body_is_left_out() {
    let (first, (second, told)) = (Upstream::echo(), telling());
    let edge = mirrored(&first.url, &second.url, 100).start();
    let mut client = edge.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    wait_until("it is on its way", || first.connections() == 1);
    drop(client);
    left_out(&edge, 1);
    let mut client = edge.connect();
    client.send(format!("{CHUNKED}nonsense\r\n"));
    assert_eq!(client.response().code(), "BAD_REQUEST");
    left_out(&edge, 2);
    let gone = mirrored(&crate::harness::nobody(), &second.url, 100).start();
    assert_eq!(gone.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").status, 502);
    left_out(&gone, 1);
    assert!(told.try_recv().is_err());
}

#[test]
fn a_copy_is_made_once_however_often_its_request_is_tried() {
    let (busy, good, (second, told)) = (Upstream::fixed(crate::retries::BUSY), Upstream::echo(), telling());
    let retrying = crate::retries::retrying(&[&busy.url, &good.url], |_| ());
    let edge = like(&retrying, mirrored(&good.url, &second.url, 100)).start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        client.send("def");
        assert!(client.response().text().ends_with("abcdef"));
        assert_eq!(body(&told), "abcdef");
    }
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!((busy.requests().len(), edge.handle.mirrors_left_out()), (1, 0));
}

#[test]
fn a_copy_is_made_once_however_many_targets_are_asked() {
    let ((slow, _ended), good, (second, told)) = (silent(), Upstream::echo(), telling());
    let edge = like(&hedging(&[&slow.url, &good.url], |_| ()), mirrored(&good.url, &second.url, 100)).start();
    let mut client = edge.connect();
    for _ in 0..2 {
        client.send(get("/", ""));
        assert!(client.response().text().starts_with("GET / "));
        assert_eq!(body(&told), "");
    }
    assert!(told.recv_timeout(Duration::from_millis(50)).is_err());
    let won = events_of(&edge, "first", UpstreamEvent::HedgeWon);
    assert_eq!((won, edge.handle.mirrors_left_out()), (1, 0), "the targets take turns");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_copied_with_its_message_and_trailers() {
    let (tell, told) = channel();
    let second = Http2Upstream::new(move |mut asked: Asked| {
        let tell = tell.clone();
        async move {
            let (body, trailers) = asked.read().await;
            tell.send((body, trailers.unwrap())).unwrap();
            asked.answer(200, &[], b"", None).await;
        }
    })
    .await;
    let first = Http2Upstream::echo().await;
    let edge = mirrored(&first.url, &second.url, 100).with_service(http2).start();
    let client = Http2::connect(&edge).await;
    for fields in [&[("te", "trailers")][..], &[("te", "trailers"), ("content-length", "4")]] {
        let (response, stream) = client.begin(request("POST", "/a.Service/Call", fields)).await;
        send_all(stream, b"ping", Some(trailers(&[("x-end", "1")]))).await;
        assert_eq!(crate::harness_http2::answer(response).await.unwrap().text(), "ping");
        let (body, trailers) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((body.as_slice(), trailers["x-end"].as_bytes()), (&b"ping"[..], &b"1"[..]));
    }
}
