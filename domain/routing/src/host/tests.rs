//! Which texts are hosts and how they compare.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

#[test]
fn names_addresses_and_wildcards_are_patterns() {
    for text in [
        "example.com",
        "localhost",
        "a-b.x1.example.com",
        "_svc.example.com",
        "xn--bcher-kva.example",
        "10.0.0.1",
        "1.example",
        "[::1]",
        "[2001:db8::1]",
        "*.example.com",
        "*.com",
        "*.a.b.c",
    ] {
        assert_eq!(pattern(text).as_str(), text);
    }
}

#[test]
fn each_rule_is_named_with_its_place_when_it_breaks() {
    let long_label = "x".repeat(64);
    let too_long = vec!["x".repeat(60); 5].join(".");
    for (text, error) in [
        ("", HostPatternError::Empty),
        ("*.", HostPatternError::Empty),
        (&*too_long, HostPatternError::TooLong),
        (&*long_label, HostPatternError::BadLabel { at: 0 }),
        ("a..b", HostPatternError::BadLabel { at: 2 }),
        (".a", HostPatternError::BadLabel { at: 0 }),
        ("a.", HostPatternError::BadLabel { at: 2 }),
        ("*..a", HostPatternError::BadLabel { at: 2 }),
        ("Example.com", HostPatternError::UpperCase { at: 0 }),
        ("example.Com", HostPatternError::UpperCase { at: 8 }),
        ("example.com:80", HostPatternError::Colon { at: 11 }),
        ("::1", HostPatternError::Colon { at: 0 }),
        ("a b", HostPatternError::BadByte { at: 1 }),
        ("a/b", HostPatternError::BadByte { at: 1 }),
        ("bücher.example", HostPatternError::BadByte { at: 1 }),
        ("-a.b", HostPatternError::BadByte { at: 0 }),
        ("a-.b", HostPatternError::BadByte { at: 1 }),
        ("a.-", HostPatternError::BadByte { at: 2 }),
        ("*", HostPatternError::StrayStar { at: 0 }),
        ("a.*.b", HostPatternError::StrayStar { at: 2 }),
        ("*.*.b", HostPatternError::StrayStar { at: 2 }),
        ("*a.b", HostPatternError::StrayStar { at: 0 }),
        ("10.0.0", HostPatternError::BadAddress),
        ("10.0.0.256", HostPatternError::BadAddress),
        ("010.0.0.1", HostPatternError::BadAddress),
        ("0x7f.0x1", HostPatternError::BadAddress),
        ("*.0.0.1", HostPatternError::BadAddress),
        ("[::1", HostPatternError::BadAddress),
        ("[::1]:80", HostPatternError::BadAddress),
        ("[0::1]", HostPatternError::BadAddress),
        ("[2001:DB8::1]", HostPatternError::BadAddress),
        ("[fe80::1%eth0]", HostPatternError::BadAddress),
        ("*.[::1]", HostPatternError::BadByte { at: 2 }),
    ] {
        assert_eq!(HostPattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn hosts_match_without_regard_to_case_and_one_dot_at_the_end() {
    for (text, matching, others) in [
        ("example.com", &["example.com", "EXAMPLE.com", "example.com."][..], &["a.example.com", "example.com.."][..]),
        (
            "*.example.com",
            &["a.example.com", "a.b.example.com", "A.Example.Com."],
            &["example.com", ".example.com", "aexample.com", "example.com.a", ""],
        ),
        ("[::1]", &["::1", "[::1]", "0:0:0:0:0:0:0:1", "[0::1]"], &["::2", "::ffff:0.0.0.1"]),
        ("10.0.0.1", &["10.0.0.1"], &["10.0.0.10", "::ffff:10.0.0.1"]),
    ] {
        for host in matching {
            assert!(pattern(text).matches(host), "{text} {host}");
        }
        for host in others {
            assert!(!pattern(text).matches(host), "{text} {host}");
        }
    }
}

#[test]
fn a_port_is_told_from_the_colons_of_an_address() {
    for (authority, host) in [
        ("example.com", "example.com"),
        ("example.com:80", "example.com"),
        ("example.com:", "example.com"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("::1", "::1"),
        ("example.com:http", "example.com:http"),
        ("", ""),
    ] {
        assert_eq!(without_port(authority), host, "{authority}");
    }
}

proptest! {
    #[test]
    fn an_exact_pattern_matches_itself_and_a_wildcard_only_what_is_below(name in "[a-z][a-z0-9]{0,5}(\\.[a-z]{1,4}){0,3}", label in "[a-z0-9]{1,5}") {
        prop_assert!(pattern(&name).matches(&name));
        let wildcard = pattern(&format!("*.{name}"));
        let below = format!("{label}.{name}");
        prop_assert!(wildcard.matches(&below));
        prop_assert!(!wildcard.matches(&name));
        let beside = format!("{label}{name}");
        prop_assert!(!wildcard.matches(&beside));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}", dense in "[a.*\\[\\]:0-9-]{0,20}") {
        for text in [text, dense] {
            let _ = HostPattern::parse(&text).map(|read| read.matches(&text));
            prop_assert!(text.starts_with(without_port(&text)));
        }
    }
}
