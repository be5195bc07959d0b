//! A gateway that speaks TLS to its clients.

use novagate_e2e::{Authority, Connection, FileWorld, PATIENCE, Request, wait_until};

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
