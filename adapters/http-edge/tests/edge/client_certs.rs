//! Certificates of clients: whom they open what for, and who is told of them.

use std::io::{Read, Write};
use std::sync::Arc;

use novagate_kernel::ConsumerId;
use novagate_net::ClientAuth;
use novagate_policies::{AuthRule, CertificateName, ConfigObject, Consumer};
use novagate_routing::RouteAction;
use rcgen::SanType;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

use crate::client_tls::{TlsClient, connect_over, response};
use crate::harness::{
    Certificate, Edge, Setup, Upstream, compile, get, grant, handshake, key, name, route, service, wait_until,
};
use crate::harness_http2::Http2;
use crate::harness_tls::{Authority, Folder, Issued};

/// A gateway that asks clients for certificates of an authority, and what belongs to it.
struct World {
    edge: Edge,
    server: Certificate,
    clients: Authority,
    upstream: Upstream,
    _folder: Folder,
}

fn accepting(required: bool, accept_jwt: bool, accept_key: bool) -> AuthRule {
    AuthRule { required, accept_jwt, accept_key, accept_certificate: true }
}

fn owner(id: u128, text: &str, certificates: &[&str]) -> ConfigObject {
    let certificates = certificates.iter().map(|text| CertificateName::parse(text).unwrap()).collect();
    let id = ConsumerId::from_u128(id);
    ConfigObject::Consumer(Consumer { id, name: name(text), groups: Vec::new(), rate_limit: None, certificates })
}

/// Routes by what they accept; `/told` tells the certificate on.
fn objects(upstream: &str) -> Vec<ConfigObject> {
    let mut objects = vec![ConfigObject::Service(service(1, "up", &[upstream])), grant(1, 7)];
    for (number, path, auth) in [
        (1, "/certificate", accepting(true, false, false)),
        (2, "/any", accepting(true, true, true)),
        (3, "/optional", accepting(false, false, false)),
        (4, "/key", AuthRule { required: true, accept_jwt: false, accept_key: true, accept_certificate: false }),
        (5, "/told", AuthRule::default()),
    ] {
        let mut config = route(number, path, "up");
        config.auth = auth;
        if let (RouteAction::Forward(forward), "/told") = (&mut config.route.action, path) {
            forward.client_cert = true;
        }
        objects.push(ConfigObject::Route(config));
    }
    objects.push(owner(5, "orders", &["dns:orders.example.com"]));
    objects.push(owner(6, "spiffe", &["uri:spiffe://example.com/a", "cn:Spiffe"]));
    objects.push(owner(7, "keyed", &[]));
    objects
}

impl World {
    fn new(test: &str) -> Self {
        Self::with(test, Upstream::echo())
    }

    fn with(test: &str, upstream: Upstream) -> Self {
        let (server, clients, folder) = (Certificate::new(test), Authority::new(), Folder::new(test));
        folder.write("clients.pem", clients.pem());
        let asked = ClientAuth::Optional(folder.0.join("clients.pem"));
        let client_tls = Some(server.server_asking(&asked));
        let edge = Setup { client_tls, ..Setup::new(objects(&upstream.url)) }.start();
        Self { edge, server, clients, upstream, _folder: folder }
    }

    fn config(&self, shown: Option<&Issued>) -> Arc<ClientConfig> {
        match shown {
            None => novagate_net::client_config(Some(&self.server.cert())).unwrap(),
            Some(issued) => {
                let mut roots = tokio_rustls::rustls::RootCertStore::empty();
                let pem = std::fs::read(self.server.cert()).unwrap();
                roots.add(tokio_rustls::rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
                issued.client(roots)
            }
        }
    }

    fn connect(&self, shown: Option<&Issued>) -> TlsClient {
        let stream = std::net::TcpStream::connect(self.edge.handle.local_addr()).unwrap();
        connect_over(stream, self.config(shown))
    }

    fn orders(&self) -> Issued {
        self.clients.issue("anybody", &["orders.example.com"])
    }
}

/// Status and body.
fn ask(client: &mut TlsClient, path: &str, fields: &str) -> (u16, String) {
    client.write_all(get(path, fields).as_bytes()).unwrap();
    let (head, body) = response(client);
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap().to_ascii_lowercase())
}

