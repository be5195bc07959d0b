//! What the machine must do with any bytes: the fuzz target `framing` in `testkit/fuzz`, which includes this file, and the
//! inputs that it has kept.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "kept inputs are files; the crate itself reads none")]

use novagate_framing::{BodyKind, Limits};

#[path = "suite/driver.rs"]
mod driver;
#[cfg(test)]
#[path = "../../../testkit/fuzz/src/replay.rs"]
mod replay;

use driver::{Event, byte_by_byte, drive, whole};

/// The same is said about an input however it is cut, and nothing above the limits is let through.
pub(crate) fn check(input: &[u8]) {
    let small = Limits::new(256, 4, 24).unwrap().with_max_body_bytes(Some(16));
    for limits in [Limits::default(), small] {
        let outcome = whole(input, limits);
        assert_eq!(byte_by_byte(input, limits), outcome);
        // Three pieces, cut where the input says.
        let sum = input.iter().fold(0_usize, |sum, octet| sum.wrapping_mul(31).wrapping_add(usize::from(*octet)));
        let cuts = [sum % 64, sum % 1021];
        assert_eq!(drive(input, limits, [cuts[0].min(cuts[1]), cuts[0].max(cuts[1])]), outcome);
        assert!(outcome.released <= input.len());
        for head in outcome.heads() {
            assert!(head.len <= limits.max_head_bytes() && head.fields <= limits.max_headers());
            assert!(head.target.len() <= limits.max_target_bytes());
            if let (BodyKind::Length(length), Some(most)) = (head.body, limits.max_body_bytes()) {
                assert!(length <= most);
            }
        }
        let ends = outcome.events.iter().filter(|event| matches!(event, Event::Violation(_) | Event::Closed));
        assert!(ends.count() <= 1 && (outcome.violation().is_none() || outcome.released < input.len()));
    }
}

#[test]
fn kept_inputs_are_read_the_same_however_they_are_cut() {
    replay::each_kept("framing", check);
}
