//! A log as it grows: its end is read again and again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use tokio::time::{Instant, sleep};

use super::protocol::{List, Listed, Log, Logs, Operation, State};
use super::{MAX_AGE, MAX_TAIL_BYTES, Plugin, Settings};
use coordinator_core::fleet::FleetName;

/// Between two reads.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two reads of a whole tail, from a plugin that cannot follow.
const TAIL_PAUSE: Duration = Duration::from_secs(2);

/// No log is followed for longer. Each operation still has the plugin's own timeout.
const MAX_FOLLOW: Duration = Duration::from_secs(365 * 24 * 3600);

/// The log of the session that the plugin calls `id`, until the session has ended. From a plugin
/// that cannot follow, the tail is read again and again, and what is new in it is given.
pub(super) fn stream(
    settings: &Settings,
    id: String,
    can_follow: bool,
) -> impl Stream<Item = anyhow::Result<Bytes>> + use<> {
    let until = Instant::now() + MAX_FOLLOW;
    let plugin = Plugin::new(&settings.exec, &settings.secret_names, until);
    let given = if can_follow { Given::Bytes(0) } else { Given::Tail(String::new()) };
    let follower = Follower { plugin, fleet: settings.fleet.clone(), id, given };
    try_unfold(follower, async |mut follower| {
        Ok(follower.next().await?.map(|piece| (piece, follower)))
    })
}

struct Follower {
    plugin: Plugin,
    fleet: FleetName,
    id: String,
    given: Given,
}

/// What of the log was given.
enum Given {
    /// So many bytes of it: the plugin's answers have the size of the whole log.
    Bytes(u64),
    /// All up to the end of this tail.
    Tail(String),
}

impl Given {
    /// What the log has more than was given, which it is from now on.
    fn next(&mut self, log: Log) -> String {
        match self {
            Self::Bytes(given) => {
                let size = log.size.unwrap_or(log.text.len() as u64);
                let new = beyond(&log.text, size, *given).to_owned();
                *given = size.max(*given);
                new
            }
            Self::Tail(tail) => {
                let new = after(tail, &log.text).to_owned();
                *tail = log.text;
                new
            }
        }
    }

    fn pause(&self) -> Duration {
        match self {
            Self::Bytes(_) => PAUSE,
            Self::Tail(_) => TAIL_PAUSE,
        }
    }
}

impl Follower {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            // Check the end first: everything written before it is then read after it.
            let has_ended = self.has_ended().await?;
            let follow = matches!(self.given, Given::Bytes(_));
            let request = Logs { id: &self.id, tail_bytes: MAX_TAIL_BYTES, follow };
            let log: Log = self.plugin.call(Operation::Logs, &request).await?;
            let new = self.given.next(log);
            if !new.is_empty() {
                return Ok(Some(new.into()));
            }
            if has_ended {
                return Ok(None);
            }
            sleep(self.given.pause()).await;
        }
    }

    /// A session that is not listed has ended, too.
    async fn has_ended(&self) -> anyhow::Result<bool> {
        let request = List {
            fleet: self.fleet.as_str(),
            roles: Vec::new(),
            include_finished_since: SystemTime::now() - MAX_AGE,
        };
        let listed: Listed = self.plugin.call(Operation::List, &request).await?;
        let mut sessions = listed.sessions.iter();
        Ok(!sessions.any(|session| session.id == self.id && session.state != State::Finished))
    }
}

/// What comes after the first `printed` bytes of a log of `size` bytes that ends with `text`.
fn beyond(text: &str, size: u64, printed: u64) -> &str {
    let new = usize::try_from(size.saturating_sub(printed)).unwrap_or(usize::MAX);
    let start = text.len().saturating_sub(new);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[start.unwrap_or(text.len())..]
}

/// Bytes at the end of a tail by which its place in the next one is found.
const MARK_BYTES: usize = 256;

/// What `next` has after the place where `tail` ends; all of it where nothing of `tail` is left.
fn after<'a>(tail: &str, next: &'a str) -> &'a str {
    let start = tail.len().saturating_sub(MARK_BYTES);
    let start = (start..=tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or_default();
    let mark = &tail[start..];
    if mark.is_empty() {
        return next;
    }
    let mut ends = next.rmatch_indices(mark).map(|(at, _)| at + mark.len());
    let end = ends.find(|end| tail.ends_with(&next[..*end]));
    &next[end.unwrap_or_default()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_tail_is_found_also_where_its_start_is_gone() {
        assert_eq!(after("", "one\n"), "one\n");
        assert_eq!(after("one\n", "one\n"), "");
        assert_eq!(after("one\n", "one\none\n"), "one\n", "a line that repeats is new");
        let long = |from: usize, to: usize| -> String {
            (from..to).fold(String::new(), |text, line| text + &format!("line {line}\n"))
        };
        assert_eq!(after(&long(0, 500), &long(300, 502)), long(500, 502));
        assert_eq!(after(&long(0, 10), &long(20, 30)), long(20, 30), "nothing of it is left");
        assert_eq!(after("\u{e9}\n", "\u{e9}\nx\n"), "x\n");
    }

    #[test]
    fn only_what_is_new_of_a_log_is_given() {
        assert_eq!(beyond("one\ntwo\n", 8, 0), "one\ntwo\n");
        assert_eq!(beyond("one\ntwo\n", 8, 4), "two\n");
        assert_eq!(beyond("one\ntwo\n", 8, 8), "");
        assert_eq!(beyond("two\n", 8, 2), "two\n", "what is lost before it is lost");
        assert_eq!(beyond("two\n", 4, 8), "", "a log that became shorter has nothing new");
        assert_eq!(beyond("\u{e9}\n", 3, 1), "\n", "never half a character");
    }
}
