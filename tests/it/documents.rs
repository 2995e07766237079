//! The published form of the documents that `-o json` prints.

use std::fs;
use std::path::Path;

use coordinator_core::fleet::{HoldReason, StuckReason};
use serde_json::Value;

/// The document, which is as its schema in `docs/schemas` says.
#[track_caller]
pub(crate) fn valid(document: Value) -> Value {
    let name = document["schema"].as_str().expect("a document names its schema").to_owned();
    let validator = jsonschema::validator_for(&schema(&name)).expect("the schema is valid");
    let problems = validator.iter_errors(&document);
    let problems: Vec<String> =
        problems.map(|problem| format!("{}: {problem}", problem.instance_path())).collect();
    assert!(problems.is_empty(), "{name}: {}\n{document:#}", problems.join("; "));
    document
}

fn schema(name: &str) -> Value {
    let file = format!("docs/schemas/{}.json", name.replace('/', "."));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).expect("each document has a schema");
    serde_json::from_str(&text).expect("a schema is JSON")
}

#[test]
fn the_reasons_of_the_schema_are_those_of_the_program() {
    let schema = schema("coordinator.status/v1");
    let slots = &schema["properties"]["groups"]["items"]["properties"]["slots"]["items"];
    let known = slots["properties"]["reason"]["enum"].as_array().expect("a list of words");
    let mut known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let held = HoldReason::ALL.map(HoldReason::word);
    let stuck = StuckReason::ALL.map(StuckReason::word);
    let mut words: Vec<&str> = held.into_iter().chain(stuck).collect();
    words.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, words);
}
