//! WebSockets through a real gateway, with a library on both ends.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use novagate_e2e::{ControlOptions, PATIENCE, Upstream, World, wait_until};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

const LARGE: usize = 4 * 1024 * 1024;

/// A WebSocket server that sends every message back; its address.
pub(crate) fn echo_server(runtime: &Runtime) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let handle = runtime.handle().clone();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            handle.spawn(async move {
                let Ok(mut socket) = accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A WebSocket to `path` of a gateway, and the request id that its answer carried.
pub(crate) async fn open(
    gateway: SocketAddr,
    path: &str,
    key: Option<&str>,
) -> Result<(WebSocketStream<TcpStream>, String), Error> {
    let mut request = format!("ws://{gateway}{path}").into_client_request()?;
    if let Some(key) = key {
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
    }
    let (socket, response) = client_async(request, TcpStream::connect(gateway).await?).await?;
    Ok((socket, response.headers()["x-request-id"].to_str().unwrap().to_owned()))
}

pub(crate) async fn echoes(socket: &mut WebSocketStream<TcpStream>, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(answer == message, "an echo of {} bytes, not {} bytes", message.len(), answer.len());
}

/// Waits for the end of a connection, however it comes.
async fn end(socket: &mut WebSocketStream<TcpStream>) {
    let over = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, over).await.expect("the connection ends");
}

#[test]
fn websockets_pass_are_recorded_and_end_with_their_route_key_or_gateway() {
    let runtime = Runtime::new().unwrap();
    let settings = vec![("DRAIN_MS", "1000".to_owned())];
    let mut world = World::with(&ControlOptions::default(), Upstream::named("users"), settings);
    let api = &world.api;
    api.service("sockets", &format!("http://{}", echo_server(&runtime)));
    let passing = api.open_route("passing", "/passing", "sockets");
    api.open_route("staying", "/staying", "sockets");
    api.closed_route("private", "/private", "sockets");
    let consumer = api.consumer("mobile");
    let (key_id, key) = api.consumer_key(&consumer);
    api.wait_acked();
    let gateway = world.gateway.address();
    let (mut passing_socket, mut staying, mut private) = runtime.block_on(async {
        let refused = open(gateway, "/private", None).await.unwrap_err();
        assert!(matches!(refused, Error::Http(answer) if answer.status() == 401));
        let (mut private, id) = open(gateway, "/private", Some(&key)).await.unwrap();
        echoes(&mut private, Message::text("hello")).await;
        echoes(&mut private, Message::binary(vec![7_u8; LARGE])).await;
        let entry = tokio::task::block_in_place(|| api.wait_log(&id));
        assert_eq!((entry["status"].as_u64(), entry["path"].as_str()), (Some(101), Some("/private")));
        let (passing, _) = open(gateway, "/passing", None).await.unwrap();
        let (staying, _) = open(gateway, "/staying", None).await.unwrap();
        (passing, staying, private)
    });
    let is_open = |count: f64| {
        let difference = world.gateway.metric("active_websockets ").unwrap() - count;
        difference.abs() < 0.5
    };
    wait_until("all are counted", PATIENCE, || is_open(3.0));
    api.delete(&format!("/routes/{passing}")).expect(204);
    runtime.block_on(end(&mut passing_socket));
    runtime.block_on(echoes(&mut private, Message::text("still here")));
    api.delete(&format!("/consumers/{consumer}/keys/{key_id}")).expect(204);
    runtime.block_on(end(&mut private));
    runtime.block_on(echoes(&mut staying, Message::text("still here")));
    wait_until("one is left", PATIENCE, || is_open(1.0));
    // A good end is one frame in each direction.
    runtime.block_on(async {
        let (mut polite, _) = open(gateway, "/staying", None).await.unwrap();
        polite.close(None).await.unwrap();
        assert!(matches!(timeout(PATIENCE, polite.next()).await.unwrap(), Some(Ok(Message::Close(None)))));
        assert!(timeout(PATIENCE, polite.next()).await.unwrap().is_none());
    });
    let begun = std::time::Instant::now();
    world.gateway.ask_to_stop();
    runtime.block_on(echoes(&mut staying, Message::text("until the last moment")));
    runtime.block_on(end(&mut staying));
    let exit = world.gateway.wait();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(begun.elapsed() >= Duration::from_secs(1) && exit.stderr.contains("DRAIN_MS"), "{}", exit.stderr);
}
