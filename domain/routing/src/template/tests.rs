//! What templates put together, and which texts are none.

use proptest::prelude::*;

use super::*;
use crate::{Condition, ConditionOn, PathPattern, ValueTest};

/// What `of` takes: a pattern, and behind a blank the expression, if any.
pub(super) fn matcher(of: &str) -> RouteMatch {
    let (pattern, expression) = of.split_once(' ').map_or((of, None), |(pattern, text)| (pattern, Some(text)));
    let matches = |text| ValueTest::Matches(Expression::parse(text).unwrap());
    let conditions = expression.map(|text| Condition { on: ConditionOn::Path, test: matches(text) });
    RouteMatch { conditions: conditions.into_iter().collect(), ..RouteMatch::on(PathPattern::parse(pattern).unwrap()) }
}

fn write(template: &PathTemplate, path: &str) -> Result<String, Unwritable> {
    let mut out = String::new();
    template.write(path, &mut |text| out.push_str(text)).map(|()| out)
}

fn put_together(template: &str, of: &str, path: &str) -> Result<String, Unwritable> {
    let matcher = matcher(of);
    assert!(matcher.path.matches(path), "{of} does not match {path}");
    assert!(matcher.conditions.iter().all(|condition| condition.holds(path, &())), "{of} does not match {path}");
    write(&PathTemplate::parse(template, &matcher).unwrap(), path)
}

#[test]
fn parameters_and_the_rest_of_a_prefix_are_put_in_their_places() {
    for (template, of, path, expected) in [
        ("/v2/users/{id}", "/users/{id}", "/users/7", "/v2/users/7"),
        ("/{b}/{a}/{b}", "/{a}/x/{b}", "/1/x/2", "/2/1/2"),
        ("/u-{id}.json", "/users/{id}", "/users/7", "/u-7.json"),
        ("/v2/*", "/v1/*", "/v1/a/b/", "/v2/a/b/"),
        ("/v2/*", "/v1/*", "/v1", "/v2"),
        ("/v2/*", "/v1/*", "/v1/", "/v2/"),
        ("/*", "/v1/*", "/v1", "/"),
        ("/*", "/v1/{x}/*", "/v1/2/3", "/3"),
        ("/{x}/*", "/v1/{x}/*", "/v1/2/3", "/2/3"),
        ("/fixed/", "/v1/*", "/v1/2/3", "/fixed/"),
        ("/", "/a", "/a", "/"),
        ("/a%20b/{id}", "/{id}", "/x%2Fy", "/a%20b/x%2Fy"),
    ] {
        assert_eq!(put_together(template, of, path).as_deref(), Ok(expected), "{template} for {path}");
    }
}

#[test]
fn what_named_groups_have_captured_is_put_in_its_place() {
    for (template, of, path, expected) in [
        ("/{name}/{year}", "/* /(?P<year>[0-9]{4})/(?<name>[a-z]+)", "/2024/report", "/report/2024"),
        ("/v{major}/*", "/api/* /api/v(?<major>[0-9]+)-.*", "/api/v2-x/y", "/v2/v2-x/y"),
        ("/{id}/{kind}", "/items/{id} /items/(?<kind>[a-z]+)-[0-9]+", "/items/abc-7", "/abc-7/abc"),
        ("/files/{rest}", "/* /d(?<rest>/.*)", "/d/a/b/", "/files/a/b/"),
        ("/{rest}", "/* /d(?<rest>/.*)", "/d/a", "/a"),
        ("/{rest}/x", "/* /d(?<rest>/.*)", "/d/", "/x"),
        // A group that took no part, one that did and is empty.
        ("/a/{b}/c", "/* /x(?<b>/y)?", "/x", "/a/c"),
        ("/a/{b}", "/* /x(?<b>/y)?", "/x", "/a/"),
        ("/a-{b}-{c}", "/* /x(?<b>y*)(?<c>z)?", "/xyy", "/a-yy-"),
        ("/{b}", "/* /x(?<b>y*)", "/x", "/"),
        // Groups without names change nothing.
        ("/{b}", "/* /(x|y)(z)?(?<b>.+)", "/xz7", "/7"),
        ("/{b}", "/* /(?<b>a%20b|c)", "/a%20b", "/a%20b"),
        ("/{b}.{b}", "/* /(?<b>[a-z]*)", "/x", "/x.x"),
    ] {
        assert_eq!(put_together(template, of, path).as_deref(), Ok(expected), "{template} for {path}");
    }
}

#[test]
fn what_groups_have_captured_never_leads_out_of_the_template_or_makes_other_escapes() {
    for (template, of, path) in [
        ("/in/{b}/x", "/* /(?:a)(?<b>..)(?:b)", "/a..b"),
        ("/in/{b}", "/* /(?:a)(?<b>.)b", "/a.b"),
        ("/in/{b}{b}/x", "/* /a(?<b>.)b", "/a.b"),
        ("/in/{b}", "/* /(?<b>.*)-x", "/a/..-x"),
        // Half an escape, in front, behind, and one that the literals would complete.
        ("/{b}", "/* /%(?<b>.*)", "/%2F"),
        ("/{b}", "/* /%2(?<b>.*)", "/%2F"),
        ("/{b}5C", "/* /(?<b>%).*", "/%20"),
        ("/{b}E/x", "/* /(?<b>%2).*", "/%20"),
        ("/{b}F/x", "/* /(?<b>a%2).*", "/a%20"),
    ] {
        assert_eq!(put_together(template, of, path), Err(Unwritable), "{template} for {path}");
    }
}

