//! One line on a terminal that says which steps still run; it is gone when the report comes.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Stderr, Write};

use coordinator_core::report::StepOutcome;

/// Returns to the start of the line and clears it.
const CLEAR: &str = "\r\u{1b}[2K";

/// The progress of one cycle. A cycle runs on one thread.
pub struct Progress<W: Write = Stderr> {
    line: Option<RefCell<ProgressLine<W>>>,
}

struct ProgressLine<W> {
    terminal: W,
    steps: Vec<(&'static str, &'static str)>,
}

impl Progress {
    /// On standard error when it is a terminal, else silent.
    pub fn stderr() -> Self {
        let stderr = io::stderr();
        if stderr.is_terminal() { Self::on(stderr) } else { Self::silent() }
    }

    pub fn silent() -> Self {
        Self { line: None }
    }
}

impl<W: Write> Progress<W> {
    pub fn on(terminal: W) -> Self {
        Self { line: Some(RefCell::new(ProgressLine { terminal, steps: Vec::new() })) }
    }

    pub fn step_started(&self, name: &'static str) {
        self.show(name, "…");
    }

    pub fn step_ended(&self, name: &'static str, outcome: &StepOutcome) {
        let word = match outcome {
            StepOutcome::Ok => "done",
            StepOutcome::Failed(_) => "failed",
            StepOutcome::Skipped => "skipped",
            StepOutcome::NotConfigured => "not configured",
        };
        self.show(name, word);
    }

    fn show(&self, name: &'static str, word: &'static str) {
        let Some(line) = &self.line else { return };
        let ProgressLine { terminal, steps } = &mut *line.borrow_mut();
        match steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, state)) => *state = word,
            None => steps.push((name, word)),
        }
        let text: Vec<_> = steps.iter().map(|(name, word)| format!("{name} {word}")).collect();
        draw(terminal, &format!("{CLEAR}{}", text.join("  ")));
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            draw(&mut line.borrow_mut().terminal, CLEAR);
        }
    }
}

/// A terminal that went away must not stop the cycle.
fn draw(terminal: &mut impl Write, text: &str) {
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_which_steps_run_and_goes_away() {
        let mut terminal = Vec::new();
        let progress = Progress::on(&mut terminal);
        progress.step_started("inventory");
        progress.step_started("merge");
        progress.step_ended("inventory", &StepOutcome::Ok);
        progress.step_ended("merge", &StepOutcome::Failed("no token".to_owned()));
        drop(progress);
        let shown = String::from_utf8(terminal).expect("it is text");
        let lines: Vec<_> = shown.split(CLEAR).collect();
        let expected = [
            "",
            "inventory …",
            "inventory …  merge …",
            "inventory done  merge …",
            "inventory done  merge failed",
            "",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn without_a_terminal_nothing_is_said() {
        let progress = Progress::silent();
        progress.step_started("merge");
        assert!(progress.line.is_none());
    }
}
