//! Times as others write them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// 9999-12-31T23:59:59Z, the last second that can be written again.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// The time, unless no report could write it.
pub fn writable(time: SystemTime) -> Option<SystemTime> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since <= LAST_SECOND).then_some(time)
}

/// The time, unless what is waited for from then on could not be written.
pub fn with_room(time: SystemTime) -> Option<SystemTime> {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    writable(time.checked_add(YEAR)?).map(|_| time)
}

/// The server's clock, as its `Date` header has it. A clock near the end of all times is none.
pub fn date_header(text: &str) -> Option<SystemTime> {
    http_date(text).and_then(with_room)
}

/// `Thu, 01 Jan 2026 00:00:00 GMT`.
pub fn http_date(text: &str) -> Option<SystemTime> {
    writable(DateTimeParser::new().parse_timestamp(text).ok()?.into())
}

/// RFC 3339, and GitHub's `2026-01-01 00:00:00 UTC` and `2026-01-01 00:00:00 -0700`. A time without
/// an offset is in UTC.
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim().replace(" UTC", "Z").replace(" +", "+").replace(" -", "-");
    let time: Timestamp = text.parse().or_else(|_| format!("{text}Z").parse()).ok()?;
    writable(time.into())
}

/// A number of seconds since 1970.
pub fn from_epoch(text: &str) -> Option<SystemTime> {
    writable(SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(text.trim().parse().ok()?))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_time_is_understood() {
        let expected = from_epoch("1767225600");
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00 UTC",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01 02:00:00 +0200",
            "2025-12-31 17:00:00 -0700",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_clock_to_which_no_wait_can_be_added_is_none() {
        assert!(date_header("Thu, 26 Nov 2026 00:00:00 GMT").is_some());
        for text in ["Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""] {
            assert_eq!(date_header(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_kept_while_it_and_a_year_after_it_can_be_written() {
        let last = SystemTime::UNIX_EPOCH + LAST_SECOND;
        assert_eq!((writable(last), writable(last + Duration::from_secs(1))), (Some(last), None));
        let (with, without) = (parse("9998-12-31T23:59:59Z"), parse("9999-01-01T00:00:00Z"));
        assert_eq!((with.and_then(with_room), without.and_then(with_room)), (with, None));
        assert_eq!(http_date("Thu, 01 Jan 2026 00:00:00 GMT"), from_epoch(" 1767225600 "));
    }

    #[test]
    fn garbage_is_no_time() {
        for text in [
            "",
            "soon",
            "2026",
            "2026-01-01 00:00:00 +é",
            "+-+-+-+-+-+-+-+-+-",
            "99999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(from_epoch("18446744073709551615"), None);
    }
}
