//! The table against a model that compares all routes with each other.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;

const HOSTS: [&str; 6] = ["a.com", "b.a.com", "*.a.com", "*.b.a.com", "*.com", "[::1]"];
const METHODS: [&str; 4] = ["GET", "PUT", "POST", "PURGE"];

/// Conditions of routes, some of which imply or exclude each other.
const CONDITIONS: [&str; 5] = ["header:x", "header:x=1", "header:x=2", "query:q=1", "path~/a.*"];
/// Fields and query of requests.
const VIEWS: [&str; 8] = ["", " x=1", " x=2", " x=3", " ?q=1", " x=1 ?q=1", " x=2 ?q=1", " x=3 ?q=1"];

/// How specific a match is; the least one wins.
type Rank = ((u8, Reverse<usize>), Vec<u8>, bool, Conditions);
/// About the path, fields, parameters; priority.
type Conditions = (Reverse<[usize; 3]>, Reverse<u16>);

fn rank_of_conditions(route: &RouteMatch) -> Conditions {
    let mut counts = [0; 3];
    for condition in &route.conditions {
        counts[match condition.on {
            ConditionOn::Path => 0,
            ConditionOn::Header(_) => 1,
            ConditionOn::Query(_) => 2,
        }] += 1;
    }
    (Reverse(counts), Reverse(route.priority))
}

fn rank_of_host(pattern: Option<&HostPattern>) -> (u8, Reverse<usize>) {
    match pattern {
        Some(host) if host.is_wildcard() => (1, Reverse(host.as_str().len())),
        Some(_) => (0, Reverse(0)),
        None => (2, Reverse(0)),
    }
}

fn rank_of_path(pattern: &PathPattern) -> Vec<u8> {
    let rank = |segment| match segment {
        Segment::Literal(_) => 0,
        Segment::Parameter(_) => 1,
        Segment::Rest => 2,
    };
    pattern.segments().map(rank).collect()
}

/// The host criterion under which the route matches, the most specific one.
fn best_host(route: &RouteMatch, host: Option<&str>) -> Option<(u8, Reverse<usize>)> {
    if route.hosts.is_empty() {
        return Some(rank_of_host(None));
    }
    let host = host?;
    route.hosts.iter().filter(|pattern| pattern.matches(host)).map(|pattern| rank_of_host(Some(pattern))).min()
}

fn model(routes: &[RouteMatch], host: Option<&str>, method: &Method, path: &str, view: &View<'_>) -> String {
    let mut best: Option<(Rank, usize)> = None;
    let mut allowed = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let Some(host) = best_host(route, host).filter(|_| route.path.matches(path)) else { continue };
        if !route.conditions.iter().all(|condition| condition.holds(path, view)) {
            continue;
        }
        allowed.extend(route.methods.iter().cloned());
        if route.methods.is_empty() || route.methods.contains(method) {
            let rank = (host, rank_of_path(&route.path), route.methods.is_empty(), rank_of_conditions(route));
            if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                best = Some((rank, number));
            }
        }
    }
    match best {
        Some((_, number)) => number.to_string(),
        None if allowed.is_empty() => "404".to_owned(),
        None => format!("405 {}", AllowedMethods::new(allowed)),
    }
}

fn collide(left: &RouteMatch, right: &RouteMatch) -> bool {
    let hosts = if left.hosts.is_empty() || right.hosts.is_empty() {
        left.hosts.is_empty() && right.hosts.is_empty()
    } else {
        left.hosts.iter().any(|host| right.hosts.contains(host))
    };
    let methods = if left.methods.is_empty() || right.methods.is_empty() {
        left.methods.is_empty() && right.methods.is_empty()
    } else {
        left.methods.iter().any(|method| right.methods.contains(method))
    };
    let excluded = |one: &Condition, other: &Condition| {
        let value = |condition: &Condition| match &condition.test {
            ValueTest::Exact(value) => Some(value.clone()),
            ValueTest::Present | ValueTest::Matches(_) => None,
        };
        one.on == other.on && value(one).zip(value(other)).is_some_and(|(one, other)| one != other)
    };
    let exclude = left.conditions.iter().any(|one| right.conditions.iter().any(|other| excluded(one, other)));
    let ranks = rank_of_conditions(left) == rank_of_conditions(right);
    hosts && methods && ranks && !exclude && left.path.has_shape_of(&right.path)
}

fn any_route() -> impl Strategy<Value = RouteMatch> {
    let segment = prop::sample::select(vec!["a", "b", "{x}", "{y}"]);
    let segments = prop::collection::vec(segment, 0..4);
    let end = prop::sample::select(vec!["", "", "/", "/*", "/*"]);
    let hosts = prop::sample::subsequence(HOSTS.to_vec(), 0..3);
    let methods = prop::sample::subsequence(METHODS.to_vec(), 0..3);
    let conditions = prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(CONDITIONS.to_vec(), 0..3)];
    let parts = (segments, end, hosts, methods, conditions, prop_oneof![3 => Just(0), 1 => 1..3_u16]);
    parts.prop_filter_map("no pattern", |(segments, end, hosts, methods, conditions, priority)| {
        let text: String = segments.iter().flat_map(|segment| ["/", segment]).chain([end]).collect();
        let path = PathPattern::parse(&text).ok()?;
        let hosts = hosts.into_iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        let methods = methods.into_iter().map(|method| Method::from_bytes(method.as_bytes()).unwrap()).collect();
        let conditions = conditions.into_iter().filter_map(condition).collect();
        Some(RouteMatch { hosts, methods, path, conditions, priority })
    })
}

