//! A dispatch, and what GitHub objects to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::RunDetails;
use super::show::{address_of, page_of};
use crate::rest::error;
use crate::server::Reply;
use crate::state::State;

/// Starts a run of the workflow `file`.
pub fn answer(state: &mut State, repository: &str, file: &str, body: &Value) -> Reply {
    let now = state.now();
    let Some(repository) = state.repositories.get_mut(repository) else {
        return error(404, "Not Found");
    };
    let actions = &mut repository.actions;
    let Some(workflow) = actions.workflows.get(file) else { return error(404, "Not Found") };
    let git_ref = body["ref"].as_str().unwrap_or_default().to_owned();
    let wants_details = body.get("return_run_details").and_then(Value::as_bool);
    if let (RunDetails::Refused(status), Some(_)) = (actions.run_details, wants_details) {
        return error(status, "Invalid request.\n\n\"return_run_details\" is not a permitted key.");
    }
    if workflow.state != "active" {
        return error(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow");
    }
    if !workflow.refs.contains(&git_ref) {
        return error(422, &format!("No ref found for: {git_ref}"));
    }
    let Some(known) = &workflow.inputs else {
        return error(422, "Workflow does not have 'workflow_dispatch' trigger");
    };
    let inputs: BTreeMap<String, String> = body["inputs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let is_known = |name: &String| known.contains(name) || workflow.optional.contains(name);
    let unexpected: Vec<&String> = inputs.keys().filter(|name| !is_known(name)).collect();
    if !unexpected.is_empty() {
        return error(422, &format!("Unexpected inputs provided: {unexpected:?}"));
    }
    if let Some(missing) = known.iter().find(|name| !inputs.contains_key(*name)) {
        return error(422, &format!("Required input '{missing}' not provided"));
    }
    let id = actions.trigger(file, &git_ref, inputs, now);
    match (actions.run_details, wants_details) {
        (RunDetails::Known, Some(true)) => Reply::json(
            200,
            &json!({"workflow_run_id": id, "run_url": address_of(id), "html_url": page_of(id)}),
        ),
        (RunDetails::Known | RunDetails::Ignored | RunDetails::Refused(_), _) => {
            Reply::new(204, "")
        }
    }
}
