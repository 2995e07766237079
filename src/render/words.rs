//! Times, durations and counts in the words of people and programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coordinator_core::sanitize::one_line;

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// The lines of a message as one sentence. It is cut where it is shown, after secrets are masked.
pub(crate) fn sentence(text: &str) -> String {
    let lines = text.lines().map(|line| one_line(line, usize::MAX));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// `2026-01-01T00:05:00Z`.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let time = time.clamp(UNIX_EPOCH, UNIX_EPOCH + LAST_SECOND);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// `2026-01-01 00:05`, in UTC.
pub(crate) fn minute(time: SystemTime) -> String {
    rfc3339(time)[..16].replace('T', " ")
}

/// `00:14` on the day of `today`, else `2026-01-02 00:14`.
pub(crate) fn clock(time: SystemTime, today: SystemTime) -> String {
    let (time, today) = (minute(time), minute(today));
    match time.split_once(' ') {
        Some((day, clock)) if today.starts_with(day) => clock.to_owned(),
        _ => time,
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `45 ms`, `0.8 s`, `41 s`, `12 min`, `5 h`, `3 d`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match millis(duration) {
        ms @ 0..100 => format!("{ms} ms"),
        ms @ 100..10_000 => format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()),
        _ if seconds < 60 => format!("{seconds} s"),
        _ if seconds < 3600 => format!("{} min", seconds / 60),
        _ if seconds < 48 * 3600 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// `1 request`, `2 requests`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_unit_that_people_would_use() {
        let spans =
            [0, 45, 99, 100, 812, 1_249, 9_949, 10_000, 59_999, 60_000, 7_260_000, 172_800_000]
                .map(|ms| span(Duration::from_millis(ms)));
        let words = [
            "0 ms", "45 ms", "99 ms", "0.1 s", "0.8 s", "1.2 s", "9.9 s", "10 s", "59 s", "1 min",
            "2 h", "2 d",
        ];
        assert_eq!(spans, words);
    }

    #[test]
    fn no_time_is_too_early_or_too_late_to_be_written() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(UNIX_EPOCH + LAST_SECOND * 2), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn another_day_is_named() {
        let today = UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!(clock(today + Duration::from_secs(840), today), "00:14");
        assert_eq!(clock(today + Duration::from_secs(86_400), today), "1970-01-03 00:00");
    }
}
