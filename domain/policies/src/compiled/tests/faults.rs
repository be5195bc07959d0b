//! What is refused, and where.

use novagate_routing::{
    Compression, Condition, ConditionOn, ContentCoding, Decompression, Forward, ForwardTo, HashOn, MediaRange, Mirror,
    PathTemplate, Redirect, RedirectStatus, Split, ValueTest, WeightedService,
};

use super::*;

/// Code, pointer and object name of each fault.
fn faults(objects: &[ConfigObject]) -> Vec<(&'static str, String, String)> {
    let found = compile(objects).err().unwrap_or_default();
    let plain = |fault: ObjectFault| {
        (fault.code, fault.pointer, fault.name.map(|name| name.as_str().to_owned()).unwrap_or_default())
    };
    found.into_iter().map(plain).collect()
}

fn fault(code: &'static str, pointer: &str, name: &str) -> (&'static str, String, String) {
    (code, pointer.to_owned(), name.to_owned())
}

#[test]
fn a_route_to_a_service_that_is_not_there_is_refused() {
    assert_eq!(faults(&[R(route(1, "a", "/a", "users"))]), [fault("unknown_service", "/service", "a")]);
}

#[test]
fn names_and_ids_are_taken_once_per_kind() {
    let twice = [S(service(1, "users")), S(service(2, "users"))];
    assert_eq!(faults(&twice), [fault("duplicate_name", "/name", "users")]);
    assert!(compile(&twice).unwrap_err()[0].message.contains(&ServiceId::from_u128(1).to_string()));
    assert_eq!(faults(&[C(consumer(1, "a")), C(consumer(1, "b"))]), [fault("duplicate_id", "/id", "b")]);
    assert!(compile(&[S(service(1, "x")), C(consumer(1, "x"))]).is_ok(), "a service and a consumer may share both");
}

#[test]
fn routes_that_take_the_same_requests_are_refused_with_both_names() {
    let objects = [S(service(1, "s")), R(route(1, "first", "/a/{x}", "s")), R(route(2, "second", "/a/{y}", "s"))];
    let found = compile(&objects).unwrap_err();
    assert_eq!(
        faults(&objects),
        [fault("route_conflict", "/match/path", "first"), fault("route_conflict", "/match/path", "second")]
    );
    for side in found {
        assert!(side.message.contains("first") && side.message.contains("second"), "{}", side.message);
    }
}

#[test]
fn keys_belong_to_one_consumer_that_exists() {
    assert_eq!(faults(&[K(key(1, 9, 1))]), [fault("unknown_consumer", "/consumer", "")]);
    let twice = [C(consumer(1, "a")), C(consumer(2, "b")), K(key(1, 1, 1)), K(key(2, 2, 1))];
    assert_eq!(faults(&twice), [fault("duplicate_key", "/digest", "")]);
}

#[test]
fn a_consumer_may_not_be_named_like_anothers_id() {
    let other = ConsumerId::from_u128(5).to_string();
    let objects = [C(consumer(5, "a")), C(consumer(6, &other))];
    assert_eq!(faults(&objects), [fault("ambiguous_name", "/name", &other)]);
    assert!(compile(&[C(consumer(5, &other))]).is_ok(), "its own id is no other's");
}

#[test]
fn values_out_of_range_are_named_by_their_pointers() {
    let mut bad = service(1, "users");
    bad.targets[0].weight = 0;
    bad.targets.push(Target::new(TargetUrl { tls: true, host: "a b".into(), port: 1 }, 101));
    bad.timeout = Some(Duration::ZERO);
    bad.total_timeout = Some(Duration::from_micros(1500));
    bad.health_check = Some(Box::new(HealthCheck::every(Duration::from_millis(999), ProbeKind::get("health"))));
    let pointers: Vec<_> = faults(&[S(bad)]).into_iter().map(|(_, pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/targets/0/weight",
            "/targets/1/weight",
            "/targets/1/url",
            "/timeoutMs",
            "/totalTimeoutMs",
            "/healthCheck/path",
            "/healthCheck/intervalMs"
        ]
    );
    let mut none = service(1, "users");
    none.targets.clear();
    assert_eq!(faults(&[S(none)]), [fault("out_of_range", "/targets", "users")]);
}

