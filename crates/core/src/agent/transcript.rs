//! An agent's output for people: what it wrote, the tools that it called, and how it ended.

use serde_json::Value;

use super::Profile;

mod claude;
mod codex;

#[cfg(test)]
mod tests;

/// Lines of a tool's result that are shown.
const MAX_RESULT_LINES: usize = 40;

/// What a line of the output shows. The texts are the agent's own: not sanitised, not masked, and
/// of any width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Words of the agent.
    Text(String),
    /// Its thoughts before them.
    Thinking(String),
    /// A call of a tool, in one line: the tool and its most telling argument.
    Call(String),
    /// A tool's result, at most 40 lines and the number of the others.
    Output(String),
    /// An error of a tool or of the agent, whole.
    Error(String),
    /// An event of the session: its begin, a compaction.
    Note(String),
    /// The end of the session, with its cost and turns.
    End {
        /// In one line.
        summary: String,
        /// It ended with an error.
        failed: bool,
    },
    /// A line in no form that the profile knows, as it is.
    Plain(String),
}

/// Reads an agent's output line by line.
#[derive(Debug)]
pub struct Transcript {
    profile: Profile,
    claude: claude::State,
}

impl Transcript {
    /// For the output of an agent of this profile.
    pub fn new(profile: Profile) -> Self {
        Self { profile, claude: claude::State::default() }
    }

    /// What the line shows. Events that mean nothing to a person show nothing.
    pub fn read(&mut self, line: &str) -> Vec<Entry> {
        let line = line.trim_end_matches(['\n', '\r']);
        let entries = match self.profile {
            Profile::None => None,
            Profile::Claude => event(line).and_then(|event| self.claude.read(&event)),
            Profile::Codex => event(line).and_then(|event| codex::read(&event)),
        };
        entries.unwrap_or_else(|| vec![Entry::Plain(line.to_owned())])
    }
}

/// A line of JSON that says of which type it is.
fn event(line: &str) -> Option<Value> {
    let line = without_time(line);
    if !line.starts_with('{') {
        return None;
    }
    let event: Value = serde_json::from_str(line).ok()?;
    event["type"].is_string().then_some(event)
}

/// GitHub puts the time before each line of a log: `2026-01-01T00:00:00.0000000Z {...}`.
fn without_time(line: &str) -> &str {
    let line = line.trim_start_matches('\u{feff}');
    match line.split_once("Z {") {
        Some((time, _)) if is_time(time) => &line[time.len() + 2..],
        _ => line,
    }
}

fn is_time(text: &str) -> bool {
    (19..30).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "-:T.".contains(c))
}

/// A call in one line. `arguments` are the tool's.
fn call(tool: &str, arguments: &Value) -> Entry {
    /// What tells most about a call, by the names of the arguments.
    const TELLING: [&str; 10] = [
        "command",
        "file_path",
        "notebook_path",
        "path",
        "pattern",
        "query",
        "url",
        "skill",
        "description",
        "prompt",
    ];
    let telling = TELLING.iter().find_map(|name| arguments[name].as_str());
    let argument = match (telling, arguments) {
        (Some(telling), _) => telling.to_owned(),
        (None, Value::Null) => String::new(),
        (None, Value::Object(fields)) if fields.is_empty() => String::new(),
        (None, arguments) => arguments.to_string(),
    };
    let gap = if argument.is_empty() { "" } else { ": " };
    Entry::Call(format!("{tool}{gap}{argument}"))
}

/// A tool's result: whole where it is an error, else its first lines. An empty one shows nothing.
fn output(text: &str, failed: bool) -> Option<Entry> {
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    Some(if failed { Entry::Error(text.to_owned()) } else { Entry::Output(shortened(text)) })
}

fn shortened(text: &str) -> String {
    let mut lines = text.lines();
    let kept = lines.by_ref().take(MAX_RESULT_LINES).map(as_overwritten);
    let mut kept: Vec<String> = kept.map(str::to_owned).collect();
    let left = lines.count();
    if left > 0 {
        kept.push(more(left));
    }
    kept.join("\n")
}

/// A terminal shows what comes after the last carriage return: the newest state of a progress bar.
fn as_overwritten(line: &str) -> &str {
    line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default()
}

/// How many lines are left out.
fn more(lines: usize) -> String {
    let plural = if lines == 1 { "" } else { "s" };
    format!("... {lines} more line{plural}")
}

/// `24,763` for a count of tokens.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
