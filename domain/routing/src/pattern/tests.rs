//! Which texts are patterns and what they match.

use proptest::prelude::*;

use super::*;
use crate::normalise;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap()
}

#[test]
fn exact_paths_parameters_and_prefixes_are_patterns() {
    let longest_name = format!("/{{{}}}", "x".repeat(MAX_PARAMETER_BYTES));
    let longest = format!("/{}", "x".repeat(MAX_PATTERN_BYTES - 1));
    let deepest = "/a".repeat(MAX_PATTERN_SEGMENTS);
    for text in [
        "/",
        "/*",
        "/a",
        "/a/",
        "/a/*",
        "/users/{id}",
        "/users/{id}/orders/{order_2}/*",
        "/{_}/",
        "/%C3%A9/%20/a%2Fb",
        "/.well-known/a..b;v=1",
        &longest_name,
        &longest,
        &deepest,
    ] {
        assert_eq!(pattern(text).as_str(), text);
        assert_eq!(pattern(text).to_string(), text);
    }
}

#[test]
fn each_rule_is_named_with_its_place_when_it_breaks() {
    let too_long = "/".repeat(MAX_PATTERN_BYTES + 1);
    let too_deep = "/a".repeat(MAX_PATTERN_SEGMENTS + 1);
    let long_name = format!("/{{{}}}", "x".repeat(MAX_PARAMETER_BYTES + 1));
    for (text, error) in [
        ("", PathPatternError::NotAbsolute),
        ("a", PathPatternError::NotAbsolute),
        ("*", PathPatternError::NotAbsolute),
        (&*too_long, PathPatternError::TooLong),
        (&*too_deep, PathPatternError::TooManySegments),
        ("//", PathPatternError::EmptySegment { at: 1 }),
        ("/a//b", PathPatternError::EmptySegment { at: 3 }),
        ("/a//*", PathPatternError::EmptySegment { at: 3 }),
        ("/./a", PathPatternError::DotSegment { at: 1 }),
        ("/a/..", PathPatternError::DotSegment { at: 3 }),
        ("/a b", PathPatternError::BadByte { at: 2 }),
        ("/a\\", PathPatternError::BadByte { at: 2 }),
        ("/a?b", PathPatternError::BadByte { at: 2 }),
        ("/a#", PathPatternError::BadByte { at: 2 }),
        ("/a\"", PathPatternError::BadByte { at: 2 }),
        ("/é", PathPatternError::BadByte { at: 1 }),
        ("/a\n", PathPatternError::BadByte { at: 2 }),
        ("/a%2", PathPatternError::BadEscape { at: 2 }),
        ("/%/a", PathPatternError::BadEscape { at: 1 }),
        ("/%zz", PathPatternError::BadEscape { at: 1 }),
        ("/a/%00", PathPatternError::ForbiddenEscape { at: 3 }),
        ("/%5C", PathPatternError::ForbiddenEscape { at: 1 }),
        ("/%61", PathPatternError::EscapeNotNormal { at: 1 }),
        ("/%2e", PathPatternError::EscapeNotNormal { at: 1 }),
        ("/%c3%A9", PathPatternError::EscapeNotNormal { at: 1 }),
        ("/a{id}", PathPatternError::StrayBrace { at: 2 }),
        ("/{id}.json", PathPatternError::StrayBrace { at: 4 }),
        ("/{id", PathPatternError::StrayBrace { at: 1 }),
        ("/id}", PathPatternError::StrayBrace { at: 3 }),
        ("/{}", PathPatternError::BadParameter { at: 2 }),
        ("/{1}", PathPatternError::BadParameter { at: 2 }),
        ("/{a-b}", PathPatternError::BadParameter { at: 3 }),
        ("/{a}{b}", PathPatternError::BadParameter { at: 3 }),
        ("/{*rest}", PathPatternError::BadParameter { at: 2 }),
        (&*long_name, PathPatternError::BadParameter { at: 2 + MAX_PARAMETER_BYTES }),
        ("/{id}/a/{id}", PathPatternError::DuplicateParameter { at: 8 }),
        ("/a/*/b", PathPatternError::StrayStar { at: 3 }),
        ("/a/b*", PathPatternError::StrayStar { at: 4 }),
        ("/**", PathPatternError::StrayStar { at: 1 }),
        ("/*/", PathPatternError::StrayStar { at: 1 }),
    ] {
        assert_eq!(PathPattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn an_error_says_the_rule_and_not_the_text() {
    let error = PathPattern::parse("/secret/{a}{b}").unwrap_err().to_string();
    assert_eq!(error, "byte 10: a parameter's name is a letter or _, then letters, digits and _, at most 32");
    assert_eq!(
        PathPattern::parse("/x{y}").unwrap_err().to_string(),
        "byte 2: braces enclose a whole segment, as in /a/{id}"
    );
}

#[test]
fn a_pattern_matches_by_whole_segments() {
    for (text, matching, others) in [
        ("/", &["/"][..], &["/a"][..]),
        ("/a", &["/a"], &["/", "/a/", "/A", "/ab", "/a/b"]),
        ("/a/", &["/a/"], &["/a", "/a/b"]),
        ("/a/*", &["/a", "/a/", "/a/b", "/a/b/c/"], &["/", "/ab", "/ab/c", "/A"]),
        ("/*", &["/", "/a", "/a/b/"], &[]),
        ("/user/*", &["/user", "/user/1"], &["/users", "/users/1"]),
        ("/a/{id}", &["/a/b", "/a/%20"], &["/a", "/a/", "/a/b/", "/a/b/c"]),
        ("/a/{id}/", &["/a/b/"], &["/a/b", "/a//"]),
        ("/{x}/*", &["/a", "/a/", "/a/b"], &["/"]),
        ("/{x}/b", &["/a/b", "/b/b"], &["/a/a", "/b"]),
    ] {
        for path in matching {
            assert!(pattern(text).matches(path), "{text} {path}");
        }
        for path in others {
            assert!(!pattern(text).matches(path), "{text} {path}");
        }
    }
}

#[test]
fn the_literal_prefix_ends_before_the_first_parameter_or_star() {
    for (text, len) in [("/", 1), ("/*", 0), ("/a", 2), ("/a/*", 2), ("/a/b/{id}/c", 4), ("/{id}", 0), ("/a/{id}/*", 2)]
    {
        assert_eq!(pattern(text).literal_prefix_len(), len, "{text}");
    }
}

#[test]
fn names_of_parameters_make_no_other_shape() {
    assert!(pattern("/a/{x}/{y}").has_shape_of(&pattern("/a/{y}/{z}")));
    assert!(!pattern("/a/{x}").has_shape_of(&pattern("/a/x")));
    assert!(!pattern("/a/{x}").has_shape_of(&pattern("/a/{x}/")));
    assert!(!pattern("/a/{x}").has_shape_of(&pattern("/a/*")));
    assert_eq!(pattern("/a/{x}/{y}/*").parameters().collect::<Vec<_>>(), ["x", "y"]);
}

proptest! {
    #[test]
    fn a_pattern_without_parameters_is_a_normal_path_that_it_matches(text in "(/[a-zA-Z0-9.%_~-]{0,4}){1,6}") {
        if let Ok(exact) = PathPattern::parse(&text) {
            let path = normalise(&text).unwrap();
            prop_assert!(path.is_borrowed());
            prop_assert!(exact.matches(path.as_str()));
        }
    }

    #[test]
    fn a_normal_path_is_a_pattern(text in "(/[a-zA-Z0-9.%_~-]{0,4}){1,6}") {
        if let Ok(path) = normalise(&text) {
            prop_assert!(PathPattern::parse(path.as_str()).unwrap().matches(path.as_str()));
        }
    }

    #[test]
    fn a_prefix_never_matches_a_longer_word(word in "[a-z]{1,8}", more in "[a-z0-9.-]{1,4}", below in "(/[a-z]{0,3}){0,2}") {
        let prefix = pattern(&format!("/{word}/*"));
        let longer = format!("/{word}{more}{below}");
        prop_assert!(!prefix.matches(&longer));
        let under = format!("/{word}{below}");
        prop_assert!(prefix.matches(&under));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", dense in "/?[/{}*%.a0-9é]{0,30}") {
        let _ = PathPattern::parse(&text);
        if let Ok(read) = PathPattern::parse(&dense) {
            prop_assert_eq!(read.as_str(), &dense);
            prop_assert!(read.literal_prefix_len() <= dense.len());
        }
    }
}
