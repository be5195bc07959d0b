//! The order of matches by example.

use super::*;

fn check(lines: &[(&str, &str)], requests: &[(&str, &str)]) {
    let forwards = table(lines);
    let reversed: Vec<_> = lines.iter().rev().copied().collect();
    let backwards = table(&reversed);
    for (request, expected) in requests {
        assert_eq!(outcome(&forwards, request), *expected, "{request}");
        assert_eq!(outcome(&backwards, request), *expected, "{request}, routes reversed");
    }
}

#[test]
fn a_literal_goes_before_a_parameter_and_a_parameter_before_a_prefix() {
    check(
        &[
            ("me", "* * /users/me"),
            ("one", "* * /users/{id}"),
            ("orders", "* * /users/{id}/orders"),
            ("below", "* * /users/*"),
            ("all", "* * /*"),
        ],
        &[
            ("GET - /users/me", "me"),
            ("GET - /users/7", "one"),
            ("GET - /users/7/orders", "orders"),
            ("GET - /users/me/orders", "orders"),
            ("GET - /users/7/", "below"),
            ("GET - /users/7/other", "below"),
            ("GET - /users", "below"),
            ("GET - /users/", "below"),
            ("GET - /usersx", "all"),
            ("GET - /Users/me", "all"),
            ("GET - /", "all"),
        ],
    );
}

#[test]
fn the_leftmost_difference_decides() {
    check(
        &[("left", "* * /a/*"), ("right", "* * /{x}/b/c"), ("mixed", "* * /{x}/b/{y}")],
        &[("GET - /a/b/c", "left"), ("GET - /z/b/c", "right"), ("GET - /z/b/z", "mixed"), ("GET - /z/z/z", "404")],
    );
}

#[test]
fn a_dead_end_falls_back_to_a_less_specific_pattern() {
    check(
        &[("deep", "* * /a/{x}/c/d"), ("literal", "* * /a/b/c"), ("other", "* * /{x}/b/e"), ("rest", "* * /a/{x}/*")],
        &[
            ("GET - /a/b/c", "literal"),
            ("GET - /a/b/c/d", "deep"),
            ("GET - /a/b/e", "rest"),
            ("GET - /z/b/e", "other"),
            ("GET - /a/b/c/e", "rest"),
        ],
    );
}

#[test]
fn the_trailing_slash_counts_except_under_a_prefix() {
    check(
        &[
            ("plain", "* * /a"),
            ("slash", "* * /a/"),
            ("below", "* * /b/*"),
            ("root", "* * /"),
            ("param", "* * /c/{x}/"),
        ],
        &[
            ("GET - /a", "plain"),
            ("GET - /a/", "slash"),
            ("GET - /a//", "slash"),
            ("GET - /b", "below"),
            ("GET - /b/", "below"),
            ("GET - /", "root"),
            ("GET - /c/d", "404"),
            ("GET - /c/d/", "param"),
            ("GET - /c//", "404"),
        ],
    );
}

#[test]
fn a_prefix_ends_at_a_segment() {
    check(
        &[("user", "* * /user/*")],
        &[("GET - /user", "user"), ("GET - /user/1", "user"), ("GET - /users", "404"), ("GET - /use", "404")],
    );
}

#[test]
fn an_exact_host_goes_before_wildcards_and_those_before_any_host() {
    check(
        &[
            ("exact", "* api.example.com /*"),
            ("long", "* *.eu.example.com /*"),
            ("short", "* *.example.com /*"),
            ("any", "* * /a/b/c"),
        ],
        &[
            ("GET api.example.com /a/b/c", "exact"),
            ("GET x.eu.example.com /a/b/c", "long"),
            ("GET x.y.eu.example.com /", "long"),
            ("GET eu.example.com /", "short"),
            ("GET x.example.com /", "short"),
            ("GET example.com /", "404"),
            ("GET example.com /a/b/c", "any"),
            ("GET - /a/b/c", "any"),
            ("GET other.org /a/b/c", "any"),
            ("GET API.Example.COM. /", "exact"),
            ("GET .example.com /", "404"),
            ("GET xexample.com /", "404"),
        ],
    );
}

#[test]
fn a_host_without_the_path_falls_back_to_a_less_specific_host() {
    check(
        &[("exact", "* a.b.com /x"), ("wild", "* *.b.com /y"), ("wider", "* *.com /y/z"), ("any", "* * /z")],
        &[
            ("GET a.b.com /x", "exact"),
            ("GET a.b.com /y", "wild"),
            ("GET a.b.com /y/z", "wider"),
            ("GET a.b.com /z", "any"),
            ("GET c.b.com /x", "404"),
        ],
    );
}

