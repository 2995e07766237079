//! A second opinion on pull requests, in the terms of the world and without a line of the program's own: which of them
//! may be merged by what one answer shows, and from when on.

use std::collections::{BTreeMap, BTreeSet};

use crate::titles;
use crate::world::state::Repository;
use crate::world::{Check, Pull, Review};

/// Labels that the rosters of the simulation block.
const BLOCKED: [&str; 3] = ["do-not-merge", "hold", "wip"];

/// What the merge policies of a simulation differ in.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Seconds.
    pub(crate) settle: i64,
    pub(crate) min_approvals: usize,
    /// Whether `secret/` is for people.
    pub(crate) protects: bool,
    /// `stale_approvals = "github"`.
    pub(crate) trusts_github: bool,
    /// `checks = "required"`.
    pub(crate) only_required: bool,
    /// Checks that must be there and pass; where an app is named, it must be that app's.
    pub(crate) demanded: Vec<(String, Option<String>)>,
    /// Checks whose names begin so do not count.
    pub(crate) ignored: Option<&'static str>,
}

/// A check, of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a str,
    /// Of a check run alone.
    app: Option<&'a str>,
    workflow: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(check: &'a Check) -> Self {
        match check {
            Check::CheckRun { name, app, workflow, .. } => {
                Self { name, app: Some(app), workflow: workflow.as_deref() }
            }
            Check::Status { name, .. } => Self { name, app: None, workflow: None },
        }
    }

    fn is(self, (name, app): &(String, Option<String>)) -> bool {
        self.name == name && (app.is_none() || app.as_deref() == self.app)
    }
}

/// Since when a pull request may be merged, in seconds from the start of the world; `None`: not as it is.
pub(crate) fn since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let is_mergeable = pull.mergeable == "MERGEABLE"
        && ["CLEAN", "UNSTABLE", "HAS_HOOKS"].contains(&pull.merge_state_status.as_str());
    if !is_mergeable || !is_green(&pull.checks, rules) {
        return None;
    }
    approved_since(pull, rules)
}

/// The same, whatever its checks say and whether or not GitHub could merge it.
pub(crate) fn approved_since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let is_open = pull.state == "OPEN" && !pull.draft && !pull.fork && pull.base == "main";
    let is_held = pull.labels.iter().any(|label| BLOCKED.contains(&label.as_str()))
        || titles::is_work_in_progress(&pull.title)
        || pull.is_in_merge_queue
        || pull.is_merge_queue_enabled;
    let is_decided = matches!(pull.review_decision.as_deref(), None | Some("APPROVED"));
    if !is_open || is_held || !is_decided {
        return None;
    }
    reviewed_since(pull, rules)
}

/// Of each check the newest row counts. All must be good, or those that are required; what is demanded must be there;
/// and one that counts must have succeeded.
fn is_green(checks: &[Check], rules: &Rules) -> bool {
    let is_ignored = |row: &Check| rules.ignored.is_some_and(|start| Parts::of(row).name.starts_with(start));
    let rows: Vec<&Check> = newest(checks).into_iter().filter(|row| !is_ignored(row)).collect();
    let is_demanded = |row: &Check| rules.demanded.iter().any(|demand| Parts::of(row).is(demand));
    let must_pass = |row: &Check| !rules.only_required || is_required(row) || is_demanded(row);
    rows.iter().all(|row| passes(row) || !must_pass(row))
        && rules.demanded.iter().all(|demand| rows.iter().any(|row| Parts::of(row).is(demand)))
        && rows.iter().any(|row| row.counted_state() == "SUCCESS")
}

/// Whether the single checks must be read to know how they stand: some do not pass, or names matter.
pub(crate) fn needs_rows(checks: &[Check], rules: &Rules) -> bool {
    !rules.demanded.is_empty() || rules.ignored.is_some() || !checks.iter().all(passes)
}

/// The last row of each check; a check run and a commit status of one name are two checks.
pub(crate) fn newest(checks: &[Check]) -> Vec<&Check> {
    let mut newest: BTreeMap<Parts<'_>, (u64, &Check)> = BTreeMap::new();
    for check in checks {
        let (Check::CheckRun { id, .. } | Check::Status { id, .. }) = check;
        let known = newest.entry(Parts::of(check)).or_insert((*id, check));
        if *id >= known.0 {
            *known = (*id, check);
        }
    }
    newest.into_values().map(|(_, check)| check).collect()
}

pub(crate) fn passes(check: &Check) -> bool {
    ["SUCCESS", "NEUTRAL", "SKIPPED"].contains(&check.counted_state())
}

fn is_required(check: &Check) -> bool {
    let (Check::CheckRun { required, .. } | Check::Status { required, .. }) = check;
    *required
}

/// The last opinion of each reviewer who may write.
pub(crate) fn opinions(pull: &Pull) -> Vec<&Review> {
    let mut last: BTreeMap<&str, &Review> = BTreeMap::new();
    for review in pull.reviews.iter().filter(|review| review.can_push && review.state != "COMMENTED") {
        last.insert(review.author.as_ref().map_or("", |author| &*author.login), review);
    }
    last.into_values().collect()
}

/// Nobody may ask for changes, and enough must approve: the head, or with GitHub's own yes any commit.
fn reviewed_since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let opinions = opinions(pull);
    if opinions.iter().any(|review| review.state == "CHANGES_REQUESTED") {
        return None;
    }
    let any_commit = rules.trusts_github && pull.review_decision.as_deref() == Some("APPROVED");
    let counted = opinions.iter().filter(|review| {
        review.state == "APPROVED"
            && review.author != pull.author
            && (any_commit || review.commit.as_ref() == Some(&pull.head))
    });
    let times: Vec<i64> = counted.map(|review| review.at).collect();
    let newest = times.iter().max()?;
    (times.len() >= rules.min_approvals).then(|| newest + rules.settle)
}

/// Whether only people may merge it.
pub(crate) fn is_protected(pull: &Pull) -> bool {
    pull.files.iter().any(|file| file.starts_with("secret/"))
}

/// How often each pull request is on the base.
pub(crate) fn on_base(repository: &Repository) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for headline in repository.headlines("main") {
        let number = headline.rsplit_once("(#").and_then(|(_, tail)| tail.strip_suffix(')')?.parse().ok());
        if let Some(number) = number {
            *times.entry(number).or_default() += 1;
        }
    }
    times
}

/// Those whose merges the last thirty commits show: as far as GitHub is asked.
pub(crate) fn recently_on_base(repository: &Repository) -> BTreeSet<u64> {
    let mut recent = repository.clone();
    let commits = recent.branches.get_mut("main").expect("the base");
    commits.drain(..commits.len().saturating_sub(30));
    on_base(&recent).into_keys().collect()
}
