//! A gateway whose clients speak HTTP/2, by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use novagate_e2e::{FileWorld, Folder, Gateway, GatewayOptions, PATIENCE};
use serde_json::json;

/// The preface with empty settings (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// Headers and stream end.
const WHOLE: u8 = 5;

/// Sends a GET and reads the first byte of its answer's head, which tells common statuses, and the body.
fn get(stream: &mut TcpStream, number: u8, path: &str) -> (u8, Vec<u8>) {
    let mut block = Vec::new();
    for (name, value) in [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop.example")] {
        for text in [name, value] {
            // A new name before each name: a literal that nobody keeps.
            block.extend(text.starts_with(':').then_some(0));
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let length = u8::try_from(block.len()).unwrap();
    stream.write_all(&[0, 0, length, HEADERS, WHOLE, 0, 0, 0, number]).unwrap();
    stream.write_all(&block).unwrap();
    let (mut status, mut body) = (0, Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        match head[3] {
            HEADERS => status = payload[0],
            DATA => body.extend(payload),
            _ => continue,
        }
        if head[4] & 1 == 1 {
            return (status, body);
        }
    }
}

#[test]
fn requests_over_http_2_are_served_beside_those_over_http_1_1() {
    let mut world = FileWorld::start(Vec::new());
    let mut stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    // The protocol's own table of fields begins with the statuses: 200 is at 8, 404 at 13.
    assert_eq!(get(&mut stream, 1, "/open/two").0, 0x88);
    assert_eq!(world.upstream.last_to("/open").unwrap().target, "/open/two");
    let (status, body) = get(&mut stream, 3, "/nowhere");
    assert_eq!(status, 0x8d);
    assert!(body.starts_with(b"{\"error\":\"ROUTE_NOT_FOUND\""));
    world.gateway.get("/open/one").expect(200);
    drop(stream);
    let exit = world.gateway.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
}

/// Answers every request on every connection in HTTP/2, by hand.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || answer(&mut stream));
        }
    });
    url
}

fn answer(stream: &mut TcpStream) {
    // The preface without its settings is 24 bytes; those of ours are empty.
    let mut seen = [0; 24];
    if stream.read_exact(&mut seen).is_err() || seen != PREFACE[..24] {
        return;
    }
    stream.write_all(&PREFACE[24..]).unwrap();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == HEADERS {
            // 200 and `hello`, on the stream of the request.
            let number = &head[5..9];
            stream.write_all(&[&[0, 0, 1, HEADERS, 4], number, &[0x88]].concat()).unwrap();
            stream.write_all(&[&[0, 0, 5, DATA, 1], number, b"hello"].concat()).unwrap();
        }
    }
}

#[test]
fn a_service_that_speaks_http_2_serves_clients_of_both_versions() {
    let folder = Folder::new("http2-upstream");
    let config = json!({
        "services": [{ "name": "users", "targets": [{ "url": upstream() }], "protocol": "http2" }],
        "routes": [{ "name": "open", "match": { "path": "/*" }, "service": "users" }],
    });
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let environment = vec![("CONFIG_FILE", file.display().to_string())];
    let gateway = Gateway::start(&GatewayOptions { environment, ..GatewayOptions::default() });
    gateway.get("/one").expect(200);
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    assert_eq!(get(&mut stream, 1, "/two"), (0x88, b"hello".to_vec()));
}

#[test]
fn where_http_2_is_off_its_preface_is_an_unsupported_version() {
    let world = FileWorld::start(vec![("HTTP2", "false".to_owned())]);
    let mut stream = TcpStream::connect(world.gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(PREFACE).unwrap();
    let mut answer = String::new();
    // The rest of the preface is not read: the connection may end in a reset.
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
}