#[test]
fn addresses_are_hosts() {
    check(
        &[("four", "* 10.0.0.1 /"), ("six", "* [2001:db8::1] /")],
        &[
            ("GET 10.0.0.1 /", "four"),
            ("GET [2001:db8::1] /", "six"),
            ("GET 2001:DB8:0:0::1 /", "six"),
            ("GET [2001:db8::2] /", "404"),
            ("GET [::not /", "404"),
        ],
    );
}

#[test]
fn a_host_longer_than_any_name_matches_only_routes_without_host() {
    let routes = table(&[("wild", "* *.example.com /"), ("any", "* * /a")]);
    let long = format!("{}.EXAMPLE.com", "x.".repeat(300));
    assert_eq!(outcome(&routes, &format!("GET {long} /a")), "any");
    assert_eq!(outcome(&routes, &format!("GET {long} /")), "404");
}

#[test]
fn a_route_with_several_hosts_serves_each_of_them() {
    check(
        &[("both", "* a.com,*.b.com,a.com /x")],
        &[("GET a.com /x", "both"), ("GET z.b.com /x", "both"), ("GET c.com /x", "404")],
    );
}

#[test]
fn a_listed_method_goes_before_any_method() {
    check(
        &[("get", "GET * /a"), ("write", "POST,PURGE * /a"), ("any", "* * /a")],
        &[
            ("GET - /a", "get"),
            ("POST - /a", "write"),
            ("PURGE - /a", "write"),
            ("DELETE - /a", "any"),
            ("HEAD - /a", "any"),
            ("MKCOL - /a", "any"),
        ],
    );
}

#[test]
fn a_less_specific_route_serves_the_methods_of_which_the_more_specific_has_none() {
    check(
        &[("get", "GET a.com /x/y"), ("post", "POST a.com /x/*"), ("put", "PUT * /x/y"), ("rest", "DELETE * /{x}/y")],
        &[
            ("GET a.com /x/y", "get"),
            ("POST a.com /x/y", "post"),
            ("PUT a.com /x/y", "put"),
            ("DELETE a.com /x/y", "rest"),
            ("PATCH a.com /x/y", "405 DELETE, GET, POST, PUT"),
            ("PATCH b.com /x/y", "405 DELETE, PUT"),
            ("GET b.com /x/y", "405 DELETE, PUT"),
            ("GET b.com /nowhere", "404"),
        ],
    );
}

#[test]
fn get_does_not_imply_head_and_extension_methods_are_listed() {
    check(
        &[("get", "GET,QUERY * /a")],
        &[("HEAD - /a", "405 GET, QUERY"), ("QUERY - /a", "get"), ("MKCOL - /a", "405 GET, QUERY")],
    );
}

#[test]
fn routes_of_equal_specificity_conflict_by_name() {
    let conflicts = |lines: &[(&str, &str)]| -> Vec<String> {
        try_table(lines).map_or_else(|found| found.iter().map(ToString::to_string).collect(), |_| Vec::new())
    };
    let same = [("b", "GET,POST a.com,b.com /x/{id}"), ("a", "PUT,POST b.com /x/{other}")];
    assert_eq!(conflicts(&same), ["routes a and b match the same requests: POST b.com/x/{other}"]);
    assert_eq!(conflicts(&[("x", "* * /*"), ("y", "* * /*")]), ["routes x and y match the same requests: any */*"]);
    for fine in [
        [("a", "GET * /x"), ("b", "POST * /x")],
        [("a", "GET * /x"), ("b", "* * /x")],
        [("a", "GET a.com /x"), ("b", "GET * /x")],
        [("a", "GET *.a.com /x"), ("b", "GET a.com /x")],
        [("a", "GET * /x"), ("b", "GET * /x/")],
        [("a", "GET * /{x}"), ("b", "GET * /*")],
        [("a", "GET,GET a.com,a.com /x"), ("b", "* a.com,a.com /x")],
    ] {
        assert_eq!(conflicts(&fine), Vec::<String>::new());
    }
}

#[test]
fn many_conflicts_are_cut_to_the_first_by_name_whatever_the_order() {
    let names: Vec<String> = (0..200).map(|number| format!("r{number:03}")).collect();
    let mut lines: Vec<(&str, &str)> = names.iter().map(|route| (route.as_str(), "GET b.com,a.com /x")).collect();
    let forwards = try_table(&lines).unwrap_err();
    lines.reverse();
    let backwards = try_table(&lines).unwrap_err();
    assert_eq!(forwards.len(), MAX_CONFLICTS);
    assert_eq!(forwards, backwards);
    let first = &forwards[0];
    assert_eq!((first.a.as_str(), first.b.as_str()), ("r000", "r001"));
    assert_eq!(first.host, Some(HostPattern::parse("a.com").unwrap()));
}

