//! One line on a terminal that names what a command waits for. It is gone when the result comes.
//!
//! Whatever else is written to standard error goes through [`beside`], so that the line neither
//! mixes with it nor stays above it.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::terminal_width;
use coordinator_core::sanitize::one_line;

/// Returns to the start of the line and clears it.
const CLEAR: &str = "\r\u{1b}[2K";
/// Work that ends sooner shows no progress.
const DELAY: Duration = Duration::from_secs(1);
/// Between two drawings.
const PERIOD: Duration = Duration::from_secs(1);
/// Columns of a terminal that does not give its width.
const USUAL_WIDTH: usize = 80;

/// What is on the terminal's last line now; empty when nothing does.
static LINE: Mutex<String> = Mutex::new(String::new());
static IS_OFF: AtomicBool = AtomicBool::new(false);

/// From now on no progress is shown.
pub fn off() {
    IS_OFF.store(true, Ordering::Relaxed);
}

/// Does the work. Where standard error is a terminal and the work takes long, `what` and the time
/// stand on its last line: `listing pull requests ... 12s`.
pub async fn waiting<T>(what: impl Fn() -> String, work: impl Future<Output = T>) -> T {
    if IS_OFF.load(Ordering::Relaxed) || !io::stderr().is_terminal() {
        return work.await;
    }
    let (started, _gone_at_the_end) = (Instant::now(), Cleared);
    let (mut work, mut next) = (pin!(work), started + DELAY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep_until(next) => show(&what(), started.elapsed()),
        }
        next = Instant::now() + PERIOD;
    }
}

/// Writes to standard error: the line makes room first and comes back below.
pub fn beside<T>(write: impl FnOnce() -> T) -> T {
    let line = line();
    if line.is_empty() {
        return write();
    }
    draw(CLEAR);
    let written = write();
    draw(&line);
    written
}

fn show(what: &str, time: Duration) {
    let text = format!("{what} ... {}s", time.as_secs());
    let width = terminal_width(&io::stderr()).unwrap_or(USUAL_WIDTH);
    let mut line = line();
    // One less for the sign of a cut, and one for the cursor.
    *line = one_line(&text, width.saturating_sub(2));
    draw(&format!("{CLEAR}{line}"));
}

/// Clears the line when the work ends, also where it is given up.
struct Cleared;

impl Drop for Cleared {
    fn drop(&mut self) {
        let mut line = line();
        if !line.is_empty() {
            line.clear();
            draw(CLEAR);
        }
    }
}

fn line() -> MutexGuard<'static, String> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A terminal that went away must not stop the work.
fn draw(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// The steps of one cycle that run now. A cycle runs on one thread.
#[derive(Debug, Default)]
pub struct Progress {
    running: RefCell<Vec<&'static str>>,
}

impl Progress {
    pub fn step_started(&self, name: &'static str) {
        self.running.borrow_mut().push(name);
    }

    pub fn step_ended(&self, name: &'static str) {
        self.running.borrow_mut().retain(|running| *running != name);
    }

    /// `running inventory, merge`.
    pub fn text(&self) -> String {
        format!("running {}", self.running.borrow().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_steps_that_run() {
        let progress = Progress::default();
        progress.step_started("inventory");
        progress.step_started("merge");
        assert_eq!(progress.text(), "running inventory, merge");
        progress.step_ended("inventory");
        assert_eq!(progress.text(), "running merge");
    }
}
