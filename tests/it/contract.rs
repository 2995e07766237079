//! The program's requests and the world's answers against GitHub's published descriptions, whose
//! extract in `tests/contract/` is derived by `.ci/contract/derive.mjs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use coordinator_github::documents;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::{Map, Value};

use testkit::{Entry, GitHub, Kind, graphql};

/// Set to write the assembled documents instead of comparing them.
const UPDATE: &str = "UPDATE_CONTRACT";

#[test]
fn the_extract_was_derived_from_the_documents_that_the_program_sends() {
    let sent = [
        ("candidates.graphql", documents::candidates(2)),
        ("alerts.graphql", documents::alerts()),
        ("candidates_and_alerts.graphql", documents::candidates_and_alerts(1)),
        ("recheck.graphql", documents::recheck(2)),
        ("doctor.graphql", documents::DOCTOR.to_owned()),
        ("identity.graphql", documents::IDENTITY.to_owned()),
        ("merged.graphql", documents::MERGED.to_owned()),
        ("numbers.graphql", documents::NUMBERS.to_owned()),
        ("run_jobs.graphql", documents::RUN_JOBS.to_owned()),
    ];
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/contract/documents");
    for (name, document) in sent {
        let path = folder.join(name);
        if std::env::var_os(UPDATE).is_some() {
            fs::write(&path, &document).expect("a document can be written");
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let remedy = format!("run this test with {UPDATE}=1, then .ci/contract/derive.mjs");
        assert_eq!(committed, document, "{name} is not what the program sends: {remedy}");
    }
}

#[test]
fn every_document_is_valid_against_the_published_schema() {
    let any_number = (0..4).map(documents::candidates).chain((1..4).map(documents::recheck));
    let of_alerts = (0..2).map(documents::candidates_and_alerts).chain([documents::alerts()]);
    for document in any_number.chain(of_alerts).chain(
        [
            documents::DOCTOR,
            documents::IDENTITY,
            documents::MERGED,
            documents::NUMBERS,
            documents::RUN_JOBS,
        ]
        .map(str::to_owned),
    ) {
        graphql::parse(&document).unwrap_or_else(|problem| panic!("{problem}\nin\n{document}"));
    }
}

#[test]
fn a_field_that_github_does_not_publish_is_refused() {
    let document = documents::candidates(1).replace("isDraft", "isDraftt");
    let problem = graphql::parse(&document).expect_err("no such field");
    assert!(problem.contains("isDraftt"), "{problem}");
}

/// Fails when a request that the program sent, or an answer of the world's own, is not as GitHub
/// describes it.
pub(crate) fn assert_conforms(github: &GitHub) {
    for entry in github.journal() {
        assert!(
            entry.header("user-agent").contains("coordinator"),
            "GitHub refuses: no User-Agent: {entry:#?}"
        );
        if entry.path == "/graphql" {
            let document = entry.body["query"].as_str().unwrap_or_default();
            graphql::parse(document).unwrap_or_else(|problem| panic!("{problem}\nin\n{document}"));
            continue;
        }
        let conforms = described(&entry).map_or_else(
            || Err(format!("GitHub describes no operation {} {}", entry.method, entry.path)),
            |(operation, path)| operation.check(&entry, &path),
        );
        conforms.unwrap_or_else(|problem| panic!("{problem}\n{entry:#?}"));
    }
}

#[derive(Debug, Deserialize)]
struct Operation {
    parameters: Vec<Parameter>,
    request: Option<RequestBody>,
    responses: BTreeMap<String, Option<Value>>,
}

#[derive(Debug, Deserialize)]
struct RequestBody {
    required: bool,
    schema: Value,
}

#[derive(Debug, Deserialize)]
struct Parameter {
    name: String,
    r#in: String,
    schema: Value,
}

static EXTRACT: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../contract/openapi.json"))
        .expect("the extract is a JSON object")
});

