//! What routes want of requests beyond host, path and method, and what they do with them beyond forwarding.

use std::collections::BTreeMap;
use std::time::Duration;

use novagate_policies::{ConfigObject, RateLimit, RouteConfig};
use novagate_routing::{
    Condition, ConditionOn, Expression, ForwardHost, ForwardPath, ForwardTo, HashOn, HostTemplate, LoadBalancing,
    Mirror, PathTemplate, Redirect, RedirectStatus, RouteAction, Scheme, Split, ValueTest, WeightedService,
};

use crate::harness::{HELLO, Setup, Upstream, consumer, get, grant, key, name, nobody, route, service, wait_until};

fn exact(on: ConditionOn, value: &str) -> Condition {
    Condition { on, test: ValueTest::exact(value).unwrap() }
}

fn header(name: &str) -> ConditionOn {
    ConditionOn::header(name).unwrap()
}

fn template(of: &RouteConfig, text: &str) -> PathTemplate {
    PathTemplate::parse(text, &of.route.matcher).unwrap()
}

/// The request line that the upstream got.
fn line(echoed: &str) -> &str {
    echoed.lines().next().unwrap()
}

fn redirect() -> Redirect {
    let status = RedirectStatus::Found;
    Redirect { status, scheme: None, host: None, port: None, path: None, drop_query: false }
}

#[test]
fn a_request_goes_to_the_route_whose_conditions_it_meets() {
    let (stable, canary, numbers) = (Upstream::fixed(HELLO), Upstream::fixed(HELLO), Upstream::fixed(HELLO));
    let (plain, mut by_header, mut by_query, mut by_path) =
        (route(1, "/*", "stable"), route(2, "/*", "canary"), route(3, "/*", "canary"), route(4, "/*", "numbers"));
    by_header.route.matcher.conditions = vec![exact(header("x-canary"), "yes")];
    by_query.route.matcher.conditions = vec![exact(ConditionOn::query("beta").unwrap(), "a b")];
    let digits = ValueTest::Matches(Expression::parse("/[0-9]+").unwrap());
    by_path.route.matcher.conditions = vec![Condition { on: ConditionOn::Path, test: digits }];
    let objects = [
        ConfigObject::Service(service(1, "stable", &[&stable.url])),
        ConfigObject::Service(service(2, "canary", &[&canary.url])),
        ConfigObject::Service(service(3, "numbers", &[&numbers.url])),
    ];
    let routes = [plain, by_header, by_query, by_path].map(ConfigObject::Route);
    let edge = Setup::new(objects.into_iter().chain(routes).collect()).start();
    let mut expected = [0; 3];
    for (path, fields, at) in [
        ("/a", "", 0),
        ("/a", "X-Canary: yes\r\n", 1),
        ("/a", "X-CANARY:   yes  \r\n", 1),
        ("/a", "X-Canary: no\r\nX-Canary: yes\r\n", 0),
        ("/a?x=1&beta=a+b", "", 1),
        ("/a?beta=a%20b", "", 1),
        ("/a?beta=ab", "", 0),
        ("/17", "", 2),
        ("/17/", "", 0),
        ("/%31%37", "X-Canary: yes\r\n", 2),
    ] {
        assert_eq!(edge.ask(&get(path, fields)).status, 200);
        expected[at] += 1;
        let seen = [&stable, &canary, &numbers].map(|upstream| upstream.requests().len());
        assert_eq!(seen, expected, "{path} {fields}");
    }
}

#[test]
fn a_route_rewrites_path_and_host_and_keeps_the_query() {
    let upstream = Upstream::echo();
    let mut one = route(1, "/v1/users/{id}/*", "up");
    let path = ForwardPath::Rewritten(template(&one, "/people/{id}.json/*"));
    let edit = |route: &mut RouteConfig, host: ForwardHost| {
        if let RouteAction::Forward(forward) = &mut route.route.action {
            (forward.path, forward.host) = (path.clone(), host);
        }
    };
    edit(&mut one, ForwardHost::Fixed("users.internal".into()));
    let two = route(2, "/client", "up");
    let objects = vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(one),
        ConfigObject::Route(two),
    ];
    let edge = Setup::new(objects).start();
    let echoed = edge.ask(&get("/v1/users/7%2e1/a%20b/?q=%2F", "")).text();
    assert_eq!(line(&echoed), "GET /people/7.1.json/a%20b/?q=%2F HTTP/1.1");
    assert!(
        echoed.contains("\r\nhost: users.internal\r\n") && echoed.contains("\r\nx-forwarded-host: shop.example\r\n")
    );
    assert!(edge.ask(&get("/client", "")).text().contains(&format!("\r\nhost: {}\r\n", upstream.addr)));

    let edge = Setup::open(&[&upstream.url]).with_forward(|forward| forward.host = ForwardHost::Client).start();
    assert!(edge.ask(&get("/", "")).text().contains("\r\nhost: shop.example\r\n"));
    let without_host = edge.ask("GET / HTTP/1.0\r\n\r\n").text();
    assert!(without_host.contains(&format!("\r\nhost: {}\r\n", upstream.addr)));
}

