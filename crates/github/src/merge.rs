//! The two REST requests about one pull request: the files that it changes, and its squash merge.

use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use coordinator_core::merge::reason::Reason::{
    self, AlreadyMerged, BaseModified, BlockedByProtection, Forbidden, HeadMoved,
    MergeQueueRequired, NotFound, NotMergeable, SquashDisabled, ValidationFailed,
};
use coordinator_core::merge::reason::Skip;
use coordinator_core::merge::title::CommitText;
use coordinator_core::merge::verdict::squash_disabled;
use coordinator_core::pull::Sha;
use coordinator_core::report::RateLimit;

use super::{Error, Github};

const FILES_PER_PAGE: usize = 100;

/// GitHub lists at most 3,000 files.
const MAX_FILE_PAGES: usize = 30;

/// What became of a merge call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// It is on the base, as this commit where GitHub named it.
    Merged(Option<String>),
    /// Not merged, or perhaps merged.
    NotMerged(Skip),
    /// GitHub accepts no further request.
    RateLimited(RateLimit),
}

/// The body of a successful merge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct MergeBody {
    merged: bool,
    /// The commit on the base.
    #[serde(rename = "sha", default)]
    commit: Option<String>,
}

impl Github {
    /// Every path that the pull request changes, old names of renamed files included. An error
    /// where the list may not be complete.
    pub async fn changed_paths(&self, number: u64) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct File {
            filename: String,
            #[serde(default)]
            previous_filename: Option<String>,
        }
        let repository = self.rest_url();
        let mut paths = Vec::new();
        for page in 1..=MAX_FILE_PAGES {
            let url =
                format!("{repository}/pulls/{number}/files?per_page={FILES_PER_PAGE}&page={page}");
            let answer = self
                .call(Method::GET, &url, None)
                .await?
                .succeeded("list the files of a pull request")?;
            let files: Vec<File> = answer.json()?;
            // The page is counted, not followed by its `Link`, which could lead to another host.
            let link = answer.header(&HeaderName::from_static("link")).unwrap_or_default();
            let has_next = files.len() == FILES_PER_PAGE || link.contains("rel=\"next\"");
            let names =
                files.into_iter().flat_map(|file| [Some(file.filename), file.previous_filename]);
            paths.extend(names.flatten());
            if !has_next {
                return Ok(paths);
            }
        }
        let most = FILES_PER_PAGE * MAX_FILE_PAGES;
        Err(Error::Failed(format!("it changes {most} files or more, and GitHub lists only {most}")))
    }

    /// Sends the merge call, once. GitHub refuses it if the head moved.
    pub async fn merge(&self, number: u64, head: &Sha, text: &CommitText) -> MergeOutcome {
        let url = format!("{}/pulls/{number}/merge", self.rest_url());
        let mut body = Map::new();
        body.insert("sha".to_owned(), json!(head.0));
        body.insert("merge_method".to_owned(), json!("squash"));
        for (key, value) in [("commit_title", &text.title), ("commit_message", &text.message)] {
            body.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
        }
        let answer = match self.call(Method::PUT, &url, Some(&Value::Object(body))).await {
            Ok(answer) => answer,
            Err(Error::RateLimited(limit)) => return MergeOutcome::RateLimited(limit),
            Err(Error::Overloaded(why) | Error::Failed(why)) => return unknown(&why),
        };
        if let Some(limit) = answer.rate_limit() {
            return MergeOutcome::RateLimited(limit);
        }
        let body = serde_json::from_slice(&answer.body).ok();
        classify(answer.status.as_u16(), &answer.message(), body)
    }
}

/// Texts of a refusal, first hit wins: a message may quote several rules.
const REFUSALS: [(&str, Reason); 15] = [
    ("base branch was modified", BaseModified),
    ("squash merges are not allowed", SquashDisabled),
    ("already merged", AlreadyMerged),
    ("merge queue", MergeQueueRequired),
    ("required status check", BlockedByProtection),
    ("approving review", BlockedByProtection),
    ("code owner", BlockedByProtection),
    ("last pusher", BlockedByProtection),
    ("rule violation", BlockedByProtection),
    ("out of date", BlockedByProtection),
    ("protected branch", BlockedByProtection),
    ("not mergeable", NotMergeable),
    ("conflict", NotMergeable),
    ("draft", NotMergeable),
    ("closed", NotMergeable),
];

