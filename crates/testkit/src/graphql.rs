//! GitHub's GraphQL API: any document that is valid against the extract of the published schema is
//! executed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use apollo_compiler::executable::Selection;
use apollo_compiler::resolvers::Execution;
use apollo_compiler::response::{GraphQLError, JsonMap, JsonValue};
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use serde_json::{Value, json};

use super::limits;
use super::server::Reply;
use super::state::State;
use super::view;

/// The types and fields in use, from GitHub's published schema.
pub const SCHEMA_TEXT: &str = include_str!("../../../tests/contract/schema.graphql");

/// The schema, parsed.
pub static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
    Schema::parse_and_validate(SCHEMA_TEXT, "tests/contract/schema.graphql")
        .expect("the extract is a schema")
});

thread_local! {
    /// Documents that were valid: a client sends the same few again and again.
    static VALID: RefCell<BTreeMap<String, Valid<ExecutableDocument>>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// A document, or the first thing that GitHub would object to.
pub fn parse(document: &str) -> Result<Valid<ExecutableDocument>, String> {
    if let Some(known) = VALID.with_borrow(|valid| valid.get(document).cloned()) {
        return Ok(known);
    }
    let parsed = ExecutableDocument::parse_and_validate(&SCHEMA, document, "request")
        .map_err(|problem| problem.errors.to_string())?;
    VALID.with_borrow_mut(|valid| valid.insert(document.to_owned(), parsed.clone()));
    Ok(parsed)
}

/// The operation that a request names, or its document's only one.
pub fn operation_name(body: &Value) -> Option<String> {
    let document = parse(body["query"].as_str()?).ok()?;
    let operation = document.operations.get(body["operationName"].as_str()).ok()?;
    operation.name.as_ref().map(ToString::to_string)
}

/// Whether a request reads the list of pull requests.
pub fn lists_pulls(body: &Value) -> bool {
    let document = body["query"].as_str().map(parse);
    let Some(Ok(document)) = document else { return false };
    let Ok(operation) = document.operations.get(body["operationName"].as_str()) else {
        return false;
    };
    let repositories = operation.selection_set.fields().filter(|field| field.name == "repository");
    repositories.flat_map(|field| &field.selection_set.selections).any(
        |selection| matches!(selection, Selection::Field(field) if field.name == "pullRequests"),
    )
}

/// The answer to a GraphQL request: status 200 also with errors, as on GitHub.
pub fn answer(state: &State, body: &Value) -> Reply {
    if let Some(refused) = lacking(state, body) {
        return Reply::json(200, &refused);
    }
    let answer =
        execute(state, body).unwrap_or_else(|problem| json!({"errors": [{"message": problem}]}));
    limits::apply(&state.limits, Reply::json(200, &answer))
}

/// The errors of an older GitHub Enterprise Server for fields that it does not have.
fn lacking(state: &State, body: &Value) -> Option<Value> {
    let document = body["query"].as_str().unwrap_or_default();
    let words: Vec<&str> = document.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let errors: Vec<Value> = state
        .lacking
        .iter()
        .filter(|field| words.contains(&field.as_str()))
        .map(|field| {
            json!({
                "message": format!("Field '{field}' doesn't exist on type 'PullRequest'"),
                "path": ["fragment Pull", field],
                "extensions": {"code": "undefinedField", "typeName": "PullRequest",
                    "fieldName": field},
            })
        })
        .collect();
    (!errors.is_empty()).then(|| json!({"errors": errors}))
}

fn execute(state: &State, body: &Value) -> Result<Value, String> {
    let document = parse(body["query"].as_str().ok_or("A query attribute must be specified")?)?;
    let variables = variables_of(body).unwrap_or_default();
    let execution = Execution::new(&SCHEMA, &document)
        .operation_name(body["operationName"].as_str())
        .map_err(|problem| problem.message().to_string())?
        .raw_variable_values(&variables)
        .execute_sync(&view::Query(state))
        .map_err(|problem| problem.message().to_string())?;
    let mut answer = json!({"data": execution.data});
    if !execution.errors.is_empty() {
        answer["errors"] = execution.errors.iter().map(error).collect();
    }
    Ok(answer)
}

fn variables_of(body: &Value) -> Option<JsonMap> {
    let value: JsonValue = body["variables"].clone().into();
    value.as_object().cloned()
}

/// GitHub puts an error's type beside its message.
fn error(error: &GraphQLError) -> Value {
    let mut value = serde_json::to_value(error).unwrap_or_default();
    let message = error.message.strip_prefix("resolver error: ").unwrap_or(&error.message);
    value["message"] = Value::from(message);
    let prefix = message.split_once(": ");
    if let Some((kind, message)) =
        prefix.filter(|(kind, _)| kind.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    {
        value["type"] = Value::from(kind);
        value["message"] = Value::from(message);
    }
    value
}
