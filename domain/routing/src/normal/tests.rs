//! Normal forms, refusals, and properties of both.

use proptest::prelude::*;

use super::*;

fn normal(raw: &str) -> String {
    normalise(raw).unwrap().as_str().to_owned()
}

#[test]
fn a_path_in_normal_form_is_borrowed() {
    for raw in [
        "/",
        "/a",
        "/a/",
        "/a/b.c/.well-known/..a/a..",
        "/.../a",
        "/a;v=1,2/b:c@d/!$&'()*+=~_-",
        "/%20/%C3%A9/%3F",
        "/a%2Fb",
        "/[x]|^",
        "/%252e%252E",
    ] {
        let path = normalise(raw).unwrap();
        assert!(path.is_borrowed(), "{raw}");
        assert_eq!(path.as_str(), raw);
    }
}

#[test]
fn other_spellings_of_a_path_become_its_normal_form() {
    for (raw, expected) in [
        ("", "/"),
        ("//", "/"),
        ("///a//b///", "/a/b/"),
        ("/./a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/a/b/../", "/a/"),
        ("/a/b/../c", "/a/c"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/.", "/"),
        ("/a/b/c/./../../g", "/a/g"),
        // Empty segments go first, so `..` removes what a person sees before it.
        ("/a//../b", "/b"),
        ("/%61%62c", "/abc"),
        ("/%7Euser/%2d%5f%2E", "/~user/-_."),
        ("/a/%2e%2E/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/.%2e/b", "/b"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a%2fb", "/a%2Fb"),
        ("/%2561", "/%2561"),
    ] {
        assert_eq!(normal(raw), expected, "{raw}");
    }
}

#[test]
fn what_cannot_be_forwarded_safely_is_refused_with_the_place() {
    for (raw, error) in [
        ("a", PathError::NotAbsolute),
        ("*", PathError::NotAbsolute),
        ("http://h/", PathError::NotAbsolute),
        ("/%", PathError::BadEscape { at: 1 }),
        ("/a%4", PathError::BadEscape { at: 2 }),
        ("/%zz", PathError::BadEscape { at: 1 }),
        ("/%+1", PathError::BadEscape { at: 1 }),
        ("/%2/1", PathError::BadEscape { at: 1 }),
        ("/%u0041", PathError::BadEscape { at: 1 }),
        ("/%2%35", PathError::BadEscape { at: 1 }),
        ("/a%00", PathError::ForbiddenEscape { at: 2 }),
        ("/%5C..", PathError::ForbiddenEscape { at: 1 }),
        ("/%5c", PathError::ForbiddenEscape { at: 1 }),
        ("/a\\b", PathError::BadByte { at: 2 }),
        ("/a b", PathError::BadByte { at: 2 }),
        ("/a\tb", PathError::BadByte { at: 2 }),
        ("/a\r\nb", PathError::BadByte { at: 2 }),
        ("/a\0", PathError::BadByte { at: 2 }),
        ("/a?q", PathError::BadByte { at: 2 }),
        ("/a#f", PathError::BadByte { at: 2 }),
        ("/é", PathError::BadByte { at: 1 }),
        ("/..", PathError::AboveRoot),
        ("/a/../..", PathError::AboveRoot),
        ("/a/..//../b", PathError::AboveRoot),
        ("/%2e%2e/etc", PathError::AboveRoot),
    ] {
        assert_eq!(normalise(raw), Err(error), "{raw:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_at_the_first_fault() {
    assert_eq!(normalise_bytes(b"/a\xFF"), Err(PathError::BadByte { at: 2 }));
    assert_eq!(normalise_bytes(b"/%0\xC3"), Err(PathError::BadEscape { at: 1 }));
    assert_eq!(normalise_bytes(b"\xC3"), Err(PathError::NotAbsolute));
    assert_eq!(normalise_bytes(b"/a%62").unwrap().as_str(), "/ab");
}

#[test]
fn an_encoded_slash_is_kept_and_reported() {
    for (raw, flagged) in [("/a%2fb", true), ("/%2F", true), ("/a%252Fb", false), ("/a/b", false)] {
        assert_eq!(normalise(raw).unwrap().has_encoded_slash(), flagged, "{raw}");
    }
}

#[test]
fn decoding_slashes_gives_a_normal_path_or_leads_above_the_root() {
    for (raw, expected) in [
        ("/a%2Fb", Ok("/a/b")),
        ("/a%2F", Ok("/a/")),
        ("/a%2F/b", Ok("/a/b")),
        ("/a/b%2F..%2Fc", Ok("/a/c")),
        ("/a/..%2Fc", Ok("/c")),
        ("/..%2Fc", Err(PathError::AboveRoot)),
        ("/a/..%2F..%2Fc", Err(PathError::AboveRoot)),
        ("/a%2F%2e%2e%2f%2e%2e", Err(PathError::AboveRoot)),
    ] {
        let decoded = normalise(raw).unwrap().with_slashes_decoded().map(|path| path.as_str().to_owned());
        assert_eq!(decoded, expected.map(str::to_owned), "{raw}");
    }
}

fn is_in_normal_form(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    let inner_empty = segments.iter().skip(1).rev().skip(1).any(|segment| segment.is_empty());
    let escapes = path.split('%').skip(1).all(|rest| Escape::parse(rest.as_bytes()).is_some_and(Escape::is_normal));
    path.starts_with('/') && !inner_empty && !segments.iter().any(|part| matches!(*part, "." | "..")) && escapes
}

/// Paths made of what matters here, much denser than chance would.
fn hostile_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/", ".", "..", "a", "b%", "%2f", "%2F", "%2e", "%2E", "%61", "%c3%a9", "%00", "%5c", "%", "%4",
        "%zz", "\\", "é", " ", "%25", "%252e", "~", "*", "{x}", "\u{7f}",
    ]);
    let mostly_legal =
        prop::sample::select(vec!["/", "/", "/", ".", "..", "a", "%2f", "%2e", "%61", "%c3", "%252e", "-"]);
    prop_oneof![
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(mostly_legal, 0..16).prop_map(|pieces| format!("/{}", pieces.concat())),
        "/[ -~]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_is_accepted_is_in_normal_form_and_stays_as_it_is(raw in hostile_path()) {
        if let Ok(path) = normalise(&raw) {
            prop_assert!(is_in_normal_form(path.as_str()), "{}", path.as_str());
            let again = normalise(path.as_str()).unwrap();
            prop_assert!(again.is_borrowed());
            prop_assert_eq!(again.as_str(), path.as_str());
            prop_assert_eq!(again.has_encoded_slash(), path.as_str().contains("%2F"));
        }
    }

    #[test]
    fn a_path_is_borrowed_exactly_when_rebuilding_changes_nothing(raw in hostile_path()) {
        if let Ok(path) = normalise(&raw) {
            let rebuilt = if raw.is_empty() { "/".to_owned() } else { rebuild(&raw).unwrap() };
            prop_assert_eq!(path.as_str(), rebuilt.as_str());
            prop_assert_eq!(path.is_borrowed(), raw.is_empty() || rebuilt == raw);
        }
    }

    #[test]
    fn decoded_slashes_never_lead_above_the_root(raw in hostile_path()) {
        if let Ok(Ok(path)) = normalise(&raw).map(|path| path.with_slashes_decoded()) {
            prop_assert!(is_in_normal_form(path.as_str()), "{}", path.as_str());
            prop_assert!(!path.as_str().contains("%2F"));
            prop_assert!(normalise(path.as_str()).unwrap().is_borrowed());
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(raw in prop::collection::vec(any::<u8>(), 0..64), tail in "/?[%./a]{0,12}") {
        let bytes = [tail.as_bytes(), &raw].concat();
        let _ = normalise_bytes(&bytes).map(|path| path.with_slashes_decoded());
    }

    #[test]
    fn text_and_bytes_are_read_alike(raw in "\\PC{0,30}") {
        prop_assert_eq!(normalise(&raw), normalise_bytes(raw.as_bytes()));
    }
}
