//! Claude Code with `--output-format stream-json`: the lines `system/init` and `result`.

use serde_json::Value;

use super::holds;
use crate::agent::number::{Odd, believed, count, id, usd};
use crate::fleet::{SessionResult, Usage};

/// HTTP status of a limit of the account, which the agent names in words alone.
const LIMIT_REACHED: u16 = 429;

/// What counts of the lines so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of the newest `system/init`: results of other sessions are not this agent's.
    session: Option<String>,
    /// The newest valid result's, where no `system/init` was seen: the start of the log is lost.
    last_session: Option<String>,
    /// Of the valid result with the largest cost.
    usage: Usage,
    denials: u32,
    /// Of the newest valid result.
    end: End,
}

#[derive(Debug, Default)]
struct End {
    context_exhausted: bool,
    api_error: Option<u16>,
}

/// A valid line `result`.
struct Valid {
    session: String,
    usage: Usage,
    denials: u32,
    end: End,
}

impl Seen {
    pub(super) fn read(&mut self, line: &[u8]) {
        if !holds(line, "\"result\"") && !holds(line, "\"init\"") {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
        match (line["type"].as_str(), line["subtype"].as_str()) {
            (Some("system"), Some("init")) => {
                if let Some(session) = id(&line["session_id"]) {
                    self.session = Some(session.to_owned());
                }
            }
            (Some("result"), Some(subtype)) if !subtype.is_empty() => {
                if let Ok(valid) = valid(&line) {
                    self.note(valid);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, valid: Valid) {
        if self.session.as_ref().is_some_and(|session| *session != valid.session) {
            return;
        }
        self.last_session = Some(valid.session);
        if valid.usage.cost_usd >= self.usage.cost_usd {
            self.usage = valid.usage;
        }
        self.denials = self.denials.max(valid.denials);
        self.end = valid.end;
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref().or(self.last_session.as_deref())
    }

    pub(super) fn result(self) -> SessionResult {
        SessionResult {
            usage: self.usage,
            agent_session: self.session().map(str::to_owned),
            context_exhausted: self.end.context_exhausted,
            denials: self.denials,
            api_error: self.end.api_error,
            ..SessionResult::default()
        }
    }
}

/// A line that the agent cannot have written is refused whole.
fn valid(line: &Value) -> Result<Valid, Odd> {
    let session = id(&line["session_id"]).ok_or(Odd)?.to_owned();
    let is_error = match &line["is_error"] {
        Value::Null => false,
        value => value.as_bool().ok_or(Odd)?,
    };
    let tokens = Tokens::of(line)?;
    let cost_usd = believed(usd(&line["total_cost_usd"])?, tokens.are_all_zero);
    let usage = Usage {
        cost_usd,
        measured: cost_usd.is_some(),
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        turns: count(&line["num_turns"])?,
    };
    let denials = match &line["permission_denials"] {
        Value::Null => 0,
        value => value.as_array().ok_or(Odd)?.len(),
    };
    let end = end(line, is_error)?;
    Ok(Valid { session, usage, denials: u32::try_from(denials).unwrap_or(u32::MAX), end })
}

/// Why it ended, where the task is not the reason.
fn end(line: &Value, is_error: bool) -> Result<End, Odd> {
    let reason = line["terminal_reason"].as_str().unwrap_or_default();
    let text = line["result"].as_str().filter(|_| is_error).unwrap_or_default();
    let context_exhausted = matches!(reason, "prompt_too_long" | "blocking_limit")
        || text.starts_with("Prompt is too long")
        || text.contains("Autocompact is thrashing");
    let status = count::<u16>(&line["api_error_status"])?;
    let has_hit_limit = text.contains("hit your limit");
    Ok(End { context_exhausted, api_error: status.or(has_hit_limit.then_some(LIMIT_REACHED)) })
}

/// What the models read and wrote.
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    /// Every count is known, and 0.
    are_all_zero: bool,
}

/// The names of the counts, by model and of the last answers.
const BY_MODEL: [&str; 4] =
    ["inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"];
const OF_ANSWERS: [&str; 4] =
    ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

impl Tokens {
    /// By model where the agent lists them, which includes what its own helpers used.
    fn of(line: &Value) -> Result<Self, Odd> {
        let counts = match line["modelUsage"].as_object().filter(|models| !models.is_empty()) {
            Some(models) => {
                let mut sum = [Some(0); 4];
                for model in models.values() {
                    for (sum, count) in sum.iter_mut().zip(counts(model, BY_MODEL)?) {
                        *sum = sum.zip(count).map(|(sum, count)| u64::saturating_add(sum, count));
                    }
                }
                sum
            }
            None => counts(&line["usage"], OF_ANSWERS)?,
        };
        let [input, output, ..] = counts;
        Ok(Self { input, output, are_all_zero: counts.iter().all(|count| *count == Some(0)) })
    }
}

fn counts(table: &Value, names: [&str; 4]) -> Result<[Option<u64>; 4], Odd> {
    if !matches!(table, Value::Null | Value::Object(_)) {
        return Err(Odd);
    }
    let mut counts = [None; 4];
    for (place, name) in counts.iter_mut().zip(names) {
        *place = count(&table[name])?;
    }
    Ok(counts)
}
