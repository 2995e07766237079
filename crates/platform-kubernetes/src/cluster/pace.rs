//! How many starts may be under way at once. Pure.
//!
//! A start waits for answers, so the distance to the server decides how many it takes to keep the
//! server busy; and the server's own load decides how many it bears.

use std::time::Duration;

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

/// What the answers so far say of the way to the server, and of its load.
#[derive(Debug)]
pub(super) struct Pace {
    /// The fastest answer.
    fastest: Option<Duration>,
    /// What an answer takes lately.
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
    /// At least one.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: usize, milliseconds: u64) -> Pace {
        let mut pace = Pace::default();
        answer(&mut pace, answers, milliseconds);
        pace
    }

    fn answer(pace: &mut Pace, answers: usize, milliseconds: u64) {
        for _ in 0..answers {
            pace.answered(Duration::from_millis(milliseconds));
        }
    }

    #[test]
    fn a_server_far_away_gets_more_at_once_than_one_nearby() {
        let starts = [0, 1, 15, 80, 400].map(|milliseconds| after(1, milliseconds).at_once());
        assert_eq!(starts, [8, 8, 15, 32, 32]);
    }

    #[test]
    fn a_server_without_time_gets_half_as_many_and_more_again_when_it_answers() {
        let mut pace = after(1, 80);
        pace.refused();
        assert_eq!(pace.at_once(), 16, "what was under way with it is refused as well");
        for _ in 0..15 {
            pace.refused();
        }
        assert_eq!(pace.at_once(), 16);
        pace.refused();
        assert_eq!(pace.at_once(), 8);
        for _ in 0..1_000 {
            pace.refused();
        }
        assert_eq!(pace.at_once(), 1, "it never comes to a standstill");
        answer(&mut pace, 200, 80);
        assert_eq!(pace.at_once(), 32);
    }

    #[test]
    fn a_server_that_slows_down_gets_fewer() {
        let mut pace = after(64, 80);
        answer(&mut pace, 64, 300);
        assert_eq!(pace.at_once(), 32, "some of that is the starts' own doing");
        answer(&mut pace, 200, 5_000);
        assert_eq!(pace.at_once(), 8);
        answer(&mut pace, 200, 80);
        assert_eq!(pace.at_once(), 32);
    }
}
