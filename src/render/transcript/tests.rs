//! What stands on a terminal of an agent's output.

use coordinator_core::agent::MAX_LINE_BYTES;
use serde_json::{Value, json};

use super::*;

fn secrets() -> Secrets {
    Secrets::new(["s3cret-value".to_owned()])
}

fn rendered(mut rendering: Rendering<'_>, portions: &[&[u8]]) -> String {
    let mut shown = Vec::new();
    for portion in portions {
        rendering.read(portion, |line| shown.extend_from_slice(line));
    }
    rendering.finish(|line| shown.extend_from_slice(line));
    String::from_utf8(shown).expect("only text is printed")
}

fn readable(profile: Profile, text: &str) -> String {
    rendered(Rendering::readable(profile, false, &secrets()), &[text.as_bytes()])
}

fn raw(text: &str) -> String {
    rendered(Rendering::raw(false, &secrets()), &[text.as_bytes()])
}

fn spoken(block: &Value) -> Value {
    json!({"type": "assistant", "message": {"content": [block]}})
}

fn text_of(lines: &[Value]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    lines.concat()
}

/// A session of Claude Code.
fn session() -> String {
    let error = json!([{"type": "tool_result", "is_error": true, "content": "no\nsuch file"}]);
    let result = json!([{"type": "tool_result", "content": "ok\n2 passed"}]);
    let lines = [
        json!({"type": "system", "subtype": "init", "model": "opus"}),
        spoken(&json!({"type": "thinking", "thinking": "The tests\nfirst."})),
        spoken(&json!({"type": "text", "text": "I run them.\nNow."})),
        spoken(&json!({"type": "tool_use", "name": "Bash", "input": {"command": "cargo\ntest"}})),
        json!({"type": "user", "message": {"content": result}}),
        json!({"type": "user", "message": {"content": error}}),
        json!({"type": "result", "subtype": "success", "num_turns": 2, "total_cost_usd": 0.5}),
    ];
    text_of(&lines)
}

#[test]
fn a_session_is_readable() {
    let expected = "-- session began with opus\n~ The tests\n~ first.\nI run them.\nNow.\n\
        > Bash: cargo test\n  ok\n  2 passed\n! no\n! such file\n== succeeded, 2 turns, $0.50\n";
    assert_eq!(readable(Profile::Claude, &session()), expected);
}

#[test]
fn on_a_terminal_calls_are_dim_and_errors_are_red() {
    let secrets = secrets();
    let rendering = Rendering::readable(Profile::Claude, true, &secrets);
    let shown = rendered(rendering, &[session().as_bytes()]);
    assert!(shown.contains("\u{1b}[2m> Bash: cargo test\u{1b}[0m\n"), "{shown:?}");
    assert!(shown.contains("\u{1b}[31m! such file\u{1b}[0m\n"), "{shown:?}");
    assert!(shown.contains("\nI run them.\n"), "{shown:?}");
}

#[test]
fn where_the_output_is_split_never_matters() {
    let (whole, secrets) = (session(), secrets());
    let expected = readable(Profile::Claude, &whole);
    for at in 0..whole.len() {
        let (first, second) = whole.as_bytes().split_at(at);
        let rendering = Rendering::readable(Profile::Claude, false, &secrets);
        assert_eq!(rendered(rendering, &[first, second]), expected, "at {at}");
    }
}

#[test]
fn other_output_is_as_it_is_without_what_steers_a_terminal() {
    let log = "a\u{1b}[31mred\u{1b}[0m\tb\r\n10%\r20%\n\u{1b}]0;title\u{7}\u{9b}2Jc\n\nd";
    for profile in [Profile::None, Profile::Claude] {
        assert_eq!(readable(profile, log), "ared\tb\n10%\n20%\n2Jc\n\nd\n");
    }
    assert_eq!(readable(Profile::None, &session()), session());
}

