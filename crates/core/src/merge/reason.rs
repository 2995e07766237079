//! Why a pull request was not merged: one word, the same in every report.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is its word, and its detail is the sentence")]
pub enum Reason {
    NotOpen,
    Draft,
    BaseNotAllowed,
    Fork,
    BlockedLabel,
    MissingLabel,
    BlockedTitle,
    InMergeQueue,
    MergeQueueRequired,
    AlreadyOnBase,
    Conflict,
    ChangesRequested,
    ReviewRequired,
    NotApproved,
    StaleApproval,
    ReviewsTruncated,
    Settling,
    CiUnreadable,
    CiFailed,
    CiPending,
    CiMissingRequired,
    NoChecks,
    MergeabilityUnknown,
    BlockedByProtection,
    BehindBase,
    ProtectedPath,
    Deferred,
    Paused,
    RepoArchived,
    SquashDisabled,
    NoWritePermission,
    HeadMoved,
    BaseModified,
    NotMergeable,
    AlreadyMerged,
    Forbidden,
    NotFound,
    ValidationFailed,
    RateLimited,
    MergeOutcomeUnknown,
}

impl Reason {
    /// The word in the report.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotOpen => "not_open",
            Self::Draft => "draft",
            Self::BaseNotAllowed => "base_not_allowed",
            Self::Fork => "fork",
            Self::BlockedLabel => "blocked_label",
            Self::MissingLabel => "missing_label",
            Self::BlockedTitle => "blocked_title",
            Self::InMergeQueue => "in_merge_queue",
            Self::MergeQueueRequired => "merge_queue_required",
            Self::AlreadyOnBase => "already_on_base",
            Self::Conflict => "conflict",
            Self::ChangesRequested => "changes_requested",
            Self::ReviewRequired => "review_required",
            Self::NotApproved => "not_approved",
            Self::StaleApproval => "stale_approval",
            Self::ReviewsTruncated => "reviews_truncated",
            Self::Settling => "settling",
            Self::CiUnreadable => "ci_unreadable",
            Self::CiFailed => "ci_failed",
            Self::CiPending => "ci_pending",
            Self::CiMissingRequired => "ci_missing_required",
            Self::NoChecks => "no_checks",
            Self::MergeabilityUnknown => "mergeability_unknown",
            Self::BlockedByProtection => "blocked_by_protection",
            Self::BehindBase => "behind_base",
            Self::ProtectedPath => "protected_path",
            Self::Deferred => "deferred",
            Self::Paused => "paused",
            Self::RepoArchived => "repo_archived",
            Self::SquashDisabled => "squash_disabled",
            Self::NoWritePermission => "no_write_permission",
            Self::HeadMoved => "head_moved",
            Self::BaseModified => "base_modified",
            Self::NotMergeable => "not_mergeable",
            Self::AlreadyMerged => "already_merged",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::ValidationFailed => "validation_failed",
            Self::RateLimited => "rate_limited",
            Self::MergeOutcomeUnknown => "merge_outcome_unknown",
        }
    }

    /// A merge call failed, or may have succeeded without an answer; a person should look at it.
    /// Every other reason is a skip.
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Forbidden | Self::NotFound | Self::ValidationFailed | Self::MergeOutcomeUnknown
        )
    }

    /// The reasons that end with a review.
    pub const WAITS_FOR_REVIEW: [Self; 3] =
        [Self::ReviewRequired, Self::NotApproved, Self::StaleApproval];

    /// It waits for a review.
    pub fn waits_for_review(self) -> bool {
        Self::WAITS_FOR_REVIEW.contains(&self)
    }
}

/// A reason in one word and one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub reason: Reason,
    /// The sentence; may quote untrusted text.
    pub detail: String,
}

impl Skip {
    /// A reason with its sentence.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
