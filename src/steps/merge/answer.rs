//! What GitHub's answer to a merge call means. Pure: status and message give an outcome.

use coordinator_core::report::RateLimit;
use coordinator_github::MergeAnswer;

use coordinator_core::merge::reason::{Reason, Skip};

/// What became of a merge call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the base, as this commit where GitHub named it.
    Merged(Option<String>),
    /// The base moved at that moment: the one answer that is tried once more.
    BaseModified,
    /// Not merged, or perhaps merged: on with the next.
    NotMerged(Skip),
    /// Nothing can be squash-merged into this repository.
    SquashDisabled(Skip),
    /// No further request is welcome.
    RateLimited(RateLimit),
}

/// Reads an answer; of its body, the `message` alone decides.
pub fn classify(answer: &MergeAnswer) -> Outcome {
    let (status, message, merged) = match answer {
        MergeAnswer::Lost(why) => return unknown(why),
        MergeAnswer::RateLimited(limit) => return Outcome::RateLimited(limit.clone()),
        MergeAnswer::Answered { status, message, merged } => (*status, message, merged),
    };
    let said = |reason| Outcome::NotMerged(Skip::new(reason, quote(status, message)));
    match (status, merged) {
        (200, Some(merged)) if merged.merged => Outcome::Merged(merged.commit.clone()),
        (200, Some(_)) | (405 | 409, _) => refusal(status, message),
        // A page that is no answer of GitHub's API says nothing about the merge.
        (200..=299 | 408, _) => unknown(&quote(status, message)),
        (300..=399, _) => Outcome::NotMerged(Skip::new(
            Reason::NotFound,
            format!("GitHub answered {status}: the repository has moved; correct `name` in [repository]"),
        )),
        (401 | 403, _) => said(Reason::Forbidden),
        (404, _) => said(Reason::NotFound),
        (400..=499, _) => said(Reason::ValidationFailed),
        _ => unknown(&quote(status, message)),
    }
}

/// Texts of a refusal, first hit wins: a message may quote several rules.
const REFUSALS: [(&str, Reason); 13] = [
    ("already merged", Reason::AlreadyMerged),
    ("merge queue", Reason::MergeQueueRequired),
    ("required status check", Reason::BlockedByProtection),
    ("approving review", Reason::BlockedByProtection),
    ("code owner", Reason::BlockedByProtection),
    ("last pusher", Reason::BlockedByProtection),
    ("rule violation", Reason::BlockedByProtection),
    ("out of date", Reason::BlockedByProtection),
    ("protected branch", Reason::BlockedByProtection),
    ("not mergeable", Reason::NotMergeable),
    ("conflict", Reason::NotMergeable),
    ("draft", Reason::NotMergeable),
    ("closed", Reason::NotMergeable),
];

fn refusal(status: u16, message: &str) -> Outcome {
    let text = message.to_lowercase();
    if text.contains("base branch was modified") {
        return Outcome::BaseModified;
    }
    if text.contains("squash merges are not allowed") {
        let detail = "the repository does not allow squash merges; turn them on in its settings";
        return Outcome::SquashDisabled(Skip::new(Reason::SquashDisabled, detail));
    }
    let known = REFUSALS.iter().find(|(part, _)| text.contains(part)).map(|(_, reason)| *reason);
    let reason = match (status, known) {
        (_, Some(Reason::AlreadyMerged)) => Reason::AlreadyMerged,
        (409, _) => Reason::HeadMoved,
        (_, Some(reason)) => reason,
        (_, None) => Reason::NotMergeable,
    };
    Outcome::NotMerged(Skip::new(reason, quote(status, message)))
}

fn unknown(why: &str) -> Outcome {
    let detail = format!("it may be merged: {why}; the next cycle looks again");
    Outcome::NotMerged(Skip::new(Reason::MergeOutcomeUnknown, detail))
}