#[test]
fn what_an_expression_has_captured_goes_into_path_and_host_or_the_request_is_refused() {
    let upstream = Upstream::echo();
    let captured = |number: u128, path: &str, expression: &str| {
        let mut route = route(number, path, "up");
        let test = ValueTest::Matches(Expression::parse(expression).unwrap());
        route.route.matcher.conditions = vec![Condition { on: ConditionOn::Path, test }];
        route
    };
    let mut shop = captured(1, "/shops/*", "/shops/(?<shop>[^/]*)(?<rest>/.*)?");
    let path = ForwardPath::Rewritten(template(&shop, "/of/{shop}/{rest}"));
    let host = HostTemplate::parse("{shop}.shops.example:8080", &shop.route.matcher).unwrap();
    let host = ForwardHost::Written(host.into());
    if let RouteAction::Forward(forward) = &mut shop.route.action {
        (forward.path, forward.host) = (path, host);
    }
    let mut moved = captured(2, "/moved/*", "/moved/(?<what>.*?)(?:[.]html)?");
    let path = Some(template(&moved, "/{what}"));
    moved.route.action = RouteAction::from(Redirect { path, ..redirect() });
    let service = ConfigObject::Service(service(1, "up", &[&upstream.url]));
    let edge = Setup::new(vec![service, ConfigObject::Route(shop), ConfigObject::Route(moved)]).start();
    let mut client = edge.connect();
    for (path, sent, host) in [
        ("/shops/blue/a%20b/?q=%2F", "/of/blue/a%20b/?q=%2F", "blue"),
        ("/shops//BL%55E/a", "/of/BLUE/a", "blue"),
        ("/shops/a.b-c", "/of/a.b-c/", "a.b-c"),
    ] {
        client.send(get(path, ""));
        let echoed = client.response().text();
        assert_eq!(line(&echoed), format!("GET {sent} HTTP/1.1"));
        assert!(echoed.contains(&format!("\r\nhost: {host}.shops.example:8080\r\n")), "{echoed}");
    }
    for path in
        ["/shops/", "/shops/a%20b", "/shops/-a/b", "/shops/a:1", "/shops/user@b", "/moved/a/..html", "/moved/...html"]
    {
        client.send(get(path, ""));
        let response = client.response();
        assert_eq!((response.status, &*response.code()), (400, "BAD_REQUEST"), "{path}");
        assert_eq!(response.field("location"), None);
    }
    client.send(get("/moved//evil.example/x.html?q", ""));
    assert_eq!(client.response().field("location"), Some("http://shop.example/evil.example/x?q"));
    assert_eq!(edge.ask("GET /moved/%2e//evil.example HTTP/1.0\r\n\r\n").field("location"), Some("/evil.example"));
}

#[test]
fn another_target_is_told_the_host_that_the_route_says() {
    let upstream = Upstream::echo();
    let gone = nobody();
    let setup = Setup::open(&[&gone, &upstream.url]);
    let edge = setup.with_forward(|forward| forward.host = ForwardHost::Fixed("fixed.example".into())).start();
    for _ in 0..4 {
        let echoed = edge.ask(&get("/", "")).text();
        assert_eq!(line(&echoed), "GET / HTTP/1.1");
        assert!(echoed.contains("\r\nhost: fixed.example\r\n"), "{echoed}");
    }
}

