//! The output of an agent: Claude Code with `--output-format stream-json`.

use serde_json::{Value, json};

/// At least this many bytes of turns between a begin and an end: a text, a call and its result,
/// some short, some long.
pub(crate) fn of(bytes: usize) -> Vec<u8> {
    let begin = json!({"type": "system", "subtype": "init", "session_id": "s1", "model": "m"});
    let mut output = line(&begin);
    for turn in 1.. {
        if output.len() >= bytes {
            let end = json!({"type": "result", "subtype": "success", "session_id": "s1",
                "num_turns": turn, "total_cost_usd": 1.5, "is_error": false});
            output.extend(line(&end));
            break;
        }
        let result = result(turn);
        let block = |block| {
            json!({"type": "assistant", "session_id": "s1",
            "message": {"content": [block], "usage": {"input_tokens": 5, "output_tokens": 6}}})
        };
        let call = json!({"type": "tool_use", "name": "Bash", "input": {"command": "cargo test"}});
        output.extend(line(&block(json!({"type": "text", "text": "I run the \"tests\" again."}))));
        output.extend(line(&block(call)));
        output.extend(line(&json!({"type": "user", "session_id": "s1", "message": {"content":
            [{"type": "tool_result", "content": result, "is_error": turn % 20 == 0}]},
            "tool_use_result": {"stdout": result, "stderr": ""}})));
    }
    output
}

fn line(event: &Value) -> Vec<u8> {
    format!("{event}\n").into_bytes()
}

/// What a command printed: 3 to 300 lines.
fn result(turn: usize) -> String {
    let lines = [3, 20, 100, 300][turn % 4];
    "test rules::plan::a_slot_is_filled_once ... ok\n    let x = \"value\";\n".repeat(lines / 2)
}
