//! A gateway that speaks TLS to its clients, and one that speaks it to its upstream.

use novagate_e2e::{Authority, Connection, FileWorld, Folder, Gateway, GatewayOptions, PATIENCE, Request, wait_until};
use serde_json::json;

#[test]
fn a_renewed_certificate_is_shown_without_a_restart_and_connections_that_stand_go_on() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = old.issue();
    let path = |path: &std::path::Path| path.display().to_string();
    let environment = vec![("TLS_CERT_FILE", path(&files.cert)), ("TLS_KEY_FILE", path(&files.key))];
    let mut world = FileWorld::start(environment);
    let address = world.gateway.address();
    let ask = |authority: &Authority| {
        Connection::open_tls(address, "localhost", &authority.client())?.send(&Request::get("/open/a"))
    };
    assert_eq!(ask(&old).unwrap().status, 200);
    assert!(ask(&new).is_err(), "nobody vouches for it");
    let told = world.upstream.last_to("/open").unwrap();
    assert_eq!(told.header("x-forwarded-proto"), Some("https"));
    let mut standing = Connection::open_tls(address, "localhost", &old.client()).unwrap();
    standing.send(&Request::get("/open/b")).unwrap().expect(200);

    let renewed = new.issue();
    std::fs::copy(renewed.key, &files.key).unwrap();
    std::fs::copy(renewed.cert, &files.cert).unwrap();
    wait_until("the new certificate is shown", PATIENCE, || ask(&new).is_ok());
    assert!(ask(&old).is_err());
    standing.send(&Request::get("/open/c")).unwrap().expect(200);
    drop(standing);
    assert!(world.gateway.metric("tls_handshake_failures_total").is_some_and(|count| count >= 1.0));
    let exit = world.gateway.terminate();
    assert_eq!(exit.code, Some(0), "{}", exit.stderr);
    assert!(exit.stderr.contains("the certificates were read anew"), "{}", exit.stderr);
}

#[test]
fn an_upstream_that_wants_a_certificate_is_reached_as_soon_as_its_file_is_there() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let (server, client) = (servers.issue(), clients.issue());
    let path = |path: &std::path::Path| path.display().to_string();
    let behind = FileWorld::start(vec![
        ("TLS_CERT_FILE", path(&server.cert)),
        ("TLS_KEY_FILE", path(&server.key)),
        ("TLS_CLIENT_CA_FILE", path(&clients.ca_file())),
    ]);
    let folder = Folder::new("upstream-tls");
    let files = folder.path();
    std::fs::copy(servers.ca_file(), files.join("ca.pem")).unwrap();
    std::fs::copy(client.cert, files.join("gateway.pem")).unwrap();
    let config = json!({
        "services": [{
            "name": "users", "targets": [{ "url": format!("https://{}", behind.gateway.address()) }],
            "tls": { "ca": "ca.pem", "clientCert": "gateway.pem", "clientKey": "gateway.key", "minVersion": "1.3" },
        }],
        "routes": [{ "name": "all", "match": { "path": "/*" }, "service": "users" }],
    });
    std::fs::write(files.join("config.yaml"), config.to_string()).unwrap();
    let environment = vec![("CONFIG_FILE", path(&files.join("config.yaml"))), ("UPSTREAM_TLS_DIR", path(files))];
    let gateway = Gateway::start(&GatewayOptions { environment, ..GatewayOptions::default() });
    gateway.get("/open/a").expect(502);
    let told = gateway.admin("/status")["upstreams"][0].clone();
    assert_eq!(told["service"].as_str(), Some("users"));
    assert!(told["tlsProblem"].as_str().is_some_and(|problem| problem.contains("gateway.key")), "{told}");
    assert!(gateway.metric("upstream_tls_failures_total{service=\"users\"}").is_some_and(|count| count > 0.5));
    assert!(behind.upstream.received().is_empty());

    std::fs::copy(client.key, files.join("gateway.key")).unwrap();
    wait_until("the key is read", PATIENCE, || gateway.get("/open/b").status == 200);
    assert_eq!(gateway.admin("/status")["upstreams"], json!([]));
}
