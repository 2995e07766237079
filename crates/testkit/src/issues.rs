//! The issues of a repository: REST to write them, GraphQL to list them.

use http::Method;
use serde_json::{Value, json};

use super::rest::{error, not_found};
use super::server::Reply;
use super::state::{Repository, State};

/// The account of the coordinator's token.
pub const OWN_LOGIN: &str = "coordinator-bot";

/// An issue.
#[derive(Debug, Clone)]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub author: String,
    pub labels: Vec<String>,
    pub open: bool,
    /// Their texts, in order.
    pub comments: Vec<String>,
}

impl Issue {
    /// An open one with the label of alerts.
    pub fn labelled(number: u64, author: &str, body: &str) -> Self {
        Self {
            number,
            title: format!("issue {number}"),
            body: body.to_owned(),
            author: author.to_owned(),
            labels: vec!["coordinator:alert".to_owned()],
            open: true,
            comments: Vec::new(),
        }
    }

    /// As GraphQL shows it to `viewer`.
    pub(super) fn node(&self, viewer: &str) -> Value {
        json!({
            "__typename": "Issue", "id": format!("I_{}", self.number), "number": self.number,
            "body": self.body, "viewerDidAuthor": self.author == viewer,
        })
    }

    fn answer(&self, repository: &str) -> Value {
        let url = format!("https://api.github.com/repos/{repository}/issues/{}", self.number);
        let labels: Vec<Value> = self.labels.iter().map(|name| json!({"name": name})).collect();
        let at = "2026-01-01T00:00:00Z";
        json!({
            "id": self.number, "node_id": format!("I_{}", self.number), "number": self.number,
            "url": url, "html_url": url, "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"), "labels_url": format!("{url}/labels{{/name}}"),
            "repository_url": format!("https://api.github.com/repos/{repository}"),
            "state": if self.open { "open" } else { "closed" }, "locked": false,
            "title": self.title, "body": self.body, "labels": labels,
            "comments": self.comments.len(), "created_at": at, "updated_at": at,
            "closed_at": if self.open { Value::Null } else { json!(at) },
        })
    }
}

/// The answer to a request below `/repos/OWNER/NAME/issues`.
pub(super) fn answer(
    state: &mut State,
    name: &str,
    (method, rest): (&Method, &[&str]),
    body: &Value,
) -> Reply {
    let author = state.viewer.as_ref().map_or(OWN_LOGIN, |viewer| &viewer.login).to_owned();
    let Some(repository) = state.repositories.get_mut(name) else { return not_found() };
    if !repository.has_issues {
        return error(410, "Issues has been disabled in this repository.");
    }
    match (method, rest) {
        (&Method::POST, []) => open(repository, author, body),
        (&Method::PATCH, [number]) => with(repository, number, |issue, repository| {
            change(issue, body);
            Reply::json(200, &issue.answer(repository))
        }),
        (&Method::POST, [number, "comments"]) => with(repository, number, |issue, _| {
            let text = body["body"].as_str().unwrap_or_default();
            issue.comments.push(text.to_owned());
            let url = "https://api.github.com/repos/demo/app/issues/comments/1";
            let at = "2026-01-01T00:00:00Z";
            Reply::json(
                201,
                &json!({"id": 1, "node_id": "IC_1", "url": url, "html_url": url, "issue_url": url,
                    "body": text, "created_at": at, "updated_at": at,
                    "author_association": "MEMBER"}),
            )
        }),
        _ => not_found(),
    }
}

/// Labels are dropped without an error where the account may not set them.
fn open(repository: &mut Repository, author: String, body: &Value) -> Reply {
    let texts = body["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let may_label = repository.viewer_permission.as_deref() != Some("READ");
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let issue = Issue {
        number: repository.next_number(),
        title: text("title"),
        body: text("body"),
        author,
        labels: texts.filter(|_| may_label).map(str::to_owned).collect(),
        open: true,
        comments: Vec::new(),
    };
    let answer = issue.answer(&repository.name);
    repository.issues.insert(issue.number, issue);
    Reply::json(201, &answer)
}

fn with(
    repository: &mut Repository,
    number: &str,
    act: impl FnOnce(&mut Issue, &str) -> Reply,
) -> Reply {
    let name = repository.name.clone();
    let issue = number.parse().ok().and_then(|number: u64| repository.issues.get_mut(&number));
    issue.map_or_else(not_found, |issue| act(issue, &name))
}

fn change(issue: &mut Issue, body: &Value) {
    for (key, field) in [("title", &mut issue.title), ("body", &mut issue.body)] {
        if let Some(text) = body[key].as_str() {
            text.clone_into(field);
        }
    }
    if let Some(state) = body["state"].as_str() {
        issue.open = state == "open";
    }
}
