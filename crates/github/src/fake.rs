//! An HTTP service for tests: a function answers, and every request is recorded.

#![allow(clippy::missing_panics_doc, reason = "a test fails by a panic")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use octocrab::OctoBody;
use serde_json::{Value, json};
use tower::BoxError;

use super::{Credentials, Github};
use coordinator_core::pull::Repository;

pub const TOKEN: &str = "ghp_0123456789secret";

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: String,
    pub url: String,
    pub authorization: String,
    pub body: Value,
}

/// What the server does with a request.
pub enum Reply {
    Answer(u16, Vec<(&'static str, String)>, String),
    Reset,
    Never,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }

    #[must_use]
    pub fn with(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.to_owned()));
                Self::Answer(status, headers, body)
            }
            other => other,
        }
    }
}

pub type Journal = Arc<Mutex<Vec<Sent>>>;

/// A client whose requests `script` answers, and what it sent.
pub fn github(script: impl FnMut(&Sent) -> Reply + Send + 'static) -> (Github, Journal) {
    let journal = Journal::default();
    let log = Arc::clone(&journal);
    let script = Arc::new(Mutex::new(script));
    let service = tower::service_fn(move |request: http::Request<OctoBody>| {
        let (log, script) = (Arc::clone(&log), Arc::clone(&script));
        async move {
            let sent = read(request).await?;
            log.lock().expect("no test panics with the lock").push(sent.clone());
            let reply = (script.lock().expect("no test panics with the lock"))(&sent);
            match reply {
                Reply::Answer(status, headers, body) => {
                    let mut response = http::Response::builder().status(status);
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(Full::new(Bytes::from(body)))?)
                }
                Reply::Reset => Err(BoxError::from("connection reset by peer")),
                Reply::Never => std::future::pending().await,
            }
        }
    });
    let repository = Repository {
        owner: "octo".to_owned(),
        name: "demo".to_owned(),
        api_url: "https://api.example.com/v3".to_owned(),
        graphql_url: "https://api.example.com/graphql".to_owned(),
    };
    let credentials = Credentials::token(TOKEN).expect("a good token");
    (Github::new(service, &repository, credentials).expect("good addresses"), journal)
}

async fn read(request: http::Request<OctoBody>) -> Result<Sent, BoxError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Sent {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        authorization: head
            .headers
            .get("authorization")
            .map_or_else(String::new, |it| it.to_str().unwrap_or_default().to_owned()),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

/// An eligible pull request as GitHub shows it in the list.
pub fn pull(number: u64) -> Value {
    let head = format!("head-{number}");
    json!({
        "id": format!("PR_{number}"), "number": number, "state": "OPEN",
        "title": format!("Change {number}"),
        "isDraft": false, "createdAt": "2026-01-01T00:00:00Z",
        "author": { "__typename": "User", "login": "agent-a" },
        "baseRefName": "main", "headRefName": "topic", "headRefOid": head,
        "isCrossRepository": false,
        "headRef": { "target": { "oid": head, "author": maker("agent-a"),
            "committer": maker("agent-a") } },
        "mergeable": "MERGEABLE", "mergeStateStatus": "CLEAN",
        "isMergeQueueEnabled": false, "isInMergeQueue": false, "reviewDecision": null,
        "labels": { "pageInfo": { "hasNextPage": false }, "nodes": [] },
        "latestOpinionatedReviews": { "pageInfo": { "hasNextPage": false }, "nodes": [{
            "state": "APPROVED", "submittedAt": "2026-01-01T00:00:00Z",
            "authorCanPushToRepository": true,
            "author": { "__typename": "User", "login": "alice" }, "commit": { "oid": head },
        }] },
        "statusCheckRollup": rollup(&head, &[row("build", 1, "SUCCESS")], 1),
    })
}

fn maker(login: &str) -> Value {
    json!({ "email": format!("{login}@example.com"), "user": { "login": login } })
}

pub fn row(name: &str, id: u64, conclusion: &str) -> Value {
    json!({
        "__typename": "CheckRun", "databaseId": id, "name": name, "status": "COMPLETED",
        "conclusion": conclusion,
        "checkSuite": {
            "databaseId": 7, "app": { "slug": "github-actions" },
            "workflowRun": { "event": "pull_request", "workflow": { "databaseId": 1 } },
        },
        "isRequired": false,
    })
}

/// The checks of a head, of which `shown` rows are in the answer.
pub fn rollup(head: &str, rows: &[Value], shown: usize) -> Value {
    let green = rows.iter().filter(|row| row["conclusion"] == "SUCCESS").count();
    let red = rows.len() - green;
    json!({
        "state": if red == 0 { "SUCCESS" } else { "FAILURE" }, "commit": { "oid": head },
        "contexts": {
            "totalCount": rows.len(),
            "checkRunCountsByState": [
                { "state": "SUCCESS", "count": green }, { "state": "FAILURE", "count": red },
            ],
            "statusContextCountsByState": [],
            "pageInfo": { "hasNextPage": false, "endCursor": null },
            "nodes": rows.iter().take(shown).collect::<Vec<_>>(),
        },
    })
}

/// The answer to the list.
pub fn list(pulls: &[Value]) -> Value {
    page(pulls, None)
}

/// One page of the list; `next` is where the following one starts.
pub fn page(pulls: &[Value], next: Option<&str>) -> Value {
    let branch = json!({ "name": "main", "target": { "oid": "base", "history": { "nodes": [
        { "message": "Earlier (#900)\n\nbody", "committedDate": "2026-01-01T00:00:00Z" },
        { "message": "Release 1.0", "committedDate": "2025-12-01T00:00:00Z" },
    ] } } });
    json!({ "data": { "rateLimit": { "cost": 1 }, "repository": {
        "nameWithOwner": "octo/demo", "isArchived": false, "squashMergeAllowed": true,
        "deleteBranchOnMerge": true, "viewerPermission": "WRITE",
        "defaultBranchRef": branch, "base_0": branch,
        "pullRequests": {
            "totalCount": pulls.len(), "nodes": pulls,
            "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next },
        },
    } } })
}

/// The answer to a recheck, by the order of its aliases.
pub fn recheck(pulls: &[Value]) -> Value {
    let aliases =
        pulls.iter().enumerate().map(|(index, pull)| (format!("pull_{index}"), pull.clone()));
    json!({ "data": aliases.collect::<serde_json::Map<_, _>>() })
}

pub fn is_recheck(sent: &Sent) -> bool {
    sent.body["query"].as_str().is_some_and(|query| query.contains("query Recheck"))
}
