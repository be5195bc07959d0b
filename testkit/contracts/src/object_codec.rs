//! The contract of [`ObjectCodec`].
#![expect(missing_docs, reason = "the name of a case is its sentence")]
#![expect(clippy::unused_async, reason = "the cases of all suites are run alike")]

use std::collections::BTreeSet;

use novagate_fixtures::{CANARY, Mint, assert_no_canary};
use novagate_kernel::ObjectKind;
use novagate_ports_base::ObjectCodec;
use uuid::Uuid;

mod maker;

use self::maker::objects;

/// A codec.
pub trait CodecFixture {
    /// The codec.
    fn codec() -> impl ObjectCodec;
}

/// Runs the suite of object codecs over a [`CodecFixture`](crate::CodecFixture).
#[macro_export]
macro_rules! object_codec_contract {
    ($fixture:ty) => {
        $crate::cases!(
            object_codec, $fixture:
            an_object_is_decoded_from_its_bytes,
            equal_objects_have_equal_bytes,
            the_id_is_not_part_of_the_bytes,
            different_objects_have_different_bytes,
            unknown_fields_are_tolerated,
            bytes_of_another_kind_are_refused,
            damaged_bytes_never_panic,
            a_refusal_never_repeats_the_value,
        );
    };
}

pub async fn an_object_is_decoded_from_its_bytes<F: CodecFixture>() {
    let codec = F::codec();
    for object in objects() {
        let reference = object.reference();
        let decoded = codec.decode(reference.kind, reference.id, &codec.encode(&object)).unwrap();
        assert_eq!(decoded, object);
    }
}

pub async fn equal_objects_have_equal_bytes<F: CodecFixture>() {
    let codec = F::codec();
    for object in objects() {
        let (reference, bytes) = (object.reference(), codec.encode(&object));
        assert_eq!(F::codec().encode(&object.clone()), bytes);
        let decoded = codec.decode(reference.kind, reference.id, &bytes).unwrap();
        assert_eq!(codec.encode(&decoded), bytes);
    }
}

pub async fn the_id_is_not_part_of_the_bytes<F: CodecFixture>() {
    let (codec, id) = (F::codec(), Uuid::from_u128(7));
    for object in objects() {
        let (kind, bytes) = (object.kind(), codec.encode(&object));
        let renamed = object.with_id(id);
        assert_eq!(codec.encode(&renamed), bytes);
        assert_eq!(codec.decode(kind, id, &bytes).unwrap(), renamed);
    }
}

pub async fn different_objects_have_different_bytes<F: CodecFixture>() {
    let (codec, objects) = (F::codec(), objects());
    let distinct: BTreeSet<_> = objects.iter().map(|object| (object.kind(), codec.encode(object))).collect();
    assert_eq!(distinct.len(), objects.len());
}

pub async fn unknown_fields_are_tolerated<F: CodecFixture>() {
    let codec = F::codec();
    for object in objects() {
        let (reference, bytes) = (object.reference(), codec.encode(&object));
        let body = std::str::from_utf8(&bytes).unwrap();
        let body = body.strip_suffix('}').expect("a JSON object");
        let newer = format!("{body},\"notKnownYet\":{{\"a\":[1,null,\"x\"]}}}}");
        assert_eq!(codec.decode(reference.kind, reference.id, newer.as_bytes()).unwrap(), object);
    }
}

pub async fn bytes_of_another_kind_are_refused<F: CodecFixture>() {
    let codec = F::codec();
    for object in objects().into_iter().take(4) {
        let bytes = codec.encode(&object);
        // A consumer is little more than a name, which others have as well.
        for kind in [ObjectKind::Service, ObjectKind::Route, ObjectKind::ConsumerKey] {
            if kind != object.kind() {
                assert!(codec.decode(kind, object.reference().id, &bytes).is_err(), "{} as {kind}", object.kind());
            }
        }
    }
}

pub async fn damaged_bytes_never_panic<F: CodecFixture>() {
    let (codec, mint) = (F::codec(), Mint::new(12));
    let entropy = mint.entropy();
    for object in objects() {
        let (kind, id, whole) = (object.kind(), object.reference().id, codec.encode(&object));
        for round in 0..40 {
            let mut bytes = whole.to_vec();
            let at = usize::try_from(entropy.below(bytes.len() as u64)).unwrap();
            match round % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at] = entropy.take::<1>()[0],
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, *entropy.pick(b"{}[]\",:0-9.eE\\\x00\xff ")),
            }
            if let Ok(read) = codec.decode(kind, id, &bytes) {
                assert_eq!(codec.decode(kind, id, &codec.encode(&read)).unwrap(), read);
            }
        }
    }
    for bytes in [&b""[..], b"null", b"[]", b"\xff\xfe", &vec![b'['; 100_000]] {
        for kind in ObjectKind::ALL {
            assert!(codec.decode(kind, Uuid::nil(), bytes).is_err());
        }
    }
}

pub async fn a_refusal_never_repeats_the_value<F: CodecFixture>() {
    let codec = F::codec();
    let bodies = [
        format!("{{\"name\":\"{CANARY}\"}}"),
        format!("{{\"name\":\"a\",\"targets\":[{{\"url\":\"http://{CANARY}:{CANARY}@x/\"}}]}}"),
        format!("{{\"name\":\"a\",\"service\":\"b\",\"match\":{{\"path\":\"{CANARY}\"}}}}"),
        format!("{{\"name\":\"a\",\"groups\":[\"{CANARY}\"]}}"),
        format!("{{\"consumer\":\"{CANARY}\",\"sha256\":\"{CANARY}\"}}"),
        CANARY.to_owned(),
        format!("\"{CANARY}\""),
    ];
    for body in bodies {
        let mut refusals = 0;
        for kind in ObjectKind::ALL {
            // For another kind the marked field may be one that is not known, and passed over.
            if let Err(error) = codec.decode(kind, Uuid::nil(), body.as_bytes()) {
                assert_no_canary("a refusal", &format!("{error} {error:?}"));
                refusals += 1;
            }
        }
        assert!(refusals > 0, "{body} was taken for an object");
    }
}
