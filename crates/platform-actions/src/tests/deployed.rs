//! The session workflow that `init --github-actions` writes, against what this program reads and
//! sends.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{at, item_want, platform, role, slot, want, world};
use crate::outcome::{ADMIT, AGENT};
use crate::start::group;
use crate::title::Title;
use coordinator_core::fleet::{Counts, Want};
use coordinator_core::platform::{CycleId, Platform};

fn workflow() -> Value {
    let text = include_str!("../../../../deploy/github-actions/agent-session.yml");
    serde_saphyr::from_str(text).expect("it is YAML")
}

/// The inputs of a dispatch for a role's slot, as the platform sends them.
async fn inputs() -> BTreeMap<String, String> {
    inputs_of(&want(2)).await
}

async fn inputs_of(want: &Want) -> BTreeMap<String, String> {
    let (platform, journal) = platform(world(Vec::new(), Vec::new()));
    let cycle = CycleId("18f0-1a".to_owned());
    platform.list().await.expect("an empty list");
    platform.start(want, &cycle, at("2026-01-01T12:00:00Z")).await.expect("it starts");
    let journal = journal.lock().expect("no test panics with the lock");
    let dispatch = journal.last().expect("it was dispatched");
    serde_json::from_value(dispatch.body["inputs"].clone()).expect("texts by name")
}

/// What GitHub makes of `${{ inputs.NAME }}`.
fn filled(template: &Value, inputs: &BTreeMap<String, String>) -> String {
    let mut text = template.as_str().expect("a text").to_owned();
    for (name, value) in inputs {
        text = text.replace(&format!("${{{{ inputs.{name} }}}}"), value);
    }
    text = text.replace("${{ inputs.item }}", "");
    assert!(!text.contains("${{"), "an expression is left: {text}");
    text
}

fn keys(map: &Value) -> BTreeSet<String> {
    map.as_object().expect("a map").keys().cloned().collect()
}

/// The step of the job that runs this command of the coordinator.
fn step(job: &str, command: &str) -> Value {
    let workflow = workflow();
    let steps = workflow["jobs"][job]["steps"].as_array().expect("a list").clone();
    let runs =
        |step: &Value| step["run"].as_str().is_some_and(|run| run.trim_end().ends_with(command));
    steps.into_iter().find(runs).unwrap_or_else(|| panic!("no step of {job} ends with `{command}`"))
}

#[tokio::test]
async fn the_title_of_a_dispatched_run_reads_back_as_its_slot_and_generation() {
    let title = filled(&workflow()["run-name"], &inputs().await);
    assert_eq!(title, "coord demo ui-builder-s2 g1 c18f0-1a");
    let fleet = coordinator_core::fleet::FleetName::parse("demo").expect("a valid name");
    assert_eq!(
        Title::read(&fleet, &title),
        Title::Ours { slot: slot(2), generation: 1, item: None, is_resume: false }
    );
}

#[tokio::test]
async fn the_title_of_an_items_run_reads_back_as_all_that_travels_with_it() {
    let counts = Counts { attempt: 2, context_restarts: 1, ..Counts::default() };
    let want = item_want("bd-4jz", counts, 0);
    let title = filled(&workflow()["run-name"], &inputs_of(&want).await);
    let part = ";role=ui_builder;attempt=2;restarts=1;limit=7201;id=bd-4jz";
    assert_eq!(title, format!("coord demo queue-ibd4jzx4d0d5384fa g1 c18f0-1a{part}"));
    let fleet = coordinator_core::fleet::FleetName::parse("demo").expect("a valid name");
    let Title::Ours { slot, generation, item, .. } = Title::read(&fleet, &title) else {
        panic!("{title}")
    };
    let item = item.expect("it can be read");
    assert_eq!((&slot, generation, Some(item.run)), (&want.slot, 1, want.item_run()));
    assert_eq!(item.time_limit, want.spec.time_limit);
}

#[tokio::test]
async fn the_concurrency_group_of_a_run_is_the_one_that_a_start_asks_for() {
    let workflow = workflow();
    let fleet = coordinator_core::fleet::FleetName::parse("demo").expect("a valid name");
    assert_eq!(filled(&workflow["concurrency"]["group"], &inputs().await), group(&fleet, &slot(2)));
    assert_eq!(workflow["concurrency"]["cancel-in-progress"], false, "no session ends another");
    assert_eq!(workflow["concurrency"]["queue"], Value::Null, "one run waits at most");
}

#[tokio::test]
async fn the_workflow_takes_the_inputs_that_a_start_sends_and_no_other() {
    let of_role: BTreeSet<String> = inputs().await.into_keys().collect();
    let want = item_want("7", Counts::default(), 0);
    let of_item: BTreeSet<String> = inputs_of(&want).await.into_keys().collect();
    let inputs = workflow()["on"]["workflow_dispatch"]["inputs"].clone();
    assert_eq!(keys(&inputs), of_item);
    let is_required = |name: &String| inputs[name.as_str()]["required"] == true;
    let required: BTreeSet<String> = keys(&inputs).into_iter().filter(is_required).collect();
    assert_eq!(required, of_role, "a role's session needs no input that workflows of before lack");
}

#[test]
fn the_jobs_have_the_names_by_which_a_run_is_judged() {
    let workflow = workflow();
    assert_eq!(keys(&workflow["jobs"]), BTreeSet::from([ADMIT, AGENT].map(str::to_owned)));
    for name in [ADMIT, AGENT] {
        assert_eq!(workflow["jobs"][name]["name"], name);
    }
}

#[tokio::test]
async fn the_steps_pass_every_input_as_the_variable_of_its_name() {
    let inputs = inputs().await;
    for (job, command) in [(ADMIT, "session-admit"), (AGENT, "session-agent")] {
        let env = step(job, &format!("coordinator {command}"))["env"].clone();
        for name in keys(&env).iter().filter(|name| name.starts_with("COORDINATOR_")) {
            let input = name.trim_start_matches("COORDINATOR_").to_lowercase();
            let input = if input == "task" { "task_json".to_owned() } else { input };
            assert_eq!(filled(&env[name], &inputs), inputs[&input], "{name}");
        }
    }
    assert_eq!(inputs["role"], role().key.as_str());
}
