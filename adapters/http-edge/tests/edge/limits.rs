//! Rate limits, as clients see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use novagate_policies::{ConfigObject, LimitBy, RateLimit, RouteLimit};

use crate::harness::{HELLO, Setup, Upstream, consumer, get, grant, key, route, service};

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn beyond_the_limit_requests_are_429_until_there_is_room() {
    let upstream = Upstream::fixed(HELLO);
    let edge = Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.unauth_max = 2).start();
    let mut client = edge.connect();
    for left in [1, 0] {
        client.send(get("/", ""));
        let response = client.response();
        assert_eq!(response.field("ratelimit-policy"), Some("\"unauth\";q=2;w=60"));
        assert!(response.field("ratelimit").unwrap().starts_with(&format!("\"unauth\";r={left};t=")));
    }
    client.send(get("/", ""));
    let refused = client.response();
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMIT_EXCEEDED"));
    assert!(refused.field("ratelimit").unwrap().starts_with("\"unauth\";r=0;t="));
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    edge.clock.advance(Duration::from_secs(wait));
    client.send(get("/", ""));
    assert_eq!(client.response().status, 200);
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_consumers_own_limit_is_shared_by_all_its_routes_and_a_routes_is_its_own() {
    let upstream = Upstream::fixed(HELLO);
    let mut limited = route(1, "/limited", "up");
    limited.rate_limit = Some(RouteLimit { limit: RateLimit { max: 1, window: MINUTE }, by: LimitBy::Route });
    let edge = Setup::new(vec![
        ConfigObject::Service(service(1, "up", &[&upstream.url])),
        ConfigObject::Route(limited),
        ConfigObject::Route(route(2, "/a", "up")),
        ConfigObject::Route(route(3, "/b", "up")),
        consumer(5, "mobile", &[], Some(RateLimit { max: 3, window: MINUTE })),
        grant(1, 5),
    ])
    .start();
    let field = format!("X-API-Key: {}\r\n", key(1).expose());
    let ask = |path: &str| edge.ask(&get(path, &field));
    assert_eq!(ask("/limited").field("ratelimit-policy"), Some("\"route\";q=1;w=60"));
    let refused = ask("/limited");
    assert_eq!((refused.status, refused.field("ratelimit-policy")), (429, Some("\"route\";q=1;w=60")));
    assert_eq!(edge.ask(&get("/limited", "")).status, 429);
    // The refusal has charged nothing: two of three are left.
    assert_eq!([ask("/a").status, ask("/b").status, ask("/a").status], [200, 200, 429]);
    assert_eq!(edge.ask(&get("/a", "")).status, 200);
}

#[test]
fn all_workers_count_in_the_same_windows() {
    let upstream = Upstream::fixed(HELLO);
    let mut setup = Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.unauth_max = 50);
    setup.workers = 8;
    let edge = Arc::new(setup.start());
    let admitted = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (edge, admitted) = (Arc::clone(&edge), Arc::clone(&admitted));
            std::thread::spawn(move || {
                for _ in 0..20 {
                    let status = edge.ask(&get("/", "")).status;
                    admitted.fetch_add(u32::from(status == 200), Ordering::SeqCst);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(admitted.load(Ordering::SeqCst), 50);
    assert_eq!(edge.records(160).len(), 160);
}

#[test]
fn an_address_is_believed_only_from_a_trusted_proxy() {
    let upstream = Upstream::fixed(HELLO);
    let setup = || Setup::open(&[&upstream.url]).with(|settings| settings.node_limits.unauth_max = 1);
    let edge = setup().start();
    let from = |number: u32| get("/", &format!("X-Forwarded-For: 203.0.113.{number}\r\n"));
    assert_eq!([edge.ask(&from(1)).status, edge.ask(&from(2)).status], [200, 429]);
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let edge = setup().with(|settings| settings.trusted_proxies = trusted).start();
    assert_eq!([edge.ask(&from(1)).status, edge.ask(&from(2)).status, edge.ask(&from(1)).status], [200, 200, 429]);
}
