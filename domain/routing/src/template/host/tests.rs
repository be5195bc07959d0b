//! What host templates put together, and which texts are none.

use proptest::prelude::*;

use super::super::tests::matcher;
use super::*;
use crate::{HostPattern, without_port};

fn put_together(template: &str, of: &str, path: &str) -> Result<String, Unwritable> {
    HostTemplate::parse(template, &matcher(of)).unwrap().write(path)
}

#[test]
fn parameters_and_groups_are_put_in_their_places() {
    for (template, of, path, expected) in [
        ("{shop}.internal", "/{shop}/*", "/blue/x", "blue.internal"),
        ("{shop}.internal:8080", "/* /(?<shop>[a-z]+)/.*", "/blue/x", "blue.internal:8080"),
        ("{shop}.Internal:80", "/{shop}/*", "/BLUE/x", "blue.internal"),
        ("{a}-{b}.x", "/{a}/* /[^/]*/(?<b>[^/]*)", "/1/2", "1-2.x"),
        ("x{b}", "/* /x(?<b>[.]y)?", "/x", "x"),
        ("x{b}", "/* /x(?<b>[.]y)?", "/x.y", "x.y"),
        ("{host}", "/* /(?<host>[^/]+)/.*", "/10.0.0.1/x", "10.0.0.1"),
    ] {
        assert_eq!(put_together(template, of, path).as_deref(), Ok(expected), "{template} for {path}");
    }
}

#[test]
fn what_would_make_no_host_is_refused() {
    let long = format!("/{}", "a".repeat(64));
    for (template, path) in [
        ("{a}.internal", "/a%20b"),
        ("{a}.internal", "/a:80"),
        ("{a}.internal", "/user@b"),
        ("{a}.internal", "/-a"),
        ("{a}.internal", "/a..b"),
        ("{a}.internal", "/.a"),
        ("{a}.internal", long.as_str()),
        ("{a}", "/1.2"),
        ("{a}", "/[::1]"),
        ("{a}", "/*"),
    ] {
        assert_eq!(put_together(template, "/{a}", path), Err(Unwritable), "{template} for {path}");
    }
    assert_eq!(put_together("{a}", "/* /x(?<a>y)?", "/x"), Err(Unwritable));
    assert_eq!(put_together("{a}.b", "/* /%(?<a>2)0", "/%20"), Err(Unwritable), "half an escape");
}

#[test]
fn texts_that_are_no_templates_are_refused() {
    use TemplateError as E;
    for (text, fault) in [
        ("{b}.internal", E::UnknownName { at: 1 }),
        ("x.{b}", E::UnknownName { at: 3 }),
        ("{id}.internal", E::AmbiguousName { at: 1 }),
        ("{a", E::StrayBrace { at: 0 }),
        ("{a}.b}", E::StrayBrace { at: 5 }),
        ("{a}..b", E::NotHost),
        ("-{a}", E::NotHost),
        ("{a}.1", E::NotHost),
        ("{a}:0", E::NotHost),
        ("{a}:{a}", E::NotHost),
        ("{a}/b", E::NotHost),
        ("user@{a}", E::NotHost),
        ("[{a}]", E::NotHost),
        ("{a}.b c", E::NotHost),
    ] {
        assert_eq!(HostTemplate::parse(text, &matcher("/{id}/* /(?<id>x)/(?<a>.*)")).unwrap_err(), fault, "{text}");
    }
    assert!(
        HostTemplate::is_template("{a}") && HostTemplate::is_template("a}") && !HostTemplate::is_template("a.b:80")
    );
}

proptest! {
    #[test]
    fn what_is_put_together_is_a_host(
        template in "[a-z.-]{0,3}\\{a\\}[a-z.-]{0,3}(\\{b\\})?[a-z.-]{0,3}(:80|:81)?",
        path in "/[!-.0-~]{1,12}",
    ) {
        let matcher = matcher("/{a} /.(?<b>.*)");
        let Ok(template) = HostTemplate::parse(&template, &matcher) else { return Ok(()) };
        prop_assert_eq!(&HostTemplate::parse(template.as_str(), &matcher).unwrap(), &template);
        let Ok(host) = template.write(&path) else { return Ok(()) };
        prop_assert!(HostPattern::parse(without_port(&host)).is_ok_and(|host| !host.is_wildcard()), "{}", host);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,40}") {
        let _ = HostTemplate::parse(&text, &matcher("/{x}/*"));
    }
}