#[test]
fn a_template_has_only_names_that_one_of_pattern_and_expression_has() {
    use TemplateError as E;
    for (text, of, fault) in [
        ("/{name}", "/{id} /(?<nam>.*)", E::UnknownName { at: 2 }),
        ("/a/{id}", "/{id} /(?<id>.*)", E::AmbiguousName { at: 4 }),
        ("/{1}", "/* /(.*)", E::UnknownName { at: 2 }),
        ("/{}", "/* /(.*)", E::UnknownName { at: 2 }),
        ("/{a", "/* /(?<a>.*)", E::StrayBrace { at: 1 }),
        ("/{a}/../b", "/* /(?<a>.*)", E::NotNormal { at: 5 }),
    ] {
        assert_eq!(PathTemplate::parse(text, &matcher(of)).unwrap_err(), fault, "{text} of {of}");
    }
    // Names that no template uses are nobody's concern.
    assert!(PathTemplate::parse("/{other}", &matcher("/{id}/{other} /(?<id>.*)")).is_ok());
}

#[test]
fn texts_that_are_no_templates_are_refused_with_the_place() {
    use TemplateError as E;
    let long = format!("/{}", "a".repeat(MAX_PATTERN_BYTES));
    for (text, fault) in [
        ("", E::NotAbsolute),
        ("v2", E::NotAbsolute),
        (long.as_str(), E::NotAbsolute),
        ("//a", E::NotNormal { at: 1 }),
        ("/a/../b", E::NotNormal { at: 3 }),
        ("/a b", E::NotNormal { at: 2 }),
        ("/a?b", E::NotNormal { at: 2 }),
        ("/%61", E::NotNormal { at: 1 }),
        ("/%00", E::NotNormal { at: 1 }),
        ("/{id", E::StrayBrace { at: 1 }),
        ("/id}", E::StrayBrace { at: 3 }),
        ("/a/x{name}", E::UnknownName { at: 5 }),
        ("/*", E::StrayStar { at: 1 }),
        ("/a*", E::StrayStar { at: 2 }),
    ] {
        assert_eq!(PathTemplate::parse(text, &matcher("/users/{id}")).unwrap_err(), fault, "{text}");
    }
    assert_eq!(PathTemplate::parse("/*/a", &matcher("/users/*")).unwrap_err(), E::StrayStar { at: 1 });
}

/// Pieces of expressions that cut a path anywhere.
const PIECES: [&str; 9] = ["", ".", "..", "[.]+", "[^/]*", ".*", "/?", "[^%]*%", "%.?"];

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(from)
}

proptest! {
    #[test]
    fn what_is_put_together_is_in_normal_form(
        template in "(/([a-z.]{0,2}(\\{x\\}|\\{y\\})?[a-z.]{0,2})){1,4}(/\\*)?",
        path in "/[!-~]{1,8}/[!-~]{1,8}(/[!-~]{0,8}){0,2}",
    ) {
        let matcher = matcher("/{x}/{y}/*");
        let (Ok(template), Ok(path)) = (PathTemplate::parse(&template, &matcher), normalise(&path)) else { return Ok(()) };
        prop_assume!(matcher.path.matches(path.as_str()));
        let out = write(&template, path.as_str()).unwrap();
        let again = normalise(&out).unwrap();
        prop_assert_eq!(again.as_str(), out.as_str());
    }

    #[test]
    fn whatever_groups_capture_the_path_is_in_normal_form_or_refused(
        template in "(/([%2a-c.]{0,2}(\\{x\\}|\\{y\\})?[a-f0-9.]{0,2})){1,4}(/\\*)?",
        (x, between, y) in (pick(&PIECES), pick(&PIECES), pick(&PIECES)),
        path in "(/([ab.]|%2F|%20|%25|%2E|%5B){0,5}){1,3}",
    ) {
        let expression = format!("/(?<x>{x}){between}(?<y>{y}).*");
        let (Ok(path), Ok(parsed)) = (normalise(&path), Expression::parse(&expression)) else { return Ok(()) };
        let conditions = vec![Condition { on: ConditionOn::Path, test: ValueTest::Matches(parsed) }];
        let matcher = RouteMatch { conditions, ..matcher("/*") };
        prop_assume!(matcher.conditions.iter().all(|condition| condition.holds(path.as_str(), &())));
        let Ok(template) = PathTemplate::parse(&template, &matcher) else { return Ok(()) };
        let Ok(out) = write(&template, path.as_str()) else { return Ok(()) };
        let again = normalise(&out).unwrap();
        prop_assert_eq!(again.as_str(), out.as_str());
        prop_assert!(path.has_encoded_slash() || !again.has_encoded_slash() || template.as_str().contains("%2F"));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}") {
        let _ = PathTemplate::parse(&text, &matcher("/{x}/*"));
    }
}