/// The operation of a request, and the values in its path.
fn described(entry: &Entry) -> Option<(Operation, BTreeMap<String, String>)> {
    EXTRACT.iter().find_map(|(name, facts)| {
        let (method, template) = name.split_once(' ')?;
        let values = match_path(template, entry.path.split('?').next()?)?;
        let operation = serde_json::from_value(facts.clone()).ok()?;
        (method == entry.method.as_str()).then_some((operation, values))
    })
}

fn match_path(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (wanted, given): (Vec<&str>, Vec<&str>) =
        (template.split('/').collect(), path.split('/').collect());
    let mut values = BTreeMap::new();
    for (wanted, given) in wanted.iter().zip(&given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => drop(values.insert(name.to_owned(), (*given).to_owned())),
            None if wanted == given => {}
            None => return None,
        }
    }
    (wanted.len() == given.len()).then_some(values)
}

impl Operation {
    fn check(&self, entry: &Entry, path: &BTreeMap<String, String>) -> Result<(), String> {
        let query = entry.path.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let given = pairs
            .map(|(name, value)| ("query", name.to_owned(), value.to_owned()))
            .chain(path.iter().map(|(name, value)| ("path", name.clone(), value.clone())));
        for (place, name, value) in given {
            let parameter =
                self.parameters.iter().find(|known| known.name == name && known.r#in == place);
            let parameter = parameter.ok_or_else(|| format!("no {place} parameter `{name}`"))?;
            let value = if parameter.schema["type"] == "integer" {
                serde_json::from_str(&value).unwrap_or(Value::from(value))
            } else {
                Value::from(value)
            };
            check("parameter", &parameter.schema, &value)?;
        }
        let sent =
            self.request.as_ref().filter(|request| request.required || !entry.body.is_null());
        if let Some(request) = sent {
            check("request", &request.schema, &entry.body)?;
            let unknown = unknown_members(&request.schema, &entry.body);
            (unknown.is_empty())
                .then_some(())
                .ok_or_else(|| format!("GitHub has no field {unknown:?}"))?;
        }
        if entry.scripted {
            return Ok(());
        }
        match self.responses.get(&entry.status.to_string()) {
            Some(Some(schema)) => check("answer", schema, &entry.reply),
            Some(None) => Ok(()),
            None if entry.status >= 400 => check("answer", &EXTRACT["any error"], &entry.reply),
            None => Err(format!("GitHub never answers {}", entry.status)),
        }
    }
}

fn check(what: &str, schema: &Value, value: &Value) -> Result<(), String> {
    let validator: Validator =
        jsonschema::validator_for(schema).map_err(|problem| problem.to_string())?;
    let problems: Vec<String> = validator
        .iter_errors(value)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(format!("{what}: {}", problems.join("; "))) }
}

/// A misspelt member of a request is valid JSON Schema, and GitHub ignores it.
fn unknown_members(schema: &Value, body: &Value) -> Vec<String> {
    let known = |name: &&String| schema["properties"].get(name.as_str()).is_some();
    let members = body.as_object().into_iter().flat_map(Map::keys);
    members.filter(|name| !known(name)).cloned().collect()
}

#[test]
fn merge_calls_are_judged_by_kind() {
    let entry = |method: http::Method| Entry {
        kind: Kind::Merge,
        method,
        path: "/repos/demo/app/pulls/7/merge".to_owned(),
        operation: None,
        headers: http::HeaderMap::new(),
        body: serde_json::json!({"merge_methodd": "squash"}),
        status: 200,
        reply: serde_json::json!({"sha": "a", "merged": true, "message": "m"}),
        scripted: false,
    };
    let (operation, path) =
        described(&entry(http::Method::PUT)).expect("GitHub describes the merge call");
    let problem = operation.check(&entry(http::Method::PUT), &path).expect_err("a misspelt member");
    assert!(problem.contains("merge_methodd"), "{problem}");
    assert!(described(&entry(http::Method::DELETE)).is_none());
}
