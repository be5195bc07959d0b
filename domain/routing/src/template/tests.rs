//! What templates put together, and which texts are none.

use proptest::prelude::*;

use super::*;
use crate::normalise;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

fn put_together(template: &str, of: &str, path: &str) -> String {
    let (pattern, mut out) = (pattern(of), String::new());
    assert!(pattern.matches(path), "{of} does not match {path}");
    PathTemplate::parse(template, &pattern).unwrap().write(path, &mut |text| out.push_str(text));
    out
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
        assert_eq!(put_together(template, of, path), expected, "{template} for {path}");
    }
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
        ("/a/x{name}", E::UnknownParameter { at: 5 }),
        ("/*", E::StrayStar { at: 1 }),
        ("/a*", E::StrayStar { at: 2 }),
    ] {
        assert_eq!(PathTemplate::parse(text, &pattern("/users/{id}")).unwrap_err(), fault, "{text}");
    }
    assert_eq!(PathTemplate::parse("/*/a", &pattern("/users/*")).unwrap_err(), E::StrayStar { at: 1 });
}

proptest! {
    #[test]
    fn what_is_put_together_is_in_normal_form(
        template in "(/([a-z.]{0,2}(\\{x\\}|\\{y\\})?[a-z.]{0,2})){1,4}(/\\*)?",
        path in "/[!-~]{1,8}/[!-~]{1,8}(/[!-~]{0,8}){0,2}",
    ) {
        let pattern = pattern("/{x}/{y}/*");
        let (Ok(template), Ok(path)) = (PathTemplate::parse(&template, &pattern), normalise(&path)) else { return Ok(()) };
        prop_assume!(pattern.matches(path.as_str()));
        let mut out = String::new();
        template.write(path.as_str(), &mut |text| out.push_str(text));
        let again = normalise(&out).unwrap();
        prop_assert_eq!(again.as_str(), out.as_str());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}") {
        let _ = PathTemplate::parse(&text, &pattern("/{x}/*"));
    }
}
