//! WebSockets over HTTP/2 (RFC 8441): to upstreams of both versions, and how they end.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request};
use novagate_policies::ConfigObject;

use crate::harness::{
    Client, Edge, HELLO, PATIENCE, Setup, Upstream, compile, consumer, get as get_http1, grant, handshake, key, route,
    service, wait_until,
};
use crate::harness_http2::{Http2, get};
use crate::harness_http2_upstream::{Http2Upstream, over_http2, piece, push};

const MANY: usize = 4 * 1024 * 1024;

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(three.get(at).copied().unwrap_or_default()));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

/// The answer to a handshake as a server gives it.
fn switching(head: &str) -> String {
    let key = head.split("sec-websocket-key: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert_eq!(key.len(), 24);
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
    let accept = base64(hash.as_ref());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// An upstream that accepts a WebSocket and goes on so; its head is looked at.
fn accepting(script: impl Fn(&str, &mut Client) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |_, conn| {
        while let Some(head) = conn.next_head() {
            if head.contains("upgrade: websocket") {
                conn.send(switching(&head));
                return script(&head, conn);
            }
            conn.send(HELLO);
        }
    })
}

fn echo(_head: &str, conn: &mut Client) {
    loop {
        let piece = conn.some();
        if piece.is_empty() {
            return;
        }
        conn.send(piece);
    }
}

fn asking(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("http://shop.example{path}"));
    for (name, value) in [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat")].iter().chain(fields) {
        request = request.header(*name, *value);
    }
    request.extension(Protocol::from_static("websocket")).body(()).unwrap()
}

/// A WebSocket that is open.
struct Socket {
    send: SendStream<Bytes>,
    receive: RecvStream,
}

async fn open(client: &Http2, path: &str, fields: &[(&str, &str)]) -> Socket {
    wait_until("the gateway has said that it takes them", || client.send.is_extended_connect_protocol_enabled());
    let (response, send) = client.begin(asking(path, fields)).await;
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let fields = response.headers();
    assert_eq!(fields["sec-websocket-protocol"], "chat");
    assert!(fields.contains_key("x-request-id"));
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!fields.contains_key(name), "{name}");
    }
    Socket { send, receive: response.into_body() }
}

