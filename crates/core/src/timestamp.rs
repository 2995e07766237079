//! Times as others write them.

use std::time::{Duration, SystemTime};

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
    httpdate::parse_http_date(text).ok().and_then(with_room)
}

/// `2026-01-01T00:00:00Z`, `2026-01-01 00:00:00 UTC`, `2026-01-01 00:00:00 -0700`.
pub fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Some(utc) = text.strip_suffix('Z').or_else(|| text.strip_suffix("UTC")) {
        return local(utc);
    }
    // A date has two hyphens of its own.
    let Some(at) = text.rfind(['+', '-']).filter(|at| *at > "2026-01-01T".len()) else {
        return local(text);
    };
    let (time, offset) = text.split_at(at);
    let digits: String = offset.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = (digits.get(..2)?.parse::<u64>().ok()?, digits.get(2..4)?.parse::<u64>().ok()?);
    let offset_length = Duration::from_secs(hours * 3600 + minutes * 60);
    let time = local(time)?;
    let utc = if offset.starts_with('+') {
        time.checked_sub(offset_length)
    } else {
        time.checked_add(offset_length)
    };
    writable(utc?)
}

fn local(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text.trim()).ok()
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
    fn garbage_is_no_time() {
        for text in
            ["", "soon", "2026", "2026-01-01 00:00:00 +é", "+-+-+-+-+-+-+-+-+-", "99999999999999999999"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(from_epoch("18446744073709551615"), None);
    }
}
