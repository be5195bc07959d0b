//! Properties over hostile and over well-formed input.

use crate::driver::{Event, byte_by_byte, drive, whole};
use novagate_framing::{BodyKind, Limits, Violation};
use proptest::{collection::vec, prelude::*, sample::select};

/// Pieces that stand in requests, and pieces that should not: concatenations reach deep into the machine.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b HTTP/1.1\r\n",
    "POST http://a/ HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.0\r\n",
    "Host: a\r\n",
    "Host: b:80\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "X: y\r\n",
    "\r\n",
    "\r\n\r\n",
    "abc",
    "3\r\nabc\r\n",
    "3;a=\"b\"\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n",
    " ",
    "\r",
    "\n",
    "\0",
    ":",
    ";",
    "\u{e9}",
    "1",
    "f",
];

fn limits() -> impl Strategy<Value = Limits> {
    (256..600_usize, 1..6_usize, 1..40_usize, proptest::option::of(0..12_u64))
        .prop_map(|(head, fields, target, body)| Limits::new(head, fields, target).unwrap().with_max_body_bytes(body))
}

/// Concatenated pieces with some bytes overwritten.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (vec(select(PIECES), 0..24), damage).prop_map(|(pieces, damage)| {
        let mut input = pieces.concat().into_bytes();
        for (place, byte) in damage {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = byte;
            }
        }
        input
    })
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z!#$%&'*+.^_`|~-][A-Za-z0-9!#$%&'*+.^_`|~-]{0,11}"
}

/// A field that decides nothing.
fn plain_field() -> impl Strategy<Value = String> {
    (token(), "[ -~\t]{0,40}").prop_map(|(name, value)| format!("X-{name}:{value}\r\n"))
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Length(Vec<u8>),
    Chunked(Vec<Vec<u8>>, Vec<String>),
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::None),
        vec(any::<u8>(), 0..60).prop_map(Body::Length),
        (vec(vec(any::<u8>(), 1..30), 0..5), vec(plain_field(), 0..3))
            .prop_map(|(chunks, trailers)| Body::Chunked(chunks, trailers)),
    ]
}

/// A well-formed request: its head, its body with framing, and the body kind that must be found.
fn well_formed() -> impl Strategy<Value = (String, Vec<u8>, BodyKind)> {
    let target = "/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,30}(\\?[A-Za-z0-9._~/?=&-]{0,20})?";
    (token(), target, vec(plain_field(), 0..6), body(), any::<bool>()).prop_map(
        |(method, target, fields, body, first)| {
            let method = if method == "CONNECT" { "GET".to_owned() } else { method };
            let (framing, bytes, kind) = match body {
                Body::None => (String::new(), Vec::new(), BodyKind::None),
                Body::Length(data) => {
                    let length = data.len() as u64;
                    (format!("Content-Length: {length}\r\n"), data, BodyKind::Length(length))
                }
                Body::Chunked(chunks, trailers) => {
                    let mut bytes = Vec::new();
                    for chunk in &chunks {
                        bytes.extend(format!("{:x};ext=\"q\"\r\n", chunk.len()).into_bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(format!("0\r\n{}\r\n", trailers.concat()).into_bytes());
                    ("Transfer-Encoding: chunked\r\n".to_owned(), bytes, BodyKind::Chunked)
                }
            };
            let fields = fields.concat();
            let fields = if first { format!("{framing}{fields}") } else { format!("{fields}{framing}") };
            (format!("{method} {target} HTTP/1.1\r\nHost: a.example:8080\r\n{fields}\r\n"), bytes, kind)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn fragmentation_changes_nothing(input in hostile(), limits in limits(), mut cuts in vec(0..600_usize, 0..12)) {
        cuts.sort_unstable();
        let at_once = whole(&input, limits);
        prop_assert_eq!(&drive(&input, limits, cuts), &at_once);
        prop_assert_eq!(&byte_by_byte(&input, limits), &at_once);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_always_terminate(input in vec(any::<u8>(), 0..400), limits in limits()) {
        let at_once = whole(&input, limits);
        prop_assert!(at_once.released <= input.len());
        prop_assert_eq!(&byte_by_byte(&input, limits), &at_once);
    }

    #[test]
    fn well_formed_requests_pass_with_the_right_body(requests in vec(well_formed(), 1..4), cuts in vec(0..900_usize, 0..6)) {
        let mut input = Vec::new();
        for (head, body, _) in &requests {
            input.extend(head.as_bytes());
            input.extend(body);
        }
        let mut cuts = cuts;
        cuts.sort_unstable();
        let outcome = drive(&input, Limits::default(), cuts);
        prop_assert_eq!((outcome.violation(), outcome.released), (None, input.len()));
        let expected: Vec<_> = requests.iter().map(|(head, _, kind)| (head.len(), *kind)).collect();
        let found: Vec<_> = outcome.heads().iter().map(|head| (head.len, head.body)).collect();
        prop_assert_eq!(found, expected);
        let bodies: usize = outcome.events.iter().map(|event| if let Event::Body(bytes) = event { *bytes } else { 0 }).sum();
        prop_assert_eq!(bodies, requests.iter().map(|(_, body, _)| body.len()).sum::<usize>());
    }

    #[test]
    fn two_statements_about_the_length_never_pass(
        first in select(FRAMING_FIELDS),
        second in select(FRAMING_FIELDS),
        between in vec(plain_field(), 0..3),
        version in select(vec!["1.0", "1.1"]),
    ) {
        let input = format!("POST / HTTP/{version}\r\nHost: a\r\n{first}\r\n{}{second}\r\n\r\n", between.concat());
        let outcome = whole(input.as_bytes(), Limits::default());
        prop_assert!(matches!(outcome.violation().map(Violation::status), Some(400 | 501)), "{:?}", outcome);
        prop_assert_eq!(outcome.released, 0);
    }

    #[test]
    fn no_disguise_of_chunked_passes(disguise in select(DISGUISES), length in any::<bool>()) {
        let length = if length { "Content-Length: 3\r\n" } else { "" };
        for input in [
            format!("POST / HTTP/1.1\r\nHost: a\r\n{length}{disguise}\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nHost: a\r\n{disguise}\r\n{length}\r\n"),
        ] {
            let outcome = whole(input.as_bytes(), Limits::default());
            prop_assert!(outcome.violation().is_some(), "{:?}", input);
            prop_assert_eq!(outcome.released, 0);
        }
    }
}

/// Fields that say something about the length; any two of them are one too many.
const FRAMING_FIELDS: &[&str] = &[
    "Content-Length: 0",
    "Content-Length: 3",
    "content-length:\t3 ",
    "Content-Length: 3, 3",
    "Transfer-Encoding: chunked",
    "transfer-encoding:\tCHUNKED\t",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
];

/// Texts that some parser somewhere reads as chunked.
const DISGUISES: &[&str] = &[
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: x-chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked;q=0.5",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: ch\tunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked\u{c}",
    "Transfer-Encoding: chunked\u{a0}",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding:\n chunked",
    "Transfer-Encoding:\u{0}chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "X: x\nTransfer-Encoding: chunked",
    "X: x\rTransfer-Encoding: chunked",
    "X: x\r\n Transfer-Encoding: chunked",
    "Transfer-Encoding\r\n: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    "Transfer\u{2010}Encoding: chunked",
    "Transfer-Encoding: chun\u{212a}ed",
];