#[test]
fn a_redirect_tells_where_to_go_and_no_upstream_hears_of_it() {
    let mut https = route(1, "/*", "up");
    let scheme = Some(Scheme::Https);
    https.route.action = RouteAction::from(Redirect { status: RedirectStatus::Permanent, scheme, ..redirect() });
    let mut moved = route(2, "/old/{id}/*", "up");
    let path = Some(template(&moved, "/new/{id}/*"));
    moved.route.action = RouteAction::from(Redirect { path, drop_query: true, ..redirect() });
    let edge = Setup::new(vec![ConfigObject::Route(https), ConfigObject::Route(moved)]).start();
    let mut client = edge.connect();
    client.send(get("/a%20b?q=1", ""));
    let response = client.response();
    assert_eq!((response.status, response.field("location")), (308, Some("https://shop.example/a%20b?q=1")));
    assert_eq!((response.field("content-length"), response.field("content-type")), (Some("0"), None));
    assert!(response.field("x-request-id").is_some() && response.field("date").is_some());
    client.send("POST /old/7/x?q HTTP/1.1\r\nHost: shop.example:8080\r\nContent-Length: 5\r\n\r\nhello");
    let response = client.response();
    assert_eq!((response.status, response.field("location")), (302, Some("http://shop.example:8080/new/7/x")));
    client.send("HEAD /old/7/ HTTP/1.1\r\nHost: [::1]:8080\r\nX-Forwarded-Proto: https\r\n\r\n");
    let response = client.response_to("HEAD");
    assert_eq!((response.status, response.field("location")), (302, Some("http://[::1]:8080/new/7/")));
    client.send("GET /old/7 HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("location")), (302, Some("/new/7")));
    let records = edge.records(4);
    assert!(records.iter().all(|record| record.code.is_none() && record.service == novagate_records::NO_INDEX));
    assert_eq!(records.iter().map(|record| record.status).collect::<Vec<_>>(), [308, 302, 302, 302]);
}

#[test]
fn a_redirect_is_for_those_whom_the_route_admits() {
    let mut closed = route(1, "/*", "up");
    closed.route.action = RouteAction::from(Redirect { host: Some("b.example".into()), ..redirect() });
    closed.auth.required = true;
    let limit = RateLimit { max: 1, window: Duration::from_mins(1) };
    let objects = vec![ConfigObject::Route(closed), consumer(1, "app", &[], Some(limit)), grant(1, 1)];
    let edge = Setup::new(objects).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "TOKEN_MISSING");
    let fields = format!("X-API-Key: {}\r\n", key(1).expose());
    let response = edge.ask(&get("/x", &fields));
    assert_eq!((response.status, response.field("location")), (302, Some("http://b.example/x")));
    assert!(response.field("ratelimit").is_some());
    let refused = edge.ask(&get("/x", &fields));
    assert_eq!((refused.status, refused.field("location")), (429, None));
}

/// How many of 200 users go to the second of two services.
fn seconds(weights: [u16; 2]) -> BTreeMap<usize, bool> {
    let (first, second) = (Upstream::fixed(HELLO), Upstream::fixed(HELLO));
    let weighted = |service: &str, weight| WeightedService { service: name(service), weight };
    let services = vec![weighted("first", weights[0]), weighted("second", weights[1])];
    let split = Split { on: HashOn::Header("x-user".into()), services };
    let objects = vec![
        ConfigObject::Service(service(1, "first", &[&first.url])),
        ConfigObject::Service(service(2, "second", &[&second.url])),
        ConfigObject::Route(route(1, "/*", "first")),
    ];
    let setup = Setup::new(objects).with_forward(|forward| forward.to = ForwardTo::Split(split.clone()));
    let edge = setup.start();
    let mut client = edge.connect();
    let mut went = BTreeMap::new();
    for user in 0..200 {
        let before = second.requests().len();
        for _ in 0..2 {
            client.send(get("/", &format!("X-User: {user}\r\n")));
            assert_eq!(client.response().status, 200);
        }
        let count = second.requests().len() - before;
        assert!(count == 0 || count == 2, "user {user} changed sides");
        went.insert(user, count == 2);
    }
    let records = edge.records(400);
    let of_second = records.iter().filter(|record| record.service == 1).count();
    assert_eq!(of_second, second.requests().len(), "records say which service it was");
    went
}

#[test]
fn a_split_keeps_users_on_their_side_and_a_growing_share_keeps_those_it_has() {
    let (small, large, none) = (seconds([90, 10]), seconds([70, 30]), seconds([1, 0]));
    let count = |went: &BTreeMap<usize, bool>| went.values().filter(|second| **second).count();
    assert!((8..=40).contains(&count(&small)), "{}", count(&small));
    assert!((40..=85).contains(&count(&large)), "{}", count(&large));
    assert_eq!(count(&none), 0);
    assert!(small.iter().all(|(user, second)| !second || large[user]), "nobody goes back");
}

#[test]
fn requests_without_the_value_of_a_split_go_by_their_address() {
    let (first, second) = (Upstream::fixed(HELLO), Upstream::fixed(HELLO));
    let weighted = |service: &str| WeightedService { service: name(service), weight: 1 };
    let split = Split { on: HashOn::Consumer, services: vec![weighted("first"), weighted("second")] };
    let objects = vec![
        ConfigObject::Service(service(1, "first", &[&first.url])),
        ConfigObject::Service(service(2, "second", &[&second.url])),
        ConfigObject::Route(route(1, "/*", "first")),
    ];
    let trusted = ["127.0.0.0/8".parse().unwrap()];
    let edge = Setup::new(objects)
        .with_forward(|forward| forward.to = ForwardTo::Split(split.clone()))
        .with(|settings| settings.trusted_proxies = trusted.into())
        .start();
    for address in 0..40 {
        for _ in 0..2 {
            assert_eq!(edge.ask(&get("/", &format!("X-Forwarded-For: 192.0.2.{address}\r\n"))).status, 200);
        }
    }
    let seen = [first.requests().len(), second.requests().len()];
    assert!(seen.iter().all(|count| *count > 0 && count % 2 == 0), "{seen:?}");
}

