//! Claude Code with `--output-format stream-json --verbose`.

use std::time::Duration;

use serde_json::Value;

use super::{Entry, call, output, thousands};
use crate::fleet::Usd;

/// What the lines so far showed.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The model that the last note named.
    model: Option<String>,
}

impl State {
    /// `None` where the line is in no form of Claude Code.
    pub(super) fn read(&mut self, event: &Value) -> Option<Vec<Entry>> {
        match event["type"].as_str()? {
            "system" => Some(self.system(event).into_iter().collect()),
            "assistant" => Some(blocks(&event["message"]["content"], spoken)),
            "user" => Some(blocks(&event["message"]["content"], answered)),
            "result" => Some(end(event)),
            "stream_event" | "rate_limit_event" | "tool_progress" | "tool_use_summary"
            | "auth_status" | "prompt_suggestion" => Some(Vec::new()),
            _ => None,
        }
    }

    fn system(&mut self, event: &Value) -> Option<Entry> {
        let note = match event["subtype"].as_str()? {
            "init" => return self.began(event),
            "compact_boundary" => {
                let before = event["compact_metadata"]["pre_tokens"].as_u64();
                let before = before.map(|tokens| format!(" of {} tokens", thousands(tokens)));
                format!("the context{} was compacted", before.unwrap_or_default())
            }
            "status" if event["status"] == "compacting" => "compacting the context".to_owned(),
            "api_retry" => retry(event),
            _ => return None,
        };
        Some(Entry::Note(note))
    }

    /// Each turn begins with a line `init`; the first one is shown, and those of another model.
    fn began(&mut self, event: &Value) -> Option<Entry> {
        let model = event["model"].as_str().unwrap_or("an unknown model");
        if self.model.as_deref() == Some(model) {
            return None;
        }
        self.model = Some(model.to_owned());
        Some(Entry::Note(format!("session began with {model}")))
    }
}

fn retry(event: &Value) -> String {
    let part = |name: &str, before: &str| {
        event[name].as_u64().map(|number| format!("{before}{number}")).unwrap_or_default()
    };
    let (status, attempt) = (part("error_status", " "), part("attempt", ", attempt "));
    format!("the API failed with an error{status}; trying again{attempt}")
}

/// The entries of a message; a message may be one text.
fn blocks(content: &Value, entry: fn(&Value) -> Option<Entry>) -> Vec<Entry> {
    match content {
        Value::Array(blocks) => blocks.iter().filter_map(entry).collect(),
        Value::String(text) => text_entry(text).into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

fn text_entry(text: &str) -> Option<Entry> {
    let text = text.trim_start_matches('\n').trim_end();
    (!text.is_empty()).then(|| Entry::Text(text.to_owned()))
}

/// A block of the agent's.
fn spoken(block: &Value) -> Option<Entry> {
    match block["type"].as_str()? {
        "text" => text_entry(block["text"].as_str()?),
        "thinking" => {
            let thought = block["thinking"].as_str()?.trim();
            (!thought.is_empty()).then(|| Entry::Thinking(thought.to_owned()))
        }
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            Some(call(block["name"].as_str().unwrap_or("a tool"), &block["input"]))
        }
        _ => None,
    }
}

/// A block of an answer to the agent.
fn answered(block: &Value) -> Option<Entry> {
    match block["type"].as_str()? {
        "tool_result" => {
            let failed = block["is_error"].as_bool().unwrap_or_default();
            output(&text_of(&block["content"]), failed)
        }
        "text" => text_entry(block["text"].as_str()?),
        _ => None,
    }
}

/// The text of a tool's result.
fn text_of(content: &Value) -> String {
    let part = |part: &Value| match part["text"].as_str() {
        Some(text) => text.to_owned(),
        None => format!("({})", part["type"].as_str().unwrap_or("no text")),
    };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("\n"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}

/// The error in the agent's words, where it ended with one, and the sums of the session.
fn end(event: &Value) -> Vec<Entry> {
    let failed = event["is_error"].as_bool().unwrap_or_default();
    let subtype = event["subtype"].as_str().unwrap_or_default();
    let errors = event["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let result = event["result"].as_str();
    let error = failed.then(|| errors.chain(result).collect::<Vec<_>>().join("\n"));
    let word = match (failed, subtype) {
        (false, _) => "succeeded".to_owned(),
        (true, "success" | "") => "failed".to_owned(),
        (true, subtype) => format!("failed ({subtype})"),
    };
    let summary = [Some(word), turns(event), duration(event), cost(event), denials(event)];
    let summary: Vec<String> = summary.into_iter().flatten().collect();
    let end = Entry::End { summary: summary.join(", "), failed };
    error.and_then(|error| output(&error, true)).into_iter().chain([end]).collect()
}

fn turns(event: &Value) -> Option<String> {
    let turns = event["num_turns"].as_u64()?;
    Some(if turns == 1 { "1 turn".to_owned() } else { format!("{turns} turns") })
}

fn duration(event: &Value) -> Option<String> {
    let duration = Duration::from_millis(event["duration_ms"].as_u64()?);
    let seconds = Duration::from_secs(duration.as_secs());
    let shown = if seconds.is_zero() { duration } else { seconds };
    Some(humantime::format_duration(shown).to_string())
}

fn cost(event: &Value) -> Option<String> {
    let dollars = event["total_cost_usd"].as_f64().filter(|dollars| *dollars >= 0.0)?;
    Some(Usd::from_dollars(dollars).to_string())
}

fn denials(event: &Value) -> Option<String> {
    let denied = event["permission_denials"].as_array()?.len();
    match denied {
        0 => None,
        1 => Some("1 tool call denied".to_owned()),
        denied => Some(format!("{denied} tool calls denied")),
    }
}