#[test]
fn a_route_that_others_cover_is_reported() {
    let shadows = |lines: &[(&str, &str)]| table(lines).warnings().to_vec();
    let by = |names: &[&str]| names.iter().copied().map(name).collect::<Vec<_>>();
    let covered = [("end", "* * /a"), ("slash", "* * /a/"), ("below", "* * /a/{x}/*"), ("all", "GET * /a/*")];
    let expected = TableWarning::Shadowed { route: name("all"), by: by(&["below", "end", "slash"]) };
    assert_eq!(shadows(&covered), [expected]);

    let root = [("slash", "GET,PUT * /"), ("below", "* * /{x}/*"), ("all", "GET * /*")];
    assert_eq!(shadows(&root), [TableWarning::Shadowed { route: name("all"), by: by(&["below", "slash"]) }]);

    for reachable in [
        [("slash", "GET * /"), ("below", "* * /{x}/*"), ("all", "* * /*")],
        [("slash", "* a.com /"), ("below", "* * /{x}/*"), ("all", "* * /*")],
        [("slash", "* * /"), ("below", "* * /{x}/*"), ("all", "* *.a.com /*")],
        [("slash", "* * /"), ("below", "* * /{x}"), ("all", "* * /*")],
    ] {
        assert_eq!(shadows(&reachable), []);
    }
}

#[test]
fn what_is_found_tells_pattern_parameters_and_path() {
    let routes = table(&[("order", "* * /users/{user}/orders/{order}/*"), ("api", "* * /api/*"), ("plain", "* * /x")]);
    let path = normalise("/users/7//orders/%41b/c/d").unwrap();
    let Lookup::Found(found) = routes.find(None, &Method::GET, &path, &()) else { panic!("not found") };
    assert_eq!(found.index(), RouteIndex(0));
    assert_eq!(found.name().as_str(), "order");
    assert_eq!(found.pattern().as_str(), "/users/{user}/orders/{order}/*");
    assert_eq!(found.parameters().collect::<Vec<_>>(), [("user", "7"), ("order", "Ab")]);
    assert_eq!(found.path(), "/users/7/orders/Ab/c/d");
    assert_eq!(routes.get(found.index()), Some(found.value()));
    assert_eq!(routes.iter().map(|(index, name, _)| (index.get(), name.as_str())).nth(1), Some((1, "api")));
    assert_eq!((routes.len(), routes.is_empty()), (3, false));
}

#[test]
fn the_path_of_a_match_is_borrowed_from_the_request() {
    let routes = table(&[("all", "* * /* keep")]);
    for raw in ["/a/b", "/a%2Fb", "//a"] {
        let path = normalise(raw).unwrap();
        let Lookup::Found(found) = routes.find(Some("a.com"), &Method::GET, &path, &()) else {
            panic!("{raw} not found")
        };
        assert!(matches!(found.path, Cow::Borrowed(_)), "{raw}");
        assert!(std::ptr::eq(found.path(), path.as_str()));
    }
}

#[test]
fn stripping_removes_the_literal_prefix_and_leaves_a_path() {
    let routes = table(&[("api", "* * /api/v1/*"), ("user", "* * /u/{id}/*"), ("all", "* * /*"), ("exact", "* * /x")]);
    for (raw, kept, stripped) in [
        ("/api/v1", "/api/v1", "/"),
        ("/api/v1/", "/api/v1/", "/"),
        ("/api/v1/a//b/", "/api/v1/a/b/", "/a/b/"),
        ("/u/7/x", "/u/7/x", "/7/x"),
        ("/other", "/other", "/other"),
        ("/x", "/x", "/x"),
        ("/", "/", "/"),
    ] {
        let path = normalise(raw).unwrap();
        let Lookup::Found(found) = routes.find(None, &Method::GET, &path, &()) else { panic!("{raw} not found") };
        assert_eq!((found.path(), found.stripped_path()), (kept, stripped));
    }
}

#[test]
fn a_table_without_routes_finds_nothing() {
    let empty = RouteTable::<String>::default();
    assert_eq!(outcome(&empty, "GET a.com /"), "404");
    assert_eq!(outcome(&empty, "GET - /a%2Fb"), "404");
    assert_eq!(outcome(&table(&[]), "GET a.com /"), "404");
    assert!(empty.is_empty());
}
