//! Line breaks at spaces.

use std::borrow::Cow;

use textwrap::{Options, WordSeparator, WordSplitter};

/// In less room a word would stand on every line.
const MIN_WIDTH: usize = 20;

/// The text in lines of at most `width` columns, broken at spaces; a longer word stays whole.
/// Without a width the text is one line.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width else { return vec![text.to_owned()] };
    let options = Options::new(width.max(MIN_WIDTH))
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_words_stay_whole() {
        let text = "a sentence with one_word_that_is_longer_than_the_line in it";
        let lines = ["a sentence with", "one_word_that_is_longer_than_the_line", "in it"];
        assert_eq!(wrapped(text, Some(20)), lines);
        assert_eq!(wrapped(text, Some(3)), lines);
        assert_eq!(wrapped(text, None), [text]);
        assert_eq!(wrapped("", Some(20)), [""]);
    }

    #[test]
    fn a_width_counts_columns() {
        let text = "十列十列十 二十列二十 ab-cd";
        assert_eq!(wrapped(text, Some(20)), ["十列十列十", "二十列二十 ab-cd"]);
    }
}
