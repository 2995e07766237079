//! How many requests are under way at once, which are sent again, and when.
//!
//! A start waits for answers, so the distance to the server decides how many it takes to keep the
//! server busy; and the server's own load decides how many it bears.

use std::collections::hash_map::DefaultHasher;
use std::error::Error;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use h2::Reason;
use hyper_util::client::legacy;

use super::api::Ask;

/// For a server beside us.
const MIN_FOR_DISTANCE: usize = 8;

/// For a server far away.
const MAX_AT_ONCE: usize = 32;

/// One more for each of these until the answer.
const DISTANCE: Duration = Duration::from_millis(2);

/// A server whose answers take this many times as long as its fastest, and [`TOLERANCE`] more, is
/// overloaded.
const MAX_SLOWDOWN: u32 = 4;

const TOLERANCE: Duration = Duration::from_millis(200);

/// The latency and load of the server, as measured so far.
#[derive(Debug)]
pub(super) struct Pace {
    fastest: Option<Duration>,
    /// The recent time to an answer.
    usual: Duration,
    /// As many as the server bears.
    bearable: usize,
    /// Answers since `bearable` changed.
    since: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { fastest: None, usual: Duration::ZERO, bearable: MAX_AT_ONCE, since: 0 }
    }
}

impl Pace {
    pub(super) fn at_once(&self) -> usize {
        let way = self.fastest.unwrap_or_default().as_micros() / DISTANCE.as_micros();
        let useful = MIN_FOR_DISTANCE.saturating_add(usize::try_from(way).unwrap_or(MAX_AT_ONCE));
        useful.min(MAX_AT_ONCE).min(self.bearable)
    }

    /// A request was answered after this time.
    pub(super) fn answered(&mut self, after: Duration) {
        let fastest = self.fastest.map_or(after, |fastest| fastest.min(after));
        self.usual = if self.fastest.is_none() { after } else { (self.usual * 7 + after) / 8 };
        self.fastest = Some(fastest);
        self.since += 1;
        if self.since < self.at_once() {
            return;
        }
        if self.usual > fastest * MAX_SLOWDOWN + TOLERANCE {
            // Others may be its load: what a server nearby gets does no harm.
            self.bear((self.at_once() * 3 / 4).max(self.at_once().min(MIN_FOR_DISTANCE)));
        } else {
            self.bear(self.bearable + self.bearable.div_ceil(4));
        }
    }

    /// The server is busy (429, 503). Requests that were under way at that moment are refused as
    /// well, and count once.
    pub(super) fn refused(&mut self) {
        self.since += 1;
        if self.since >= self.at_once() || self.bearable == MAX_AT_ONCE {
            self.bear(self.at_once() / 2);
        }
    }

    fn bear(&mut self, starts: usize) {
        self.bearable = starts.clamp(1, MAX_AT_ONCE);
        self.since = 0;
    }
}

/// The first pause; each further one is twice as long.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// A server that restarts is looked for this often.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Whether a request that ended with this error did not reach any handler of the server:
///
/// * no connection could be made;
/// * the connection closed before the request was written to it (hyper's `Canceled` proves nothing
///   else);
/// * the server refused the stream: `RST_STREAM` with `REFUSED_STREAM` (RFC 9113, 8.7);
/// * the server closed the connection with a `GOAWAY` that names an earlier stream as the last one
///   (RFC 9113, 6.8). h2 fails the streams above that number with the frame's error, and lets those
///   up to it go on. Connection and requests share one thread here, so that no frame comes between
///   the creation of a stream and the look at its connection.
///
/// A connection that breaks leaves another error: its requests may have been carried out.
pub(super) fn is_unprocessed(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect)
            || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref::<h2::Error>().is_some_and(is_refused)
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_refused(error: &h2::Error) -> bool {
    let is_refused_stream = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || is_refused_stream)
}

/// The pauses between the attempts at one request: longer and longer, with jitter, so that requests
/// which failed together do not come back together.
pub(super) struct Pauses {
    attempts: u32,
    seed: u64,
}

impl Pauses {
    /// The body of a creation names slot and cycle, so that no two have the same pauses.
    pub(super) fn of(ask: &Ask<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        ask.path.hash(&mut hasher);
        ask.body.map(|body| &body["metadata"]).map(ToString::to_string).hash(&mut hasher);
        Self { attempts: 0, seed: hasher.finish() }
    }

    pub(super) fn next(&mut self) -> Duration {
        let full = MIN_PAUSE.saturating_mul(2u32.saturating_pow(self.attempts)).min(MAX_PAUSE);
        self.attempts += 1;
        let mut hasher = DefaultHasher::new();
        (self.seed, self.attempts).hash(&mut hasher);
        let thousandths = u32::try_from(hasher.finish() % 1_000).unwrap_or_default();
        full / 2 + full * thousandths / 1_000
    }
}

#[cfg(test)]
mod tests;
