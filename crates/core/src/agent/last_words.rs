//! The last words of an agent: what a person reads first of a session that ended.

use serde_json::Value;

use super::Profile;

/// Lines of an agent without a form of its own that count as its last words.
const MAX_LINES: usize = 40;

/// Bytes of last words.
const MAX_BYTES: usize = 64 * 1024;

/// The agent's final text in the end of its output: untrusted text, at most 64 KiB. Empty where
/// there is none.
pub fn last_words(agent: Profile, tail: &str) -> String {
    let found = match agent {
        Profile::Claude => last(tail, |line| {
            let is_result = line["type"] == "result";
            is_result.then(|| line["result"].as_str().map(str::to_owned)).flatten()
        }),
        Profile::Codex => last(tail, |line| {
            let item = &line["item"];
            let is_message = line["type"] == "item.completed" && item["type"] == "agent_message";
            is_message.then(|| item["text"].as_str().map(str::to_owned)).flatten()
        }),
        Profile::None => None,
    };
    cut(found.unwrap_or_else(|| last_lines(tail)))
}

fn last(tail: &str, text: impl Fn(&Value) -> Option<String>) -> Option<String> {
    tail.lines().rev().find_map(|line| text(&serde_json::from_str(line).ok()?))
}

fn last_lines(tail: &str) -> String {
    let lines: Vec<&str> = tail.lines().rev().take(MAX_LINES).collect();
    lines.into_iter().rev().flat_map(|line| [line, "\n"]).collect()
}

fn cut(mut text: String) -> String {
    let end = (0..=MAX_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_an_agent_are_its_result_its_last_message_or_its_last_lines() {
        let claude =
            "{\"type\":\"assistant\"}\n{\"type\":\"result\",\"result\":\"done\"}\n{\"a\":1}\n";
        assert_eq!(last_words(Profile::Claude, claude), "done");
        let codex = concat!(
            r#"{"type":"item.completed","item":{"type":"agent_message","text":"first"}}"#,
            "\n",
            r#"{"type":"item.completed","item":{"type":"agent_message","text":"second"}}"#,
            "\n{}\n",
        );
        assert_eq!(last_words(Profile::Codex, codex), "second");
        assert_eq!(last_words(Profile::None, "one\ntwo"), "one\ntwo\n");
        assert_eq!(last_words(Profile::Claude, "no such file"), "no such file\n");
    }

    #[test]
    fn last_words_are_bounded() {
        let long = "\u{fc}\n".repeat(100);
        assert_eq!(last_words(Profile::None, &long).lines().count(), 40);
        assert!(last_words(Profile::None, &"\u{fc}".repeat(100_000)).len() <= MAX_BYTES);
    }
}