fn consumer_in(seen: &str) -> Option<ConsumerId> {
    let id = seen.split("x-consumer-id: ").nth(1)?.split("\r\n").next()?;
    ConsumerId::parse(id).ok()
}

#[test]
fn a_certificate_of_a_consumer_opens_what_accepts_certificates() {
    let world = World::new("opens");
    let mut client = world.connect(Some(&world.orders()));
    for path in ["/certificate", "/any", "/optional"] {
        let (status, seen) = ask(&mut client, path, "");
        assert_eq!((status, consumer_in(&seen)), (200, Some(ConsumerId::from_u128(5))), "{path}");
    }
    assert!(ask(&mut client, "/key", "").1.contains("token_missing"), "no certificate is accepted there");
    let records = world.edge.records(4);
    assert_eq!(records[0].consumer, Some(ConsumerId::from_u128(5)));
    let told = format!("{records:?} {:?}", world.edge.handle);
    assert!(!told.contains("orders.example.com") && !told.contains("anybody"));
}

#[test]
fn who_shows_nothing_or_a_certificate_of_nobody_is_served_without_one() {
    let world = World::new("nobody");
    let stranger = world.clients.issue("Orders", &["other.example.com"]);
    for shown in [None, Some(&stranger)] {
        let mut client = world.connect(shown);
        for path in ["/certificate", "/any"] {
            let (status, body) = ask(&mut client, path, "");
            assert!(status == 401 && body.contains("token_missing"), "{path} {status} {body}");
        }
        let (status, seen) = ask(&mut client, "/optional", "");
        assert_eq!((status, consumer_in(&seen)), (200, None));
    }
}

