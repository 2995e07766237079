//! Virtual time: the runtime's paused clock, as the wall clocks of the world and of each
//! coordinator show it.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use testkit::clock::{self, Clock};

thread_local! {
    static ORIGIN: Cell<Option<(SystemTime, Instant)>> = const { Cell::new(None) };
    /// Seconds by which the clock of the coordinator that runs now is wrong.
    static SKEW: Cell<i64> = const { Cell::new(0) };
}

/// 2026-01-01T00:00:00Z: every world starts then.
const START: Duration = Duration::from_secs(1_767_225_600);

/// Starts the clock of this thread's world. Within its runtime.
pub(crate) fn begin() {
    let start = SystemTime::UNIX_EPOCH + START;
    ORIGIN.set(Some((start, Instant::now())));
    clock::simulate(Clock { start, now });
}

/// The true time.
pub(crate) fn now() -> SystemTime {
    let (start, since) = ORIGIN.get().expect("the clock has begun");
    start + since.elapsed()
}

/// Seconds since the world started.
pub(crate) fn seconds() -> i64 {
    let (_, since) = ORIGIN.get().expect("the clock has begun");
    i64::try_from(since.elapsed().as_secs()).expect("a short simulation")
}

/// The time as the coordinator that runs now believes it.
pub(crate) fn believed() -> SystemTime {
    let skew = SKEW.get();
    let span = Duration::from_secs(skew.unsigned_abs());
    if skew < 0 { now() - span } else { now() + span }
}

/// Makes every time that `work` reads from [`believed`] wrong by this many seconds.
pub(crate) fn skewed<T>(seconds: i64, work: impl FnOnce() -> T) -> T {
    let before = SKEW.replace(seconds);
    let result = work();
    SKEW.set(before);
    result
}
