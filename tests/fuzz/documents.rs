//! Answers as they should be.

use serde_json::{Value, json};

/// The head that everything is about.
const HEAD: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A pull request that may be merged, unless its number is even: then it is a draft.
pub(super) fn pull(number: u64, shown_rows: usize) -> Value {
    let rows = [check("build"), check("lint")];
    json!({
        "id": format!("PR_{number}"), "number": number, "state": "OPEN",
        "title": format!("Change {number}"),
        "isDraft": number.is_multiple_of(2), "createdAt": "2026-01-01T00:00:00Z",
        "author": { "__typename": "User", "login": "writer" },
        "baseRefName": "main", "headRefName": "topic", "headRefOid": HEAD,
        "isCrossRepository": false,
        "headRef": { "target": {
            "oid": HEAD,
            "author": { "email": "writer@example.com", "user": { "login": "writer" } },
            "committer": { "email": "noreply@github.com", "user": null },
        } },
        "mergeable": "MERGEABLE", "mergeStateStatus": "CLEAN",
        "isMergeQueueEnabled": false, "isInMergeQueue": false, "reviewDecision": "APPROVED",
        "labels": { "nodes": [{ "name": "feature" }] },
        "latestOpinionatedReviews": { "pageInfo": { "hasNextPage": false }, "nodes": [{
            "state": "APPROVED", "submittedAt": "2026-01-01T00:00:00Z",
            "authorCanPushToRepository": true,
            "author": { "__typename": "User", "login": "alice" }, "commit": { "oid": HEAD },
        }] },
        "statusCheckRollup": { "state": "SUCCESS", "commit": { "oid": HEAD }, "contexts": {
            "totalCount": rows.len(),
            "checkRunCountsByState": [{ "state": "SUCCESS", "count": rows.len() }],
            "statusContextCountsByState": [],
            "pageInfo": { "hasNextPage": false, "endCursor": null },
            "nodes": rows.iter().take(shown_rows).collect::<Vec<_>>(),
        } },
    })
}

fn check(name: &str) -> Value {
    json!({
        "__typename": "CheckRun", "databaseId": name.len(), "name": name, "status": "COMPLETED",
        "conclusion": "SUCCESS",
        "checkSuite": {
            "databaseId": 7, "app": { "slug": "github-actions" },
            "workflowRun": { "event": "pull_request", "workflow": { "databaseId": 1 } },
        },
        "isRequired": true,
    })
}

/// The only page of open pull requests.
pub(super) fn pulls() -> Value {
    let branch = json!({ "name": "main", "target": { "oid": "base", "history": { "nodes": [
        { "message": "Earlier (#90)\n\nbody", "committedDate": "2026-01-01T00:00:00Z" },
    ] } } });
    json!({ "data": { "rateLimit": { "cost": 1, "remaining": 4999 }, "repository": {
        "nameWithOwner": "demo/app", "isArchived": false, "squashMergeAllowed": true,
        "deleteBranchOnMerge": true,
        "viewerPermission": "WRITE", "defaultBranchRef": branch, "base_0": branch,
        "pullRequests": {
            "totalCount": 3, "nodes": [pull(1, 1), pull(2, 1), pull(3, 1)],
            "pageInfo": { "hasNextPage": false, "endCursor": null },
        },
    } } })
}

/// Pull requests read again, by the variables of the question.
pub(super) fn pulls_again(variables: &Value) -> Value {
    let ids = variables.as_object().into_iter().flatten();
    let ids = ids.filter_map(|(name, id)| {
        Some((name.strip_prefix("id_")?, id.as_str()?.strip_prefix("PR_")?))
    });
    let pulls = ids.map(|(place, number)| {
        (format!("pull_{place}"), pull(number.parse().unwrap_or_default(), usize::MAX))
    });
    json!({ "data": pulls.collect::<serde_json::Map<_, _>>() })
}

/// The answer to `doctor`'s query.
pub(super) fn repository() -> Value {
    json!({ "data": { "viewer": { "login": "coordinator[bot]" }, "repository": {
        "nameWithOwner": "demo/app", "isArchived": false, "squashMergeAllowed": true,
        "deleteBranchOnMerge": true,
        "viewerPermission": "WRITE", "mergeQueue": null, "defaultBranchRef": {
            "name": "main", "target": { "statusCheckRollup": { "state": "SUCCESS" } },
            "rules": { "nodes": [] },
        },
    } } })
}

/// The only page of runs: one in progress, one completed, one of another workflow.
pub(super) fn runs() -> Value {
    let run = |id: u64, title: &str, status: &str, conclusion: Value| {
        json!({
            "id": id, "node_id": format!("RUN_{id}"), "display_title": title, "status": status,
            "conclusion": conclusion,
            "created_at": "2026-01-01T00:00:00Z", "run_started_at": "2026-01-01T00:00:01Z",
            "updated_at": "2026-01-01T00:09:00Z",
            "html_url": format!("https://example.com/runs/{id}"),
        })
    };
    json!({ "total_count": 3, "workflow_runs": [
        run(12, "coord demo builder-s0 g2 c1f", "in_progress", Value::Null),
        run(11, "coord demo builder-s1 g4 c1e", "completed", json!("failure")),
        run(10, "by hand", "queued", Value::Null),
    ] })
}

