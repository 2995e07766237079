//! GraphQL answers turned into our types. Whatever is null, unknown or cut becomes a value that fails closed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use coordinator_core::pull::{
    Actor, ActorKind, BaseCommit, BranchHistory, Checks, Gap, GapCause, LastPush, MergeQueue, MergeState,
    Mergeable, Page, Permission, Pull, PullState, RepositoryFacts, Review, ReviewDecision, ReviewState, Sha,
};

use super::fields::LackingFields;
use super::graphql::FieldError;
use super::request::shown;
use coordinator_core::timestamp;

pub(super) use rollup::RollupNode;

mod last_push;
mod rollup;

/// A connection, or the part of it that was asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<T> {
    page_info: Option<PageInfo>,
    nodes: Option<Vec<Option<T>>>,
}

/// Where a connection goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
}

/// A connection that is null, has a null in it or goes on is not complete.
fn page<N, T>(connection: Option<Connection<N>>, item: impl Fn(N) -> Option<T>) -> Page<T> {
    let Some(Connection { page_info, nodes: Some(nodes) }) = connection else {
        return Page { items: Vec::new(), complete: false };
    };
    let expected = nodes.len();
    let items: Vec<T> = nodes.into_iter().flatten().filter_map(item).collect();
    let complete = items.len() == expected && page_info.is_none_or(|info| !info.has_next_page);
    Page { items, complete }
}

#[derive(Debug, Deserialize)]
struct ActorNode {
    #[serde(rename = "__typename")]
    kind: String,
    login: String,
}

impl From<ActorNode> for Actor {
    fn from(node: ActorNode) -> Self {
        let kind = match node.kind.as_str() {
            "User" => ActorKind::User,
            "Bot" => ActorKind::Bot,
            _ => ActorKind::Other,
        };
        Self::new(kind, &node.login)
    }
}

#[derive(Debug, Deserialize)]
struct Commit {
    oid: String,
}

impl From<Commit> for Sha {
    fn from(commit: Commit) -> Self {
        Self(commit.oid)
    }
}

