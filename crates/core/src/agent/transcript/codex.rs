//! Codex with `exec --json`.

use serde_json::Value;

use super::{Entry, call, output, thousands};

/// `None` where the line is in no form of Codex.
pub(super) fn read(event: &Value) -> Option<Vec<Entry>> {
    let entries = match event["type"].as_str()? {
        "thread.started" => vec![Entry::Note("session began".to_owned())],
        "turn.started" | "item.updated" | "item.plan.delta" => Vec::new(),
        "item.started" => started(&event["item"]).into_iter().collect(),
        "item.completed" => completed(&event["item"]),
        "turn.completed" => vec![completed_turn(&event["usage"])],
        "turn.failed" => {
            let end = Entry::End { summary: "failed".to_owned(), failed: true };
            error(&event["error"]).into_iter().chain([end]).collect()
        }
        "error" => error(event).into_iter().collect(),
        _ => return None,
    };
    Some(entries)
}

fn completed_turn(usage: &Value) -> Entry {
    let part = |name: &str, what: &str| {
        usage[name].as_u64().map(|count| format!(", {} {what}", thousands(count)))
    };
    let (input, output) = (part("input_tokens", "tokens in"), part("output_tokens", "tokens out"));
    let summary = format!("succeeded{}{}", input.unwrap_or_default(), output.unwrap_or_default());
    Entry::End { summary, failed: false }
}

fn error(holder: &Value) -> Option<Entry> {
    output(holder["message"].as_str().unwrap_or_default(), true)
}

/// Calls are shown when they begin.
fn started(item: &Value) -> Option<Entry> {
    match item["type"].as_str()? {
        "command_execution" => Some(call("shell", item)),
        "mcp_tool_call" => {
            let part = |name: &str| item[name].as_str().unwrap_or("?").to_owned();
            Some(call(&format!("{}.{}", part("server"), part("tool")), &item["arguments"]))
        }
        "collab_tool_call" => Some(call(item["tool"].as_str().unwrap_or("an agent"), item)),
        _ => None,
    }
}

fn completed(item: &Value) -> Vec<Entry> {
    let text = || item["text"].as_str().unwrap_or_default().trim().to_owned();
    let failed = matches!(item["status"].as_str(), Some("failed" | "declined"));
    match item["type"].as_str().unwrap_or_default() {
        "agent_message" | "plan" => vec![Entry::Text(text())],
        "reasoning" => vec![Entry::Thinking(text())],
        "command_execution" => command_output(item, failed),
        "file_change" => file_change(item, failed),
        "mcp_tool_call" => tool_output(item, failed),
        "web_search" => vec![call("web_search", &item["query"])],
        "error" => error(item).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn command_output(item: &Value, failed: bool) -> Vec<Entry> {
    let code = item["exit_code"].as_i64().filter(|code| *code != 0);
    let text = item["aggregated_output"].as_str().unwrap_or_default().trim_end();
    let text = match code {
        Some(code) => format!("{text}\nexit {code}"),
        None => text.to_owned(),
    };
    output(text.trim_start_matches('\n'), failed || code.is_some()).into_iter().collect()
}

/// `update src/main.rs, add src/new.rs`.
fn file_change(item: &Value, failed: bool) -> Vec<Entry> {
    let change = |change: &Value| {
        let part = |name: &str| change[name].as_str().unwrap_or("?").to_owned();
        format!("{} {}", part("kind"), part("path"))
    };
    let changes = item["changes"].as_array().into_iter().flatten().map(change);
    let call = Entry::Call(format!("edit: {}", changes.collect::<Vec<_>>().join(", ")));
    let error = failed.then(|| Entry::Error("the change was not made".to_owned()));
    [call].into_iter().chain(error).collect()
}

fn tool_output(item: &Value, failed: bool) -> Vec<Entry> {
    if let Some(error) = error(&item["error"]) {
        return vec![error];
    }
    let parts = item["result"]["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    output(&texts.join("\n"), failed).into_iter().collect()
}
