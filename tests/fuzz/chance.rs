//! Decisions out of bytes.

/// Signs that terminals, Markdown, HTML, GitHub, its runner and our own parsers read.
const WORDS: [&str; 62] = [
    "\u{1b}[31m",
    "\u{1b}]8;;https://evil.example\u{7}",
    "\u{1b}]0;owned\u{7}",
    "\r",
    "\n",
    "\t",
    "\0",
    "\u{7f}",
    "\u{9b}2J",
    "\u{85}",
    "\u{202e}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
    "\u{2028}",
    "`",
    "```\n",
    "|",
    "\\",
    "\"",
    "'",
    "<b>",
    "<img src=x onerror=y>",
    "</td></table>",
    "<!--",
    "<details>",
    "&lt;",
    "&#60;",
    "@everyone",
    "@org/team",
    "#1",
    "org/repo#1",
    "[x](https://evil.example)",
    "![x](y)",
    "[x]: y",
    "<https://evil.example>",
    "https://evil.example",
    "www.evil.example",
    "**",
    "_a_",
    "~~",
    "$x$",
    "[^1]",
    "- [ ] ",
    "1. ",
    "\n# ",
    "\n> ",
    "\n---\n",
    "\n===\n",
    "::error::",
    "\n::error title=x::y",
    "\n  ::add-mask::x",
    "##[error]",
    "%0A",
    "%25",
    "${{ github.token }}",
    "[skip ci]",
    "{prompt}",
    "ä",
    "\u{1F980}",
    " ",
];

/// A run of bytes, read as decisions from the first to the last.
#[derive(Debug)]
pub(super) struct Chance {
    bytes: Vec<u8>,
    at: usize,
}

impl Chance {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0 }
    }

    /// A number below this one, and 0 when there are no more bytes.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let Some(byte) = self.bytes.get(self.at) else { return 0 };
        self.at += 1;
        usize::from(*byte) % limit.max(1)
    }

    /// The first one when there are no more bytes.
    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// Up to eight words that have a meaning in some output format.
    pub(super) fn text(&mut self) -> String {
        let words = 1 + self.below(8);
        let text: String = (0..words).map(|_| *self.one_of(&WORDS)).collect();
        match self.below(40) {
            39 => text.repeat(400),
            _ => text,
        }
    }
}