/// The jobs of these runs, by GraphQL.
pub(super) fn jobs(variables: &Value) -> Value {
    let ids = variables["ids"].as_array().cloned().unwrap_or_default();
    let job = |name: &str, conclusion: &str| {
        json!({
            "name": name, "status": "COMPLETED", "conclusion": conclusion,
            "startedAt": "2026-01-01T00:00:10Z", "completedAt": "2026-01-01T00:08:00Z",
        })
    };
    let runs = ids.into_iter().map(|id| {
        let jobs = [job("admit", "SUCCESS"), job("agent", "FAILURE")];
        json!({ "__typename": "WorkflowRun", "id": id,
            "checkSuite": { "checkRuns": { "nodes": jobs } } })
    });
    json!({ "data": { "nodes": runs.collect::<Vec<_>>() } })
}

/// The jobs of one run, over REST.
pub(super) fn run_jobs() -> Value {
    json!({ "total_count": 1, "jobs": [
        { "id": 77, "name": "agent", "status": "completed",
            "html_url": "https://example.com/jobs/77" },
    ] })
}

/// The only page of Jobs: one that runs, and one that is over.
pub(super) fn kubernetes_jobs() -> Value {
    let history = json!([{
        "gen": 1, "outcome": "failed", "exit": 3, "reason": "OOMKilled",
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T00:01:00Z", "runtime_s": 60,
    }]);
    let metadata = |index: u32| {
        json!({
            "name": format!("demo-builder-s{index}"), "uid": format!("uid-{index}"),
            "namespace": "agents",
            "labels": {
                "coordinator.dev/fleet": "demo",
                "coordinator.dev/slot": format!("builder-s{index}"),
                "coordinator.dev/generation": "2",
            },
            "annotations": { "coordinator.dev/history": history.to_string(),
                "coordinator.dev/cycle": "1f" },
            "creationTimestamp": "2026-01-01T00:02:00Z",
        })
    };
    let over = json!({
        "startTime": "2026-01-01T00:02:01Z", "failed": 1, "conditions": [{
            "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
            "message": "it failed",
            "lastTransitionTime": "2026-01-01T00:03:00Z",
        }],
    });
    let runs = json!({ "startTime": "2026-01-01T00:02:01Z", "active": 1, "ready": 1 });
    let metadata_of_list = json!({ "resourceVersion": "7" });
    json!({ "kind": "JobList", "apiVersion": "batch/v1", "metadata": metadata_of_list, "items": [
        { "metadata": metadata(0), "spec": { "activeDeadlineSeconds": 7200 }, "status": runs },
        { "metadata": metadata(1), "spec": { "activeDeadlineSeconds": 7200 }, "status": over },
    ] })
}

/// The pods that do not run.
pub(super) fn kubernetes_pods() -> Value {
    json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [{
        "metadata": {
            "name": "demo-builder-s1-x", "uid": "pod-1",
            "labels": { "batch.kubernetes.io/controller-uid": "uid-1" },
            "creationTimestamp": "2026-01-01T00:02:00Z",
        },
        "status": { "phase": "Failed", "reason": "Evicted", "containerStatuses": [{
            "name": "agent", "image": "example.com/agent:1", "imageID": "", "ready": false,
            "restartCount": 0,
            "state": { "terminated": {
                "exitCode": 3, "reason": "Error", "message": "first line\nlast words",
                "startedAt": "2026-01-01T00:02:05Z",
                "finishedAt": "2026-01-01T00:02:59Z",
            } },
        }] },
    }] })
}

/// A plugin's answer to `capabilities`.
pub(super) fn capabilities() -> Value {
    json!({
        "ok": true, "protocol": [1], "name": "test", "slot_exclusive": "create",
        "blind_spawn": true, "history": true,
        "logs": true, "dry_run": true, "items": true, "stop": true,
    })
}

/// A plugin's sessions.
pub(super) fn sessions() -> Value {
    let session = |id: &str, index: u32, state: &str| {
        json!({
            "id": id, "slot": { "role": "builder", "index": index }, "generation": 3,
            "state": state,
            "outcome": "failure", "exit_code": 3, "created_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:01Z", "finished_at": "2026-01-01T00:01:00Z",
            "url": "https://example.com/a", "cycle": "1f",
        })
    };
    let slot = json!({ "group": "queue", "item": "7", "name": "demo-queue-i7" });
    let mut of_item = session("c", 0, "finished");
    of_item["slot"] = slot.clone();
    of_item["item"] = json!({ "role": "builder", "id": "7", "attempt": 2, "cost_usd": 1.5 });
    json!({ "ok": true, "complete": true, "as_of": "2026-01-01T01:00:00Z", "sessions": [
        session("a", 0, "running"), session("b", 1, "finished"), of_item,
    ], "items": [{ "slot": slot, "generation": 5 }] })
}

/// A plugin's answer to a spawn.
pub(super) fn spawned() -> Value {
    json!({ "ok": true, "result": "created" })
}

/// `start.json` and `exit.json` of a session on this machine.
pub(super) fn record() -> [(&'static str, Value); 2] {
    let start = json!({
        "version": 1, "session": "demo-builder-s0-g1-1f", "cycle": "1f",
        "roster": "/nowhere/roster.toml",
        "argv": ["agent", "{prompt}"], "cwd": "/nowhere", "shim": { "pid": 7, "starttime": 1 },
        "agent": null,
        "boot_id": "another", "started_at": "2026-01-01T00:00:00.000Z",
    });
    let exit = json!({
        "version": 1, "outcome": "failed", "code": 3, "signal": null, "reason": null,
        "started_at": "2026-01-01T00:00:00.000Z", "finished_at": "2026-01-01T00:01:00.000Z",
    });
    [("start.json", start), ("exit.json", exit)]
}
