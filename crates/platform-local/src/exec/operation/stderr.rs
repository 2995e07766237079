//! A plugin's standard error: lines for the log.

use coordinator_core::sanitize::one_line;
use coordinator_core::secrets::Secrets;

/// Lines of one operation that are shown.
const MAX_LINES: usize = 100;

/// What is shown of a line, in characters.
const SHOWN: usize = 500;

/// A longer line is cut before it is looked at.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Splits stderr into lines and logs them.
pub(super) struct Log<'a> {
    head: String,
    secrets: &'a Secrets,
    /// The beginning of a line whose end has not come.
    pub(super) pending: Vec<u8>,
    logged: usize,
    /// The line was too long, and its rest is left out.
    skips: bool,
}

impl<'a> Log<'a> {
    /// `head` stands before each line.
    pub(super) fn new(head: String, secrets: &'a Secrets) -> Self {
        Self { head, secrets, pending: Vec::new(), logged: 0, skips: false }
    }

    /// Logs the lines that are complete.
    pub(super) fn log_lines(&mut self) {
        let read = std::mem::take(&mut self.pending);
        let mut rest = read.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if !std::mem::take(&mut self.skips) {
                self.line(&rest[..end]);
            }
            rest = &rest[end + 1..];
        }
        if self.skips {
            return;
        }
        if rest.len() > MAX_LINE_BYTES {
            self.line(&rest[..MAX_LINE_BYTES]);
            self.skips = true;
        } else {
            self.pending.extend_from_slice(rest);
        }
    }

    /// Logs the last line, which may have no end.
    pub(super) fn finish(&mut self) {
        self.log_lines();
        let last = std::mem::take(&mut self.pending);
        if !last.is_empty() {
            self.line(&last);
        }
    }

    fn line(&mut self, line: &[u8]) {
        self.logged += 1;
        if self.logged > MAX_LINES {
            if self.logged == MAX_LINES + 1 {
                tracing::warn!("{}more than {MAX_LINES} lines on stderr, the rest is left out", self.head);
            }
            return;
        }
        // Masked before it is cut: half a secret is one, too.
        let line = one_line(&self.secrets.mask(&String::from_utf8_lossy(line)), SHOWN);
        if !line.is_empty() {
            tracing::warn!("{}{line}", self.head);
        }
    }
}
