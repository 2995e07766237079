//! `[platform.github-actions]`: the settings of sessions as workflow runs.

use std::time::Duration;

use coordinator_core::fleet::Role;

use coordinator_platform_actions::ActionsSettings;

use super::problem::Problem;
use super::section::Values;

/// All inputs of a dispatch together, in characters
/// (<https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#workflow_dispatch>).
const LARGEST_INPUTS: usize = 65_535;

/// What the other inputs, and the names in the task, take of it at most.
const OTHER_INPUTS: usize = 2_048;

/// No job runs longer, not even on a runner of one's own
/// (<https://docs.github.com/en/actions/reference/limits>).
const LONGEST_JOB: Duration = Duration::from_secs(5 * 24 * 3600);

/// The settings, when workflow runs are chosen and nothing is missing.
pub(super) fn read(
    document: &Values,
    roles: &[Role],
    problems: &mut Vec<Problem>,
) -> Option<ActionsSettings> {
    let platform = document.section("platform")?;
    let values = platform.section("github-actions")?;
    if !platform.is("kind", "github-actions") {
        return None;
    }
    if document.section("repository").is_none() {
        let problem = Problem::new("there is no repository to run workflows in", platform.span("kind"));
        problems.push(problem.hint("add [repository] with `name = \"owner/repo\"`"));
    }
    check_roles(document, roles, problems);
    Some(ActionsSettings {
        workflow: values.text("workflow")?.to_owned(),
        git_ref: values.text("ref")?.to_owned(),
        ticket: values.duration("ticket"),
        start_timeout: values.duration("start_timeout"),
        max_requests: values.number("max_requests"),
    })
}

fn check_roles(document: &Values, roles: &[Role], problems: &mut Vec<Problem>) {
    for role in roles {
        let section = document.sections("role").iter().find(|values| values.is("key", role.key.as_str()));
        let place = |key| section.and_then(|values| values.span(key).or_else(|| values.span("key")));
        let characters = inputs(role);
        if characters > LARGEST_INPUTS {
            let message = format!(
                "the inputs of a run of `{}` would be too large: {characters} characters of at most {LARGEST_INPUTS}",
                role.key
            );
            let hint = "shorten its brief, command or variables, or put large texts into the repository";
            problems.push(Problem::new(message, place("key")).hint(hint));
        }
        if role.spec.time_limit > LONGEST_JOB {
            let message =
                format!("no job of GitHub Actions runs as long as the `time_limit` of `{}`", role.key);
            let hint = "at most 5 days on runners of your own, 6 hours on GitHub's";
            problems.push(Problem::new(message, place("time_limit")).hint(hint));
        }
    }
}

/// As JSON writes it: what has to be escaped counts twice or more.
fn inputs(role: &Role) -> usize {
    let spec = &role.spec;
    let count = |text: &str| serde_json::Value::from(text).to_string().chars().count();
    // The task is JSON within JSON.
    let count = |text: &str| count(&serde_json::Value::from(text).to_string());
    let command: usize = spec.command.iter().map(|argument| count(argument)).sum();
    let env: usize = spec.env.iter().map(|(name, value)| count(name) + count(value)).sum();
    let brief =
        if spec.command.iter().any(|argument| argument.contains("{brief}")) { count(&spec.brief) } else { 0 };
    command + env + brief + count(&spec.prompt) + OTHER_INPUTS
}
