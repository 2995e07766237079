//! Is the head approved, by accounts whose approval counts, for long enough?

use std::time::{Duration, SystemTime};

use crate::merge::{LastPushApproval, MergePolicy, StaleApprovals};
use crate::pull::{Actor, ActorKind, LastPush, Pull, Review, ReviewDecision, ReviewState};

use super::reason::{Reason, Skip};

/// Why the reviews do not allow the merge.
pub fn judge(pull: &Pull, policy: &MergePolicy, now: SystemTime) -> Option<Skip> {
    let opposed =
        pull.reviews.items.iter().find(|review| review.state == ReviewState::ChangesRequested);
    if let Some(review) = opposed {
        let who =
            review.author.as_ref().map_or_else(|| "a deleted account".to_owned(), Actor::to_string);
        return Some(Skip::new(Reason::ChangesRequested, format!("{who} requested changes")));
    }
    if !pull.reviews.complete {
        return Some(Skip::new(Reason::ReviewsTruncated, "not all of its reviews could be read"));
    }
    match pull.review_decision {
        ReviewDecision::Approved | ReviewDecision::NotRequired => {}
        ReviewDecision::ChangesRequested => {
            return Some(Skip::new(
                Reason::ChangesRequested,
                "GitHub shows that changes are requested",
            ));
        }
        ReviewDecision::ReviewRequired => {
            return Some(Skip::new(
                Reason::ReviewRequired,
                "a review that GitHub requires is missing",
            ));
        }
        ReviewDecision::Unknown => {
            let detail = "GitHub's review decision could not be read";
            return Some(Skip::new(Reason::ReviewRequired, detail));
        }
    }
    let (own, approvals): (Vec<&Review>, Vec<&Review>) = pull
        .reviews
        .items
        .iter()
        .filter(|review| counts(review, pull, policy))
        .partition(|review| is_of_the_own_push(review, pull, policy));
    match (
        enough(&approvals, pull, policy, now),
        own.first().and_then(|review| review.author.as_ref()),
    ) {
        (Some(skip), Some(maker)) if skip.reason != Reason::Settling => {
            Some(uncounted(skip, maker))
        }
        (skip, _) => skip.or_else(|| unknown_push(pull, policy)),
    }
}

/// A reviewer who pushes to a branch and approves it has reviewed their own change.
fn is_of_the_own_push(review: &Review, pull: &Pull, policy: &MergePolicy) -> bool {
    match (policy.last_push_approval, &pull.last_push) {
        // A commit does not show whether a login is a person's or an app's.
        (LastPushApproval::Require, LastPush::By(makers)) => {
            review.author.as_ref().is_some_and(|approver| {
                makers.iter().any(|maker| maker.login.eq_ignore_ascii_case(&approver.login))
            })
        }
        (LastPushApproval::Require, LastPush::Unknown(_)) | (LastPushApproval::Github, _) => false,
    }
}

fn uncounted(mut skip: Skip, maker: &Actor) -> Skip {
    let why = format!("{maker} made that commit and cannot approve it (`last_push_approval`)");
    skip.detail = format!("{}; {why}", skip.detail);
    skip
}

/// Where the makers of the head are unknown, every approval may be theirs.
fn unknown_push(pull: &Pull, policy: &MergePolicy) -> Option<Skip> {
    match (policy.last_push_approval, &pull.last_push) {
        (LastPushApproval::Require, LastPush::Unknown(why)) => {
            let detail = format!("`last_push_approval` cannot be checked: {why}");
            Some(Skip::new(Reason::NotApproved, detail))
        }
        (LastPushApproval::Require, LastPush::By(_)) | (LastPushApproval::Github, _) => None,
    }
}

fn enough(
    approvals: &[&Review],
    pull: &Pull,
    policy: &MergePolicy,
    now: SystemTime,
) -> Option<Skip> {
    let needed = policy.min_approvals as usize;
    let on_head: Vec<&Review> = approvals
        .iter()
        .copied()
        .filter(|review| review.commit.as_ref() == Some(&pull.head))
        .collect();
    let old_ones_count = match policy.stale_approvals {
        StaleApprovals::Block => false,
        StaleApprovals::Github => pull.review_decision == ReviewDecision::Approved,
    };
    let counted = if old_ones_count { approvals } else { &on_head };
    if counted.len() >= needed {
        return settling(counted, policy.settle, now);
    }
    let detail = format!("{} of {needed} approvals on the head commit", on_head.len());
    if approvals.len() >= needed {
        return Some(Skip::new(
            Reason::StaleApproval,
            format!("{detail}; the others are for older commits"),
        ));
    }
    Some(Skip::new(Reason::NotApproved, detail))
}

