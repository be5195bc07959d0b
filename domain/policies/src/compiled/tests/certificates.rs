//! Certificates of clients, and rules about TLS to upstreams.

use novagate_kernel::Timestamp;
use novagate_routing::{CircuitBreaker, KeyPin, Protocol, UpstreamTls};

use super::*;
use crate::{CertificateFacts, CertificateName};

fn owner(id: u128, text: &str, certificates: &[&str]) -> ConfigObject {
    C(Consumer { certificates: names(certificates), ..consumer(id, text) })
}

fn names(texts: &[&str]) -> Vec<CertificateName> {
    texts.iter().map(|text| CertificateName::parse(text).unwrap()).collect()
}

fn shown(texts: &[&str]) -> CertificateFacts {
    CertificateFacts::new(&names(texts), at(100))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn whose(config: &CompiledConfig, facts: &CertificateFacts, now: Timestamp) -> Option<String> {
    let credential = config.credential_of_certificate(facts, now);
    let Credential::Proven { kind: CredentialKind::Certificate, identity } = credential else { return None };
    identity.consumer().map(|consumer| consumer.name.to_string())
}

#[test]
fn a_certificate_is_the_consumers_that_lists_its_first_known_name() {
    let config = compile(&[
        owner(1, "orders", &["dns:orders.example", "cn:Orders"]),
        owner(2, "other", &["uri:spiffe://example/other"]),
        C(consumer(3, "anybody")),
    ]);
    let config = config.unwrap();
    for (texts, owner) in [
        (&["dns:orders.example"][..], Some("orders")),
        (&["dns:unknown.example", "cn:Orders"], Some("orders")),
        (&["uri:spiffe://example/other", "dns:orders.example"], Some("other")),
        (&["cn:anybody", "dns:anybody"], None),
        (&[], None),
    ] {
        let facts = shown(texts);
        assert_eq!(whose(&config, &facts, at(99)).as_deref(), owner, "{texts:?}");
        assert_eq!(config.deciding_name(&facts).is_some(), owner.is_some());
        assert_eq!(whose(&config, &facts, at(100)), None, "its time has passed");
    }
}

#[test]
fn a_certificate_opens_what_accepts_certificates_and_is_none_elsewhere() {
    let config = compile(&[owner(1, "orders", &["cn:Orders"])]).unwrap();
    let (own, foreign) = (shown(&["cn:Orders"]), shown(&["cn:Other"]));
    let secret = secret(5);
    let credentials = [
        config.credential_of_certificate(&own, at(1)),
        config.credential_of_certificate(&foreign, at(1)),
        config.credential_of_key(secret.expose().as_bytes()),
    ];
    let row = |required, accept_key, accept_certificate| {
        let mut with_rule = route(1, "r", "/", "s");
        with_rule.auth = AuthRule { required, accept_jwt: false, accept_key, accept_certificate };
        let compiled = compile(&[S(service(1, "s")), R(with_rule)]).unwrap();
        credentials.map(|credential| match compiled.routes()[0].admit(&Facts { credential }) {
            Verdict::Allowed(identity) => {
                if identity.consumer().is_some() {
                    "consumer"
                } else {
                    "anonymous"
                }
            }
            Verdict::Refused(code) => code.as_str(),
        })
    };
    assert_eq!(row(true, false, true), ["consumer", "TOKEN_MISSING", "KEY_INVALID"]);
    assert_eq!(row(false, true, true), ["consumer", "anonymous", "KEY_INVALID"]);
    assert_eq!(row(true, true, false), ["TOKEN_MISSING", "TOKEN_MISSING", "KEY_INVALID"]);
    let only = AuthRule { required: true, accept_jwt: false, accept_key: false, accept_certificate: true };
    assert!(only.accepts_any() && !only.reads_credentials());
}

#[test]
fn an_admission_by_certificate_lasts_as_long_as_its_name_is_the_consumers() {
    let rest = [S(service(1, "s")), R(route(1, "r", "/", "s"))];
    let with = |certificates: &[&str]| compile(&[&rest[..], &[owner(1, "orders", certificates)]].concat()).unwrap();
    let before = with(&["cn:Orders", "cn:Spare"]);
    let name = before.deciding_name(&shown(&["cn:Orders"]));
    let grounds = Grounds::new(RouteId::from_u128(1), Some(ConsumerId::from_u128(1)), Presented::Nothing);
    let grounds = grounds.by_certificate(name);
    assert!(before.upholds(&grounds) && with(&["cn:Orders"]).upholds(&grounds));
    assert!(!with(&["cn:Spare"]).upholds(&grounds));
    let moved = [&rest[..], &[owner(1, "orders", &[]), owner(2, "other", &["cn:Orders"])]].concat();
    assert!(!compile(&moved).unwrap().upholds(&grounds), "it is another consumer's");
}

#[test]
fn a_certificate_is_one_consumers_and_they_are_few() {
    let found = |objects: &[ConfigObject]| -> Vec<_> {
        let faults = compile(objects).err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.code, fault.pointer, fault.message)).collect()
    };
    let twice = found(&[owner(1, "orders", &["cn:A"]), owner(2, "other", &["cn:B", "cn:A"])]);
    let [(code, pointer, message)] = &twice[..] else { panic!("{twice:?}") };
    assert_eq!((*code, pointer.as_str()), ("duplicate_certificate", "/certificates/1"));
    assert!(message.contains("orders"), "{message}");
    let many: Vec<String> = (0..17).map(|number| format!("cn:{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(found(&[owner(1, "orders", &many)])[0].1, "/certificates");
    assert!(compile(&[owner(1, "orders", &many[..16])]).is_ok());
}

#[test]
fn connections_that_requests_share_have_no_bound_of_the_services_own() {
    let mut users = service(1, "users");
    let breaker = CircuitBreaker { max_requests: 10, max_pending: None, max_connections: Some(2) };
    users.resilience.circuit_breaker = Some(breaker);
    assert!(compile(&[S(users.clone())]).is_ok());
    users.protocol = Protocol::Http2;
    let faults = compile(&[S(users)]).unwrap_err();
    assert_eq!((faults[0].code, faults[0].pointer.as_str()), ("invalid", "/circuitBreaker/maxConnections"));
}

#[test]
fn what_a_service_says_about_tls_holds_for_all_its_targets() {
    let mut users = service(1, "users");
    users.targets[0].url.tls = true;
    users.tls = Some(Box::default());
    assert!(compile(&[S(users.clone())]).is_ok());
    let clear = TargetUrl { tls: false, ..users.targets[0].url.clone() };
    users.targets.push(Target { url: clear, ..users.targets[0].clone() });
    let pin = KeyPin::parse(&"0f".repeat(32)).unwrap();
    users.tls = Some(Box::new(UpstreamTls { pins: vec![pin, pin], ..UpstreamTls::default() }));
    let faults = compile(&[S(users)]).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.code, fault.pointer.as_str())).collect();
    assert_eq!(told, [("invalid", "/targets/1/url"), ("duplicate", "/tls/pins/1")]);
}
