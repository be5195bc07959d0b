//! Who a request is from, and what the upstream is told about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use novagate_fixtures::START;
use novagate_kernel::ConsumerId;
use novagate_policies::{AuthRule, ConfigObject, TokenFacts};
use novagate_ports_edge::{TokenVerifier, VerifyFault};

use crate::harness::{Edge, Setup, Upstream, consumer, get, grant, key, route, service};

/// Accepts `good.<subject>`, which expires after a minute, and counts what it was asked.
#[derive(Default)]
struct Words(Arc<AtomicUsize>);

impl TokenVerifier for Words {
    fn verify(&self, token: &str) -> Result<TokenFacts, VerifyFault> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let subject = token.strip_prefix("good.").ok_or(VerifyFault)?;
        assert_ne!(subject, "panic", "a defect of ours");
        Ok(TokenFacts {
            subject: Some(subject.into()),
            expires_at: Some(START.plus(Duration::from_mins(1))),
            not_before: None,
            issuer: None,
            audiences: Box::default(),
        })
    }

    fn key_generation(&self) -> u64 {
        1
    }
}

fn start(upstream: &Upstream, change: impl FnOnce(&mut Setup)) -> (Edge, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut closed = route(1, "/closed", "up");
    closed.auth.required = true;
    let mut keys = route(2, "/keys", "up");
    keys.auth = AuthRule { required: true, accept_jwt: false, accept_key: true, accept_certificate: false };
    let mut setup = Setup::new(vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(closed),
        ConfigObject::Route(keys),
        ConfigObject::Route(route(3, "/open", "up")),
        consumer(5, "mobile", &["gold", "beta"], None),
        grant(1, 5),
    ]);
    setup.verifier = Some(Arc::new(Words(Arc::clone(&asked))));
    change(&mut setup);
    (setup.start(), asked)
}

#[test]
fn credentials_are_refused_with_their_codes() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let unknown = key(9);
    for (path, field, status, code) in [
        ("/closed", String::new(), 401, "TOKEN_MISSING"),
        ("/closed", "Authorization: Basic x\r\n".to_owned(), 401, "TOKEN_MISSING"),
        ("/closed", "Authorization: Bearer bad\r\n".to_owned(), 401, "TOKEN_INVALID"),
        ("/open", "Authorization: Bearer bad\r\n".to_owned(), 401, "TOKEN_INVALID"),
        ("/keys", "Authorization: Bearer good.ada\r\n".to_owned(), 401, "TOKEN_INVALID"),
        ("/closed", format!("X-API-Key: {}\r\n", unknown.expose()), 401, "KEY_INVALID"),
        ("/open", "X-API-Key: nonsense\r\nAuthorization: Bearer good.ada\r\n".to_owned(), 401, "KEY_INVALID"),
        ("/open", "X-API-Key: a\r\nX-API-Key: b\r\n".to_owned(), 401, "KEY_INVALID"),
    ] {
        let response = edge.ask(&get(path, &field));
        assert_eq!((response.status, response.code().as_str()), (status, code), "{path} {field}");
        assert_eq!(response.field("www-authenticate"), Some("bearer"));
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_key_is_told_to_the_upstream_as_its_consumer_and_goes_no_further() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let secret = key(1);
    let fields =
        [format!("X-API-Key: {}\r\n", secret.expose()), format!("Authorization: Bearer {}\r\n", secret.expose())];
    for field in fields {
        let text = edge.ask(&get("/keys", &field)).text();
        let id = ConsumerId::from_u128(5);
        assert!(text.contains(&format!("x-consumer-id: {id}\r\nx-consumer-groups: beta,gold\r\n")), "{text}");
        assert!(!text.contains("ck_") && !text.contains("x-token-subject"), "{text}");
    }
    assert!(edge.records(2).iter().all(|record| record.consumer == Some(ConsumerId::from_u128(5))));
}

#[test]
fn a_token_goes_on_with_its_subject_and_is_verified_once() {
    let upstream = Upstream::echo();
    let (edge, asked) = start(&upstream, |_| {});
    for _ in 0..3 {
        let text = edge.ask(&get("/closed", "Authorization: Bearer good.ada\r\n")).text();
        assert!(
            text.contains("Authorization: Bearer good.ada\r\n") && text.contains("x-token-subject: ada\r\n"),
            "{text}"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    edge.clock.advance(Duration::from_secs(61));
    let response = edge.ask(&get("/closed", "Authorization: Bearer good.ada\r\n"));
    assert_eq!((response.status, response.code().as_str()), (401, "TOKEN_EXPIRED"));
}

#[test]
fn a_token_belongs_to_the_consumer_that_its_subject_names() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let text = edge.ask(&get("/closed", "Authorization: Bearer good.mobile\r\n")).text();
    assert!(text.contains(&format!("x-consumer-id: {}\r\n", ConsumerId::from_u128(5))));
    assert!(text.contains("x-token-subject: mobile\r\n"));
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let spoofed = "X-Consumer-Id: spoofed\r\nX-CONSUMER-GROUPS: spoofed\r\nx_token_subject: spoofed\r\n\
                   Connection: x-consumer-id, x-token-subject, authorization\r\n";
    assert!(!edge.ask(&get("/open", spoofed)).text().contains("spoofed"));
    let text = edge.ask(&get("/closed", &format!("{spoofed}Authorization: Bearer good.ada\r\n"))).text();
    assert!(!text.contains("spoofed") && text.contains("x-token-subject: ada\r\n"), "{text}");
    assert!(text.contains("Authorization: Bearer good.ada\r\n"));
}

#[test]
fn a_node_without_verification_keys_accepts_no_token() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |setup| setup.verifier = None);
    assert_eq!(edge.ask(&get("/open", "Authorization: Bearer good.ada\r\n")).code(), "TOKEN_INVALID");
}

#[test]
fn a_revoked_key_is_refused_from_the_next_request_on() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let field = format!("X-API-Key: {}\r\n", key(1).expose());
    let mut client = edge.connect();
    client.send(get("/keys", &field));
    assert_eq!(client.response().status, 200);
    let live = edge.live.load_full().unwrap();
    let compiled = Arc::new(live.compiled.revoking(&[key(1).digest()]));
    edge.live.store(Some(Arc::new(novagate_ports_edge::LiveConfig { table: 2, compiled })));
    client.send(get("/keys", &field));
    assert_eq!(client.response().code(), "KEY_INVALID");
}

#[test]
fn a_panic_costs_one_request_and_is_counted() {
    let upstream = Upstream::echo();
    let (edge, _) = start(&upstream, |_| {});
    let mut client = edge.connect();
    client.send(get("/closed", "Authorization: Bearer good.panic\r\n"));
    let response = client.response();
    assert_eq!((response.status, response.code().as_str()), (500, "INTERNAL"));
    assert_eq!(edge.handle.panics(), 1);
    client.send(get("/closed", "Authorization: Bearer good.ada\r\n"));
    assert_eq!(client.response().status, 200);
}
