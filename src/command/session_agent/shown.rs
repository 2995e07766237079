//! The agent's output as people read it.

use coordinator_core::agent::Profile;
use coordinator_core::sanitize;

/// Bytes of a line that are kept together.
const MAX_LINE: usize = 64 * 1024;

/// Renders output as it comes; its memory is bounded.
#[derive(Debug)]
pub(super) struct Rendered {
    line: Vec<u8>,
}

impl Rendered {
    /// `color` is for a terminal.
    pub(super) fn new(_profile: Profile, _color: bool) -> Self {
        Self { line: Vec::new() }
    }

    /// Calls `each` with every line that the bytes complete.
    pub(super) fn read(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' || self.line.len() == MAX_LINE {
                self.show(&mut each);
            }
        }
    }

    /// Calls `each` with what is left.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.line.push(b'\n');
            self.show(&mut each);
        }
    }

    fn show(&mut self, each: &mut impl FnMut(&[u8])) {
        each(sanitize::lines(&String::from_utf8_lossy(&self.line)).as_bytes());
        self.line.clear();
    }
}
