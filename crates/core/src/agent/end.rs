//! What the owner of an agent's process writes down at its end, where the platform can carry it: a
//! pod's termination message, an annotation of a workflow run, a plugin's file.

use serde::{Deserialize, Serialize};

use crate::fleet::SessionResult;

/// Bytes of an end that every platform can carry.
pub const MAX_END_BYTES: usize = 3 * 1024;

/// How the wrapper saw the agent end, beside its exit code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentEnd {
    /// The format; readers ignore unknown fields.
    pub coordinator_end: u32,
    /// The wrapper ended it because it wrote nothing for so long: `no output for 10m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
    /// What the agent left.
    #[serde(flatten)]
    pub result: SessionResult,
}

impl AgentEnd {
    /// Of an agent that left `result`.
    pub fn new(result: Option<SessionResult>, stalled: Option<String>) -> Self {
        Self { coordinator_end: 1, stalled, result: result.unwrap_or_default() }
    }

    /// One line of JSON, at most [`MAX_END_BYTES`] long: the reason in the agent's words is cut.
    pub fn line(&self) -> String {
        let mut end = self.clone();
        loop {
            let line = serde_json::to_string(&end).unwrap_or_default();
            if line.len() <= MAX_END_BYTES || end.result.reason.is_empty() {
                return line;
            }
            let kept = end.result.reason.chars().count() / 2;
            end.result.reason = end.result.reason.chars().take(kept).collect();
        }
    }

    /// Reads the last line of `text` that is an end.
    pub fn parse(text: &str) -> Option<Self> {
        let is_end = |end: &Self| end.coordinator_end == 1;
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok().filter(is_end))
    }

    /// What the agent left; `None` where that is nothing.
    pub fn left(self) -> Option<SessionResult> {
        (self.result != SessionResult::default()).then_some(self.result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Usage, Usd};

    #[test]
    fn an_end_is_read_back_from_among_other_lines() {
        let usage = Usage { cost_usd: Some(Usd::from_dollars(0.25)), ..Usage::default() };
        let result = SessionResult { usage, ..SessionResult::default() };
        let end = AgentEnd::new(Some(result), Some("no output for 10m".to_owned()));
        let text = format!("{{\"coordinator_end\":0}}\nlast words\n{}\n{{}}\n", end.line());
        assert_eq!(AgentEnd::parse(&text), Some(end));
        assert_eq!(AgentEnd::parse("last words\n{}"), None);
    }

    #[test]
    fn a_long_reason_is_cut_to_what_a_pod_can_carry() {
        let result = SessionResult { reason: "\u{1b}".repeat(2000), ..SessionResult::default() };
        let line = AgentEnd::new(Some(result), None).line();
        assert!(line.len() <= MAX_END_BYTES && AgentEnd::parse(&line).is_some(), "{line}");
    }
}
