//! A pull request from GraphQL's answer. A field that is null, unknown or cut becomes a value that
//! does not allow a merge.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use coordinator_core::pull::{
    Actor, ActorKind, Checks, Gap, GapCause, LastPush, MergeQueue, MergeState, Mergeable, Page,
    Pull, PullState, Review, ReviewDecision, ReviewState, Sha,
};
use coordinator_core::timestamp;

use super::checks::RollupNode;
use super::documents::LackingFields;
use super::graphql::FieldError;
use super::request::shown;

/// A connection, or the page of it that was requested.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<T> {
    page_info: Option<PageInfo>,
    nodes: Option<Vec<Option<T>>>,
}

/// Where a connection's next page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    pub(super) has_next_page: bool,
    #[serde(default)]
    pub(super) end_cursor: Option<String>,
}

/// A connection that is null, has a null in it or has a next page is not complete.
pub(super) fn page<N, T>(
    connection: Option<Connection<N>>,
    item: impl Fn(N) -> Option<T>,
) -> Page<T> {
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
pub(super) struct Commit {
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
    head_ref: Option<HeadRef>,
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
    /// No pull request has this id.
    pub(super) is_gone: bool,
}

/// A pull request, and where the next page of its checks starts. `errors` below `prefix` are about
/// its fields; those that the server lacks are not errors.
pub(super) fn read(
    node: &Value,
    prefix: &[Value],
    errors: &[FieldError],
    lacking: &LackingFields,
) -> Result<(Pull, Option<PageInfo>), Torn> {
    let errors: Vec<(&FieldError, &[Value])> =
        errors.iter().filter_map(|error| Some((error, error.below(prefix)?))).collect();
    let gap = |error: &FieldError| Gap { cause: error.cause(), sentence: error.text() };
    let other = |sentence: String| Gap { cause: GapCause::Other, sentence };
    let torn = |gap| Torn {
        number: node["number"].as_u64(),
        title: node["title"].as_str().unwrap_or_default().to_owned(),
        gap,
        is_gone: errors.iter().any(|(error, _)| error.is_not_found()),
    };
    if node.is_null() {
        let gap = errors.first().map(|(error, _)| gap(error));
        return Err(torn(gap.unwrap_or_else(|| other("GitHub does not show it".to_owned()))));
    }
    let node =
        PullNode::deserialize(node).map_err(|error| torn(other(shown(&error.to_string()))))?;
    let (mut pull, more) = node.into_pull(lacking);
    for (error, path) in &errors {
        let field = path.first().and_then(Value::as_str).unwrap_or_default();
        match field {
            "statusCheckRollup" => pull.checks = Checks::Unreadable(error.text()),
            "latestOpinionatedReviews" => pull.reviews.complete = false,
            "reviewDecision" => pull.review_decision = ReviewDecision::Unknown,
            "labels" => pull.labels.complete = false,
            "mergeable" => pull.mergeable = Mergeable::Unknown,
            "mergeStateStatus" => pull.merge_state = MergeState::Unknown,
            "isMergeQueueEnabled" | "isInMergeQueue" => pull.merge_queue = MergeQueue::Unknown,
            "headRef" => pull.last_push = LastPush::Unknown(error.text()),
            // Not a single rule depends on it, but all of them.
            _ => return Err(torn(gap(error))),
        }
        pull.gaps.entry(field.to_owned()).or_insert_with(|| gap(error));
    }
    Ok((pull, more))
}

impl PullNode {
    fn into_pull(self, lacking: &LackingFields) -> (Pull, Option<PageInfo>) {
        let has_no_queues = lacking.has("isInMergeQueue") || lacking.has("isMergeQueueEnabled");
        let (checks, more) =
            self.status_check_rollup.map_or((Checks::None, None), RollupNode::into_checks);
        let head = Sha(self.head_ref_oid);
        let pull = Pull {
            id: self.id,
            number: self.number,
            title: self.title,
            state: match self.state.as_deref() {
                Some("OPEN") => PullState::Open,
                Some("CLOSED") => PullState::Closed,
                Some("MERGED") => PullState::Merged,
                _ => PullState::Unknown,
            },
            draft: self.is_draft != Some(false),
            author: self.author.map(Actor::from),
            created_at: self.created_at.and_then(|text| timestamp::parse(&text)),
            base: self.base_ref_name,
            last_push: last_push(self.head_ref, &head),
            head,
            fork: self.is_cross_repository != Some(false),
            labels: page(self.labels, |label| Some(label.name)),
            mergeable: match self.mergeable.as_deref() {
                Some("MERGEABLE") => Mergeable::Yes,
                Some("CONFLICTING") => Mergeable::Conflicting,
                _ => Mergeable::Unknown,
            },
            merge_state: match self.merge_state_status.as_deref() {
                _ if lacking.has("mergeStateStatus") => MergeState::Hidden,
                word => merge_state(word),
            },
            merge_queue: match (self.is_in_merge_queue, self.is_merge_queue_enabled) {
                _ if has_no_queues => MergeQueue::None,
                (Some(true), _) => MergeQueue::Queued,
                (_, Some(true)) => MergeQueue::Required,
                (Some(false), Some(false)) => MergeQueue::None,
                (None, _) | (_, None) => MergeQueue::Unknown,
            },
            review_decision: match self.review_decision.as_deref() {
                None => ReviewDecision::NotRequired,
                Some("APPROVED") => ReviewDecision::Approved,
                Some("REVIEW_REQUIRED") => ReviewDecision::ReviewRequired,
                Some("CHANGES_REQUESTED") => ReviewDecision::ChangesRequested,
                Some(_) => ReviewDecision::Unknown,
            },
            reviews: page(self.latest_opinionated_reviews, |review| Some(Review::from(review))),
            checks,
            gaps: BTreeMap::new(),
        };
        (pull, more)
    }
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

/// `Ref`, null where the branch is gone.
#[derive(Debug, Deserialize)]
struct HeadRef {
    target: Option<HeadCommit>,
}

#[derive(Debug, Deserialize)]
struct HeadCommit {
    oid: Option<String>,
    author: Option<GitActor>,
    committer: Option<GitActor>,
}

#[derive(Debug, Deserialize)]
struct GitActor {
    email: Option<String>,
    user: Option<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
}

/// The committer of what is committed in the browser.
const GITHUB_ITSELF: &str = "noreply@github.com";

/// Author and committer of the head; unknown where the branch has moved since.
fn last_push(branch: Option<HeadRef>, head: &Sha) -> LastPush {
    let commit = branch.and_then(|branch| branch.target);
    let Some(commit) = commit.filter(|commit| commit.oid.as_ref() == Some(&head.0)) else {
        return LastPush::Unknown("GitHub does not show who made the head commit".to_owned());
    };
    let by_github = commit
        .committer
        .as_ref()
        .is_some_and(|maker| maker.email.as_deref() == Some(GITHUB_ITSELF));
    let committer = (!by_github).then_some(commit.committer);
    let makers = std::iter::once(commit.author).chain(committer);
    match makers.map(account).collect() {
        Ok(makers) => LastPush::By(makers),
        Err(why) => LastPush::Unknown(why),
    }
}

/// The account that GitHub links to the address, or the one that the address itself names: GitHub
/// links no app.
fn account(maker: Option<GitActor>) -> Result<Actor, String> {
    let Some(GitActor { email, user }) = maker else {
        return Err("GitHub does not show who made the head commit".to_owned());
    };
    let email = email.unwrap_or_default();
    let login = user.as_ref().map(|user| user.login.as_str()).or_else(|| login_in(&email));
    let login = login.ok_or_else(|| {
        format!("no GitHub account has the email address `{email}` of the head commit")
    })?;
    let kind = if login.ends_with("[bot]") { ActorKind::Bot } else { ActorKind::User };
    Ok(Actor::new(kind, login))
}

/// `alice` of `123+alice@users.noreply.github.com`.
fn login_in(email: &str) -> Option<&str> {
    let (name, host) = email.rsplit_once('@')?;
    let login = name.split_once('+').map_or(name, |(_, login)| login);
    (host.starts_with("users.noreply.") && !login.is_empty()).then_some(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker(email: &str, login: Option<&str>) -> GitActor {
        let user = login.map(|login| User { login: login.to_owned() });
        GitActor { email: Some(email.to_owned()), user }
    }

    fn made(author: GitActor, committer: GitActor) -> LastPush {
        let commit = HeadCommit {
            oid: Some("h1".to_owned()),
            author: Some(author),
            committer: Some(committer),
        };
        last_push(Some(HeadRef { target: Some(commit) }), &Sha("h1".to_owned()))
    }

    fn by(makers: &[(ActorKind, &str)]) -> LastPush {
        LastPush::By(makers.iter().map(|(kind, login)| Actor::new(*kind, login)).collect())
    }

    #[test]
    fn author_and_committer_are_the_accounts_that_github_links_to_their_addresses() {
        let (alice, bob) =
            (maker("a@example.com", Some("alice")), maker("b@example.com", Some("bob")));
        assert_eq!(made(alice, bob), by(&[(ActorKind::User, "alice"), (ActorKind::User, "bob")]));
    }

    #[test]
    fn an_app_and_a_private_address_are_known_by_the_address_alone() {
        let app = maker("1+builder[bot]@users.noreply.github.com", None);
        let private = maker("7+alice@users.noreply.github.com", None);
        assert_eq!(
            made(app, private),
            by(&[(ActorKind::Bot, "builder"), (ActorKind::User, "alice")])
        );
    }

    #[test]
    fn what_is_committed_in_the_browser_is_its_authors() {
        let committed = made(maker("a@example.com", Some("alice")), maker(GITHUB_ITSELF, None));
        assert_eq!(committed, by(&[(ActorKind::User, "alice")]));
    }

    #[test]
    fn an_address_without_an_account_leaves_the_makers_unknown() {
        let LastPush::Unknown(why) =
            made(maker("x@localhost", None), maker("b@example.com", Some("bob")))
        else {
            panic!("the address has no account");
        };
        assert!(why.contains("`x@localhost`"), "{why}");
    }

    #[test]
    fn the_makers_of_another_commit_than_the_head_are_not_its_makers() {
        let commit = |oid: Option<&str>| HeadCommit {
            oid: oid.map(str::to_owned),
            author: Some(maker("a@example.com", Some("alice"))),
            committer: Some(maker("a@example.com", Some("alice"))),
        };
        for target in [None, Some(commit(None)), Some(commit(Some("h2")))] {
            let made = last_push(Some(HeadRef { target }), &Sha("h1".to_owned()));
            assert!(matches!(made, LastPush::Unknown(_)), "{made:?}");
        }
        assert!(matches!(last_push(None, &Sha("h1".to_owned())), LastPush::Unknown(_)));
    }
}
