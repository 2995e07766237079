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

/// No log is followed for longer. Each operation still has the plugin's own timeout.
const MAX_FOLLOW: Duration = Duration::from_secs(365 * 24 * 3600);

/// The log of the session that the plugin calls `id`, until the session has ended.
pub(super) fn stream(
    settings: &Settings,
    id: String,
) -> impl Stream<Item = anyhow::Result<Bytes>> + use<> {
    let until = Instant::now() + MAX_FOLLOW;
    let plugin = Plugin::new(&settings.exec, &settings.secret_names, until);
    let follower = Follower { plugin, fleet: settings.fleet.clone(), id, printed: 0 };
    try_unfold(follower, async |mut follower| {
        Ok(follower.next().await?.map(|piece| (piece, follower)))
    })
}

struct Follower {
    plugin: Plugin,
    fleet: FleetName,
    id: String,
    /// Bytes of the log that were given.
    printed: u64,
}

impl Follower {
    async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            // Check the end first: everything written before it is then read after it.
            let has_ended = self.has_ended().await?;
            let request = Logs { id: &self.id, tail_bytes: MAX_TAIL_BYTES, follow: true };
            let log: Log = self.plugin.call(Operation::Logs, &request).await?;
            let size = log.size.unwrap_or(log.text.len() as u64);
            let new = beyond(&log.text, size, self.printed);
            self.printed = self.printed.max(size);
            if !new.is_empty() {
                return Ok(Some(new.to_owned().into()));
            }
            if has_ended {
                return Ok(None);
            }
            sleep(PAUSE).await;
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

#[cfg(test)]
mod tests {
    use super::*;

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
