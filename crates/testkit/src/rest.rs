//! GitHub's REST API, as far as the program may use it.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

use super::pull::{Pull, commit_id};
use super::server::Reply;
use super::state::{Repository, State};

/// The answer to a request other than GraphQL.
pub fn answer(state: &mut State, request: &Request<Bytes>, body: &Value) -> Reply {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    if let Some(moved) = moved(state, request, &path) {
        return moved;
    }
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::PUT, ["repos", owner, name, "pulls", number, "merge"]) => {
            let repository = state.repositories.get_mut(&format!("{owner}/{name}"));
            let number = number.parse().unwrap_or_default();
            repository.map_or_else(not_found, |repository| merge(repository, number, body))
        }
        (&Method::GET, ["repos", owner, name, "pulls", number, "files"]) => {
            let repository = state.repositories.get(&format!("{owner}/{name}"));
            let pull =
                repository.and_then(|repository| repository.pulls.get(&number.parse().ok()?));
            pull.map_or_else(not_found, |pull| files(pull, request))
        }
        (&Method::POST, ["app", "installations", id, "access_tokens"]) => {
            access_token(state, request, id.parse().unwrap_or_default())
        }
        (&Method::GET, ["repos", owner, name, "branches", branch]) => {
            let repository = state.repositories.get(&format!("{owner}/{name}"));
            let branch =
                repository.and_then(|repository| repository.branches.get_key_value(*branch));
            branch.map_or_else(not_found, |(name, commits)| {
                let sha = commits.last().map(|commit| commit.oid.as_str());
                let protection =
                    format!("https://api.github.com/repos/demo/app/branches/{name}/protection");
                Reply::json(
                    200,
                    &json!({"name": name, "commit": {"sha": sha}, "protected": false,
                        "protection_url": protection}),
                )
            })
        }
        (method, ["repos", owner, name, "issues", rest @ ..]) => {
            super::issues::answer(state, &format!("{owner}/{name}"), (method, rest), body)
        }
        (_, ["repos", owner, name, "actions", rest @ ..]) => {
            super::actions::rest::answer(state, &format!("{owner}/{name}"), rest, request, body)
        }
        _ => not_found(),
    }
}

/// The old name of a repository leads to its new one, on the same host.
fn moved(state: &State, request: &Request<Bytes>, path: &str) -> Option<Reply> {
    let rest =
        path.strip_prefix("repos/")?.strip_prefix(state.old_name.as_deref()?)?.strip_prefix('/')?;
    let name = state.repositories.keys().next()?;
    let host =
        request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let status = if request.method() == Method::GET { 301 } else { 307 };
    let url = format!("http://{host}/repos/{name}/{rest}");
    Some(error(status, "Moved Permanently").header("location", url))
}

/// An error as GitHub writes it.
pub fn error(status: u16, message: &str) -> Reply {
    let documentation_url = "https://docs.github.com/rest";
    Reply::json(
        status,
        &json!({"message": message, "documentation_url": documentation_url,
            "status": status.to_string()}),
    )
}

/// When the hour of the rate limit ends, in seconds since 1970.
pub fn next_hour(state: &State) -> u64 {
    let now = state.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    (now / 3_600 + 1) * 3_600
}

pub(super) fn not_found() -> Reply {
    error(404, "Not Found")
}

fn merge(repository: &mut Repository, number: u64, body: &Value) -> Reply {
    let Some(pull) = repository.pulls.get(&number) else { return not_found() };
    let method = body["merge_method"].as_str().unwrap_or("merge");
    if !["merge", "squash", "rebase"].contains(&method) {
        return error(422, "Validation Failed");
    }
    if let Some((status, message)) = refusal(repository, pull, method, body["sha"].as_str()) {
        return error(status, message);
    }
    let title = body["commit_title"]
        .as_str()
        .map_or_else(|| format!("{} (#{number})", pull.title), str::to_owned);
    let message = match body["commit_message"].as_str() {
        Some("") => title,
        Some(text) => format!("{title}\n\n{text}"),
        None => format!("{title}\n\n* the commits' own messages"),
    };
    let oid = repository.squash_merge(number, &message);
    Reply::json(
        200,
        &json!({"sha": oid, "merged": true, "message": "Pull Request successfully merged"}),
    )
}

