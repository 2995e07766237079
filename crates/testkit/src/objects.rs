//! The objects that GraphQL shows, as JSON values that name their type and hold all their fields.
//! `$error` stands for a field that cannot be read, `$counted` for the state under which a row of
//! checks is counted.

use serde_json::{Map, Value, json};

use super::pull::{Author, Check, Maker, Pull, Review, commit_id, from_start};
use super::rest::next_hour;
use super::state::{Commit, Repository, State};

pub(super) fn rate_limit(state: &State) -> Value {
    let resets = std::time::UNIX_EPOCH + std::time::Duration::from_secs(next_hour(state));
    let remaining = state.rate_limit_remaining;
    json!({
        "__typename": "RateLimit", "cost": 1, "limit": 5_000, "remaining": remaining,
        "nodeCount": 100,
        "used": 5_000 - remaining.min(5_000), "resetAt": timestamp(resets),
    })
}

/// All but its pull requests.
pub(super) fn repository(repository: &Repository) -> Value {
    let branches: Map<String, Value> = repository
        .branches
        .iter()
        .map(|(name, commits)| (name.clone(), branch(repository, name, commits)))
        .collect();
    json!({
        "__typename": "Repository",
        "id": "R_1",
        "nameWithOwner": repository.name,
        "isArchived": repository.archived,
        "squashMergeAllowed": repository.squash_allowed,
        "deleteBranchOnMerge": repository.delete_branch_on_merge,
        "viewerPermission": repository.viewer_permission,
        "defaultBranchRef": branches.get(&repository.default_branch),
        "mergeQueue": repository
            .merge_queue
            .then(|| json!({"__typename": "MergeQueue", "id": "MQ_1"})),
        "branches": branches,
    })
}

fn branch(repository: &Repository, name: &str, commits: &[Commit]) -> Value {
    let history: Vec<Value> = commits
        .iter()
        .rev()
        .map(|commit| {
            json!({
                "__typename": "Commit", "oid": commit.oid, "message": commit.message,
                "messageHeadline": commit.message.lines().next(),
                "committedDate": timestamp(commit.committed_at),
                "statusCheckRollup": null,
            })
        })
        .collect();
    let mut target = history.first().cloned().unwrap_or_default();
    target["history"] = Value::from(history);
    let strict = json!({
        "__typename": "RepositoryRule", "id": "RR_1", "type": "REQUIRED_STATUS_CHECKS",
        "parameters": {
            "__typename": "RequiredStatusChecksParameters",
            "strictRequiredStatusChecksPolicy": true, "requiredStatusChecks": [],
        },
    });
    let last_push = json!({
        "__typename": "RepositoryRule", "id": "RR_2", "type": "PULL_REQUEST",
        "parameters": {"__typename": "PullRequestParameters", "requireLastPushApproval": true},
    });
    let rules = repository.strict.then_some(strict).into_iter();
    let rules: Vec<Value> = rules.chain(repository.last_push_rule.then_some(last_push)).collect();
    let protection = repository.last_push_protection.map(|requires| {
        json!({"__typename": "BranchProtectionRule", "id": "BPR_1",
            "requireLastPushApproval": requires})
    });
    json!({
        "__typename": "Ref", "id": format!("REF_{name}"), "name": name, "target": target,
        "rules": rules,
        "branchProtectionRule": protection,
    })
}

pub(super) fn pull_request(pull: &Pull) -> Value {
    let mut value = json!({
        "__typename": "PullRequest",
        "id": pull.id(),
        "number": pull.number,
        "state": pull.state,
        "title": pull.title,
        "isDraft": pull.draft,
        "createdAt": timestamp(created_at(pull)),
        "author": pull.author.as_ref().map(author),
        "baseRefName": pull.base,
        "headRefName": pull.branch.clone()
            .unwrap_or_else(|| format!("agent/change-{}", pull.number)),
        "mergedAt": pull.merged.as_ref().map(|commit| timestamp(commit.committed_at)),
        "updatedAt": timestamp(
            pull.merged.as_ref().map_or_else(|| created_at(pull), |commit| commit.committed_at)
        ),
        "mergeCommit": pull.merged.as_ref()
            .map(|commit| json!({"__typename": "Commit", "id": commit.oid, "oid": commit.oid})),
        "headRefOid": commit_id(&pull.head),
        "headRef": head_branch(pull),
        "isCrossRepository": pull.fork,
        "mergeable": pull.mergeable,
        "mergeStateStatus": pull.merge_state_status,
        "isMergeQueueEnabled": pull.is_merge_queue_enabled,
        "isInMergeQueue": pull.is_in_merge_queue,
        "reviewDecision": pull.review_decision,
        "changedFiles": pull.files.len(),
        "labels": pull
            .labels
            .iter()
            .map(|name| json!({"__typename": "Label", "name": name}))
            .collect::<Vec<_>>(),
        "latestOpinionatedReviews": latest_opinionated(&pull.reviews)
            .map(review)
            .collect::<Vec<_>>(),
        "statusCheckRollup": rollup(pull),
    });
    for (field, kind) in &pull.broken_fields {
        value[field] =
            json!({"$error": format!("{kind}: Something went wrong while executing your query.")});
    }
    value
}

