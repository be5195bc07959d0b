//! What becomes of any document: the fuzz target `documents` in `testkit/fuzz`, which includes this file, and the inputs that
//! it has kept.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use novagate_documents::config::{
    Format, parse_config, parse_config_json, parse_config_yaml, parse_object, render_config,
};
use novagate_documents::frames::{Decoded, decode, decode_batch, encode};
use novagate_kernel::{BatchKind, ObjectKind};
use novagate_policies::ConfigObject;
use uuid::Uuid;

#[cfg(test)]
#[path = "../../../testkit/fuzz/src/replay.rs"]
mod replay;

fn check_config(objects: &[ConfigObject]) {
    let again = parse_config_json(render_config(objects, Format::Json).as_bytes()).unwrap();
    assert_eq!(again, objects, "what is exported can be applied");
    assert_eq!(parse_config_yaml(&render_config(objects, Format::Yaml)).unwrap(), objects);
}

/// Frames and configurations are read or refused, and what was read can be written and read again.
pub(crate) fn check(input: &[u8]) {
    if let Ok(Decoded::Frame(frame)) = decode(input) {
        let written = encode(&frame);
        let Ok(Decoded::Frame(again)) = decode(written.as_bytes()) else { panic!("{written} is no frame") };
        assert_eq!(encode(&again), written);
    }
    for kind in BatchKind::ALL {
        drop(decode_batch(kind, input));
    }
    if let Ok(objects) = parse_config_json(input) {
        check_config(&objects);
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(objects) = parse_config_yaml(text)
    {
        check_config(&objects);
    }
    let Ok(value) = serde_json::from_slice(input) else { return };
    drop(parse_config(&value));
    for kind in [ObjectKind::Service, ObjectKind::Route, ObjectKind::Consumer, ObjectKind::ConsumerKey] {
        drop(parse_object(kind, Uuid::nil(), &value));
    }
}

#[test]
fn kept_inputs_are_read_or_refused_and_what_was_read_can_be_written() {
    replay::each_kept("documents", check);
}
