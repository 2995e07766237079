//! Line breaks at spaces.

/// Less room than this is no room: a word would stand on every line.
const NARROWEST: usize = 20;

/// The text in lines of at most `width` characters, broken at spaces; a longer word stays whole. Without a width the
/// text is one line.
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.map(|width| width.max(NARROWEST)) else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if used == 0 => {
                line.push_str(word);
                used = length;
            }
            Some(line) if used + 1 + length <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + length;
            }
            _ => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
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
}
