//! Workflow files, as far as a dispatch looks into them.

use std::collections::{BTreeMap, BTreeSet};

/// File name of the session workflow.
pub const SESSIONS: &str = "agent-session.yml";

/// The inputs of the session workflow.
const INPUTS: [&str; 9] = [
    "fleet",
    "slot",
    "role",
    "generation",
    "cycle",
    "expires_at",
    "brief_ref",
    "time_limit_minutes",
    "task_json",
];

const FORMER_RUN_NAME: &str =
    "coord ${{ inputs.fleet }} ${{ inputs.slot }} g${{ inputs.generation }} c${{ inputs.cycle }}";

/// A workflow file.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// File name below `.github/workflows/`.
    pub file: String,
    /// Its number at GitHub.
    pub id: u64,
    pub name: String,
    /// `active`, `disabled_manually`, `disabled_inactivity`, ...
    pub state: String,
    /// The branches and tags that have the file.
    pub refs: BTreeSet<String>,
    /// Its inputs, when `on: workflow_dispatch` is there.
    pub inputs: Option<BTreeSet<String>>,
    /// Further ones, which a dispatch may leave out.
    pub optional: BTreeSet<String>,
    /// The title of a run, with expressions.
    pub run_name: String,
    /// The workflow's concurrency group, with expressions.
    pub group: Option<String>,
    /// The names of its jobs; each needs the one before.
    pub jobs: Vec<String>,
}

impl Workflow {
    /// The session workflow, on `main`.
    pub fn of_sessions() -> Self {
        Self {
            file: SESSIONS.to_owned(),
            id: 161_335,
            name: "agent session".to_owned(),
            state: "active".to_owned(),
            refs: BTreeSet::from(["main".to_owned()]),
            inputs: Some(INPUTS.map(str::to_owned).into()),
            optional: BTreeSet::from(["item".to_owned()]),
            run_name: format!("{FORMER_RUN_NAME}${{{{ inputs.item }}}}"),
            group: Some("coord-${{ inputs.fleet }}-${{ inputs.slot }}".to_owned()),
            jobs: vec!["admit".to_owned(), "agent".to_owned()],
        }
    }

    /// The same, as `init` wrote it before there were work items.
    pub fn of_sessions_before_items() -> Self {
        Self {
            optional: BTreeSet::new(),
            run_name: FORMER_RUN_NAME.to_owned(),
            ..Self::of_sessions()
        }
    }

    /// A workflow of another project, without inputs and group.
    pub fn foreign(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            id: 161_336,
            name: file.trim_end_matches(".yml").to_owned(),
            inputs: Some(BTreeSet::new()),
            optional: BTreeSet::new(),
            run_name: format!("Run {file}"),
            group: None,
            jobs: vec!["build".to_owned()],
            ..Self::of_sessions()
        }
    }
}

/// A text with `${{ inputs.name }}` filled in; a missing input is empty, as in a workflow.
pub fn expand(text: &str, inputs: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${{");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").expect("an expression ends");
        let name = expression.trim().strip_prefix("inputs.").expect("inputs alone are in use");
        whole.push_str(inputs.get(name).map(String::as_str).unwrap_or_default());
        whole.push_str(rest);
    }
    whole
}