#[test]
fn who_shows_a_certificate_that_does_not_hold_is_not_served() {
    let world = World::new("untrusted");
    let foreign = Authority::new().issue("anybody", &["orders.example.com"]);
    let over = world.clients.issue_with("anybody", &["orders.example.com"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    for (shown, failures) in [(foreign, 1), (over, 2)] {
        let mut client = world.connect(Some(&shown));
        // In TLS 1.3 the client learns of it when it reads.
        let _ = client.write_all(get("/optional", "").as_bytes());
        assert!(client.read_exact(&mut [0]).is_err());
        wait_until("it is counted", || world.edge.handle.tls_failures() == failures);
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[test]
fn a_credential_in_the_head_decides_before_the_certificate() {
    let world = World::new("before");
    let mut client = world.connect(Some(&world.orders()));
    let (known, unknown) = (key(1), key(2));
    let field = |key: &str| format!("X-API-Key: {key}\r\n");
    let (status, seen) = ask(&mut client, "/any", &field(known.expose()));
    assert_eq!((status, consumer_in(&seen)), (200, Some(ConsumerId::from_u128(7))));
    let (status, body) = ask(&mut client, "/any", &field(unknown.expose()));
    assert!(status == 401 && body.contains("key_invalid"), "{body}");
    // A route that accepts nothing in the head leaves it to the upstream, but for what looks like a key of ours.
    let bearer = "Authorization: Bearer of-the-upstream\r\n";
    let (status, seen) = ask(&mut client, "/certificate", bearer);
    assert_eq!((status, consumer_in(&seen)), (200, Some(ConsumerId::from_u128(5))));
    assert!(seen.contains("authorization: bearer of-the-upstream\r\n"));
}

#[test]
fn a_consumer_is_known_by_fingerprint_uri_and_common_name_too() {
    let world = World::new("kinds");
    let by_uri = world.clients.issue_with("anybody", &[], |params| {
        params.subject_alt_names = vec![SanType::URI("spiffe://example.com/a".try_into().unwrap())];
    });
    let (by_name, by_fingerprint) = (world.clients.issue("Spiffe", &[]), world.clients.issue("pinned", &[]));
    let mut objects = objects(&world.upstream.url);
    objects.push(owner(8, "pinned", &[&format!("sha256:{}", by_fingerprint.fingerprint())]));
    world.edge.live.store(Some(Arc::new(compile(2, &objects))));
    for (shown, id) in [(by_uri, 6), (by_name, 6), (by_fingerprint, 8)] {
        let (status, seen) = ask(&mut world.connect(Some(&shown)), "/certificate", "");
        assert_eq!((status, consumer_in(&seen)), (200, Some(ConsumerId::from_u128(id))));
    }
}

#[test]
fn upstreams_are_told_the_certificate_where_the_route_says_so_and_never_what_a_client_says() {
    let world = World::new("told");
    let spoofed = "Client-Cert: :c3Bvb2ZlZA==:\r\nclient_cert: :c3Bvb2ZlZA==:\r\nClient-Cert-Chain: :c3Bvb2ZlZA==:\r\n\
                   Connection: client-cert\r\n";
    let own = world.orders();
    let mut client = world.connect(Some(&own));
    client.write_all(get("/told", spoofed).as_bytes()).unwrap();
    let seen = String::from_utf8(response(&mut client).1).unwrap();
    let told: Vec<_> = seen
        .split("\r\n")
        .filter(|line| line.to_ascii_lowercase().replace('_', "-").starts_with("client-cert"))
        .collect();
    let pem: String = own.cert.lines().filter(|line| !line.starts_with("---")).collect();
    assert_eq!(told, [format!("client-cert: :{pem}:")]);
    let told_to = |client: &mut TlsClient, path: &str| ask(client, path, spoofed).1.contains("client-cert: ");
    assert!(!told_to(&mut client, "/optional"), "it is not told without being asked for");
    assert!(!told_to(&mut world.connect(None), "/told"), "there is none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_http_2_has_the_certificate_of_its_connection() {
    let world = World::new("http2");
    let mut config = Arc::unwrap_or_clone(world.config(Some(&world.orders())));
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = tokio::net::TcpStream::connect(world.edge.handle.local_addr()).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let client = Http2::over(stream).await;
    for _ in 0..2 {
        let request = http::Request::get("https://shop.example/certificate").body(()).unwrap();
        let answer = client.ask(request, b"").await.unwrap();
        let seen = answer.text().to_ascii_lowercase();
        assert_eq!((answer.status(), consumer_in(&seen)), (200, Some(ConsumerId::from_u128(5))));
    }
    let request =
        http::Request::get("https://shop.example/told").header("client-cert", ":c3Bvb2ZlZA==:").body(()).unwrap();
    let seen = client.ask(request, b"").await.unwrap().text();
    assert!(seen.contains("client-cert: :MII") && !seen.contains("c3Bvb2ZlZA=="), "{seen}");
}

#[test]
fn a_session_with_a_certificate_is_not_resumed() {
    let world = World::new("resumed");
    let config = world.config(Some(&world.orders()));
    for _ in 0..3 {
        let stream = std::net::TcpStream::connect(world.edge.handle.local_addr()).unwrap();
        let mut client = connect_over(stream, Arc::clone(&config));
        assert_eq!(ask(&mut client, "/certificate", "").0, 200);
        assert_eq!(client.conn.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn a_websocket_ends_when_its_certificate_is_the_consumers_no_more() {
    let world = World::with("websocket", Upstream::websocket_echo());
    let mut client = world.connect(Some(&world.orders()));
    client.write_all(handshake("/certificate", "").as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    let edit = |table: u32, certificates: &[&str]| {
        let mut objects = objects(&world.upstream.url);
        objects.retain(|object| object.name().is_none_or(|name| name.as_str() != "orders"));
        objects.push(owner(5, "orders", certificates));
        world.edge.live.store(Some(Arc::new(compile(table, &objects))));
    };
    edit(2, &["cn:Other", "dns:orders.example.com"]);
    client.write_all(b"ping").unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).unwrap();
    edit(3, &["cn:Other"]);
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    wait_until("it has ended", || world.edge.handle.active_connections() == 0);
}