/// Only an account with push access counts, never the author, and an app only where the roster
/// lists it.
fn counts(review: &Review, pull: &Pull, policy: &MergePolicy) -> bool {
    let Some(approver) = &review.author else { return false };
    review.state == ReviewState::Approved
        && review.can_push
        && pull.author.as_ref() != Some(approver)
        && may_approve(approver, policy)
}

/// Whether the policy counts approvals of this account, a pull request of its own aside.
pub fn may_approve(approver: &Actor, policy: &MergePolicy) -> bool {
    let listed = policy.trusted_approvers.iter().any(|entry| *approver == listed_actor(entry));
    match approver.kind {
        ActorKind::User => listed || policy.trusted_approvers.is_empty(),
        ActorKind::Bot if !policy.trusted_approvers.is_empty() => listed,
        ActorKind::Bot => policy
            .allow_bot_approvers
            .iter()
            .any(|login| *approver == Actor::new(ActorKind::Bot, login)),
        ActorKind::Other => false,
    }
}

fn listed_actor(entry: &str) -> Actor {
    let kind = if entry.ends_with("[bot]") { ActorKind::Bot } else { ActorKind::User };
    Actor::new(kind, entry)
}

/// An approval names the head, so the head is at least as old as it, and its checks had that long
/// to appear.
fn settling(approvals: &[&Review], settle: Duration, now: SystemTime) -> Option<Skip> {
    let age = |review: &&Review| {
        let submitted = review.submitted_at?;
        Some(now.duration_since(submitted).unwrap_or_default())
    };
    // An approval without a time has no age.
    let youngest = approvals.iter().map(|review| age(review).unwrap_or_default()).min()?;
    (youngest < settle).then(|| {
        let detail = format!(
            "approved {} ago; merges wait {} after an approval (`settle`)",
            super::verdict::seconds(youngest),
            super::verdict::seconds(settle)
        );
        Skip::new(Reason::Settling, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::sample::{approval, now, policy, pull, user};
    use crate::pull::Sha;

    fn bot(login: &str) -> Actor {
        Actor::new(ActorKind::Bot, login)
    }

    fn reason(
        reviews: Vec<Review>,
        change: impl FnOnce(&mut Pull, &mut MergePolicy),
    ) -> Option<&'static str> {
        let (mut pull, mut policy) = (pull(), policy());
        pull.reviews.items = reviews;
        change(&mut pull, &mut policy);
        judge(&pull, &policy, now()).map(|skip| skip.reason.word())
    }

    #[test]
    fn only_a_writer_who_is_not_the_author_counts() {
        let by = |author: Option<Actor>, can_push| Review {
            author,
            can_push,
            ..approval(user("x"), "h1")
        };
        for (review, expected) in [
            (by(Some(user("alice")), true), None),
            (by(Some(user("alice")), false), Some("not_approved")),
            (by(Some(user("agent-a")), true), Some("not_approved")),
            (by(Some(user("AGENT-A")), true), Some("not_approved")),
            (by(Some(bot("reviewer")), true), Some("not_approved")),
            (by(Some(Actor::new(ActorKind::Other, "ghost")), true), Some("not_approved")),
            (by(None, true), Some("not_approved")),
        ] {
            assert_eq!(reason(vec![review.clone()], |_, _| {}), expected, "{review:?}");
        }
    }

    #[test]
    fn a_bot_that_is_the_author_never_approves_though_it_is_listed() {
        let reviews = || vec![approval(bot("agent"), "h1")];
        let listed = |pull: &mut Pull, policy: &mut MergePolicy| {
            policy.allow_bot_approvers = vec!["agent".to_owned()];
            pull.author = Some(bot("agent[bot]"));
        };
        assert_eq!(reason(reviews(), listed), Some("not_approved"));
        let by_its_namesake = |pull: &mut Pull, policy: &mut MergePolicy| {
            listed(pull, policy);
            pull.author = Some(user("agent"));
        };
        assert_eq!(reason(reviews(), by_its_namesake), None);
    }

    #[test]
    fn bots_count_by_list_alone_with_or_without_their_suffix() {
        for entry in ["fleet-reviewer", "fleet-reviewer[bot]"] {
            let listed = |_: &mut Pull, policy: &mut MergePolicy| {
                policy.allow_bot_approvers = vec![entry.to_owned()];
            };
            assert_eq!(
                reason(vec![approval(bot("fleet-reviewer"), "h1")], listed),
                None,
                "{entry}"
            );
        }
        let other = |_: &mut Pull, policy: &mut MergePolicy| {
            policy.allow_bot_approvers = vec!["other".to_owned()];
        };
        assert_eq!(
            reason(vec![approval(bot("fleet-reviewer"), "h1")], other),
            Some("not_approved")
        );
    }

    #[test]
    fn with_trusted_approvers_only_they_count() {
        let trusted = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
            move |_: &mut Pull, policy: &mut MergePolicy| {
                policy.trusted_approvers = entries;
                policy.allow_bot_approvers = vec!["helper".to_owned()];
            }
        };
        for (approver, entry, expected) in [
            (user("alice"), "alice", None),
            (user("bob"), "alice", Some("not_approved")),
            (bot("reviewer"), "reviewer[bot]", None),
            (user("reviewer"), "reviewer[bot]", Some("not_approved")),
            (bot("alice"), "alice", Some("not_approved")),
            (bot("helper"), "alice", Some("not_approved")),
        ] {
            let found = reason(vec![approval(approver.clone(), "h1")], trusted(&[entry]));
            assert_eq!(found, expected, "{approver} with {entry}");
        }
    }

    #[test]
    fn an_approval_of_an_older_commit_counts_only_with_githubs_own_yes() {
        let old = || vec![approval(user("alice"), "h0")];
        let github = |decision| {
            move |pull: &mut Pull, policy: &mut MergePolicy| {
                policy.stale_approvals = StaleApprovals::Github;
                pull.review_decision = decision;
            }
        };
        assert_eq!(reason(old(), |_, _| {}), Some("stale_approval"));
        assert_eq!(reason(old(), github(ReviewDecision::NotRequired)), Some("stale_approval"));
        assert_eq!(reason(old(), github(ReviewDecision::Approved)), None);
        let blocks =
            |pull: &mut Pull, _: &mut MergePolicy| pull.review_decision = ReviewDecision::Approved;
        assert_eq!(reason(old(), blocks), Some("stale_approval"));
        let without_commit = vec![Review { commit: None, ..approval(user("alice"), "h1") }];
        assert_eq!(reason(without_commit, |_, _| {}), Some("stale_approval"));
    }

    #[test]
    fn too_few_approvals_are_stale_only_when_the_old_ones_would_do() {
        let two = |_: &mut Pull, policy: &mut MergePolicy| policy.min_approvals = 2;
        let head_and_old = vec![approval(user("alice"), "h1"), approval(user("bob"), "h0")];
        assert_eq!(reason(head_and_old, two), Some("stale_approval"));
        assert_eq!(reason(vec![approval(user("alice"), "h1")], two), Some("not_approved"));
        let both = vec![approval(user("alice"), "h1"), approval(user("bob"), "h1")];
        assert_eq!(reason(both, two), None);
    }

    #[test]
    fn one_writer_who_asks_for_changes_outweighs_every_approval_whatever_the_commit() {
        let against =
            Review { state: ReviewState::ChangesRequested, ..approval(user("carol"), "h0") };
        let reviews = vec![approval(user("alice"), "h1"), against];
        assert_eq!(reason(reviews, |_, _| {}), Some("changes_requested"));
    }

    #[test]
    fn githubs_decision_is_never_overruled_and_null_is_neither_a_yes_nor_a_no() {
        for (decision, expected) in [
            (ReviewDecision::NotRequired, None),
            (ReviewDecision::Approved, None),
            (ReviewDecision::ReviewRequired, Some("review_required")),
            (ReviewDecision::ChangesRequested, Some("changes_requested")),
            (ReviewDecision::Unknown, Some("review_required")),
        ] {
            let decided = |pull: &mut Pull, _: &mut MergePolicy| pull.review_decision = decision;
            assert_eq!(
                reason(vec![approval(user("alice"), "h1")], decided),
                expected,
                "{decision:?}"
            );
        }
        let approved =
            |pull: &mut Pull, _: &mut MergePolicy| pull.review_decision = ReviewDecision::Approved;
        assert_eq!(reason(Vec::new(), approved), Some("not_approved"));
    }

    fn pushed_by(makers: &[Actor]) -> impl Fn(&mut Pull, &mut MergePolicy) {
        let makers = makers.to_vec();
        move |pull, policy| {
            policy.last_push_approval = LastPushApproval::Require;
            pull.last_push = LastPush::By(makers.clone());
        }
    }

    #[test]
    fn with_last_push_approval_the_makers_of_the_head_do_not_approve_it() {
        let alice = || vec![approval(user("alice"), "h1")];
        assert_eq!(reason(alice(), pushed_by(&[user("agent-a"), user("web-flow")])), None);
        for makers in
            [vec![user("Alice")], vec![user("agent-a"), user("alice")], vec![bot("alice")]]
        {
            assert_eq!(reason(alice(), pushed_by(&makers)), Some("not_approved"), "{makers:?}");
            let by_github = |pull: &mut Pull, policy: &mut MergePolicy| {
                pushed_by(&makers)(pull, policy);
                policy.last_push_approval = LastPushApproval::Github;
            };
            assert_eq!(reason(alice(), by_github), None);
        }
        let both = vec![approval(user("alice"), "h1"), approval(user("bob"), "h1")];
        assert_eq!(
            reason(both, pushed_by(&[user("alice")])),
            None,
            "another one's approval is enough"
        );
    }

    #[test]
    fn the_sentence_names_the_account_whose_approval_does_not_count() {
        let (mut pull, mut policy) = (pull(), policy());
        pushed_by(&[user("alice")])(&mut pull, &mut policy);
        let skip = judge(&pull, &policy, now()).expect("alice made the commit");
        assert_eq!(
            skip.detail,
            "0 of 1 approvals on the head commit; \
             alice made that commit and cannot approve it (`last_push_approval`)"
        );
    }

    #[test]
    fn with_last_push_approval_a_head_of_unknown_makers_is_not_approved() {
        let unknown = |pull: &mut Pull, policy: &mut MergePolicy| {
            policy.last_push_approval = LastPushApproval::Require;
            pull.last_push = LastPush::Unknown("not shown".to_owned());
        };
        assert_eq!(reason(vec![approval(user("alice"), "h1")], unknown), Some("not_approved"));
        let by_github = |pull: &mut Pull, policy: &mut MergePolicy| {
            unknown(pull, policy);
            policy.last_push_approval = LastPushApproval::Github;
        };
        assert_eq!(reason(vec![approval(user("alice"), "h1")], by_github), None);
    }

    #[test]
    fn a_cut_list_of_reviews_is_not_judged() {
        let cut = |pull: &mut Pull, _: &mut MergePolicy| pull.reviews.complete = false;
        assert_eq!(reason(vec![approval(user("alice"), "h1")], cut), Some("reviews_truncated"));
    }

    #[test]
    fn the_newest_approval_that_counts_must_have_settled() {
        let settle =
            |_: &mut Pull, policy: &mut MergePolicy| policy.settle = Duration::from_secs(60);
        let aged = |seconds| Review {
            submitted_at: Some(now() - Duration::from_secs(seconds)),
            ..approval(user("bob"), "h1")
        };
        assert_eq!(reason(vec![approval(user("alice"), "h1"), aged(5)], settle), Some("settling"));
        assert_eq!(reason(vec![aged(60)], settle), None);
        let undated = Review { submitted_at: None, ..aged(60) };
        assert_eq!(reason(vec![undated.clone()], settle), Some("settling"));
        assert_eq!(reason(vec![undated], |_, _| {}), None);
        let from_the_future =
            Review { submitted_at: Some(now() + Duration::from_secs(60)), ..aged(60) };
        assert_eq!(reason(vec![from_the_future], settle), Some("settling"));
        let uncounted = Review { commit: Some(Sha("h0".to_owned())), ..aged(5) };
        assert_eq!(reason(vec![approval(user("alice"), "h1"), uncounted], settle), None);
    }

    #[test]
    fn the_sentence_has_the_age_of_the_approval_and_the_age_that_it_needs() {
        let (mut pull, policy) =
            (pull(), MergePolicy { settle: Duration::from_secs(90), ..policy() });
        pull.reviews.items[0].submitted_at = Some(now() - Duration::from_millis(5_500));
        let skip = judge(&pull, &policy, now()).expect("it is too new");
        assert_eq!(skip.detail, "approved 5s ago; merges wait 1m 30s after an approval (`settle`)");
    }

    #[test]
    fn while_another_ones_approval_settles_the_sentence_is_about_its_age_alone() {
        let (mut pull, mut policy) = (pull(), policy());
        pushed_by(&[user("alice")])(&mut pull, &mut policy);
        policy.settle = Duration::from_secs(3600);
        pull.reviews.items.push(approval(user("bob"), "h1"));
        let skip = judge(&pull, &policy, now()).expect("it is too new");
        assert_eq!(skip.detail, "approved 10m ago; merges wait 1h after an approval (`settle`)");
    }
}
