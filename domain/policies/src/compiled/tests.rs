//! Compiling configurations, and what the result decides about credentials.

mod certificates;
mod faults;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use novagate_kernel::{ConsumerKeyId, Digest, Epoch, Name, Revision};
use novagate_routing::{
    EncodedSlashes, Forward, HealthCheck, HostPattern, LoadBalancing, Lookup, PathPattern, Preference, ProbeKind,
    Protocol, Resilience, Route, RouteAction, RouteMatch, Service, Target, TargetUrl, normalise,
};
use proptest::prelude::*;

use super::*;
use crate::{
    AuthRule, Facts, LimitBy, MAX_FAULTS, NodeLimits, Presented, RateLimit, RouteConfig, RouteLimit, Tier, Verdict,
};
use ConfigObject::{Consumer as C, ConsumerKey as K, Route as R, Service as S};

fn head() -> Head {
    let epoch = Epoch::try_from_u64(7).unwrap();
    Head { revision: Revision { epoch, seq: 3 }, digest: Digest::from_bytes([1; 32]) }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn service(id: u128, text: &str) -> Service {
    let url = TargetUrl { tls: false, host: "10.0.0.5".into(), port: 8080 };
    Service {
        id: ServiceId::from_u128(id),
        name: name(text),
        targets: vec![Target::new(url, 1)],
        timeout: None,
        total_timeout: None,
        protocol: Protocol::default(),
        health_check: None,
        load_balancing: LoadBalancing::RoundRobin,
        preference: Preference::default(),
        resilience: Resilience::default(),
        tls: None,
    }
}

fn route(id: u128, text: &str, path: &str, service: &str) -> RouteConfig {
    RouteConfig {
        route: Route {
            id: RouteId::from_u128(id),
            name: name(text),
            matcher: RouteMatch::on(PathPattern::parse(path).unwrap()),
            action: RouteAction::from(Forward::to(name(service))),
            encoded_slashes: EncodedSlashes::Reject,
        },
        auth: AuthRule::default(),
        rate_limit: None,
    }
}

fn consumer(id: u128, text: &str) -> Consumer {
    Consumer {
        id: ConsumerId::from_u128(id),
        name: name(text),
        groups: Vec::new(),
        rate_limit: None,
        certificates: Vec::new(),
    }
}

fn secret(number: u8) -> ConsumerKey {
    ConsumerKey::generate([number; 16])
}

fn key(id: u128, consumer: u128, number: u8) -> ConsumerKeyGrant {
    ConsumerKeyGrant {
        id: ConsumerKeyId::from_u128(id),
        consumer: ConsumerId::from_u128(consumer),
        digest: secret(number).digest(),
    }
}

fn compile(objects: &[ConfigObject]) -> Result<CompiledConfig, Vec<ObjectFault>> {
    CompiledConfig::compile(head(), objects)
}

fn proven(credential: Credential<'_>) -> Option<(CredentialKind, Identity<'_>)> {
    let Credential::Proven { kind, identity } = credential else { return None };
    Some((kind, identity))
}

fn sample() -> Vec<ConfigObject> {
    vec![
        R(route(20, "get-user", "/users/{id}", "users")),
        R(route(10, "list-users", "/users", "users")),
        S(service(1, "users")),
        C(consumer(2, "mobile-app")),
        C(consumer(1, "web-app")),
        K(key(5, 2, 5)),
        K(key(4, 1, 4)),
    ]
}

#[test]
fn an_empty_configuration_compiles() {
    let config = compile(&[]).unwrap();
    assert_eq!(config.head(), head());
    assert!(config.routes().is_empty() && config.services().is_empty() && config.warnings().is_empty());
    assert!(matches!(
        config.credential_of_key(secret(1).expose().as_bytes()),
        Credential::Refused(ErrorCode::KeyInvalid)
    ));
}

#[test]
fn indexes_are_dense_in_the_order_of_ids_whatever_the_order_of_objects() {
    let mut objects = sample();
    for _ in 0..objects.len() {
        objects.rotate_left(1);
        let config = compile(&objects).unwrap();
        let routes: Vec<_> = config.routes().iter().map(|route| (route.index, route.name.as_str())).collect();
        assert_eq!(routes, [(0, "list-users"), (1, "get-user")]);
        assert_eq!(config.route(1).unwrap().template.as_ref(), "/users/{id}");
        assert_eq!(config.route_by_id(RouteId::from_u128(10)).unwrap().index, 0);
        let consumers: Vec<_> = config.consumers().iter().map(|consumer| consumer.name.as_str()).collect();
        assert_eq!(consumers, ["web-app", "mobile-app"]);
    }
}

#[test]
fn every_reference_of_a_compiled_route_leads_somewhere() {
    let config = compile(&sample()).unwrap();
    for route in config.routes() {
        let index = route.action.first_service().unwrap();
        let service = config.service(index).unwrap();
        assert_eq!(service.index, index);
        assert_eq!(config.service_by_id(service.id).unwrap().index, index);
    }
}

#[test]
fn a_label_is_the_first_host_or_a_star_and_the_template() {
    let mut with_host = route(30, "hosted", "/users/{id}", "users");
    with_host.route.matcher.hosts = vec![HostPattern::parse("*.example.org").unwrap()];
    let config =
        compile(&[S(service(1, "users")), R(with_host), R(route(10, "plain", "/users/{id}", "users"))]).unwrap();
    let labels: Vec<_> = config.routes().iter().map(|route| route.label.as_ref()).collect();
    assert_eq!(labels, ["*/users/{id}", "*.example.org/users/{id}"]);
}

#[test]
fn the_table_finds_routes_under_their_indexes() {
    let config = compile(&sample()).unwrap();
    let path = normalise("/users/7").unwrap();
    let Lookup::Found(found) = config.table().find(None, &http::Method::GET, &path, &()) else { panic!("no route") };
    assert_eq!(found.value().name.as_str(), "get-user");
    assert_eq!(found.index().get(), found.value().index as usize);
    let indexes: Vec<_> =
        config.table().iter().map(|(index, name, route)| (index.get(), name == &route.name)).collect();
    assert_eq!(indexes, [(0, true), (1, true)]);
}

#[test]
fn a_route_that_nothing_reaches_is_a_warning() {
    let mut get = route(1, "get", "/a", "s");
    get.route.matcher.methods = vec![http::Method::GET];
    let mut kept = route(2, "kept", "/a%2Fb", "s");
    kept.route.encoded_slashes = EncodedSlashes::Reject;
    let config = compile(&[S(service(1, "s")), R(get), R(kept)]).unwrap();
    let warnings: Vec<_> = config.warnings().iter().map(|warning| (warning.code, warning.object)).collect();
    assert_eq!(warnings, [("encoded_slash_not_kept", Some(RouteId::from_u128(2).into()))]);
}

#[test]
fn a_key_opens_for_its_consumer_until_it_is_revoked() {
    let config = compile(&sample()).unwrap();
    let presented = secret(5);
    let consumer_of = |config: &CompiledConfig| {
        let (kind, identity) = proven(config.credential_of_key(presented.expose().as_bytes()))?;
        assert_eq!(kind, CredentialKind::Key);
        identity.consumer().map(|who| who.name.to_string())
    };
    assert_eq!(consumer_of(&config).as_deref(), Some("mobile-app"));
    let revoked = config.revoking(&[presented.digest()]);
    assert_eq!(consumer_of(&revoked), None);
    assert_eq!(consumer_of(&revoked.revoking(&[secret(9).digest()])), None, "revocations add up");
    assert!(revoked.consumer_of_key(&secret(4).digest()).is_some(), "other keys go on");
    assert_eq!(consumer_of(&config).as_deref(), Some("mobile-app"), "the configuration itself is immutable");
}

fn facts(subject: Option<&str>) -> TokenFacts {
    TokenFacts {
        subject: subject.map(Into::into),
        expires_at: None,
        not_before: None,
        issuer: None,
        audiences: Box::default(),
    }
}

#[test]
fn a_token_belongs_to_the_consumer_whose_id_or_name_is_its_subject() {
    let config = compile(&sample()).unwrap();
    let id = ConsumerId::from_u128(0xabc).to_string();
    let objects = [C(consumer(0xabc, "named"))];
    let other = compile(&objects).unwrap();
    let consumer = |config: &CompiledConfig, subject: Option<&str>| {
        let facts = facts(subject);
        let (kind, identity) = proven(config.credential_of_token(Ok(&facts))).unwrap();
        assert_eq!((kind, identity.subject()), (CredentialKind::Token, subject));
        identity.consumer().map(|who| who.id.as_u128())
    };
    assert_eq!(consumer(&config, Some("mobile-app")), Some(2));
    assert_eq!(consumer(&config, Some("Mobile-App")), None);
    assert_eq!(consumer(&config, Some("nobody")), None);
    assert_eq!(consumer(&config, None), None);
    assert_eq!(consumer(&other, Some(&id)), Some(0xabc));
    assert_eq!(consumer(&other, Some(&id.to_uppercase())), None, "an id has one spelling");
}

#[test]
fn a_fault_of_a_token_is_told_apart_from_an_expiry() {
    let config = compile(&[]).unwrap();
    let code = |fault| match config.credential_of_token(Err(fault)) {
        Credential::Refused(code) => Some(code),
        Credential::Absent | Credential::Proven { .. } => None,
    };
    assert_eq!(code(TokenFault::Expired), Some(ErrorCode::TokenExpired));
    assert_eq!(code(TokenFault::Invalid), Some(ErrorCode::TokenInvalid));
}

#[test]
fn who_may_pass_is_decided_by_credential_and_rule() {
    let config = compile(&sample()).unwrap();
    let secret = secret(5);
    let token = facts(Some("ada"));
    let credentials = [
        Credential::Absent,
        config.credential_of_key(secret.expose().as_bytes()),
        config.credential_of_token(Ok(&token)),
        config.credential_of_key(b"ck_nonsense"),
        config.credential_of_token(Err(TokenFault::Expired)),
    ];
    let row = |required, accept_jwt, accept_key| {
        let mut with_rule = route(1, "r", "/", "s");
        with_rule.auth = AuthRule { required, accept_jwt, accept_key, accept_certificate: false };
        let compiled = compile(&[S(service(1, "s")), R(with_rule)]).unwrap();
        credentials.map(|credential| match compiled.routes()[0].admit(&Facts { credential }) {
            Verdict::Allowed(Identity::Anonymous) => "anonymous",
            Verdict::Allowed(Identity::Consumer { .. }) => "consumer",
            Verdict::Allowed(Identity::Subject(_)) => "subject",
            Verdict::Refused(code) => code.as_str(),
        })
    };
    let (key, token, expired) = ("KEY_INVALID", "TOKEN_INVALID", "TOKEN_EXPIRED");
    assert_eq!(row(false, true, true), ["anonymous", "consumer", "subject", key, expired]);
    assert_eq!(row(true, true, true), ["TOKEN_MISSING", "consumer", "subject", key, expired]);
    assert_eq!(row(true, true, false), ["TOKEN_MISSING", key, "subject", key, expired]);
    assert_eq!(row(false, false, true), ["anonymous", "consumer", token, key, expired]);
    assert_eq!(row(false, false, false), ["anonymous"; 5]);
}

#[test]
fn a_request_has_the_clients_bucket_and_the_routes() {
    let mut limited = route(1, "limited", "/l", "s");
    let limit = RateLimit { max: 3, window: Duration::from_secs(1) };
    limited.rate_limit = Some(RouteLimit { limit, by: LimitBy::Route });
    let config = compile(&[S(service(1, "s")), R(limited), R(route(2, "free", "/f", "s"))]).unwrap();
    let node = NodeLimits { window: Duration::from_mins(1), unauth_max: 100, auth_max: 500 };
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let tiers = |index: u32| {
        let (client, route) = config.route(index).unwrap().buckets(&Identity::Anonymous, ip, &node);
        [client, route].map(|bucket| bucket.map(|bucket| (bucket.tier(), bucket.limit().max)))
    };
    assert_eq!(tiers(0), [Some((Tier::Unauth, 100)), Some((Tier::Route, 3))]);
    assert_eq!(tiers(1), [Some((Tier::Unauth, 100)), None]);
}

#[test]
fn an_admission_keeps_its_grounds_until_its_route_consumer_or_key_goes() {
    let all = [
        S(service(1, "users")),
        R(route(1, "a", "/a", "users")),
        R(route(2, "b", "/b", "users")),
        C(consumer(1, "mobile")),
        C(consumer(2, "shop")),
        K(key(1, 1, 1)),
        K(key(2, 2, 2)),
    ];
    let secret = secret(1);
    let (route, who) = (RouteId::from_u128(1), ConsumerId::from_u128(1));
    let by_key = Grounds::new(route, Some(who), Presented::Key(secret.expose().as_bytes()));
    let by_token = Grounds::new(route, Some(who), Presented::Token("a.b.c"));
    let open = Grounds::new(route, None, Presented::Nothing);
    let upheld = |without: &[usize]| {
        let left: Vec<_> = (0..all.len()).filter(|at| !without.contains(at)).map(|at| all[at].clone()).collect();
        let config = compile(&left).unwrap();
        [&by_key, &by_token, &open].map(|grounds| config.upholds(grounds))
    };
    assert_eq!(upheld(&[]), [true; 3]);
    assert_eq!(upheld(&[2, 4, 6]), [true; 3], "others make no difference");
    assert_eq!(upheld(&[1]), [false; 3], "without the route");
    assert_eq!(upheld(&[3, 5]), [false, false, true], "without the consumer");
    assert_eq!(upheld(&[5]), [false, true, true], "without the key");
    let revoked = compile(&all).unwrap().revoking(&[secret.digest()]);
    assert!(!revoked.upholds(&by_key) && revoked.upholds(&by_token));
    let mut moved = all.clone();
    moved[5] = K(key(1, 2, 1));
    assert!(!compile(&moved).unwrap().upholds(&by_key), "the key is another consumer's");
    assert!(!format!("{by_key:?}").contains(secret.expose()));
}

#[test]
fn groups_are_sorted_and_joined_for_the_upstream() {
    let mut who = consumer(1, "a");
    who.groups = vec![name("partners"), name("beta")];
    let config = compile(&[C(who), C(consumer(2, "b"))]).unwrap();
    assert_eq!(config.consumers()[0].groups_field().unwrap(), "beta,partners");
    assert!(config.consumers()[1].groups_field().is_none());
}

#[test]
fn a_configuration_prints_counts_and_no_content() {
    let text = format!("{:?}", compile(&sample()).unwrap());
    assert!(text.contains("routes: 2") && !text.contains("users") && !text.contains("mobile"), "{text}");
}

#[test]
fn a_configuration_is_shared_between_threads() {
    const fn shared<T: Send + Sync + 'static>() {}
    shared::<CompiledConfig>();
}

proptest! {
    #[test]
    fn any_set_of_objects_compiles_or_says_what_is_wrong(
        picks in proptest::collection::vec((0_u8..4, 0_u128..4, 0_u8..4, 0_u8..5), 0..30),
    ) {
        let paths = ["/", "/a", "/a/*", "/a/{x}", "/a/{y}/b"];
        let names = ["a", "b", "c", "d"];
        let objects: Vec<_> = picks.into_iter().map(|(kind, id, text, other)| {
            let text = names[usize::from(text)];
            match kind {
                0 => S(service(id, text)),
                1 => R(route(id, text, paths[usize::from(other)], names[usize::from(other % 4)])),
                2 => C(consumer(id, text)),
                _ => K(key(id, u128::from(other), other)),
            }
        }).collect();
        match compile(&objects) {
            Ok(config) => {
                let count = |kind| objects.iter().filter(|object| object.kind() == kind).count();
                prop_assert_eq!(config.routes().len(), count(novagate_kernel::ObjectKind::Route));
                prop_assert_eq!(config.key_count(), count(novagate_kernel::ObjectKind::ConsumerKey));
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                prop_assert!(faults.iter().all(|fault| objects.iter().any(|object| object.reference() == fault.object)));
            }
        }
    }
}