#[test]
fn limits_methods_and_groups_out_of_range_are_named_by_their_pointers() {
    let mut bad = route(1, "r", "/", "s");
    bad.route.matcher.methods = vec![http::Method::GET, http::Method::PUT, http::Method::GET];
    bad.auth = AuthRule { required: true, accept_jwt: false, accept_key: false, accept_certificate: false };
    let limit = RateLimit { max: 0, window: Duration::from_millis(999) };
    bad.rate_limit = Some(RouteLimit { limit, by: LimitBy::Ip });
    let mut who = consumer(1, "c");
    who.groups = vec![name("a"), name("b"), name("a")];
    who.rate_limit = Some(RateLimit { max: 1_000_001, window: Duration::from_hours(25) });
    assert_eq!(
        faults(&[S(service(1, "s")), R(bad), C(who)]),
        [
            fault("duplicate", "/match/methods/2", "r"),
            fault("unsatisfiable", "/auth/accept", "r"),
            fault("out_of_range", "/rateLimit/max", "r"),
            fault("out_of_range", "/rateLimit/windowMs", "r"),
            fault("duplicate", "/groups/2", "c"),
            fault("out_of_range", "/rateLimit/max", "c"),
            fault("out_of_range", "/rateLimit/windowMs", "c"),
        ]
    );
}

#[test]
fn the_number_of_faults_is_bounded() {
    let objects: Vec<_> = (0..1_000).map(|id| R(route(id, &format!("r{id}"), "/a", "nowhere"))).collect();
    assert_eq!(faults(&objects).len(), MAX_FAULTS);
}

fn forward(change: impl FnOnce(&mut Forward)) -> RouteConfig {
    let mut made = route(1, "r", "/a", "users");
    let mut forward = Forward::to(name("users"));
    change(&mut forward);
    made.route.action = forward.into();
    made
}

fn split(shares: &[(&str, u16)]) -> RouteConfig {
    let services = shares.iter().map(|(service, weight)| WeightedService { service: name(service), weight: *weight });
    let split = Split { on: HashOn::Consumer, services: services.collect() };
    forward(|forward| forward.to = ForwardTo::Split(split))
}

fn faults_of_route(route: RouteConfig) -> Vec<(&'static str, String, String)> {
    faults(&[S(service(1, "users")), S(service(2, "users-v2")), R(route)])
}

#[test]
fn shares_of_a_split_are_checked_one_by_one() {
    assert_eq!(faults_of_route(split(&[("users", 0), ("users-v2", 1)])), []);
    for (shares, code, pointer) in [
        (&[("users", 1)][..], "out_of_range", "/split/services"),
        (&[("users", 1), ("users", 1)], "duplicate", "/split/services/1/service"),
        (&[("users", 1), ("gone", 1)], "unknown_service", "/split/services/1/service"),
        (&[("users", 1001), ("users-v2", 1)], "out_of_range", "/split/services/0/weight"),
        (&[("users", 0), ("users-v2", 0)], "unsatisfiable", "/split/services"),
    ] {
        assert_eq!(faults_of_route(split(shares)), [fault(code, pointer, "r")], "{shares:?}");
    }
}

#[test]
fn a_mirror_is_a_service_that_is_there_with_a_share() {
    let with = |service: &str, percent, max_body| {
        let mirror = Some(Mirror { service: name(service), percent, max_body });
        faults_of_route(forward(|forward| forward.mirror = mirror))
    };
    let mirrored = |service: &str, percent| with(service, percent, Mirror::MAX_BODY);
    assert_eq!(with("users-v2", 1, 1_048_577), [fault("out_of_range", "/mirror/maxBodyBytes", "r")]);
    assert_eq!(mirrored("users-v2", 100), []);
    assert_eq!(mirrored("gone", 1), [fault("unknown_service", "/mirror/service", "r")]);
    for percent in [0, 101] {
        assert_eq!(mirrored("users-v2", percent), [fault("out_of_range", "/mirror/percent", "r")]);
    }
}