#[test]
fn nothing_in_a_transcript_steers_a_terminal_or_fakes_a_line() {
    let hostile = "a\u{1b}[2J\u{1b}]0;t\u{7}\u{202e}b\u{8}";
    let lines = [
        spoken(&json!({"type": "text", "text": hostile})),
        spoken(&json!({"type": "tool_use", "name": hostile, "input": {"command": "x\n== fake"}})),
        json!({"type": "user", "message": {"content":
            [{"type": "tool_result", "content": format!("{hostile}\r\n== fake")}]}}),
        json!({"type": "system", "subtype": "init", "model": hostile}),
        json!({"type": "result", "is_error": true, "subtype": hostile}),
    ];
    let text = text_of(&lines);
    let expected = "ab\n> ab: x == fake\n  ab\n  == fake\n-- session began with ab\n\
        == failed (ab)\n";
    assert_eq!(readable(Profile::Claude, &text), expected);
}

#[test]
fn a_secret_is_masked_in_every_part_of_a_transcript() {
    let key = "the s3cret-\u{200b}value ends";
    let lines = [
        spoken(&json!({"type": "text", "text": key})),
        spoken(&json!({"type": "tool_use", "name": "Bash", "input": {"command": key}})),
        json!({"type": "user", "message": {"content":
            [{"type": "tool_result", "content": "s3cret\u{1b}[1m-value"}]}}),
    ];
    let text = text_of(&lines);
    let expected = "the *** ends\n> Bash: the *** ends\n  ***\n";
    assert_eq!(readable(Profile::Claude, &text), expected);
    let escaped = text.replace("s3cret", "s3\\u0063ret");
    assert_eq!(readable(Profile::Claude, &escaped), expected);
}

#[test]
fn a_secret_is_masked_before_a_call_or_a_result_is_cut() {
    let long = |before: usize| format!("{}s3cret-value", "x".repeat(before));
    let call = spoken(&json!({"type": "tool_use", "name": "B",
        "input": {"command": long(MAX_CALL - 8)}}));
    let shown = readable(Profile::Claude, &call.to_string());
    assert!(shown.ends_with("x***…\n") || shown.ends_with("x***\n"), "{shown}");
    let result = json!({"type": "user", "message": {"content":
        [{"type": "tool_result", "content": long(MAX_RESULT_LINE - 2)}]}});
    let shown = readable(Profile::Claude, &result.to_string());
    assert!(shown.ends_with("x**…\n"), "{shown}");
}

#[test]
fn a_secret_across_two_reads_or_behind_an_escape_sequence_is_masked() {
    let secrets = secrets();
    let rendering = Rendering::readable(Profile::None, false, &secrets);
    assert_eq!(rendered(rendering, &[b"key s3cret-", b"value end\nnext"]), "key *** end\nnext\n");
    assert_eq!(readable(Profile::None, "s3cret\u{1b}[1m-value\n"), "***\n");
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_raw_prints_it() {
    let long = format!("{}\nnext\n", "x".repeat(2 * MAX_LINE_BYTES + 3));
    assert_eq!(readable(Profile::Claude, &long), format!("{TOO_LONG}\nnext\n"));
    assert_eq!(raw(&long), long);
    let open = "x".repeat(MAX_LINE_BYTES + 1);
    assert_eq!(readable(Profile::None, &open), format!("{TOO_LONG}\n"));
}

#[test]
fn raw_output_is_the_agents_bytes_but_for_secrets() {
    let text = "a\u{1b}[31mred\u{1b}[0m\r\n";
    assert_eq!(raw(text), text);
    assert_eq!(raw("key s3cret-value end"), "key *** end\n");
    let secrets = secrets();
    let mut shown = Vec::new();
    let mut rendering = Rendering::raw(false, &secrets);
    rendering.read(b"\xff\x00s3cret\n", |line| shown.extend_from_slice(line));
    assert_eq!(shown, b"\xff\x00s3cret\n", "bytes that are not text stay");
    assert_eq!(rendered(Rendering::raw(true, &secrets), &[text.as_bytes()]), "ared\n");
}
