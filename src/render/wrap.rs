//! Line breaks at spaces.

use unicode_width::UnicodeWidthStr;

/// The text in lines of at most `width` cells of a terminal, broken at spaces; a longer word stays
/// whole. Without a width the text is one line.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let mut lines = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let cells = word.width();
        if used > 0 && used + 1 + cells > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += cells;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// Cells of the longest word.
pub(crate) fn longest_word(text: &str) -> usize {
    text.split(' ').map(UnicodeWidthStr::width).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_words_stay_whole() {
        let text = "a sentence with one_word_that_is_longer_than_the_line in it";
        let lines = ["a sentence with", "one_word_that_is_longer_than_the_line", "in it"];
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
}
