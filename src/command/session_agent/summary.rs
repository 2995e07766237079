//! What the page of a workflow run shows of its session.

use super::Left;
use super::ending::Cause;
use crate::render::markdown::escaped;
use coordinator_core::fleet::{MAX_REASON, SessionResult, Usage};
use coordinator_core::sanitize::one_line;

/// Markdown in which the agent's own words mean nothing.
pub(super) fn markdown(title: &str, left: &Left) -> String {
    let mut lines = vec![format!("**{}**: {}\n", escaped(title), escaped(&outcome(left)))];
    let result = &left.end.result;
    lines.extend(cost(&result.usage).map(|cost| format!("- {}", escaped(&cost))));
    lines.extend(word(result).map(|word| format!("- {word}")));
    if result.context_exhausted {
        lines.push("- its context was used up".to_owned());
    }
    if let Some(status) = result.api_error {
        lines.push(format!("- the model's API answered {status}"));
    }
    if result.denials > 0 {
        lines.push(format!("- tool calls denied: {}", result.denials));
    }
    lines.join("\n") + "\n\n"
}

fn outcome(left: &Left) -> String {
    if let Some(stalled) = &left.process.stalled {
        return format!("stalled: {stalled}");
    }
    let code = left.process.code();
    match left.process.cause {
        Cause::Stopped => format!("stopped (exit code {code})"),
        Cause::Itself | Cause::Stalled => format!("exit code {code}"),
    }
}

fn cost(usage: &Usage) -> Option<String> {
    let parts = [
        usage.cost_usd.map(|cost| cost.to_string()),
        usage.turns.map(|turns| format!("{turns} turns")),
        usage.input_tokens.map(|tokens| format!("{tokens} input tokens")),
        usage.output_tokens.map(|tokens| format!("{tokens} output tokens")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The agent's own word and reason.
fn word(result: &SessionResult) -> Option<String> {
    let reason = escaped(&one_line(&result.reason, MAX_REASON));
    match (result.status, reason.is_empty()) {
        (None, true) => None,
        (None, false) => Some(reason),
        (Some(status), true) => Some(escaped(status.word())),
        (Some(status), false) => Some(format!("{}: {reason}", escaped(status.word()))),
    }
}
