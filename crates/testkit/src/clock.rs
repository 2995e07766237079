//! What time it is in the world: this machine's time, unless a simulation on this thread has a
//! clock of its own.

use std::cell::Cell;
use std::time::SystemTime;

use jiff::fmt::rfc2822::DateTimePrinter;

/// A clock that is not this machine's.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When the world started.
    pub start: SystemTime,
    /// The current time.
    pub now: fn() -> SystemTime,
}

thread_local! {
    static SIMULATED: Cell<Option<Clock>> = const { Cell::new(None) };
}

/// From now on, worlds on this thread have this clock.
pub fn simulate(clock: Clock) {
    SIMULATED.set(Some(clock));
}

/// The time.
pub fn now() -> SystemTime {
    SIMULATED.get().map_or_else(SystemTime::now, |clock| (clock.now)())
}

/// When the world started; without a simulation no time passes in it.
pub fn start() -> SystemTime {
    SIMULATED.get().map_or_else(SystemTime::now, |clock| clock.start)
}

/// As a `Date` header has it.
pub fn http_date(time: SystemTime) -> String {
    let time = time.try_into().expect("a time that can be written");
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("a year with four digits")
}
