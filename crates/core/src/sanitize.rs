//! Text from elsewhere (titles, logins, error messages, logs) made safe to show.

/// Longer text is cut: a title has at most 256 characters, a sentence of ours fewer than this.
const MAX_SENTENCE: usize = 600;

/// A message of one or several lines as one sentence.
pub fn sentence(text: &str) -> String {
    let lines = text.lines().map(|line| one_line(line, MAX_SENTENCE));
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    one_line(&lines.join("; "), MAX_SENTENCE)
}

/// One line without control characters, escape sequences, or characters that are invisible or
/// reorder what is shown; joiners and the tags of a flag stay. At most `longest` characters, then
/// `…`.
pub fn one_line(text: &str, longest: usize) -> String {
    let spaced = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        c => (!c.is_control()).then_some(c),
    });
    let mut line = String::new();
    for (count, c) in Shown::of(spaced).enumerate() {
        if count == longest {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line.trim().to_owned()
}

/// Text of many lines without escape sequences and without control characters but line break and
/// tab. A carriage return, as progress bars write it, ends a line.
pub fn lines(text: &str) -> String {
    let text =
        anstream::adapter::strip_str(text).to_string().replace("\r\n", "\n").replace('\r', "\n");
    Shown::of(text.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control())).collect()
}

/// What a reader sees of a text: without joiners, tags and every other character that has no form
/// of its own.
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_joiner(*c) && !is_invisible(*c) && !is_formless(*c)).collect()
}

/// Drops invisible characters, but for joiners after a letter or a sign and the tags of a flag.
struct Shown<I: Iterator<Item = char>> {
    rest: std::iter::Peekable<I>,
    last: char,
    /// The rest of a flag, last character first.
    flag: Vec<char>,
}

impl<I: Iterator<Item = char>> Shown<I> {
    fn of(text: I) -> Self {
        Self { rest: text.peekable(), last: ' ', flag: Vec::new() }
    }

    /// The tags that make a black flag England's; none where they do not end as a flag does, or
    /// could hide a text.
    fn tags(&mut self) -> Vec<char> {
        let mut tags = Vec::new();
        while let Some(tag) = self.rest.next_if(|c| is_tag(*c)) {
            tags.push(tag);
        }
        let end = tags.pop();
        let is_flag = end == Some('\u{E007F}')
            && tags.len() <= MAX_REGION
            && tags.iter().all(|c| is_of_a_region(*c));
        tags.extend(end);
        tags.reverse();
        if is_flag { tags } else { Vec::new() }
    }
}

/// The black flag, which the tags of a region follow.
const FLAG: char = '\u{1F3F4}';

/// Two letters of the country and up to three of its region.
const MAX_REGION: usize = 5;

impl<I: Iterator<Item = char>> Iterator for Shown<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if let Some(tag) = self.flag.pop() {
            return Some(tag);
        }
        loop {
            let c = self.rest.next()?;
            if is_invisible(c)
                || (is_joiner(c) && (self.last.is_whitespace() || is_joiner(self.last)))
            {
                continue;
            }
            if c == FLAG {
                self.flag = self.tags();
            }
            self.last = c;
            return Some(c);
        }
    }
}

/// ZWNJ and ZWJ: words of Persian and Hindi, and most families of emoji, need them.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// A digit or a small letter, as a tag.
fn is_of_a_region(c: char) -> bool {
    matches!(c, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

/// Direction marks and overrides, zero-width characters, tags and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}' | '\u{200E}'..='\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Variation selectors and fillers: harmless where they are shown, but they take words apart.
fn is_formless(c: char) -> bool {
    matches!(c,
        '\u{034F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}'
        | '\u{E0100}'..='\u{E01EF}')
        || (c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_survives() {
        assert_eq!(one_line("a\u{1b}[31mred\u{1b}[0m\r\nb\u{0}\u{9b}2J", 80), "a[31mred[0m  b2J");
        assert_eq!(one_line("pay\u{202e}load\u{200b}", 80), "payload");
    }

    #[test]
    fn joiners_within_words_and_signs_stay_and_others_go() {
        for kept in ["صفحه\u{200c}ها", "👩\u{200d}💻 x", "न\u{200d} x"] {
            assert_eq!(one_line(kept, 80), kept);
            assert_eq!(lines(kept), kept);
        }
        assert_eq!(one_line("\u{200d}a\u{200c}\u{200d}\u{200c}b \u{200d}", 80), "a\u{200c}b");
        assert_eq!(one_line("\u{200d}\u{200b}\u{200c}", 80), "");
    }

    #[test]
    fn the_tags_of_a_flag_stay_and_those_that_could_say_something_go() {
        let tags = |text: &str| -> String {
            text.chars().filter_map(|c| char::from_u32(0xE0000 + u32::from(c))).collect()
        };
        let england = format!("\u{1F3F4}{}\u{E007F} x", tags("gbeng"));
        assert_eq!(one_line(&england, 80), england);
        for hidden in ["approve this", "gbeng"] {
            assert_eq!(one_line(&format!("x{}y", tags(hidden)), 80), "xy");
            assert_eq!(one_line(&format!("\u{1F3F4}{}y", tags(hidden)), 80), "\u{1F3F4}y");
        }
        for hidden in ["approve this", "a b", "LGTM", "gbengx"] {
            assert_eq!(one_line(&format!("\u{1F3F4}{}\u{E007F}", tags(hidden)), 80), "\u{1F3F4}");
        }
    }

    #[test]
    fn what_turns_the_direction_of_text_goes() {
        let turned = "a\u{202e}b\u{202c}c\u{2067}d\u{2069}e\u{200f}f\u{61c}g";
        assert_eq!(
            (one_line(turned, 80), lines(turned)),
            ("abcdefg".to_owned(), "abcdefg".to_owned())
        );
    }

    #[test]
    fn a_reader_sees_no_joiner_no_tag_and_no_filler() {
        assert_eq!(visible("W\u{200d}I\u{fe0f}P\u{e0041}\u{3164}: \u{1b}x\ty"), "WIP: x\ty");
    }

    #[test]
    fn the_lines_of_a_message_become_one_sentence() {
        assert_eq!(sentence("refused\r\n\n  by\u{1b}[1m GitHub\n"), "refused; by[1m GitHub");
        assert_eq!(sentence(""), "");
        assert_eq!(sentence(&"x".repeat(601)), format!("{}…", "x".repeat(600)));
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }
}
