//! Conditions and priorities by example.

use super::*;

#[test]
fn of_routes_with_one_path_the_one_with_more_conditions_goes_first() {
    let routes = table(&[
        ("any", "* * /a"),
        ("beta", "* * /a header:x-beta=1"),
        ("both", "* * /a header:x-beta=1 header:x-user"),
        ("query", "* * /a query:v=2"),
        ("path", "* * /{id} path~/[0-9]+"),
        ("words", "* * /{id}"),
    ]);
    for (request, expected) in [
        ("GET - /a", "any"),
        ("GET - /a x-beta=2", "any"),
        ("GET - /a x-beta=1", "beta"),
        ("GET - /a x-beta=1 x-user=me", "both"),
        ("GET - /a ?v=2", "query"),
        ("GET - /a x-beta=1 ?v=2", "beta"),
        ("GET - /17", "path"),
        ("GET - /17a", "words"),
    ] {
        assert_eq!(outcome(&routes, request), expected, "{request}");
    }
}

#[test]
fn a_listed_method_goes_before_conditions_and_both_before_priority() {
    let routes = table(&[
        ("get", "GET * /a"),
        ("conditional", "* * /a header:x"),
        ("low", "* * /b header:x !1"),
        ("high", "* * /b header:y !2"),
    ]);
    for (request, expected) in [
        ("GET - /a x=1", "get"),
        ("POST - /a x=1", "conditional"),
        ("GET - /b x=1", "low"),
        ("GET - /b x=1 y=1", "high"),
    ] {
        assert_eq!(outcome(&routes, request), expected, "{request}");
    }
}

#[test]
fn to_a_request_that_does_not_meet_its_conditions_a_route_does_not_exist() {
    let routes =
        table(&[("put", "PUT * /a header:x"), ("purge", "PURGE * /a query:q"), ("below", "GET * /b/* header:x")]);
    for (request, expected) in [
        ("GET - /a", "404"),
        ("GET - /a x=1", "405 PUT"),
        ("GET - /a x=1 ?q", "405 PURGE, PUT"),
        ("PURGE - /a ?q", "purge"),
        ("PURGE - /a", "404"),
        ("GET - /b/c", "404"),
        ("POST - /b/c", "404"),
        ("POST - /b/c x=1", "405 GET"),
    ] {
        assert_eq!(outcome(&routes, request), expected, "{request}");
    }
}

#[test]
fn a_less_specific_path_serves_what_a_conditional_route_does_not() {
    let routes = table(&[("canary", "* * /users/* header:x-canary"), ("rest", "* * /*")]);
    assert_eq!(outcome(&routes, "GET - /users/7 x-canary="), "canary");
    assert_eq!(outcome(&routes, "GET - /users/7"), "rest");
}

#[test]
fn routes_that_may_both_match_and_are_equally_specific_are_a_conflict() {
    for (one, other) in [
        ("* * /a header:x=1", "* * /a header:y=1"),
        ("* * /a header:x", "* * /a header:x~[0-9]+"),
        ("GET,PUT * /a query:q", "PUT * /a query:q"),
        ("* * /a !3", "* * /a !3"),
    ] {
        let conflicts = try_table(&[("one", one), ("other", other)]).unwrap_err();
        assert_eq!((conflicts[0].a.as_str(), conflicts[0].b.as_str()), ("one", "other"), "{one} and {other}");
    }
    for (one, other) in [
        ("* * /a header:x=1", "* * /a header:x=2"),
        ("* * /a header:x=a", "* * /a header:x~[0-9]+"),
        ("* * /a header:x=1", "* * /a query:x=1"),
        ("* * /a header:x=1", "* * /a header:y=1 !1"),
        ("* * /a", "* * /a !1"),
    ] {
        assert!(try_table(&[("one", one), ("other", other)]).is_ok(), "{one} and {other}");
    }
}

#[test]
fn a_route_whose_requests_another_one_at_its_path_takes_first_is_shadowed() {
    for (front, behind) in [
        ("* * /a header:x !2", "* * /a header:x=1 !1"),
        ("* * /a header:x~[0-9]+ !2", "* * /a header:x=1 !1"),
        ("* * /a !1", "* * /a"),
        ("GET,PUT * /a !1", "PUT * /a"),
        ("* * /a/* header:x !1", "* * /a/* header:x=1"),
    ] {
        let routes = table(&[("front", front), ("behind", behind)]);
        let shadowed = TableWarning::Shadowed { route: name("behind"), by: vec![name("front")] };
        assert_eq!(routes.warnings(), [shadowed], "{front} before {behind}");
    }
    assert_eq!(table(&[("front", "* * /a header:x=1 !2"), ("behind", "* * /a header:x !1")]).warnings(), []);
}

#[test]
fn a_prefix_is_not_covered_by_routes_that_want_more_of_a_request() {
    let covering = ["* * /a header:x", "* * /a/ header:x", "* * /a/{id}/* header:x"];
    let below = |rest: &'static str| [("a", covering[0]), ("b", covering[1]), ("c", covering[2]), ("rest", rest)];
    assert_eq!(table(&below("* * /a/*")).warnings(), []);
    let by = ["a", "b", "c"].map(name).into();
    assert_eq!(table(&below("* * /a/* header:x=1")).warnings(), [TableWarning::Shadowed { route: name("rest"), by }]);
}

#[test]
fn one_path_has_a_bounded_number_of_routes_with_conditions() {
    let mut builder = RouteTableBuilder::new();
    let mut insert = |number: usize, text: &str| {
        let index = builder.insert(name(&format!("r{number}")), &matcher(text), EncodedSlashes::Reject, ())?;
        Ok::<usize, TableFull>(index.get())
    };
    for number in 0..MAX_RANKED {
        assert_eq!(insert(number, &format!("* * /a/{{id}} header:x={number}")), Ok(number));
    }
    assert_eq!(insert(MAX_RANKED, "* * /a/{key} query:q"), Err(TableFull::Ranked));
    assert_eq!(insert(MAX_RANKED, "* * /a/{key} !1"), Err(TableFull::Ranked));
    assert_eq!(insert(MAX_RANKED, "* * /a/{id}"), Ok(MAX_RANKED));
    assert_eq!(insert(MAX_RANKED + 1, "* * /a/{id}/ header:x=1"), Ok(MAX_RANKED + 1));
    assert!(builder.build().is_ok());
}
