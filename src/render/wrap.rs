//! Line breaks at spaces, and within words that are longer than a line.

use std::mem;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text in lines of at most `width` cells of a terminal, broken at spaces. A word that is
/// longer than a line is broken between characters. Without a width the text is one line.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines = Lines { width, done: Vec::new(), line: String::new(), used: 0 };
    for word in text.split(' ') {
        lines.push(word);
    }
    lines.end();
    lines.done
}

struct Lines {
    width: usize,
    done: Vec<String>,
    line: String,
    /// Cells of `line`.
    used: usize,
}

impl Lines {
    fn end(&mut self) {
        self.done.push(mem::take(&mut self.line).trim_end().to_owned());
        self.used = 0;
    }

    fn push(&mut self, word: &str) {
        let cells = word.width();
        let is_long = cells > self.width;
        let start = if is_long { start(word).unwrap_or(cells) } else { cells };
        if self.used > 0 && self.used + 1 + start > self.width {
            self.end();
        }
        if self.used > 0 {
            self.line.push(' ');
            self.used += 1;
        }
        for part in if is_long { characters(word) } else { vec![word] } {
            let cells = part.width();
            if is_long && self.used > 0 && self.used + cells > self.width {
                self.end();
            }
            self.line.push_str(part);
            self.used += cells;
        }
    }
}

/// Cells of the word that must stand on the line on which it begins, if it may be broken anywhere,
/// as scripts with wide letters are, which have no spaces.
fn start(word: &str) -> Option<usize> {
    let wide = |c: char| c.width() == Some(2);
    word.chars().next().filter(|c| wide(*c)).and_then(UnicodeWidthChar::width)
}

/// The word in parts between which it may be broken: marks stay with their letters, and signs that
/// are joined to one stay together.
fn characters(word: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, c) in word.char_indices().skip(1) {
        let (part, longer) = (&word[start..at], &word[start..at + c.len_utf8()]);
        let cells = c.width().unwrap_or_default();
        let is_joined = cells == 0 || longer.width() < part.width() + cells;
        if !is_joined && !is_flag(longer) {
            parts.push(part);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}

/// The text is a flag, which has two letters of its own alphabet.
fn is_flag(text: &str) -> bool {
    text.chars().count() == 2 && text.chars().all(|c| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c))
}

/// The text in at most `width` cells; `…` stands for the rest.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut line, mut left) = (String::new(), width.saturating_sub(1));
    for part in characters(text) {
        let Some(rest) = left.checked_sub(part.width()) else { break };
        line.push_str(part);
        left = rest;
    }
    line.truncate(line.trim_end().len());
    line + "…"
}

/// Cells of the longest word.
pub(crate) fn longest_word(text: &str) -> usize {
    text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_within_words_that_are_longer_than_a_line() {
        let text = "a sentence with one_word_that_is_longer_than_the_line in it";
        let lines = ["a sentence with", "one_word_that_is_lon", "ger_than_the_line in", "it"];
        assert_eq!(wrapped(text, Some(20)), lines);
        assert_eq!(wrapped(text, None), [text]);
        assert_eq!(wrapped("", Some(20)), [""]);
        assert_eq!(wrapped("runs    here", Some(20)), ["runs    here"]);
        assert_eq!(longest_word(text), 37);
    }

    #[test]
    fn a_width_counts_cells_of_a_terminal() {
        let text = "十列十列十 二十列二十 ab-cd";
        assert_eq!(wrapped(text, Some(20)), ["十列十列十", "二十列二十 ab-cd"]);
        // A family joined to one sign, a flag, a cloud in colour, and combining marks.
        let signs = "👩\u{200d}💻 🇩🇪 ☁\u{fe0f} e\u{301}e\u{301}";
        assert_eq!(wrapped(signs, Some(11)), [signs]);
        assert_eq!(wrapped(signs, Some(10)).len(), 2);
    }

    #[test]
    fn a_script_without_spaces_breaks_between_its_letters() {
        let text = "fix: 認証トークンの更新";
        assert_eq!(wrapped(text, Some(12)), ["fix: 認証ト", "ークンの更新"]);
        let broken = ["認証トーク", "ンの更新"];
        assert_eq!(wrapped("認証トークンの更新", Some(11)), broken);
        // Marks, joined signs and flags stay whole.
        let signs = "e\u{301}👩\u{200d}💻🇩🇪🇫🇷";
        assert_eq!(characters(signs), ["e\u{301}", "👩\u{200d}💻", "🇩🇪", "🇫🇷"]);
        assert_eq!(wrapped(signs, Some(3)), ["e\u{301}👩\u{200d}💻", "🇩🇪", "🇫🇷"]);
    }

    #[test]
    fn a_cut_counts_cells_and_ends_in_an_ellipsis() {
        assert_eq!(cut("認証トークン", 12), "認証トークン");
        assert_eq!(cut("認証トークン", 11), "認証トーク…");
        assert_eq!(cut("認証トークン", 10), "認証トー…");
        assert_eq!(cut("red build", 5), "red…");
    }
}
