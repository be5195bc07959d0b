//! Words of RFC 9110, and numbers and dates as header fields carry them.

use novagate_framing::{end_of_token, end_of_value};

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && end_of_token(bytes, 0) == bytes.len()
}

/// RFC 9110, section 5.5.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    end_of_value(bytes, 0) == bytes.len()
}

/// Writes a decimal number.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Seconds since the Unix epoch as an IMF-fixdate (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date(seconds: i64) -> [u8; 29] {
    const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    // Four digits of year are all that the form has.
    let seconds = seconds.clamp(0, 253_402_300_799);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let word = |from: &[&'static [u8; 3]], at: i64| {
        usize::try_from(at).ok().and_then(|at| from.get(at)).copied().unwrap_or(b"   ")
    };
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    put(&mut date, 0, word(&DAYS, days % 7));
    put(&mut date, 5, &two(day));
    put(&mut date, 8, word(&MONTHS, month - 1));
    put(&mut date, 12, &two(year / 100));
    put(&mut date, 14, &two(year % 100));
    put(&mut date, 17, &two(second / 3600));
    put(&mut date, 20, &two(second / 60 % 60));
    put(&mut date, 23, &two(second % 60));
    date
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

const fn two(number: i64) -> [u8; 2] {
    [b'0' + (number / 10 % 10).to_le_bytes()[0], b'0' + (number % 10).to_le_bytes()[0]]
}

/// Year, month and day of a day since the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_fixed_form() {
        for (seconds, text) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&http_date(seconds)).unwrap(), text);
        }
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        push_number(&mut out, 0);
        push_number(&mut out, u64::MAX);
        assert_eq!(out, b"018446744073709551615");
    }
}