#[test]
fn a_redirect_must_lead_elsewhere() {
    let path = |text: &str| PathTemplate::parse(text, &RouteMatch::on(PathPattern::parse("/a").unwrap())).ok();
    let nowhere = || {
        let status = RedirectStatus::Found;
        Redirect { status, scheme: None, host: None, port: None, path: None, drop_query: false }
    };
    let of = |redirect: Redirect| {
        let mut made = route(1, "r", "/a", "users");
        made.route.action = redirect.into();
        faults_of_route(made)
    };
    assert_eq!(of(nowhere()), [fault("unsatisfiable", "/redirect", "r")]);
    assert_eq!(of(Redirect { path: path("/a"), ..nowhere() }), [fault("unsatisfiable", "/redirect", "r")]);
    assert_eq!(of(Redirect { port: Some(0), ..nowhere() }), [fault("out_of_range", "/redirect/port", "r")]);
    assert_eq!(of(Redirect { path: path("/b"), ..nowhere() }), []);
    assert_eq!(of(Redirect { port: Some(8443), path: path("/a"), ..nowhere() }), []);
}

#[test]
fn conditions_and_times_of_a_route_are_checked() {
    let exact = |value: &str| ValueTest::exact(value).unwrap();
    let mut many = route(1, "r", "/a", "users");
    let header = |number: usize| ConditionOn::header(&format!("x-{number}")).unwrap();
    many.route.matcher.conditions = (0..17).map(|number| Condition { on: header(number), test: exact("1") }).collect();
    many.route.matcher.priority = 1_001;
    assert_eq!(
        faults_of_route(many),
        [fault("out_of_range", "/match/headers", "r"), fault("out_of_range", "/match/priority", "r")]
    );
    let mut twice = route(1, "r", "/a", "users");
    let query = |value: &str| Condition { on: ConditionOn::query("v").unwrap(), test: exact(value) };
    twice.route.matcher.conditions = vec![query("1"), query("2")];
    assert_eq!(faults_of_route(twice), [fault("duplicate", "/match/query/1/name", "r")]);
    let late = forward(|forward| {
        (forward.timeout, forward.total_timeout) = (Some(Duration::ZERO), Some(Duration::from_hours(25)));
        forward.max_body = Some((1 << 40) + 1);
    });
    assert_eq!(
        faults_of_route(late),
        ["/timeoutMs", "/totalTimeoutMs", "/maxBodyBytes"].map(|pointer| fault("out_of_range", pointer, "r"))
    );
}

#[test]
fn codings_of_a_route_are_checked() {
    let range = |text: &str| MediaRange::parse(text).unwrap();
    let good = Compression { encodings: ContentCoding::ALL.to_vec(), min_bytes: 1 << 20, types: vec![range("text/*")] };
    let bad = Compression {
        encodings: vec![ContentCoding::Gzip, ContentCoding::Gzip],
        min_bytes: (1 << 20) + 1,
        types: vec![range("text/*"), range("TEXT/*")],
    };
    let none = Compression { encodings: Vec::new(), min_bytes: 0, types: Vec::new() };
    for (compression, decompression, expected) in [
        (good.clone(), (Some(1), 1), &[][..]),
        (
            good,
            (Some(0), 0),
            &[("out_of_range", "/decompression/maxBytes"), ("out_of_range", "/decompression/maxRatio")],
        ),
        (
            bad,
            (None, 10_000),
            &[
                ("duplicate", "/compression/encodings/1"),
                ("out_of_range", "/compression/minBytes"),
                ("duplicate", "/compression/types/1"),
            ],
        ),
        (
            none,
            (None, 10_001),
            &[
                ("out_of_range", "/compression/encodings"),
                ("out_of_range", "/compression/types"),
                ("out_of_range", "/decompression/maxRatio"),
            ],
        ),
    ] {
        let (max_bytes, max_ratio) = decompression;
        let made = forward(|forward| {
            forward.compression = Some(Box::new(compression));
            forward.decompression = Some(Decompression { max_bytes, max_ratio });
        });
        let expected: Vec<_> = expected.iter().map(|(code, pointer)| fault(code, pointer, "r")).collect();
        assert_eq!(faults_of_route(made), expected);
    }
}

#[test]
fn too_many_routes_with_conditions_at_one_path_are_refused() {
    let routes = (0..=64).map(|number| {
        let mut made = route(number, &format!("r{number}"), "/a", "users");
        let on = ConditionOn::header("x").unwrap();
        let test = ValueTest::exact(&number.to_string()).unwrap();
        made.route.matcher.conditions = vec![Condition { on, test }];
        R(made)
    });
    let objects: Vec<ConfigObject> = routes.chain([S(service(1, "users"))]).collect();
    assert_eq!(faults(&objects), [fault("too_many", "/match", "r64")]);
}