#[derive(Debug, Deserialize)]
struct Label {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewNode {
    state: String,
    submitted_at: Option<String>,
    author_can_push_to_repository: Option<bool>,
    author: Option<ActorNode>,
    commit: Option<Commit>,
}

impl From<ReviewNode> for Review {
    fn from(node: ReviewNode) -> Self {
        Self {
            author: node.author.map(Actor::from),
            state: match node.state.as_str() {
                "APPROVED" => ReviewState::Approved,
                "CHANGES_REQUESTED" => ReviewState::ChangesRequested,
                _ => ReviewState::Other,
            },
            can_push: node.author_can_push_to_repository == Some(true),
            commit: node.commit.map(Sha::from),
            submitted_at: node.submitted_at.and_then(|text| timestamp::parse(&text)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PullNode {
    id: String,
    number: u64,
    state: Option<String>,
    title: String,
    is_draft: Option<bool>,
    author: Option<ActorNode>,
    base_ref_name: String,
    head_ref_oid: String,
    head_ref: Option<last_push::HeadRef>,
    created_at: Option<String>,
    is_cross_repository: Option<bool>,
    mergeable: Option<String>,
    merge_state_status: Option<String>,
    is_merge_queue_enabled: Option<bool>,
    is_in_merge_queue: Option<bool>,
    review_decision: Option<String>,
    labels: Option<Connection<Label>>,
    latest_opinionated_reviews: Option<Connection<ReviewNode>>,
    status_check_rollup: Option<RollupNode>,
}

/// A pull request of which too little was shown.
pub(super) struct Torn {
    pub(super) number: Option<u64>,
    pub(super) title: String,
    pub(super) gap: Gap,
    /// There is none of this id.
    pub(super) is_gone: bool,
}

/// A pull request with the holes that `errors` below `prefix` tore into it, and where its check
/// rows go on. Fields that the server does not know leave no hole.
pub(super) fn pull(
    node: &Value,
    prefix: &[Value],
    errors: &[FieldError],
    lacking: &LackingFields,
) -> Result<(Pull, Option<PageInfo>), Torn> {
    let holes: Vec<(&FieldError, &[Value])> =
        errors.iter().filter_map(|error| Some((error, error.below(prefix)?))).collect();
    let torn = |gap| Torn {
        number: node["number"].as_u64(),
        title: node["title"].as_str().unwrap_or_default().to_owned(),
        gap,
        is_gone: holes.iter().any(|(error, _)| error.is_not_found()),
    };
    let other = |sentence: String| Gap { cause: GapCause::Other, sentence };
    if node.is_null() {
        let gap = holes.first().map(|(error, _)| gap(error));
        return Err(torn(gap.unwrap_or_else(|| other("GitHub does not show it".to_owned()))));
    }
    let parsed = PullNode::deserialize(node).map_err(|error| torn(other(shown(&error.to_string()))))?;
    let (mut pull, more) = from_node(parsed);
    complete(&mut pull, lacking);
    for (error, path) in &holes {
        let field = path.first().and_then(Value::as_str).unwrap_or_default();
        if !tear(&mut pull, field, error) {
            return Err(torn(gap(error)));
        }
        pull.gaps.entry(field.to_owned()).or_insert_with(|| gap(error));
    }
    Ok((pull, more))
}

fn gap(error: &FieldError) -> Gap {
    Gap { cause: error.cause(), sentence: error.text() }
}

/// What fields stand for that were not asked for, because the server lacks them.
fn complete(pull: &mut Pull, lacking: &LackingFields) {
    if lacking.has("isInMergeQueue") || lacking.has("isMergeQueueEnabled") {
        pull.merge_queue = MergeQueue::None;
    }
    if lacking.has("mergeStateStatus") {
        pull.merge_state = MergeState::Hidden;
    }
}

/// Marks a field as unread; `false` where no single rule depends on the field, so that nothing can be judged.
fn tear(pull: &mut Pull, field: &str, error: &FieldError) -> bool {
    match field {
        "statusCheckRollup" => pull.checks = Checks::Unreadable(error.text()),
        "latestOpinionatedReviews" => pull.reviews.complete = false,
        "reviewDecision" => pull.review_decision = ReviewDecision::Unknown,
        "labels" => pull.labels.complete = false,
        "mergeable" => pull.mergeable = Mergeable::Unknown,
        "mergeStateStatus" => pull.merge_state = MergeState::Unknown,
        "isMergeQueueEnabled" | "isInMergeQueue" => pull.merge_queue = MergeQueue::Unknown,
        "headRef" => pull.last_push = LastPush::Unknown(error.text()),
        _ => return false,
    }
    true
}

fn from_node(node: PullNode) -> (Pull, Option<PageInfo>) {
    let (checks, more) = match node.status_check_rollup {
        Some(rollup) => rollup.into_checks(),
        None => (Checks::None, None),
    };
    let head = Sha(node.head_ref_oid);
    let pull = Pull {
        id: node.id,
        number: node.number,
        title: node.title,
        state: match node.state.as_deref() {
            Some("OPEN") => PullState::Open,
            Some("CLOSED") => PullState::Closed,
            Some("MERGED") => PullState::Merged,
            _ => PullState::Unknown,
        },
        draft: node.is_draft != Some(false),
        author: node.author.map(Actor::from),
        created_at: node.created_at.and_then(|text| timestamp::parse(&text)),
        base: node.base_ref_name,
        last_push: last_push::of(node.head_ref, &head),
        head,
        fork: node.is_cross_repository != Some(false),
        labels: page(node.labels, |label| Some(label.name)),
        mergeable: match node.mergeable.as_deref() {
            Some("MERGEABLE") => Mergeable::Yes,
            Some("CONFLICTING") => Mergeable::Conflicting,
            _ => Mergeable::Unknown,
        },
        merge_state: merge_state(node.merge_state_status.as_deref()),
        merge_queue: match (node.is_in_merge_queue, node.is_merge_queue_enabled) {
            (Some(true), _) => MergeQueue::Queued,
            (_, Some(true)) => MergeQueue::Required,
            (Some(false), Some(false)) => MergeQueue::None,
            (None, _) | (_, None) => MergeQueue::Unknown,
        },
        review_decision: match node.review_decision.as_deref() {
            None => ReviewDecision::NotRequired,
            Some("APPROVED") => ReviewDecision::Approved,
            Some("REVIEW_REQUIRED") => ReviewDecision::ReviewRequired,
            Some("CHANGES_REQUESTED") => ReviewDecision::ChangesRequested,
            Some(_) => ReviewDecision::Unknown,
        },
        reviews: page(node.latest_opinionated_reviews, |review| Some(Review::from(review))),
        checks,
        gaps: BTreeMap::new(),
    };
    (pull, more)
}

fn merge_state(word: Option<&str>) -> MergeState {
    match word {
        Some("CLEAN") => MergeState::Clean,
        Some("HAS_HOOKS") => MergeState::HasHooks,
        Some("UNSTABLE") => MergeState::Unstable,
        Some("BLOCKED") => MergeState::Blocked,
        Some("BEHIND") => MergeState::Behind,
        Some("DIRTY") => MergeState::Dirty,
        Some("DRAFT") => MergeState::Draft,
        _ => MergeState::Unknown,
    }
}

#[derive(Debug, Deserialize)]
struct BranchNode {
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    history: Option<Connection<CommitNode>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CommitNode {
    message: String,
    committed_date: Option<String>,
}

/// The latest commits of a branch; `None` where there is no such branch. A branch that points at no commit has none.
fn history(branch: &str, node: &Value) -> Option<BranchHistory> {
    if node.is_null() {
        return None;
    }
    let commit = |node: CommitNode| {
        Some(BaseCommit {
            title: node.message.lines().next().unwrap_or_default().to_owned(),
            committed_at: node.committed_date.and_then(|text| timestamp::parse(&text)),
        })
    };
    let commits = match BranchNode::deserialize(node) {
        Ok(BranchNode { target: Some(Target { history: Some(history) }) }) => page(Some(history), commit),
        Ok(BranchNode { target: Some(Target { history: None }) | None }) => {
            Page { items: Vec::new(), complete: true }
        }
        Err(_) => Page { items: Vec::new(), complete: false },
    };
    Some(BranchHistory { branch: branch.to_owned(), commits })
}

/// The facts of a repository that was asked for with these bases.
pub(super) fn repository(node: &Value, bases: &[String]) -> RepositoryFacts {
    let default_node = &node["defaultBranchRef"];
    let default_branch = default_node["name"].as_str().map(str::to_owned);
    let default = default_branch.as_deref().and_then(|branch| history(branch, default_node));
    let listed = bases.iter().enumerate();
    let listed = listed.filter_map(|(index, branch)| history(branch, &node[format!("base_{index}")]));
    RepositoryFacts {
        archived: node["isArchived"] != Value::Bool(false),
        squash_allowed: node["squashMergeAllowed"] == Value::Bool(true),
        permission: match &node["viewerPermission"] {
            Value::Null => Permission::Unknown,
            word if word == "ADMIN" => Permission::Admin,
            word if word == "WRITE" || word == "MAINTAIN" => Permission::Write,
            _ => Permission::ReadOnly,
        },
        branches: default.into_iter().chain(listed).collect(),
        default_branch,
    }
}
