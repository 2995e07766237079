//! Sessions as workflow runs: the real binary, its admission included, against a GitHub with
//! concurrency groups of its own.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::contract::assert_conforms;
use crate::coordinator;
use testkit::actions::life::Admission;
use testkit::actions::{Actions, Past, Run};
use testkit::workplace::RosterText;
use testkit::{Finished, GitHub, Repository, Workplace};

mod answers;
mod admit;
mod invariant;
mod inventory;
mod items;
mod lists;
mod logs;
mod starts;

/// The steps of a cycle of these fleets: agents alone.
const AGENTS: [&str; 5] = ["reconcile", "--only", "spawn", "-o", "json"];

/// A fleet of one role with `count` slots, `ui-builder-s0` and so on.
pub(crate) struct Fleet {
    pub(crate) github: GitHub,
    pub(crate) workplace: Workplace,
}

impl Fleet {
    fn of(count: u32) -> Self {
        Self::with(count, "", "")
    }

    /// With further lines of `[platform.github-actions]` and of `[defaults]`.
    fn with(count: u32, settings: &str, defaults: &str) -> Self {
        let github = GitHub::start(Repository::with([]));
        let roster = RosterText::actions(&github, settings).defaults(defaults);
        let workplace =
            roster.role("ui_builder", count, "[\"claude\", \"-p\", \"{prompt}\"]").write();
        Self { github, workplace }
    }

    /// One cycle, whose requests and answers are as GitHub describes them.
    fn cycle(&self) -> Cycle {
        self.run(&AGENTS)
    }

    fn run(&self, arguments: &[&str]) -> Cycle {
        let before = self.github.journal().len();
        let finished = coordinator(&self.workplace).args(arguments.iter().copied()).run();
        assert_conforms(&self.github);
        let journal = self.github.journal();
        let asked = journal[before..].iter();
        let asked = asked.map(|entry| format!("{} {}", entry.method, what(&entry.path)));
        // Beside the list, so in any order: whether the fleet is paused.
        let asked = asked.filter(|asked| asked != PAUSE).collect();
        Cycle { finished, asked }
    }

    /// Looks at, or changes, what Actions is.
    fn actions<T>(&self, work: impl FnOnce(&mut Actions, std::time::SystemTime) -> T) -> T {
        let mut state = self.github.state();
        let now = state.now();
        work(&mut state.repository().actions, now)
    }

    fn past(&self, past: Past<'_>) -> u64 {
        self.actions(|actions, now| actions.add_past(past, now))
    }

    /// The live session of a slot, admitted.
    fn live(&self, slot: &str) -> u64 {
        self.actions(|actions, now| actions.add_live("demo", slot, 600, now))
    }

    /// Runs that a runner could take.
    fn queued(&self) -> Vec<u64> {
        self.actions(|actions, _| actions.queued())
    }

    /// A runner takes the run and the real command decides whether its agent starts.
    fn play(&self, id: u64) -> Admission {
        let admission = self.ask_admission(id);
        self.actions(|actions, now| {
            actions.end_admission(id, admission, now);
            if admission == Admission::Go {
                actions.start_agent(id, now);
            }
        });
        admission
    }

    /// The job `admit` of the run, with the environment that the workflow file gives it.
    fn ask_admission(&self, id: u64) -> Admission {
        let run = self.actions(|actions, now| {
            actions.start(id, now);
            actions.run(id).clone()
        });
        let (admission, _) = self.admit_step(&run);
        admission
    }

    /// The decision, and what the step printed.
    fn admit_step(&self, run: &Run) -> (Admission, Finished) {
        let outputs = self.workplace.path().join(format!("outputs-{}", run.id));
        let url = self.github.url();
        let input = |name: &str| run.inputs[name].clone();
        let environment = [
            ("COORDINATOR_FLEET", input("fleet")),
            ("COORDINATOR_SLOT", input("slot")),
            ("COORDINATOR_GENERATION", input("generation")),
            ("COORDINATOR_CYCLE", input("cycle")),
            ("COORDINATOR_EXPIRES_AT", input("expires_at")),
            ("COORDINATOR_TASK", input("task_json")),
            ("GITHUB_REPOSITORY", "demo/app".to_owned()),
            ("GITHUB_RUN_ID", run.id.to_string()),
            ("GITHUB_RUN_ATTEMPT", run.attempt.to_string()),
            ("GITHUB_API_URL", url.clone()),
            ("GITHUB_GRAPHQL_URL", format!("{url}/graphql")),
            (
                "GITHUB_WORKFLOW_REF",
                "demo/app/.github/workflows/agent-session.yml@refs/heads/main".to_owned(),
            ),
            ("GITHUB_OUTPUT", outputs.to_str().expect("UTF-8").to_owned()),
        ];
        let mut program = coordinator(&self.workplace).args(["session-admit"]);
        for (name, value) in &environment {
            program = program.env(name, value);
        }
        let finished = program.run();
        assert_conforms(&self.github);
        let written = fs::read_to_string(&outputs).unwrap_or_default();
        let values: BTreeMap<&str, &str> =
            written.lines().filter_map(|line| line.split_once('=')).collect();
        let admission = match (finished.code, values.get("go").copied()) {
            (Some(0), Some("true")) => Admission::Go,
            (Some(0), Some("false")) => Admission::Skip,
            _ => Admission::Failed,
        };
        (admission, finished)
    }
}

/// The results of one run of the coordinator.
pub(crate) struct Cycle {
    pub(crate) finished: Finished,
    /// The requests it made, in short.
    pub(crate) asked: Vec<String>,
}

impl Cycle {
    fn step(&self, name: &str) -> Value {
        self.finished.json()["steps"][name].clone()
    }

    /// The slots of a list of the spawn step, without the fleet.
    fn slots(&self, list: &str) -> Vec<String> {
        let step = self.step("spawn");
        let rows = step[list].as_array().unwrap_or_else(|| panic!("{step:#}"));
        let name = |row: &Value| {
            row["slot"].as_str().unwrap_or_default().trim_start_matches("demo-").to_owned()
        };
        rows.iter().map(name).collect()
    }

    /// Slot and reason of each held slot.
    fn held(&self) -> Vec<(String, String)> {
        let step = self.step("spawn");
        let rows = step["held"].as_array().expect("a list").iter();
        let reasons = rows.map(|row| row["reason"].as_str().unwrap_or_default().to_owned());
        self.slots("held").into_iter().zip(reasons).collect()
    }

    /// The error of the only slot that failed.
    fn failure(&self) -> String {
        let step = self.step("spawn");
        let failed = step["failed"].as_array().expect("a list");
        assert_eq!(failed.len(), 1, "{step:#}");
        failed[0]["error"].as_str().expect("an error is a text").to_owned()
    }

    fn dispatches(&self) -> usize {
        self.asked.iter().filter(|asked| asked.ends_with("dispatch")).count()
    }

    fn requests(&self) -> u64 {
        self.finished.json()["requests"]["platform"].as_u64().expect("a number")
    }
}

/// The state of the session workflow.
const PAUSE: &str = "GET agent-session.yml";

/// A request in a word or two.
fn what(path: &str) -> String {
    let (plain, query) = path.split_once('?').unwrap_or((path, ""));
    let last = plain.rsplit('/').next().unwrap_or_default();
    match last {
        "runs" => format!("runs {}", query.rsplit('=').next().unwrap_or_default()),
        "dispatches" => "dispatch".to_owned(),
        _ if plain.contains("/concurrency_groups/") => format!("group {last}"),
        _ => last.to_owned(),
    }
}
