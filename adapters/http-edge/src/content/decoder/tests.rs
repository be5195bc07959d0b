//! Hostile bodies, and ordinary ones in every cut.

use proptest::prelude::*;

use super::*;
use crate::content::{Encoder, Step};

const ALL: [ContentCoding; 3] = ContentCoding::ALL;

fn encode(coding: ContentCoding, content: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(coding, None).unwrap(), Vec::new());
    encoder.encode(content, Step::End, &mut out).unwrap();
    out
}

fn decoder(coding: ContentCoding) -> ContentDecoder {
    ContentDecoder::new(Decoding { coding, max_bytes: Some(1 << 20), max_ratio: 100 }).unwrap()
}

/// Decodes pieces to their end; with the most that one step gave out.
fn decode<'a>(
    decoder: &mut ContentDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, usize), Refusal> {
    let (mut content, mut piece, mut most) = (Vec::new(), Vec::new(), 0);
    for mut rest in pieces {
        while !rest.is_empty() || decoder.was_full() {
            let taken = decoder.decode(rest, &mut piece)?;
            content.extend_from_slice(&piece);
            most = most.max(piece.len());
            rest = &rest[taken..];
        }
    }
    decoder.end()?;
    Ok((content, most))
}

fn decoded(coding: ContentCoding, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    decode(&mut decoder(coding), [bytes]).map(|(content, _)| content)
}

#[test]
fn no_bytes_are_no_content() {
    for coding in ALL {
        assert_eq!(decoded(coding, b""), Ok(Vec::new()));
    }
}

#[test]
fn truncated_corrupt_and_prolonged_streams_are_refused() {
    let content = b"some content that is long enough to be compressed, compressed, compressed".repeat(3);
    for coding in ALL {
        let good = encode(coding, &content);
        assert_eq!(decoded(coding, &good), Ok(content.clone()));
        for length in 1..good.len() {
            assert_eq!(decoded(coding, &good[..length]), Err(BAD), "{coding:?} cut at {length}");
        }
        for garbage in [&b"\0"[..], b"garbage", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"] {
            assert_eq!(decoded(coding, &[&good, garbage].concat()), Err(BAD), "{coding:?} {garbage:?}");
        }
        assert_eq!(decoded(coding, &content), Err(BAD), "{coding:?}");
        for other in ALL.into_iter().filter(|other| *other != coding) {
            assert_eq!(decoded(other, &good), Err(BAD), "{coding:?} as {other:?}");
        }
    }
    // The checksum and the length at the end of gzip.
    let good = encode(ContentCoding::Gzip, &content);
    for at in good.len() - 8..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(decoded(ContentCoding::Gzip, &bad), Err(BAD), "byte {at}");
    }
}

#[test]
fn members_of_gzip_and_frames_of_zstd_may_follow_each_other() {
    for (coding, may_follow) in
        [(ContentCoding::Gzip, true), (ContentCoding::Zstd, true), (ContentCoding::Brotli, false)]
    {
        let both = [encode(coding, b"one, "), encode(coding, b"two")].concat();
        assert_eq!(decoded(coding, &both).is_ok_and(|content| content == b"one, two"), may_follow, "{coding:?}");
        let one_by_one = both.chunks(1);
        let content = decode(&mut decoder(coding), one_by_one);
        assert_eq!(content.is_ok_and(|(content, _)| content == b"one, two"), may_follow, "{coding:?}");
    }
}

#[test]
fn a_bomb_is_stopped_at_its_limit_and_never_gives_out_much_at_once() {
    let zeros = vec![0; 16 << 20];
    for coding in ALL {
        let bomb = encode(coding, &zeros);
        assert!(bomb.len() < zeros.len() / 100, "{coding:?}: {}", bomb.len());
        for (max_bytes, max_ratio, refusal) in
            [(None, 100, TOO_DENSE), (Some(1_000_000), 10_000, TOO_LARGE), (Some(70_000), 100, TOO_LARGE)]
        {
            let rule = Decoding { coding, max_bytes, max_ratio };
            let mut decoder = ContentDecoder::new(rule).unwrap();
            let (mut rest, mut piece, mut given) = (&bomb[..], Vec::new(), 0);
            let found = loop {
                match decoder.decode(rest, &mut piece) {
                    Ok(taken) => rest = &rest[taken..],
                    Err(refusal) => break refusal,
                }
                given += piece.len() as u64;
                assert!(piece.len() <= STEP);
            };
            // A body that decodes to so much from so little may break either rule first.
            assert!(found == refusal || max_ratio == 10_000, "{coding:?} {max_bytes:?}");
            let most = max_bytes.unwrap_or(u64::MAX).min((bomb.len() as u64 * u64::from(max_ratio)).max(GRACE));
            assert!(given <= most, "{coding:?}: {given} of {most}");
        }
    }
}

#[test]
fn dense_bodies_below_the_grace_are_nothing_to_fear() {
    let content = vec![b'a'; 60_000];
    for coding in ALL {
        assert_eq!(decoded(coding, &encode(coding, &content)), Ok(content.clone()), "{coding:?}");
    }
}

#[test]
fn windows_that_no_rfc_admits_are_refused() {
    // A frame header with a window of 16 MiB, and one of 8 MiB.
    let frame = |window: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, window << 3];
    let mut piece = Vec::new();
    assert_eq!(decoder(ContentCoding::Zstd).decode(&frame(24 - 10), &mut piece), Err(BAD));
    assert!(decoder(ContentCoding::Zstd).decode(&frame(23 - 10), &mut piece).is_ok());
    // The bits with which large windows of brotli begin.
    assert_eq!(decoder(ContentCoding::Brotli).decode(&[0x11, 0x1e, 0, 0, 0, 0], &mut piece), Err(BAD));
}

proptest! {
    #[test]
    fn no_bytes_panic_or_go_on_for_ever(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        coding in proptest::sample::select(&ALL[..]),
    ) {
        let _ = decoded(coding, &bytes);
    }

    #[test]
    fn a_flipped_bit_never_panics(
        content in proptest::collection::vec(0_u8..4, 0..2000),
        at in any::<proptest::sample::Index>(),
        bit in 0_u8..8,
        coding in proptest::sample::select(&ALL[..]),
    ) {
        let mut bytes = encode(coding, &content);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let _ = decoded(coding, &bytes);
    }

    #[test]
    fn the_cut_of_the_bytes_changes_nothing(
        content in proptest::collection::vec(0_u8..16, 0..5000),
        cut in 1_usize..700,
        coding in proptest::sample::select(&ALL[..]),
    ) {
        let bytes = encode(coding, &content);
        let (found, most) = decode(&mut decoder(coding), bytes.chunks(cut)).unwrap();
        prop_assert_eq!(found, content);
        prop_assert!(most <= STEP);
    }
}
