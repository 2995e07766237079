//! `[platform.github-actions]`: the settings of sessions as workflow runs.

use std::ops::Range;
use std::time::Duration;

use coordinator_core::fleet::{RoleKey, SessionSpec};
use coordinator_core::section::{Branch, Count, Placed, Problem, Time, Workflow};

/// All inputs of a dispatch together, in characters. See `workflow_dispatch` in
/// <https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows>.
const MAX_INPUTS: usize = 65_535;

/// The maximum of the other inputs, and of the names in the task.
const OTHER_INPUTS: usize = 2_048;

/// No job runs longer, not even on a runner of one's own
/// (<https://docs.github.com/en/actions/reference/limits>).
const MAX_JOB: Duration = Duration::from_secs(5 * 24 * 3600);

coordinator_core::section! {
    /// Settings of the `github-actions` platform; the workflow is in the repository that
    /// `[repository]` names.
    pub struct Section {
        /// File name of the session workflow.
        workflow: Workflow = "agent-session.yml".into(),
        /// The branch whose workflow file and code the sessions run.
        r#ref: Branch = "main".into(),
        /// How long a dispatched run may wait for its turn. A run that starts later skips itself,
        /// because the state of the fleet has changed.
        ticket: Time<60_000> = Time::seconds(5 * 60),
        /// A run that waits longer for a runner is reported.
        start_timeout: Time<60_000> = Time::seconds(15 * 60),
        /// Requests per cycle: the built-in token has 1,000 an hour for the whole repository. A
        /// list takes one per 100 runs, a start two.
        max_requests: Count<10> = Count::of(80),
    }
}

/// `[platform.github-actions]`, checked.
#[derive(Debug, Clone)]
pub struct ActionsSettings {
    /// File name of the session workflow.
    pub workflow: String,
    /// The branch whose workflow file and code the sessions run.
    pub git_ref: String,
    /// How long a dispatched run may wait for its turn.
    pub ticket: Duration,
    /// A run that waits longer for a runner is reported.
    pub start_timeout: Duration,
    pub max_requests: u32,
}

impl From<Section> for ActionsSettings {
    fn from(section: Section) -> Self {
        Self {
            workflow: section.workflow.into(),
            git_ref: section.r#ref.into(),
            ticket: section.ticket.get(),
            start_timeout: section.start_timeout.get(),
            max_requests: section.max_requests.get(),
        }
    }
}

/// The parts of a role that a run cannot have.
pub fn check_role(
    key: &Placed<RoleKey>,
    time_limit: Option<&Range<usize>>,
    spec: &SessionSpec,
    problems: &mut Vec<Problem>,
) {
    let characters = inputs(spec);
    if characters > MAX_INPUTS {
        let message = format!(
            "the inputs of a run of `{}` would be too large: {characters} characters of at most \
             {MAX_INPUTS}",
            key.value
        );
        let hint =
            "shorten its brief, command or variables, or put large texts into the repository";
        problems.push(Problem::new(message, key.span.clone()).hint(hint));
    }
    if spec.time_limit > MAX_JOB {
        let message = format!(
            "the `time_limit` of `{}` is longer than a job of GitHub Actions may run",
            key.value
        );
        let place = time_limit.or(key.span.as_ref()).cloned();
        let hint = "at most 5 days on runners of your own, 6 hours on GitHub's";
        problems.push(Problem::new(message, place).hint(hint));
    }
}

/// As JSON writes it: what has to be escaped counts twice or more.
fn inputs(spec: &SessionSpec) -> usize {
    let count = |text: &str| serde_json::Value::from(text).to_string().chars().count();
    // The task is JSON within JSON.
    let count = |text: &str| count(&serde_json::Value::from(text).to_string());
    let command: usize = spec.command.iter().map(|argument| count(argument)).sum();
    let env: usize = spec.env.iter().map(|(name, value)| count(name) + count(value)).sum();
    let brief = if spec.command.iter().any(|argument| argument.contains("{brief}")) {
        count(&spec.brief)
    } else {
        0
    };
    command + env + brief + count(&spec.prompt) + OTHER_INPUTS
}
