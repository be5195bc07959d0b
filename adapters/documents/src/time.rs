//! Points in time as RFC 3339 text: always UTC with six digits of a second.

use chrono::{DateTime, Datelike as _, Timelike as _};
use novagate_kernel::Timestamp;

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what RFC 3339 can write.
const EARLIEST_MICROS: i64 = -62_167_219_200_000_000;
const LATEST_MICROS: i64 = 253_402_300_799_999_999;

/// What does not change in a point in time.
const TEMPLATE: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// Where the digits after its seconds stand.
const MICROS: usize = 20;

/// `2026-01-02T03:04:05.678901Z`; times outside the years 0 to 9999 are written as the nearest end.
pub fn format_timestamp(at: Timestamp) -> String {
    let mut text = Vec::with_capacity(TEMPLATE.len());
    TimestampWriter::default().push(&mut text, at);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends the same, many of which have the same second: every request of a gateway passes here, so without formatting
/// machinery, and with what does not change remembered.
#[derive(Debug)]
pub(crate) struct TimestampWriter {
    second: i64,
    text: [u8; TEMPLATE.len()],
}

impl Default for TimestampWriter {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl TimestampWriter {
    pub(crate) fn push(&mut self, into: &mut Vec<u8>, at: Timestamp) {
        let micros = at.as_micros().clamp(EARLIEST_MICROS, LATEST_MICROS);
        let second = micros.div_euclid(1_000_000);
        if second != self.second {
            *self = Self { second, text: text_of(second) };
        }
        let of_second = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or_default();
        put_number(&mut self.text, (MICROS, 6, of_second));
        into.extend_from_slice(&self.text);
    }
}

/// The first moment of this second.
fn text_of(second: i64) -> [u8; TEMPLATE.len()] {
    let time = DateTime::from_timestamp(second, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let (date, clock) = (time.date_naive(), time.time());
    let mut text = *TEMPLATE;
    let numbers = [
        (0, 4, date.year().unsigned_abs()),
        (5, 2, date.month()),
        (8, 2, date.day()),
        (11, 2, clock.hour()),
        (14, 2, clock.minute()),
        (17, 2, clock.second()),
    ];
    for number in numbers {
        put_number(&mut text, number);
    }
    text
}

/// Writes a number of so many digits at a place.
fn put_number(text: &mut [u8], (start, digits, number): (usize, usize, u32)) {
    let mut rest = number;
    for place in text.iter_mut().skip(start).take(digits).rev() {
        *place = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
    }
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

    #[test]
    fn what_was_written_before_changes_nothing() {
        let mut writer = TimestampWriter::default();
        for micros in [0, 999_999, -1, 1_767_323_045_678_901, 1_767_323_045_000_002, i64::MAX, 1_767_323_046_000_000] {
            let (at, mut text) = (Timestamp::from_micros(micros), Vec::new());
            writer.push(&mut text, at);
            assert_eq!(String::from_utf8(text).unwrap(), format_timestamp(at));
        }
        assert_eq!(format_timestamp(Timestamp::from_micros(-1)), "1969-12-31T23:59:59.999999Z");
    }
}