/// A service at `first` whose requests are copied to `second`.
pub(crate) fn mirrored(first: &str, second: &str, percent: u8) -> Setup {
    let objects = vec![
        ConfigObject::Service(service(1, "first", &[first])),
        ConfigObject::Service(service(2, "second", &[second])),
        ConfigObject::Route(route(1, "/*", "first")),
    ];
    let mirror = Mirror { service: name("second"), percent, max_body: Mirror::USUAL_BODY };
    Setup::new(objects).with_forward(|forward| forward.mirror = Some(mirror.clone()))
}

#[test]
fn a_mirror_gets_requests_and_its_answers_change_nothing() {
    let (first, second) =
        (Upstream::fixed(HELLO), Upstream::recording("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"));
    let edge = mirrored(&first.url, &second.url, 100).start();
    let mut client = edge.connect();
    let copied = |count| wait_until("it is copied", || second.requests().len() == count);
    client.send(get("/a?b=c", "X-Own: 1\r\n"));
    assert_eq!(client.response().text(), "hello");
    copied(1);
    client.send("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.response().text(), "hello");
    copied(2);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to("HEAD").status, 200);
    copied(3);
    let requests = second.requests();
    assert!(
        requests[0].starts_with("GET /a?b=c HTTP/1.1\r\n") && requests[0].contains("\r\nX-Own: 1\r\n"),
        "{requests:?}"
    );
    assert!(requests[0].contains(&format!("\r\nhost: {}\r\n", second.addr)), "{requests:?}");
    assert!(requests[1].ends_with("\r\n\r\nabc"), "{requests:?}");
    assert_eq!(first.requests().len(), 3);
    let records = edge.records(3);
    assert!(records.iter().all(|record| record.status == 200 && record.service == 0));
    assert_eq!((edge.handle.mirrors_left_out(), edge.handle.mirrors_failed()), (0, 0));
}

#[test]
fn a_mirror_gets_its_share() {
    let (first, second) = (Upstream::fixed(HELLO), Upstream::fixed(HELLO));
    let edge = mirrored(&first.url, &second.url, 30).start();
    let mut client = edge.connect();
    for _ in 0..50 {
        client.send(get("/", ""));
        assert_eq!(client.response().status, 200);
    }
    wait_until("the share is copied", || second.requests().len() == 15);
}

#[test]
fn a_mirror_that_hangs_breaks_off_or_is_not_there_costs_copies_only() {
    let first = Upstream::fixed(HELLO);
    let gone = nobody();
    let hanging = Upstream::scripted(|_, conn| drop(conn.rest()));
    let broken = Upstream::scripted(|_, conn| {
        conn.next_head();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    });
    for second in [&gone, &hanging.url, &broken.url] {
        let setup = mirrored(&first.url, second, 100).with_service(|service| {
            service.timeout = Some(Duration::from_millis(100));
        });
        let edge = setup.start();
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
        wait_until("the copy has failed", || edge.handle.mirrors_failed() == 1);
        assert_eq!(edge.ask(&get("/", "")).text(), "hello");
    }
}

#[test]
fn a_body_is_held_to_the_bound_of_its_route() {
    let upstream = Upstream::echo();
    let edge = Setup::open(&[&upstream.url]).with_forward(|forward| forward.max_body = Some(4)).start();
    let post = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{body}");
    let mut client = edge.connect();
    client.send(post("Content-Length: 4\r\n\r\nabcd"));
    assert_eq!(client.response().status, 200);
    client.send(post("Content-Length: 5\r\n\r\nabcde"));
    assert_eq!(client.response().code(), "REQUEST_TOO_LARGE");
    let chunked = |body: &str| post(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    client.send(chunked("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"));
    assert_eq!(client.response().status, 200, "a short body is read to its end, and the connection stays");
    client.send(chunked("2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"));
    assert_eq!(client.response().code(), "REQUEST_TOO_LARGE");
    assert!(client.is_closed());
}

#[test]
fn times_of_a_route_go_before_those_of_its_service() {
    let upstream = Upstream::scripted(|_, conn| drop(conn.rest()));
    let setup = Setup::open(&[&upstream.url]).with_service(|service| {
        service.timeout = Some(Duration::from_hours(1));
        service.load_balancing = LoadBalancing::LeastConnections;
    });
    let edge = setup.with_forward(|forward| forward.timeout = Some(Duration::from_millis(60))).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_TIMEOUT");
    let setup = Setup::open(&[&upstream.url]);
    let edge = setup.with_forward(|forward| forward.total_timeout = Some(Duration::from_millis(60))).start();
    assert_eq!(edge.ask(&get("/", "")).code(), "DOWNSTREAM_TIMEOUT");
}
