//! What people see of real lines of both agents, and of lines that are not theirs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(profile: Profile, lines: &[Value]) -> Vec<Entry> {
    let mut transcript = Transcript::new(profile);
    lines.iter().flat_map(|line| transcript.read(&format!("{line}\n"))).collect()
}

fn claude(lines: &[Value]) -> Vec<Entry> {
    read(Profile::Claude, lines)
}

fn codex(lines: &[Value]) -> Vec<Entry> {
    read(Profile::Codex, lines)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn end(summary: &str, failed: bool) -> Entry {
    Entry::End { summary: text(summary), failed }
}

fn spoken(block: &Value) -> Value {
    json!({"type": "assistant", "message": {"content": [block]}})
}

fn answered(content: &Value, is_error: bool) -> Value {
    json!({"type": "user", "message": {"content":
        [{"type": "tool_result", "content": content, "is_error": is_error}]}})
}

fn called(name: &str, input: &Value) -> Vec<Entry> {
    claude(&[spoken(&json!({"type": "tool_use", "name": name, "input": input}))])
}

#[test]
fn a_session_of_claude_reads_from_its_begin_to_its_cost() {
    let init = json!({"type": "system", "subtype": "init", "model": "claude-opus-4-5"});
    let entries = claude(&[
        init.clone(),
        spoken(&json!({"type": "thinking", "thinking": "The test first."})),
        spoken(&json!({"type": "text", "text": "I run the tests.\n"})),
        spoken(&json!({"type": "tool_use", "name": "Bash", "input":
            {"command": "cargo test", "description": "Runs them"}})),
        answered(&json!("ok\n"), false),
        json!({"type": "system", "subtype": "compact_boundary", "compact_metadata":
            {"pre_tokens": 155_000}}),
        init,
        json!({"type": "rate_limit_event"}),
        json!({"type": "result", "subtype": "success", "is_error": false, "num_turns": 12,
            "duration_ms": 185_400, "total_cost_usd": 0.4249, "result": "Done.",
            "permission_denials": [{}, {}]}),
    ]);
    let expected = [
        Entry::Note(text("session began with claude-opus-4-5")),
        Entry::Thinking(text("The test first.")),
        Entry::Text(text("I run the tests.")),
        Entry::Call(text("Bash: cargo test")),
        Entry::Output(text("ok")),
        Entry::Note(text("the context of 155,000 tokens was compacted")),
        end("succeeded, 12 turns, 3m 5s, $0.42, 2 tool calls denied", false),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn a_call_shows_its_most_telling_argument() {
    let call = |line: &str| vec![Entry::Call(text(line))];
    assert_eq!(
        called("Edit", &json!({"old_string": "a", "file_path": "src/a.rs"})),
        call("Edit: src/a.rs")
    );
    assert_eq!(
        called("Grep", &json!({"pattern": "fn main", "glob": "*.rs"})),
        call("Grep: fn main")
    );
    assert_eq!(
        called("Task", &json!({"prompt": "long", "description": "Look for it"})),
        call("Task: Look for it")
    );
    assert_eq!(called("mcp__x__y", &json!({"a": 1})), call("mcp__x__y: {\"a\":1}"));
    assert_eq!(called("Stop", &json!({})), call("Stop"));
}

#[test]
fn a_long_result_is_shortened_to_forty_lines_and_an_error_is_whole() {
    let lines = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    let shown = |count: usize| claude(&[answered(&json!(lines(count)), false)]);
    assert_eq!(shown(40), [Entry::Output(lines(40))]);
    assert_eq!(shown(41), [Entry::Output(lines(40) + "\n... 1 more line")]);
    assert_eq!(shown(100), [Entry::Output(lines(40) + "\n... 60 more lines")]);
    assert_eq!(claude(&[answered(&json!(lines(100)), true)]), [Entry::Error(lines(100))]);
    let parts = json!([{"type": "text", "text": "one"}, {"type": "image"}]);
    assert_eq!(claude(&[answered(&parts, false)]), [Entry::Output(text("one\n(image)"))]);
    assert_eq!(claude(&[answered(&json!(""), false)]), []);
    let progress = json!("10%\r55%\r100%\r\ndone\r\n");
    assert_eq!(claude(&[answered(&progress, false)]), [Entry::Output(text("100%\ndone"))]);
}

#[test]
fn a_session_that_failed_shows_the_error_in_its_words() {
    let refused = json!({"type": "result", "subtype": "success", "is_error": true,
        "num_turns": 1, "result": "API Error: 401 refused", "total_cost_usd": 0});
    let expected =
        [Entry::Error(text("API Error: 401 refused")), end("failed, 1 turn, $0.00", true)];
    assert_eq!(claude(&[refused]), expected);
    let limited = json!({"type": "result", "subtype": "error_max_turns", "is_error": true,
        "errors": ["Reached maximum number of turns (5)"]});
    let expected = [
        Entry::Error(text("Reached maximum number of turns (5)")),
        end("failed (error_max_turns)", true),
    ];
    assert_eq!(claude(&[limited]), expected);
}

#[test]
fn a_session_of_codex_reads_from_its_begin_to_its_tokens() {
    let command = |status: &str, code: Value, output: &str| {
        json!({"id": "item_1", "type": "command_execution", "command": "bash -lc ls",
            "aggregated_output": output, "exit_code": code, "status": status})
    };
    let entries = codex(&[
        json!({"type": "thread.started", "thread_id": "0199a213"}),
        json!({"type": "turn.started"}),
        json!({"type": "item.completed", "item": {"type": "reasoning", "text": "**Looking**"}}),
        json!({"type": "item.started", "item": command("in_progress", Value::Null, "")}),
        json!({"type": "item.completed", "item": command("completed", json!(0), "docs\nsrc\n")}),
        json!({"type": "item.completed", "item": command("failed", json!(2), "no such file\n")}),
        json!({"type": "item.completed", "item": {"type": "file_change", "status": "completed",
            "changes": [{"path": "a.rs", "kind": "update"}, {"path": "b.rs", "kind": "add"}]}}),
        json!({"type": "item.completed", "item": {"type": "agent_message", "text": "Done."}}),
        json!({"type": "turn.completed", "usage": {"input_tokens": 24_763, "output_tokens": 122}}),
    ]);
    let expected = [
        Entry::Note(text("session began")),
        Entry::Thinking(text("**Looking**")),
        Entry::Call(text("shell: bash -lc ls")),
        Entry::Output(text("docs\nsrc")),
        Entry::Error(text("no such file\nexit 2")),
        Entry::Call(text("edit: update a.rs, add b.rs")),
        Entry::Text(text("Done.")),
        end("succeeded, 24,763 tokens in, 122 tokens out", false),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn a_failed_turn_of_codex_shows_its_error() {
    let failed = json!({"type": "turn.failed", "error": {"message": "status 401"}});
    assert_eq!(codex(&[failed]), [Entry::Error(text("status 401")), end("failed", true)]);
    let tool = json!({"type": "item.started", "item": {"type": "mcp_tool_call",
        "server": "docs", "tool": "find", "arguments": {"query": "tokio"}}});
    let broken = json!({"type": "item.completed", "item": {"type": "mcp_tool_call",
        "status": "failed", "error": {"message": "timed out"}}});
    let expected = [Entry::Call(text("docs.find: tokio")), Entry::Error(text("timed out"))];
    assert_eq!(codex(&[tool, broken]), expected);
}

#[test]
fn a_line_in_no_known_form_is_shown_as_it_is() {
    let lines = [
        "",
        "npm warn old",
        "{\"type\":",
        "{\"level\":\"info\"}",
        "[1]",
        "{\"type\":7}",
        "{\"type\":\"new_thing\"}",
        "  {\"type\":\"result\"}",
    ];
    for profile in [Profile::Claude, Profile::Codex, Profile::None] {
        for line in lines {
            let shown = Transcript::new(profile).read(&format!("{line}\r\n"));
            assert_eq!(shown, [Entry::Plain(text(line))], "{profile:?}");
        }
    }
    let result = r#"{"type":"result","subtype":"success"}"#;
    assert_eq!(Transcript::new(Profile::None).read(result), [Entry::Plain(text(result))]);
}

#[test]
fn the_time_that_github_puts_before_a_line_does_not_hide_its_form() {
    let line = r#"{"type":"result","subtype":"success","num_turns":2}"#;
    let timed = format!("2026-01-01T00:00:00.1234567Z {line}");
    let shown = Transcript::new(Profile::Claude).read(&timed);
    assert_eq!(shown, [end("succeeded, 2 turns", false)]);
    let other = format!("a lineZ {line}");
    let shown = Transcript::new(Profile::Claude).read(&other);
    assert_eq!(shown, [Entry::Plain(other)]);
}

/// Events whose fields hold anything.
fn odd_event() -> impl Strategy<Value = String> {
    let types = ["system", "assistant", "user", "result", "item.completed", "turn.completed"];
    let names = ["subtype", "message", "content", "item", "usage", "errors", "result", "is_error"];
    let values = [
        json!(null),
        json!(7),
        json!("text"),
        json!([1, "a", {"type": "text"}]),
        json!({}),
        json!({"content": [{"type": "tool_use"}, {"type": "tool_result"}, 3]}),
        json!({"type": "file_change", "changes": 1}),
        json!("init"),
        json!(true),
    ];
    let fields = prop::collection::vec(
        (prop::sample::select(names.to_vec()), prop::sample::select(values.to_vec())),
        0..5,
    );
    (prop::sample::select(types.to_vec()), fields).prop_map(|(of_type, fields)| {
        let mut event = json!({ "type": of_type });
        for (name, value) in fields {
            event[name] = value;
        }
        event.to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_line_is_read_without_a_panic(event in odd_event(), line in ".{0,80}") {
        for profile in [Profile::Claude, Profile::Codex, Profile::None] {
            let mut transcript = Transcript::new(profile);
            let _ = (transcript.read(&event), transcript.read(&line));
        }
    }
}
