//! Text from elsewhere (titles, logins, error messages, logs) made safe to show.

/// One line without control characters, escape sequences, or characters that reorder what is shown; at most
/// `longest` characters, then `…`.
pub fn one_line(text: &str, longest: usize) -> String {
    let shown = text.chars().filter_map(|c| match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Some(' '),
        c if c.is_control() || is_invisible(c) => None,
        c => Some(c),
    });
    let mut line = String::new();
    for (count, c) in shown.enumerate() {
        if count == longest {
            line.push('…');
            break;
        }
        line.push(c);
    }
    line.trim().to_owned()
}

/// Text of many lines without escape sequences and without control characters but line break and tab. A carriage return,
/// as progress bars write it, ends a line.
pub fn lines(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string().replace("\r\n", "\n").replace('\r', "\n");
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_invisible(*c))).collect()
}

/// Direction overrides, zero-width characters, tags and the byte order mark.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
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
    fn long_text_is_cut_and_says_so() {
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }
}
