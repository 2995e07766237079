//! The issues of alerts: read with the list of pull requests, where that runs, else by a query of
//! their own; opened, rewritten and closed over REST.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use coordinator_core::pull::Repository;

use super::graphql::{FieldError, Response};
use super::{Error, Github, documents};

/// The label of every issue of an alert.
pub const ALERT_LABEL: &str = "coordinator:alert";

const WHAT: &str = "list the issues of alerts";

/// An open issue with the label that this client's account wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertIssue {
    pub number: u64,
    pub body: String,
}

/// The open issues with the label, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertIssues {
    /// Those that this client's account wrote.
    pub ours: Vec<AlertIssue>,
    /// `false`: there are more than one request shows.
    pub is_complete: bool,
}

/// An issue that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewIssue {
    pub number: u64,
    /// GitHub drops the label, without an error, where the token may not set it: then no later
    /// cycle finds the issue.
    pub is_labelled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    page_info: HasNext,
    nodes: Vec<Option<Node>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HasNext {
    has_next_page: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    number: u64,
    body: String,
    viewer_did_author: bool,
}

/// Whether an error concerns the issues of alerts alone.
pub(super) fn is_of_alerts(error: &FieldError) -> bool {
    error.below(&[Value::from("alerts")]).is_some()
}

fn read<'a>(
    repository: &Value,
    mut errors: impl Iterator<Item = &'a FieldError>,
) -> Result<AlertIssues, Error> {
    let failed = |why: &str| Error::Failed(format!("could not {WHAT}: {why}"));
    if let Some(error) = errors.next() {
        return Err(failed(&format!("GitHub answered: {}", error.text())));
    }
    let page = Connection::deserialize(&repository["issues"])
        .map_err(|_| failed("GitHub does not show them; let the token read issues"))?;
    let is_whole = page.nodes.iter().all(Option::is_some);
    let ours = page.nodes.into_iter().flatten().filter(|node| node.viewer_did_author);
    Ok(AlertIssues {
        ours: ours.map(|node| AlertIssue { number: node.number, body: node.body }).collect(),
        is_complete: is_whole && !page.page_info.has_next_page,
    })
}

impl Github {
    /// From now on the first page of pull requests shows the issues of alerts as well.
    #[must_use]
    pub fn with_alerts(self) -> Self {
        Self { reads_alerts: true, ..self }
    }

    pub(super) fn reads_alerts(&self) -> bool {
        self.reads_alerts
    }

    pub(super) fn note_alerts(&self, response: &Response) {
        if self.reads_alerts {
            let errors = response.errors.iter().filter(|error| is_of_alerts(error));
            // The first page of the cycle is kept.
            let _ = self.alerts.set(read(&response.data["alerts"], errors));
        }
    }

    /// What the list of pull requests showed of them; `None` where it was not read.
    pub fn listed_alerts(&self) -> Option<Result<AlertIssues, Error>> {
        self.alerts.get().cloned()
    }

    /// The open issues of alerts as they are now. Costs one request.
    pub async fn alert_issues(&self) -> Result<AlertIssues, Error> {
        let Repository { owner, name, .. } = self.repository();
        let variables = json!({ "owner": owner, "name": name });
        let response = self.graphql(WHAT, &documents::alerts(), &variables).await?;
        read(&response.data["alerts"], response.errors.iter())
    }

    pub async fn open_alert(&self, title: &str, body: &str) -> Result<NewIssue, Error> {
        #[derive(Deserialize)]
        struct Issue {
            number: u64,
            labels: Vec<Label>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Label {
            Name(String),
            Object { name: Option<String> },
        }
        let url = format!("{}/issues", self.rest_url());
        let body = json!({ "title": title, "body": body, "labels": [ALERT_LABEL] });
        let answer = self.call(Method::POST, &url, Some(&body)).await?;
        let issue: Issue = answer.succeeded("open the issue of an alert")?.json()?;
        let is_labelled = issue.labels.iter().any(|label| match label {
            Label::Name(name) => name == ALERT_LABEL,
            Label::Object { name } => name.as_deref() == Some(ALERT_LABEL),
        });
        Ok(NewIssue { number: issue.number, is_labelled })
    }

    pub async fn rewrite_alert(&self, number: u64, title: &str, body: &str) -> Result<(), Error> {
        let changes = json!({ "title": title, "body": body });
        self.patch_issue(number, &changes, "rewrite the issue of an alert").await
    }

    /// Closes it, then adds the comment: what dies in between leaves no comment on an open issue.
    pub async fn close_alert(&self, number: u64, comment: &str) -> Result<(), Error> {
        let changes = json!({ "state": "closed" });
        self.patch_issue(number, &changes, "close the issue of an alert").await?;
        let url = format!("{}/issues/{number}/comments", self.rest_url());
        let body = json!({ "body": comment });
        let answer = self.call(Method::POST, &url, Some(&body)).await?;
        answer.succeeded("comment on the issue of an alert").map(drop)
    }

    async fn patch_issue(&self, number: u64, changes: &Value, what: &str) -> Result<(), Error> {
        let url = format!("{}/issues/{number}", self.rest_url());
        let answer = self.call(Method::PATCH, &url, Some(changes)).await?;
        answer.succeeded(what).map(drop)
    }
}
