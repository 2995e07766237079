//! Codex with `exec --json`: the lines `thread.started`, `turn.completed` and `turn.failed`.

use serde_json::Value;

use super::holds;
use crate::agent::number::{count, id};
use crate::fleet::{SessionResult, Usage};

/// What counts of the lines so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    session: Option<String>,
    /// Of the last turn: the counts are the thread's until then.
    usage: Usage,
    context_exhausted: bool,
    api_error: Option<u16>,
}

impl Seen {
    pub(super) fn read(&mut self, line: &[u8]) {
        if !holds(line, "\"thread.started\"") && !holds(line, "\"turn.") {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        match line["type"].as_str() {
            Some("thread.started") => {
                if let Some(session) = id(&line["thread_id"]) {
                    self.session = Some(session.to_owned());
                }
            }
            Some("turn.completed") => self.complete(&line["usage"]),
            Some("turn.failed") => self.fail(line["error"]["message"].as_str().unwrap_or_default()),
            _ => {}
        }
    }

    fn complete(&mut self, usage: &Value) {
        (self.context_exhausted, self.api_error) = (false, None);
        let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
        if let (Ok(input_tokens @ Some(_)), Ok(output_tokens @ Some(_))) = (input, output) {
            self.usage = Usage { input_tokens, output_tokens, ..Usage::default() };
        }
    }

    fn fail(&mut self, message: &str) {
        self.context_exhausted = message.contains("context window");
        self.api_error = api_error(message);
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub(super) fn result(self) -> SessionResult {
        SessionResult {
            usage: self.usage,
            agent_session: self.session,
            context_exhausted: self.context_exhausted,
            api_error: self.api_error,
            ..SessionResult::default()
        }
    }
}

/// `unexpected status 401 Unauthorized: ...`, `exceeded retry limit, last status: 429 ...`; a limit
/// of the account has no status.
fn api_error(message: &str) -> Option<u16> {
    if message.contains("hit your usage limit") {
        return Some(429);
    }
    let (_, after) = message.split_once("status")?;
    let digits = after.trim_start_matches([':', ' ']).get(..3)?;
    digits.parse().ok().filter(|status| (400..600).contains(status))
}
