//! Encoded slashes.

use proptest::prelude::*;

use super::*;

#[test]
fn each_setting_means_what_it_says() {
    let routes = table(&[("reject", "* * /r/*"), ("decode", "* * /d/* decode"), ("keep", "* * /k/{id} keep")]);
    let forwarded = |raw: &str| {
        let path = normalise(raw).unwrap();
        match routes.find(None, &Method::GET, &path, &()) {
            Lookup::Found(found) => found.path().to_owned(),
            Lookup::EncodedSlash => "400".to_owned(),
            Lookup::NotFound | Lookup::MethodNotAllowed(_) => "404".to_owned(),
        }
    };
    for (raw, expected) in [
        ("/r/a%2Fb", "400"),
        ("/r/a%2fb", "400"),
        ("/d/a%2Fb", "/d/a/b"),
        ("/d/a%2f%2Fb", "/d/a/b"),
        ("/d%2Fa", "/d/a"),
        ("/d/a%2F..%2Fb", "/d/b"),
        ("/d/..%2F..%2Fb", "400"),
        ("/d/..%2Fr/a", "400"),
        ("/d/..%2Fk/a", "404"),
        ("/k/a%2fb", "/k/a%2Fb"),
        ("/k/a%2F..", "/k/a%2F.."),
        ("/k/a/b", "404"),
        ("/x/a%2Fb", "404"),
        ("/r/a%252Fb", "/r/a%252Fb"),
    ] {
        assert_eq!(forwarded(raw), expected, "{raw}");
    }
}

#[test]
fn an_encoded_slash_does_not_lead_around_a_more_specific_route() {
    let routes = table(&[
        ("files", "* * /files/* decode"),
        ("secret", "* * /files/{id}/secret"),
        ("keeps", "* * /store/* keep"),
        ("inner", "* * /store/inner/* decode"),
    ]);
    assert_eq!(outcome(&routes, "GET - /files/1%2Fopen"), "files");
    assert_eq!(outcome(&routes, "GET - /files/1%2Fsecret"), "400");
    assert_eq!(outcome(&routes, "GET - /files/1/secret"), "secret");
    assert_eq!(outcome(&routes, "GET - /store/a%2Fb"), "keeps");
    assert_eq!(outcome(&routes, "GET - /store/inner/a%2Fb"), "inner");
}

#[test]
fn a_rejecting_route_does_not_hide_one_that_decodes() {
    let routes = table(&[("all", "* * /*"), ("pair", "* * /files/{a}/{b} decode")]);
    assert_eq!(outcome(&routes, "GET - /files/x%2Fy"), "pair");
    assert_eq!(outcome(&routes, "GET - /other/x%2Fy"), "400");
}

#[test]
fn methods_are_reported_for_the_reading_that_matches() {
    let routes = table(&[("kept", "GET * /k/{id} keep"), ("decoded", "PUT * /d/{a}/{b} decode")]);
    assert_eq!(outcome(&routes, "POST - /k/a%2Fb"), "405 GET");
    assert_eq!(outcome(&routes, "POST - /d/a%2Fb"), "405 PUT");
    assert_eq!(outcome(&routes, "PUT - /d/a%2Fb"), "decoded");
}

#[test]
fn a_pattern_may_name_an_encoded_slash_that_its_route_keeps() {
    let routes = table(&[("npm", "* * /@scope%2Fname keep"), ("lost", "* * /a%2Fb")]);
    assert_eq!(outcome(&routes, "GET - /@scope%2fname"), "npm");
    assert_eq!(outcome(&routes, "GET - /a%2Fb"), "400");
    assert_eq!(routes.warnings(), [TableWarning::EncodedSlashNotKept { route: name("lost") }]);
}

fn any_table() -> impl Strategy<Value = RouteTable<String>> {
    let path = prop::sample::select(vec![
        "/*",
        "/a/*",
        "/a/{x}",
        "/a/b",
        "/a/b/*",
        "/{x}/b",
        "/{x}/{y}",
        "/a/{x}/b",
        "/{x}/*",
        "/a%2Fb",
        "/{x}/a%2Fb",
    ]);
    let slashes = prop::sample::select(vec![EncodedSlashes::Reject, EncodedSlashes::Decode, EncodedSlashes::Keep]);
    prop::collection::btree_map(path, slashes, 1..8).prop_map(|routes| {
        let mut builder = RouteTableBuilder::new();
        for (number, (path, slashes)) in routes.into_iter().enumerate() {
            let route = name(&format!("r{number}"));
            builder.insert(route, &matcher(&format!("* * {path}")), slashes, path.to_owned()).unwrap();
        }
        builder.build().unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn what_is_forwarded_goes_where_it_would_go_by_itself(
        routes in any_table(),
        raw in "(/|%2F|%2f)((a|b|c|\\.\\.)(/|%2F|%2f)?){0,5}",
    ) {
        let raw = format!("/a{raw}");
        let Ok(path) = normalise(&raw) else { return Ok(()) };
        let Lookup::Found(found) = routes.find(None, &Method::GET, &path, &()) else { return Ok(()) };
        let forwarded = normalise(found.path()).unwrap();
        prop_assert!(forwarded.is_borrowed());
        prop_assert!(found.pattern().matches(found.path()));
        let Lookup::Found(again) = routes.find(None, &Method::GET, &forwarded, &()) else {
            return Err(TestCaseError::fail("the forwarded path finds nothing"));
        };
        prop_assert_eq!(again.index(), found.index());
        prop_assert_eq!(again.path(), found.path());
        let keeps = routes.entries[found.index().get()].encoded_slashes == EncodedSlashes::Keep;
        prop_assert!(keeps || !found.path().contains("%2F"));
    }
}
