//! Times, durations and counts in the words of people and programs.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use coordinator_core::fleet::Pause;
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

/// The zone of this machine: `TZ`, else `/etc/localtime`; UTC where neither can be read.
pub static LOCAL: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::try_system().unwrap_or(TimeZone::UTC));

/// For tests and machines.
pub static UTC: TimeZone = TimeZone::UTC;

/// Writes times for people, who read them at `now` in `zone`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock<'a> {
    pub(crate) now: SystemTime,
    pub(crate) zone: &'a TimeZone,
}

impl Clock<'_> {
    /// `2026-01-01 00:05 CET`.
    pub(crate) fn minute(self, time: SystemTime) -> String {
        self.write(time, "%Y-%m-%d %H:%M %Z")
    }

    /// `00:14 CET` today, else `2026-01-02 00:14 CET`.
    pub(crate) fn time(self, time: SystemTime) -> String {
        let day = |time| self.write(time, "%Y-%m-%d");
        if day(time) == day(self.now) { self.write(time, "%H:%M %Z") } else { self.minute(time) }
    }

    /// ` until 00:14 CET`, or nothing.
    pub(crate) fn until(self, time: Option<SystemTime>) -> String {
        time.map(|time| format!(" until {}", self.time(time))).unwrap_or_default()
    }

    fn write(self, time: SystemTime, format: &str) -> String {
        let time = Timestamp::try_from(time.max(UNIX_EPOCH)).unwrap_or(Timestamp::MAX);
        time.to_zoned(self.zone.clone()).strftime(format).to_string()
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

/// `paused by alice since 17:12 CET: the demo is on`, for a person.
pub(crate) fn paused(pause: &Pause, clock: Clock<'_>) -> String {
    let by = pause.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    let since = pause.since.map(|since| format!(" since {}", clock.time(since)));
    let reason = pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("paused{by}{}{reason}", since.unwrap_or_default())
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
        let now = UNIX_EPOCH + Duration::from_secs(86_400);
        let clock = Clock { now, zone: &UTC };
        assert_eq!(clock.time(now + Duration::from_secs(840)), "00:14 UTC");
        assert_eq!(clock.time(now + Duration::from_secs(86_400)), "1970-01-03 00:00 UTC");
    }

    #[test]
    fn times_are_local_and_name_their_zone() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        let january = UNIX_EPOCH + Duration::from_secs(1_767_225_600 - 3_300);
        let clock = Clock { now: january, zone: &zone };
        assert_eq!(clock.minute(january), "2026-01-01 00:05 CET");
        let july = january + Duration::from_secs(181 * 86_400);
        assert_eq!(clock.time(july), "2026-07-01 01:05 CEST");
        assert_eq!(Clock { now: january, zone: &UTC }.minute(january), "2025-12-31 23:05 UTC");
        assert_eq!(clock.minute(UNIX_EPOCH - Duration::from_secs(9)), "1970-01-01 01:00 CET");
        assert!(clock.minute(UNIX_EPOCH + LAST_SECOND * 2).starts_with("9999-12-3"));
    }
}