/// When it was opened, by the world's clock.
pub fn created_at(pull: &Pull) -> std::time::SystemTime {
    let a_day_ago = || -86_400 + i64::try_from(pull.number).unwrap_or_default();
    from_start(pull.created.unwrap_or_else(a_day_ago))
}

fn head_branch(pull: &Pull) -> Value {
    json!({
        "__typename": "Ref", "id": format!("REF_{}", pull.number),
        "target": {
            "__typename": "Commit", "id": commit_id(&pull.head), "oid": commit_id(&pull.head),
            "author": maker(&pull.head_author), "committer": maker(&pull.head_committer),
        },
    })
}

fn maker(maker: &Maker) -> Value {
    let user = maker.login.as_ref().map(|login| json!({"__typename": "User", "login": login}));
    json!({"__typename": "GitActor", "email": maker.email, "user": user})
}

/// Per author the last review that is neither a comment nor pending.
fn latest_opinionated(reviews: &[Review]) -> impl Iterator<Item = &Review> {
    let opinionated = |review: &&Review| !matches!(review.state.as_str(), "COMMENTED" | "PENDING");
    reviews.iter().enumerate().filter(move |(_, review)| opinionated(review)).filter_map(
        move |(index, review)| {
            let mut later = reviews[index + 1..].iter().filter(opinionated);
            let superseded =
                review.author.is_some() && later.any(|other| other.author == review.author);
            (!superseded).then_some(review)
        },
    )
}

fn review(review: &Review) -> Value {
    json!({
        "__typename": "PullRequestReview",
        "id": "PRR_1",
        "state": review.state,
        "submittedAt": timestamp(from_start(review.at)),
        "authorCanPushToRepository": review.can_push,
        "authorAssociation": review.association,
        "author": review.author.as_ref().map(author),
        "commit": review
            .commit
            .as_ref()
            .map(|name| json!({"__typename": "Commit", "oid": commit_id(name)})),
    })
}

fn author(author: &Author) -> Value {
    json!({"__typename": author.kind, "login": author.login})
}

fn rollup(pull: &Pull) -> Value {
    if pull.rollup_error {
        return json!({"$error": "FORBIDDEN: Resource not accessible by personal access token"});
    }
    if pull.checks.is_empty() {
        return Value::Null;
    }
    let has =
        |states: &[&str]| pull.checks.iter().any(|check| states.contains(&check.counted_state()));
    let failed = [
        "FAILURE",
        "ERROR",
        "TIMED_OUT",
        "CANCELLED",
        "ACTION_REQUIRED",
        "STARTUP_FAILURE",
        "STALE",
    ];
    let passed = ["SUCCESS", "NEUTRAL", "SKIPPED"];
    let all_passed = pull.checks.iter().all(|check| passed.contains(&check.counted_state()));
    let state = if has(&failed) {
        "FAILURE"
    } else if all_passed {
        "SUCCESS"
    } else {
        "PENDING"
    };
    json!({
        "__typename": "StatusCheckRollup",
        "id": format!("SCR_{}", pull.number),
        "state": pull.rollup_state.as_deref().unwrap_or(state),
        "commit": {"__typename": "Commit", "oid": commit_id(&pull.head)},
        "contexts": pull.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn check(check: &Check) -> Value {
    let counted = check.counted_state();
    match check {
        Check::CheckRun { name, app, workflow, event, run, id, status, conclusion, required } => {
            json!({
                "__typename": "CheckRun", "$counted": counted, "id": format!("CR_{id}"),
                "databaseId": id, "name": name,
                "status": status, "conclusion": conclusion, "isRequired": required,
                "startedAt": null, "completedAt": null,
                "checkSuite": {
                    "__typename": "CheckSuite",
                    "databaseId": suite(app, workflow.as_deref(), event, *run),
                    "app": {"__typename": "App", "slug": app, "databaseId": number_of(app)},
                    "workflowRun": workflow.as_ref().map(|workflow| json!({
                        "__typename": "WorkflowRun",
                        "event": event,
                        "workflow": {"__typename": "Workflow", "databaseId": number_of(workflow),
                            "name": workflow},
                    })),
                },
            })
        }
        Check::Status { name, state, id, required, creator } => json!({
            "__typename": "StatusContext", "$counted": counted, "id": format!("SC_{id}"),
            "context": name,
            "state": state, "isRequired": required,
            "createdAt": timestamp(from_start(-3_600 + i64::try_from(*id).unwrap_or_default())),
            "creator": {"__typename": "User", "login": creator},
        }),
    }
}

/// All jobs of one run of a workflow are in one suite.
fn suite(app: &str, workflow: Option<&str>, event: &str, run: u64) -> u32 {
    let event = workflow.map_or("", |_| event);
    number_of(&format!("{app}/{}/{event}/{run}", workflow.unwrap_or_default()))
}

/// A number that stands for a name; fits into GraphQL's 32 bits.
fn number_of(name: &str) -> u32 {
    name.bytes().fold(7, |number: u32, byte| number.wrapping_mul(31).wrapping_add(u32::from(byte)))
        >> 1
}

fn timestamp(time: std::time::SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