/// What an answer means. Only `message` and `merged` of the body decide.
fn classify(status: u16, message: &str, body: Option<MergeBody>) -> MergeOutcome {
    let quote = match message {
        "" => format!("GitHub answered {status}"),
        message => format!("GitHub answered {status}: {message}"),
    };
    let text = message.to_lowercase();
    let refusal = REFUSALS.iter().find(|(part, _)| text.contains(part)).map(|(_, reason)| *reason);
    let reason = match (status, body, refusal) {
        (200, Some(MergeBody { merged: true, commit }), _) => return MergeOutcome::Merged(commit),
        (409, _, Some(BaseModified | SquashDisabled | AlreadyMerged))
        | (405, ..)
        | (200, Some(_), _) => refusal.unwrap_or(NotMergeable),
        (409, ..) => HeadMoved,
        (401 | 403, ..) => Forbidden,
        (300..=399 | 404, ..) => NotFound,
        // After a timeout, or a page that is not from GitHub's API, the merge may have happened.
        (..=299 | 408 | 500.., ..) => return unknown(&quote),
        _ => ValidationFailed,
    };
    let detail = match reason {
        BaseModified => {
            "the base branch moved during the merge; the next cycle tries again".to_owned()
        }
        SquashDisabled => return MergeOutcome::NotMerged(squash_disabled()),
        NotFound if status < 400 => {
            format!(
                "GitHub answered {status}: the repository moved; correct `name` in [repository]"
            )
        }
        _ => quote,
    };
    MergeOutcome::NotMerged(Skip::new(reason, detail))
}

fn unknown(why: &str) -> MergeOutcome {
    let detail = format!("unknown whether it was merged: {why}; the next cycle checks");
    MergeOutcome::NotMerged(Skip::new(Reason::MergeOutcomeUnknown, detail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fake::{self, Reply};

    fn word(outcome: &MergeOutcome) -> &'static str {
        match outcome {
            MergeOutcome::Merged(_) => "merged",
            MergeOutcome::NotMerged(skip) => skip.reason.word(),
            MergeOutcome::RateLimited(_) => "rate_limited",
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
            assert_eq!(word(&classify(status, message, None)), expected, "{status} {message}");
        }
    }

    #[test]
    fn a_merge_is_one_only_when_the_body_says_so() {
        let outcome = |merged| {
            let body = MergeBody { merged, commit: Some("c1".to_owned()) };
            classify(200, "Pull Request is not mergeable", Some(body))
        };
        assert_eq!(outcome(true), MergeOutcome::Merged(Some("c1".to_owned())));
        assert_eq!(word(&outcome(false)), "not_mergeable");
    }

    #[tokio::test]
    async fn no_answer_may_be_a_merge() {
        let head = Sha("h1".to_owned());
        let text = CommitText { title: None, message: None };
        let (github, _) = fake::github(|_| Reply::Reset);
        let lost = github.merge(7, &head, &text).await;
        assert_eq!(word(&lost), "merge_outcome_unknown");
        assert!(matches!(lost, MergeOutcome::NotMerged(skip) if skip.reason.is_failure()));
        let (github, _) = fake::github(|_| Reply::json(429, &json!({})));
        assert_eq!(word(&github.merge(7, &head, &text).await), "rate_limited");
    }

    proptest! {
        #[test]
        fn nothing_but_a_200_is_ever_a_merge(status in 100..600_u16, message in ".*",
            merged: bool) {
            let outcome = classify(status, &message, Some(MergeBody { merged, commit: None }));
            prop_assert_eq!(matches!(outcome, MergeOutcome::Merged(_)), status == 200 && merged);
        }
    }
}