/// Why GitHub does not merge, in the order in which it looks.
fn refusal(
    repository: &Repository,
    pull: &Pull,
    method: &str,
    sha: Option<&str>,
) -> Option<(u16, &'static str)> {
    if repository.archived {
        return Some((403, "Repository was archived so is read-only."));
    }
    if !matches!(
        repository.viewer_permission.as_deref(),
        None | Some("WRITE" | "MAINTAIN" | "ADMIN")
    ) {
        return Some((403, "Resource not accessible by personal access token"));
    }
    if pull.state != "OPEN" || pull.mergeable == "CONFLICTING" {
        return Some((405, "Pull Request is not mergeable"));
    }
    if pull.draft {
        return Some((405, "Pull Request is still a draft"));
    }
    if sha.is_some_and(|sha| sha != commit_id(&pull.head)) {
        return Some((409, "Head branch was modified. Review and try the merge again."));
    }
    if method == "squash" && !repository.squash_allowed {
        return Some((405, "Squash merges are not allowed on this repository."));
    }
    if repository.merge_queue || pull.is_merge_queue_enabled {
        return Some((
            405,
            "Repository rule violations found\n\nChanges must be made through the merge queue",
        ));
    }
    match pull.merge_state_status.as_str() {
        "BLOCKED" => {
            Some((405, "At least 1 approving review is required by reviewers with write access."))
        }
        "BEHIND" => Some((405, "Head branch is out of date")),
        _ => None,
    }
}

fn files(pull: &Pull, request: &Request<Bytes>) -> Reply {
    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| -> Option<usize> {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)?
            .1
            .parse()
            .ok()
    };
    let per_page = parameter("per_page").unwrap_or(30).clamp(1, 100);
    let page = parameter("page").unwrap_or(1).max(1);
    let start = (page - 1) * per_page;
    let rows: Vec<Value> =
        pull.files.iter().skip(start).take(per_page).map(|name| file(name)).collect();
    let reply = Reply::json(200, &Value::from(rows));
    if start + per_page >= pull.files.len() {
        return reply;
    }
    let host =
        request.headers().get("host").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = request.uri().path();
    let next = format!("<http://{host}{path}?per_page={per_page}&page={}>; rel=\"next\"", page + 1);
    reply.header("link", next)
}

/// `old -> new` is a rename.
fn file(name: &str) -> Value {
    let (previous, name) =
        name.split_once(" -> ").map_or((None, name), |(old, new)| (Some(old), new));
    let url = format!("https://github.com/demo/app/blob/{name}");
    let mut row = json!({
        "sha": commit_id(name), "filename": name, "additions": 1, "deletions": 0, "changes": 1,
        "status": if previous.is_some() { "renamed" } else { "modified" },
        "blob_url": url, "raw_url": url, "contents_url": url, "patch": "@@ -1 +1,2 @@",
    });
    if let Some(previous) = previous {
        row["previous_filename"] = Value::from(previous);
    }
    row
}

/// The world takes any JSON Web Token; the test of signing in checks the signature itself.
fn access_token(state: &mut State, request: &Request<Bytes>, id: u64) -> Reply {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let jwt = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if jwt.split('.').count() != 3 {
        return error(401, "A JSON web token could not be decoded");
    }
    if state.installation != Some(id) {
        return not_found();
    }
    let expires = state.now() + Duration::from_secs(3_600);
    let token = format!("{}-of-installation-{id}", super::TOKEN);
    state.tokens.push(token.clone());
    Reply::json(
        201,
        &json!({
            "token": token,
            "expires_at": humantime::format_rfc3339_seconds(expires).to_string(),
            "permissions": {"contents": "write", "pull_requests": "write", "checks": "read",
                "statuses": "read", "metadata": "read"},
            "repository_selection": "all",
        }),
    )
}