fn quote(status: u16, message: &str) -> String {
    match message {
        "" => format!("GitHub answered {status}"),
        message => format!("GitHub answered {status}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use coordinator_github::Merged;

    fn answer(status: u16, message: &str) -> MergeAnswer {
        MergeAnswer::Answered { status, message: message.to_owned(), merged: None }
    }

    fn word(answer: &MergeAnswer) -> &'static str {
        match classify(answer) {
            Outcome::Merged(_) => "merged",
            Outcome::BaseModified => "base_modified",
            Outcome::NotMerged(skip) | Outcome::SquashDisabled(skip) => skip.reason.word(),
            Outcome::RateLimited(_) => "rate_limited",
        }
    }

    #[test]
    fn every_answer_of_github_has_its_meaning() {
        for (status, message, expected) in [
            (405, "Base branch was modified. Review and try the merge again.", "base_modified"),
            (409, "Base branch was modified. Review and try the merge again.", "base_modified"),
            (409, "Head branch was modified. Review and try the merge again.", "head_moved"),
            (409, "", "head_moved"),
            (405, "Required status check \"build\" is expected.", "blocked_by_protection"),
            (
                405,
                "At least 1 approving review is required by reviewers with write access.",
                "blocked_by_protection",
            ),
            (405, "Waiting on code owner review from octo/team.", "blocked_by_protection"),
            (
                405,
                "New changes require approval from someone other than the last pusher.",
                "blocked_by_protection",
            ),
            (405, "Repository rule violations found", "blocked_by_protection"),
            (
                405,
                "Repository rule violations found: Changes must be made through the merge queue",
                "merge_queue_required",
            ),
            (405, "Head branch is out of date", "blocked_by_protection"),
            (405, "Squash merges are not allowed on this repository.", "squash_disabled"),
            (405, "Pull Request is not mergeable", "not_mergeable"),
            (405, "Merge conflict", "not_mergeable"),
            (405, "Pull Request is still a draft", "not_mergeable"),
            (405, "Pull Request is closed", "not_mergeable"),
            (405, "Pull Request has already merged", "already_merged"),
            (405, "Pull request already merged", "already_merged"),
            (405, "something new", "not_mergeable"),
            (403, "Resource not accessible by integration", "forbidden"),
            (401, "Bad credentials", "forbidden"),
            (404, "Not Found", "not_found"),
            (422, "Validation Failed", "validation_failed"),
            (410, "Gone", "validation_failed"),
            (301, "Moved Permanently", "not_found"),
            (307, "", "not_found"),
            (500, "Server Error", "merge_outcome_unknown"),
            (502, "", "merge_outcome_unknown"),
            (503, "", "merge_outcome_unknown"),
            (200, "", "merge_outcome_unknown"),
            (204, "", "merge_outcome_unknown"),
        ] {
            assert_eq!(word(&answer(status, message)), expected, "{status} {message}");
        }
    }

    #[test]
    fn a_merge_is_one_only_when_the_body_says_so() {
        let body = |merged| MergeAnswer::Answered {
            status: 200,
            message: "Pull Request is not mergeable".to_owned(),
            merged: Some(Merged { merged, commit: Some("c1".to_owned()) }),
        };
        assert_eq!(classify(&body(true)), Outcome::Merged(Some("c1".to_owned())));
        assert_eq!(word(&body(false)), "not_mergeable");
    }

    #[test]
    fn no_answer_may_be_a_merge() {
        let lost = MergeAnswer::Lost("connection reset".to_owned());
        assert_eq!(word(&lost), "merge_outcome_unknown");
        assert!(matches!(classify(&lost), Outcome::NotMerged(skip) if skip.reason.is_failure()));
        assert_eq!(
            word(&MergeAnswer::RateLimited(RateLimit { resets_at: None, said: String::new() })),
            "rate_limited"
        );
    }

    proptest! {
        #[test]
        fn nothing_but_a_200_is_ever_a_merge(status in 100..600_u16, message in ".*", merged: bool) {
            let merged = Some(Merged { merged, commit: None });
            let outcome = classify(&MergeAnswer::Answered { status, message, merged: merged.clone() });
            let is_merge = matches!(outcome, Outcome::Merged(_));
            prop_assert_eq!(is_merge, status == 200 && merged.is_some_and(|body| body.merged));
        }
    }
}
