//! What GraphQL shows of the state: each object is a JSON value that names its type and holds all
//! its fields; what depends on arguments (paging, filters, look-ups) is worked out when a field is
//! resolved.

use apollo_compiler::resolvers::{FieldError, ObjectValue, ResolveInfo, ResolvedValue};
use apollo_compiler::response::JsonValue;
use serde_json::{Map, Value, json};

use super::actions::show::{node, node_id};
use super::issues::{Issue, OWN_LOGIN};
use super::objects::{pull_request, rate_limit, repository};
use super::state::{Repository, State};

type Resolved<'a> = Result<ResolvedValue<'a>, FieldError>;

/// The root.
pub struct Query<'w>(pub &'w State);

impl ObjectValue for Query<'_> {
    fn type_name(&self) -> &'static str {
        "Query"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let argument = |name: &str| {
            info.arguments().get(name).and_then(|value| value.as_str()).unwrap_or_default()
        };
        let found = match info.field_name() {
            "rateLimit" => Ok(rate_limit(self.0)),
            "viewer" => {
                let login = self.0.viewer.as_ref().map(|account| account.login.as_str());
                let login = login.unwrap_or(OWN_LOGIN);
                Ok(json!({"__typename": "User", "login": login}))
            }
            "repository" => {
                let name = format!("{}/{}", argument("owner"), argument("name"));
                let message =
                    format!("NOT_FOUND: Could not resolve to a Repository with the name '{name}'.");
                let found = self.0.named(&name).ok_or(FieldError { message })?;
                let Value::Object(mut fields) = repository(found) else {
                    unreachable!("it is an object")
                };
                if let Some(viewer) = &self.0.viewer {
                    fields.insert("viewerPermission".to_owned(), json!(viewer.permission));
                }
                let login = self.0.viewer.as_ref().map_or(OWN_LOGIN, |viewer| &viewer.login);
                let view = RepositoryView { repository: found, login, fields: View(fields) };
                return Ok(ResolvedValue::object(view));
            }
            "node" => {
                let id = argument("id");
                let message =
                    format!("NOT_FOUND: Could not resolve to a node with the global id of '{id}'");
                let pulls =
                    self.0.repositories.values().flat_map(|repository| repository.pulls.values());
                pulls.filter(|pull| pull.id() == id).map(pull_request).next().ok_or(message)
            }
            "nodes" => return Ok(ResolvedValue::list(self.runs(info).into_iter().map(item))),
            _ => return Err(self.unknown_field_error(info)),
        };
        found.map_err(|message| FieldError { message }).and_then(|value| resolve(value, info))
    }
}

impl Query<'_> {
    /// The runs of these ids, in their order; null where there is none.
    fn runs(&self, info: &ResolveInfo<'_>) -> Vec<Value> {
        let ids =
            info.arguments().get("ids").and_then(|ids| ids.as_array()).cloned().unwrap_or_default();
        let all =
            || self.0.repositories.values().flat_map(|repository| repository.actions.runs.values());
        let run = |id: &JsonValue| {
            all().find(|run| Some(node_id(run.id).as_str()) == id.as_str()).map(node)
        };
        ids.iter().map(|id| run(id).unwrap_or_default()).collect()
    }
}

/// A repository. Its pull requests become values only when a query selects them: there may be
/// thousands.
struct RepositoryView<'w> {
    repository: &'w Repository,
    /// The account that looks.
    login: &'w str,
    fields: View,
}

impl ObjectValue for RepositoryView<'_> {
    fn type_name(&self) -> &'static str {
        "Repository"
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        match info.field_name() {
            "pullRequests" => {
                let pulls = self.repository.pulls.values();
                let pulls = pulls.filter(|pull| is_in_state(info, &pull.state)).collect();
                page(pulls, info, pull_request)
            }
            "issues" if self.repository.hides_issues => {
                let message = "FORBIDDEN: Resource not accessible by personal access token";
                Err(FieldError { message: message.to_owned() })
            }
            "issues" => {
                let issues = self.repository.issues.values();
                let issues = issues.filter(|issue| {
                    is_in_state(info, if issue.open { "OPEN" } else { "CLOSED" })
                        && is_labelled(info, issue)
                });
                page(issues.collect(), info, |issue| issue.node(self.login))
            }
            _ => self.fields.resolve_field(info),
        }
    }
}

/// The selected page of rows that are in the order of their numbers.
fn page<'a, T: Copy>(
    rows: Vec<T>,
    info: &'a ResolveInfo<'a>,
    node: impl Fn(T) -> Value,
) -> Resolved<'a> {
    let page = Page::of(rows, info)?;
    let nodes = page.rows.iter().copied().map(node).collect();
    resolve(page.connection(info, nodes), info)
}

/// Whether `states` selects this one.
fn is_in_state(info: &ResolveInfo<'_>, state: &str) -> bool {
    let states = info.arguments().get("states").and_then(|states| states.as_array());
    states.is_none_or(|states| states.iter().any(|wanted| wanted.as_str() == Some(state)))
}

/// Whether it has one of the selected labels.
fn is_labelled(info: &ResolveInfo<'_>, issue: &Issue) -> bool {
    let labels = info.arguments().get("labels").and_then(|labels| labels.as_array());
    labels.is_none_or(|labels| {
        let wanted = labels.iter().filter_map(JsonValue::as_str);
        wanted.into_iter().any(|wanted| issue.labels.iter().any(|label| label == wanted))
    })
}

