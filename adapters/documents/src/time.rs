//! Points in time as RFC 3339 text: always UTC with six digits of a second.

use chrono::{DateTime, Datelike as _, Timelike as _};
use novagate_kernel::Timestamp;

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what RFC 3339 can write.
const EARLIEST_MICROS: i64 = -62_167_219_200_000_000;
const LATEST_MICROS: i64 = 253_402_300_799_999_999;

/// What does not change in a point in time.
const TEMPLATE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// `2026-01-02T03:04:05.678901Z`; times outside the years 0 to 9999 are written as the nearest end.
pub fn format_timestamp(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(TEMPLATE.len());
    push_timestamp(&mut text, at);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends the same: every request of a gateway passes here, so without formatting machinery.
pub(crate) fn push_timestamp(into: &mut Vec<u8>, at: Timestamp) {
    let micros = at.as_micros().clamp(EARLIEST_MICROS, LATEST_MICROS);
    let time = DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::UNIX_EPOCH);
    let (date, clock) = (time.date_naive(), time.time());
    let mut text = *TEMPLATE;
    let numbers = [
        (0, 4, date.year().unsigned_abs()),
        (5, 2, date.month()),
        (8, 2, date.day()),
        (11, 2, clock.hour()),
        (14, 2, clock.minute()),
        (17, 2, clock.second()),
        (20, 6, clock.nanosecond() / 1_000),
    ];
    for (start, digits, number) in numbers {
        let mut rest = number;
        for place in text.iter_mut().skip(start).take(digits).rev() {
            *place = b'0' + (rest % 10).to_le_bytes()[0];
            rest /= 10;
        }
    }
    into.extend_from_slice(&text);
}

/// Reads RFC 3339 with any offset; digits beyond the sixth of a second are cut. `None`: not such a text.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    // The longest useful form, with nanoseconds and an offset, has 35 characters.
    if text.len() > 64 {
        return None;
    }
    DateTime::parse_from_rfc3339(text).ok().map(|time| Timestamp::from_micros(time.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_a_round_trip() {
        let text = "2026-01-02T03:04:05.678901Z";
        assert_eq!(format_timestamp(parse_timestamp(text).unwrap()), text);
        assert_eq!(format_timestamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn any_offset_and_precision_is_read() {
        let want = parse_timestamp("2026-01-02T03:04:05.678901Z");
        assert_eq!(parse_timestamp("2026-01-02T05:04:05.678901+02:00"), want);
        assert_eq!(parse_timestamp("2026-01-01T22:04:05.6789019-05:00"), want);
        assert!(parse_timestamp("2026-01-02T03:04:05Z").is_some());
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "now", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", &"9".repeat(100)] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_written_not_panicked_on() {
        assert_eq!(format_timestamp(Timestamp::from_micros(i64::MAX)), "9999-12-31T23:59:59.999999Z");
        assert_eq!(format_timestamp(Timestamp::from_micros(i64::MIN)), "0000-01-01T00:00:00.000000Z");
    }
}
