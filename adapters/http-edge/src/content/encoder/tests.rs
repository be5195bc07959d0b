//! What comes out of encoders is what goes into decoders.

use proptest::prelude::*;

use super::*;
use crate::content::{ContentDecoder, Decoding};

/// Decodes as far as there is something to decode; whether that is all of it.
fn decode(coding: ContentCoding, bytes: &[u8]) -> (Vec<u8>, bool) {
    let rule = Decoding { coding, max_bytes: None, max_ratio: u16::MAX };
    let mut decoder = ContentDecoder::new(rule).unwrap();
    let (mut rest, mut content, mut piece) = (bytes, Vec::new(), Vec::new());
    while !rest.is_empty() || decoder.was_full() {
        let taken = decoder.decode(rest, &mut piece).unwrap();
        content.extend_from_slice(&piece);
        rest = &rest[taken..];
    }
    let is_whole = decoder.end().is_ok();
    (content, is_whole)
}

/// Text that repeats itself, as text does.
fn text(length: usize) -> Vec<u8> {
    let words = ["{\"id\":", "\"name\":", "\"value\",", "true},", "[1,2,3],", "\n"];
    let mut seed = 7_u64;
    let mut text = Vec::new();
    while text.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.extend_from_slice(words[(seed >> 33) as usize % words.len()].as_bytes());
        text.extend_from_slice(((seed >> 40) % 1000).to_string().as_bytes());
    }
    text.truncate(length);
    text
}

fn noise(length: usize) -> Vec<u8> {
    let mut seed = 11_u64;
    let next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[test]
fn content_of_any_length_comes_back_and_text_gets_shorter() {
    for coding in ContentCoding::ALL {
        for length in [0, 1, 100, 16 * 1024, 300_000, 3_000_000] {
            for (content, is_text) in [(text(length), true), (noise(length), false)] {
                for known in [None, Some(length as u64)] {
                    let mut encoder = Encoder::new(coding, known).unwrap();
                    let mut out = Vec::new();
                    for piece in content.chunks(16 * 1024) {
                        encoder.encode(piece, Step::More, &mut out).unwrap();
                    }
                    encoder.encode(b"", Step::End, &mut out).unwrap();
                    assert!(decode(coding, &out) == (content.clone(), true), "{coding:?} {length}");
                    if is_text && length > 1000 {
                        assert!(out.len() < length / 2, "{coding:?} {length}: {}", out.len());
                    }
                    assert!(out.len() < length + length / 100 + 100, "{coding:?} {length}: {}", out.len());
                }
            }
        }
    }
}

#[test]
fn what_was_given_before_a_flush_can_be_read_after_it() {
    for coding in ContentCoding::ALL {
        let mut encoder = Encoder::new(coding, None).unwrap();
        let (mut out, mut content) = (Vec::new(), Vec::new());
        for number in 0..50 {
            let event = format!("data: {number}\n\n").into_bytes();
            encoder.encode(&event, Step::More, &mut out).unwrap();
            encoder.encode(b"", Step::Flush, &mut out).unwrap();
            content.extend_from_slice(&event);
            assert_eq!(decode(coding, &out), (content.clone(), false), "{coding:?} {number}");
        }
        // Nothing more is held back, so nothing comes.
        let length = out.len();
        encoder.encode(b"", Step::End, &mut out).unwrap();
        assert!(out.len() < length + 16);
        assert_eq!(decode(coding, &out), (content, true), "{coding:?}");
    }
}

#[test]
fn what_has_no_end_is_not_whole() {
    for coding in ContentCoding::ALL {
        let mut encoder = Encoder::new(coding, None).unwrap();
        let mut out = Vec::new();
        encoder.encode(&text(100_000), Step::Flush, &mut out).unwrap();
        assert_eq!(decode(coding, &out), (text(100_000), false), "{coding:?}");
    }
}

proptest! {
    #[test]
    fn cuts_and_flushes_change_no_byte(
        pieces in proptest::collection::vec((proptest::collection::vec(0_u8..8, 0..400), any::<bool>()), 0..20),
        coding in proptest::sample::select(&ContentCoding::ALL[..]),
    ) {
        let mut encoder = Encoder::new(coding, None).unwrap();
        let (mut out, mut content) = (Vec::new(), Vec::new());
        for (piece, flush) in &pieces {
            encoder.encode(piece, if *flush { Step::Flush } else { Step::More }, &mut out).unwrap();
            content.extend_from_slice(piece);
        }
        encoder.encode(b"", Step::End, &mut out).unwrap();
        prop_assert_eq!(decode(coding, &out), (content, true));
    }
}