impl Socket {
    async fn answers(&mut self) {
        assert!(push(&mut self.send, b"ping").await);
        assert_eq!(piece(&mut self.receive).await.unwrap(), "ping");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_becomes_one_of_http_1_1_and_bytes_pass_both_ways() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = accepting(move |head, conn| {
        tell.lock().unwrap().send(head.to_owned()).unwrap();
        echo(head, conn);
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let fields = [("origin", "http://shop.example"), ("sec-websocket-key", "bm90IG91cnM=")];
    let mut socket = open(&client, "/chat?a=b", &fields).await;
    let head = told.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("GET /chat?a=b HTTP/1.1\r\n"), "{head}");
    for line in ["origin: http://shop.example", "sec-websocket-version: 13", "connection: upgrade"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert!(!head.contains("bm90IG91cnM="));
    for _ in 0..3 {
        socket.answers().await;
    }
    assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello", "beside it others are served");
    let records = edge.records(1);
    assert_eq!((records[0].status, records[0].code), (101, None));
    assert_eq!(edge.handle.active_connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_data_passes_in_both_directions_at_once() {
    let upstream = accepting(echo);
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let Socket { mut send, mut receive } = open(&client, "/", &[]).await;
    let sent: Vec<u8> = (0..MANY).map(|at| (at / 251 + at).to_le_bytes()[0]).collect();
    let body = sent.clone();
    let sending = crate::harness_http2::spawn(async move {
        assert!(push(&mut send, &body).await);
        send
    });
    let mut echoed = Vec::new();
    while echoed.len() < MANY {
        echoed.extend(piece(&mut receive).await.unwrap());
    }
    assert!(echoed == sent);
    drop(sending.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_one_side_is_passed_on_and_the_other_one_finishes() {
    let upstream = accepting(|head, conn| {
        if head.contains("/server") {
            conn.send("bye");
            conn.half_close();
            assert_eq!(conn.rest(), b"so long");
        } else {
            let heard = conn.rest();
            conn.send([b"all of: ".to_vec(), heard].concat());
        }
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut socket = open(&client, "/client", &[]).await;
    socket.send.send_data("that".into(), true).unwrap();
    assert_eq!(piece(&mut socket.receive).await.unwrap(), "all of: that");
    assert!(piece(&mut socket.receive).await.is_none());
    let mut socket = open(&client, "/server", &[]).await;
    assert_eq!(piece(&mut socket.receive).await.unwrap(), "bye");
    assert!(piece(&mut socket.receive).await.is_none());
    socket.send.send_data("so long".into(), true).unwrap();
    assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_its_websocket_ends_that_of_the_upstream() {
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    let upstream = accepting(move |_, conn| {
        conn.read_until("ping");
        conn.send("pong");
        conn.rest();
        tell.lock().unwrap().send(()).unwrap();
    });
    let edge = Setup::open(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut socket = open(&client, "/", &[]).await;
    assert!(push(&mut socket.send, b"ping").await);
    assert_eq!(piece(&mut socket.receive).await.unwrap(), "pong");
    socket.send.send_reset(Reason::CANCEL);
    told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_accepted_is_answered_and_what_is_accepted_wrongly_is_reset() {
    let upstream = Upstream::scripted(|_, conn| {
        while let Some(head) = conn.next_head() {
            match head.split(' ').nth(1).unwrap() {
                "/wrong" => conn.send(switching(&head).replace("Accept: ", "Accept: x")),
                "/ignored" => conn.send(HELLO),
                "/none" => conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
                _ => conn.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            }
        }
    });
    let mut closed = route(2, "/closed", "up");
    closed.auth.required = true;
    let objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(route(1, "/*", "up")),
        ConfigObject::Route(closed),
    ];
    let edge = Setup::new(objects).start();
    let client = Http2::connect(&edge).await;
    wait_until("the gateway has said that it takes them", || client.send.is_extended_connect_protocol_enabled());
    let ask = |request: Request<()>| async {
        let (response, _stream) = client.begin(request).await;
        crate::harness_http2::answer(response).await
    };
    let seen = ask(asking("/none", &[])).await.unwrap();
    assert_eq!((seen.status(), seen.text().as_str()), (403, "no"));
    let seen = ask(asking("/closed", &[])).await.unwrap();
    assert_eq!((seen.status(), seen.code().as_str()), (401, "TOKEN_MISSING"));
    for path in ["/wrong", "/ignored"] {
        let fault = ask(asking(path, &[])).await.unwrap_err();
        assert_eq!(fault.reason(), Some(Reason::INTERNAL_ERROR), "{path}: {fault:?}");
    }
    let mut other = asking("/none", &[]);
    other.extensions_mut().insert(Protocol::from_static("connect-udp"));
    let seen = ask(other).await.unwrap();
    assert_eq!((seen.status(), seen.code().as_str()), (405, "METHOD_NOT_ALLOWED"));
    assert_eq!(client.ask(get("/none"), b"").await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_a_websocket() {
    let upstream = accepting(|_, conn| drop(conn.rest()));
    let setup = Setup::open(&[&upstream.url]);
    let edge = setup.with(|settings| settings.timeouts.websocket_idle = Duration::from_millis(150)).start();
    let client = Http2::connect(&edge).await;
    let mut socket = open(&client, "/", &[]).await;
    assert!(piece(&mut socket.receive).await.is_none());
    assert_eq!(client.ask(get("/"), b"").await.unwrap().text(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_ends_with_its_route_or_its_key_and_with_nothing_else() {
    fn objects(upstream: &str, routes: &[&str], keys: &[u8]) -> Vec<ConfigObject> {
        let routes = routes.iter().zip(1..).map(|(path, id)| {
            let mut route = route(id, path, "up");
            route.auth = novagate_policies::AuthRule { required: true, ..route.auth };
            ConfigObject::Route(route)
        });
        let mut objects = vec![ConfigObject::Service(service(1, "up", &[upstream])), consumer(7, "app", &[], None)];
        objects.extend(routes);
        objects.extend(keys.iter().map(|number| grant(*number, 7)));
        objects
    }
    let live = |edge: &Edge, table, objects: &[ConfigObject]| edge.live.store(Some(Arc::new(compile(table, objects))));
    let upstream = accepting(echo);
    let edge = Setup::new(objects(&upstream.url, &["/a", "/b"], &[1, 2])).start();
    let client = Http2::connect(&edge).await;
    let (one, two) = (key(1).expose().to_owned(), key(2).expose().to_owned());
    let mut first = open(&client, "/a", &[("x-api-key", &one)]).await;
    let mut second = open(&client, "/a", &[("x-api-key", &two)]).await;
    let mut third = open(&client, "/b", &[("x-api-key", &one)]).await;
    live(&edge, 2, &objects(&upstream.url, &["/a", "/b"], &[1]));
    assert!(piece(&mut second.receive).await.is_none());
    first.answers().await;
    live(&edge, 3, &objects(&upstream.url, &["/a"], &[1]));
    assert!(piece(&mut third.receive).await.is_none());
    first.answers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_http_2_takes_websockets_of_both_versions() {
    let upstream = Http2Upstream::with(
        |builder| _ = builder.enable_connect_protocol(),
        None,
        |mut asked| async move {
            if asked.head.method != Method::CONNECT {
                return asked.answer(200, &[], b"hello", None).await;
            }
            assert_eq!(asked.head.extensions.get::<Protocol>().unwrap().as_str(), "websocket");
            assert!(!asked.head.headers.contains_key("sec-websocket-key"));
            if asked.head.uri.path() == "/none" {
                return asked.answer(403, &[], b"no", None).await;
            }
            let mut stream = asked.begin(200, &[("sec-websocket-protocol", "chat")]);
            while let Some(piece) = piece(&mut asked.body).await {
                assert!(push(&mut stream, &piece).await);
            }
            stream.send_data("bye".into(), true).unwrap();
        },
    )
    .await;
    let edge = over_http2(&[&upstream.url]).start();
    let client = Http2::connect(&edge).await;
    let mut socket = open(&client, "/chat", &[]).await;
    socket.answers().await;
    socket.send.send_data(Bytes::new(), true).unwrap();
    assert_eq!(piece(&mut socket.receive).await.unwrap(), "bye");
    let mut old = edge.connect();
    old.send(handshake("/chat", ""));
    let head = tokio::task::block_in_place(|| old.head());
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    tokio::task::block_in_place(|| {
        old.send("ping");
        assert_eq!(old.read_exact(4), b"ping");
        old.half_close();
        assert_eq!(old.rest(), b"bye");
        let mut old = edge.connect();
        old.send(handshake("/none", ""));
        assert_eq!(old.response().status, 403);
    });
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_http_2_without_websockets_gets_the_request_without_the_offer() {
    let upstream = Http2Upstream::hello().await;
    let edge = over_http2(&[&upstream.url]).start();
    let seen = edge.ask(&handshake("/", ""));
    assert_eq!((seen.status, seen.text().as_str()), (200, "hello"));
    assert_eq!(edge.ask(&get_http1("/", "")).text(), "hello");
    assert_eq!(upstream.heads()[0].method, Method::GET);
}