/// Routes without conflicts between them.
fn any_routes() -> impl Strategy<Value = Vec<RouteMatch>> {
    prop::collection::vec(any_route(), 0..14).prop_map(|routes| {
        let mut kept: Vec<RouteMatch> = Vec::new();
        for route in routes {
            if !kept.iter().any(|other| collide(other, &route)) {
                kept.push(route);
            }
        }
        kept
    })
}

/// Leaves out routes whose own conditions rule out every request: on the path, or excluding each other.
fn may_be_met(route: &RouteMatch) -> bool {
    let of = |condition: &Condition| route.conditions.iter().any(|other| other.excludes(condition));
    !route.conditions.iter().any(|condition| condition.on == ConditionOn::Path || of(condition))
}

fn build<'a>(routes: impl IntoIterator<Item = (usize, &'a RouteMatch)>) -> Result<RouteTable<String>, Vec<Conflict>> {
    let mut builder = RouteTableBuilder::new();
    for (number, route) in routes {
        builder.insert(name(&format!("r{number}")), route, EncodedSlashes::Reject, number.to_string()).unwrap();
    }
    builder.build()
}

fn any_request() -> impl Strategy<Value = String> {
    let host =
        prop::sample::select(vec!["-", "a.com", "A.com.", "b.a.com", "c.a.com", "x.b.a.com", "z.com", "com", "::1"]);
    let method = prop::sample::select(vec!["GET", "PUT", "POST", "PURGE", "HEAD", "MKCOL"]);
    let view = prop::sample::select(VIEWS.to_vec());
    (method, host, "(/[abc]){0,5}/?", view)
        .prop_map(|(method, host, path, view)| format!("{method} {host} {path}{view}"))
}

/// Every path of up to `depth` segments from an alphabet that has a word of no pattern.
fn all_paths(depth: usize) -> Vec<String> {
    let mut paths = vec![String::new()];
    let mut last = paths.clone();
    for _ in 0..depth {
        last = last.iter().flat_map(|path| ["a", "b", "z"].map(|segment| format!("{path}/{segment}"))).collect();
        paths.extend(last.iter().cloned());
    }
    let slashed: Vec<String> = paths.iter().map(|path| format!("{path}/")).collect();
    paths.into_iter().skip(1).chain(slashed).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_table_finds_what_the_model_finds(routes in any_routes(), requests in prop::collection::vec(any_request(), 32)) {
        let table = build(routes.iter().enumerate()).unwrap();
        for request in &requests {
            let mut words = request.split(' ');
            let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
            let host = words.next().filter(|host| *host != "-");
            let path = normalise(words.next().unwrap()).unwrap();
            let rest: Vec<&str> = words.collect();
            let expected = model(&routes, host, &method, path.as_str(), &view(&rest));
            prop_assert_eq!(outcome(&table, request), expected, "{}", request);
        }
    }

    #[test]
    fn the_order_of_routes_makes_no_difference(
        (routes, shuffled) in any_routes().prop_flat_map(|routes| {
            let numbered: Vec<(usize, RouteMatch)> = routes.iter().cloned().enumerate().collect();
            (Just(routes), Just(numbered).prop_shuffle())
        }),
        requests in prop::collection::vec(any_request(), 16),
    ) {
        let straight = build(routes.iter().enumerate()).unwrap();
        let mixed = build(shuffled.iter().map(|(number, route)| (*number, route))).unwrap();
        for request in &requests {
            prop_assert_eq!(outcome(&straight, request), outcome(&mixed, request));
        }
        prop_assert_eq!(straight.warnings(), mixed.warnings());
        prop_assert_eq!(straight.most_steps(), mixed.most_steps());
    }

    #[test]
    fn conflicts_are_exactly_the_pairs_of_equal_specificity(
        (routes, shuffled) in prop::collection::vec(any_route(), 0..10).prop_flat_map(|routes| {
            let numbered: Vec<(usize, RouteMatch)> = routes.iter().cloned().enumerate().collect();
            (Just(routes), Just(numbered).prop_shuffle())
        }),
    ) {
        let straight = build(routes.iter().enumerate());
        let mixed = build(shuffled.iter().map(|(number, route)| (*number, route)));
        let pairs = routes.iter().enumerate().flat_map(|(at, left)| routes.iter().skip(at + 1).map(move |right| (left, right)));
        prop_assert_eq!(pairs.filter(|(left, right)| collide(left, right)).count() > 0, straight.is_err());
        if let Err(found) = &straight {
            for conflict in found {
                let number = |name: &Name| name.as_str()[1..].parse::<usize>().unwrap();
                prop_assert!(conflict.a < conflict.b);
                prop_assert!(collide(&routes[number(&conflict.a)], &routes[number(&conflict.b)]));
            }
        }
        prop_assert_eq!(straight.err(), mixed.err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_route_is_reported_as_shadowed_exactly_when_no_request_reaches_it(mut routes in any_routes()) {
        routes.retain(may_be_met);
        let table = build(routes.iter().enumerate()).unwrap();
        let mut reached = vec![false; routes.len()];
        let methods = ["GET", "PUT", "POST", "PURGE", "FRESH"];
        for path in all_paths(4) {
            for host in ["-", "a.com", "b.a.com", "fresh.a.com", "x.b.a.com", "fresh.com", "::1"] {
                for (method, view) in methods.iter().flat_map(|method| VIEWS.map(|view| (method, view))) {
                    if let Ok(number) = outcome(&table, &format!("{method} {host} {path}{view}")).parse::<usize>()
                        && let Some(slot) = reached.get_mut(number)
                    {
                        *slot = true;
                    }
                }
            }
        }
        for (number, reached) in reached.into_iter().enumerate() {
            let is_route = |warning: &TableWarning| matches!(warning, TableWarning::Shadowed { route, .. } if *route == name(&format!("r{number}")));
            prop_assert_eq!(!reached, table.warnings().iter().any(is_route), "route {}", number);
        }
    }
}