/// An object of the schema.
struct View(Map<String, Value>);

impl ObjectValue for View {
    fn type_name(&self) -> &str {
        self.0.get("__typename").and_then(Value::as_str).unwrap_or("an object without a type")
    }

    fn resolve_field<'a>(&'a self, info: &'a ResolveInfo<'a>) -> Resolved<'a> {
        let name = info.field_name();
        if name == "ref" {
            let wanted = info.arguments().get("qualifiedName").and_then(|value| value.as_str());
            let short = wanted.map(|wanted| wanted.strip_prefix("refs/heads/").unwrap_or(wanted));
            let branch = short.and_then(|short| self.0["branches"].get(short));
            return resolve(branch.cloned().unwrap_or_default(), info);
        }
        let value = self.0.get(name).cloned().ok_or_else(|| self.unknown_field_error(info))?;
        if name == "isRequired"
            && info.arguments().get("pullRequestId").is_none_or(|id| !id.is_string())
        {
            return Err(FieldError {
                message: "Either pullRequestId or pullRequestNumber is required".into(),
            });
        }
        resolve(value, info)
    }
}

fn resolve<'a>(value: Value, info: &ResolveInfo<'_>) -> Resolved<'a> {
    match value {
        Value::Object(mut error) if error.contains_key("$error") => {
            let message =
                error.remove("$error").and_then(|message| message.as_str().map(str::to_owned));
            Err(FieldError { message: message.unwrap_or_default() })
        }
        Value::Array(items)
            if info.field_definition().ty.inner_named_type().ends_with("Connection") =>
        {
            connection(items, info)
        }
        Value::Object(object) => Ok(ResolvedValue::object(View(object))),
        Value::Array(items) => Ok(ResolvedValue::list(items.into_iter().map(item))),
        leaf => Ok(ResolvedValue::leaf(leaf)),
    }
}

fn item<'a>(value: Value) -> ResolvedValue<'a> {
    match value {
        Value::Object(object) => ResolvedValue::object(View(object)),
        leaf => ResolvedValue::leaf(leaf),
    }
}

/// A page of a list, and how both of them are counted.
fn connection<'a>(mut items: Vec<Value>, info: &ResolveInfo<'_>) -> Resolved<'a> {
    if info.arguments().get("writersOnly").and_then(JsonValue::as_bool).unwrap_or_default() {
        items.retain(|review| review["authorCanPushToRepository"] == true);
    }
    let of_kind = |kind: &str| items.iter().filter(|row| row["__typename"] == kind).count();
    let counted = json!({
        "checkRunCount": of_kind("CheckRun"),
        "statusContextCount": of_kind("StatusContext"),
        "checkRunCountsByState": counts("CheckRun", &items),
        "statusContextCountsByState": counts("StatusContext", &items),
    });
    let mut page = Page::of(items, info)?;
    let nodes = std::mem::take(&mut page.rows);
    let mut value = page.connection(info, nodes);
    if let (Value::Object(value), Value::Object(counted)) = (&mut value, counted) {
        value.extend(counted);
    }
    resolve(value, info)
}

/// Some rows of a list.
struct Page<T> {
    rows: Vec<T>,
    start: usize,
    total: usize,
    has_next: bool,
}

impl<T> Page<T> {
    /// The selected page. `first` must be 1 to 100, as on GitHub.
    fn of(mut items: Vec<T>, info: &ResolveInfo<'_>) -> Result<Self, FieldError> {
        let arguments = info.arguments();
        let first = arguments.get("first").and_then(JsonValue::as_u64).unwrap_or_default();
        if !(1..=100).contains(&first) {
            let kind = info.field_definition().ty.inner_named_type();
            let message =
                format!("ARGUMENT_LIMIT: `first` of the {kind} must be 1 to 100 and is {first}");
            return Err(FieldError { message });
        }
        let after = arguments.get("after").and_then(|after| after.as_str()?.strip_prefix("row:"));
        let total = items.len();
        let start = after.and_then(|row| row.parse::<usize>().ok()).unwrap_or_default().min(total);
        let end = total.min(start.saturating_add(usize::try_from(first).unwrap_or_default()));
        let rows = items.drain(start..end).collect();
        Ok(Self { rows, start, total, has_next: end < total })
    }

    /// The connection object with these nodes for its rows.
    fn connection(&self, info: &ResolveInfo<'_>, nodes: Vec<Value>) -> Value {
        let end = self.start + nodes.len();
        let page_info = json!({
            "__typename": "PageInfo", "hasNextPage": self.has_next,
            "hasPreviousPage": self.start > 0,
            "startCursor": format!("row:{}", self.start), "endCursor": format!("row:{end}"),
        });
        let kind = info.field_definition().ty.inner_named_type().to_string();
        let mut value =
            json!({"__typename": kind, "totalCount": self.total, "pageInfo": page_info});
        value["nodes"] = Value::Array(nodes);
        value
    }
}

fn counts(kind: &str, rows: &[Value]) -> Vec<Value> {
    let mut states: Vec<&str> = rows
        .iter()
        .filter(|row| row["__typename"] == kind)
        .filter_map(|row| row["$counted"].as_str())
        .collect();
    states.sort_unstable();
    let groups = states.chunk_by(|one, other| one == other);
    groups
        .map(|group| {
            let name = format!("{kind}StateCount");
            json!({"__typename": name, "state": group[0], "count": group.len()})
        })
        .collect()
}
