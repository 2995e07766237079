//! A second opinion on pull requests, in the terms of the world and without a line of the program's
//! own: which of them may be merged by what one answer shows, and from when on.

use std::collections::{BTreeMap, BTreeSet};

use crate::titles;
use testkit::objects::created_at;
use testkit::pull::from_start;
use testkit::state::Repository;
use testkit::{Check, Pull, Review};

/// Labels that the rosters of the simulation block.
const BLOCKED: [&str; 3] = ["do-not-merge", "hold", "wip"];

/// The differences between the merge policies of a simulation.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the roster")]
pub(crate) struct Rules {
    /// Seconds.
    pub(crate) settle: i64,
    pub(crate) min_approvals: usize,
    /// Whether `secret/` is for people.
    pub(crate) protects: bool,
    /// `stale_approvals = "github"`.
    pub(crate) trusts_github: bool,
    /// `last_push_approval = "require"`.
    pub(crate) second_eyes: bool,
    /// `checks = "required"`.
    pub(crate) only_required: bool,
    /// Checks that must have succeeded; where an app is named, it must be that app's.
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
    /// Of what a workflow ran.
    event: Option<&'a str>,
    /// Of what ran without one.
    suite: Option<u64>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(check: &'a Check) -> Self {
        match check {
            Check::CheckRun { name, app, workflow: Some(workflow), event, .. } => Self {
                name,
                app: Some(app),
                workflow: Some(workflow),
                event: Some(event),
                suite: None,
            },
            Check::CheckRun { name, app, workflow: None, run, .. } => {
                Self { name, app: Some(app), workflow: None, event: None, suite: Some(*run) }
            }
            Check::Status { name, .. } => {
                Self { name, app: None, workflow: None, event: None, suite: None }
            }
        }
    }

    fn is(self, (name, app): &(String, Option<String>)) -> bool {
        self.name == name && (app.is_none() || app.as_deref() == self.app)
    }
}

/// Since when a pull request may be merged, in seconds from the start of the world; `None`: not as
/// it is.
pub(crate) fn since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let is_mergeable = pull.mergeable == "MERGEABLE"
        && ["CLEAN", "UNSTABLE", "HAS_HOOKS"].contains(&pull.merge_state_status.as_str());
    if !is_mergeable || !is_green(pull, rules) {
        return None;
    }
    approved_since(pull, rules)
}

/// The same, whatever its checks and whether or not GitHub could merge it.
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

/// Of each check one row counts. All must be good, or those that are required; what is demanded
/// must have succeeded, and so must one that counts. Where no row at all is bad, GitHub's summary
/// must be good, too.
fn is_green(pull: &Pull, rules: &Rules) -> bool {
    let is_ignored =
        |row: &Check| rules.ignored.is_some_and(|start| Parts::of(row).name.starts_with(start));
    let rows: Vec<&Check> =
        counted_runs(&pull.checks).into_iter().filter(|row| !is_ignored(row)).collect();
    let is_demanded = |row: &Check| rules.demanded.iter().any(|demand| Parts::of(row).is(demand));
    let must_pass = |row: &Check| !rules.only_required || is_required(row) || is_demanded(row);
    let succeeded = |row: &&Check| row.counted_state() == "SUCCESS";
    let has_succeeded = |demand| rows.iter().any(|row| succeeded(row) && Parts::of(row).is(demand));
    let is_explained = pull.rollup_state.is_none() || !pull.checks.iter().all(passes);
    rows.iter().all(|row| passes(row) || !must_pass(row))
        && rules.demanded.iter().all(has_succeeded)
        && rows.iter().any(succeeded)
        && is_explained
}

/// Whether the verdict needs the single checks: some do not pass, names matter, or GitHub's summary
/// is worse than they are.
pub(crate) fn needs_rows(pull: &Pull, rules: &Rules) -> bool {
    let names_matter = !rules.demanded.is_empty() || rules.ignored.is_some();
    names_matter || pull.rollup_state.is_some() || !pull.checks.iter().all(passes)
}

/// The run that counts for each check: the last one that was neither skipped nor neutral, else the
/// last one.
fn counted_runs(checks: &[Check]) -> Vec<&Check> {
    let runs = by_check(checks).into_values();
    runs.filter_map(|runs| runs.iter().rev().find(|run| has_verdict(run)).or(runs.last()).copied())
        .collect()
}

/// The runs of each check, oldest first; a check run and a commit status of one name are two
/// checks.
pub(crate) fn by_check(checks: &[Check]) -> BTreeMap<Parts<'_>, Vec<&Check>> {
    let mut sorted: Vec<&Check> = checks.iter().collect();
    sorted.sort_by_key(|check| {
        let (Check::CheckRun { id, .. } | Check::Status { id, .. }) = check;
        *id
    });
    let mut runs: BTreeMap<Parts<'_>, Vec<&Check>> = BTreeMap::new();
    for check in sorted {
        runs.entry(Parts::of(check)).or_default().push(check);
    }
    runs
}

fn has_verdict(check: &Check) -> bool {
    !["NEUTRAL", "SKIPPED"].contains(&check.counted_state())
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
    for review in
        pull.reviews.iter().filter(|review| review.can_push && review.state != "COMMENTED")
    {
        last.insert(review.author.as_ref().map_or("", |author| &*author.login), review);
    }
    last.into_values().collect()
}

/// Needs enough approvals and no request for changes. Approvals count on the head, or on any commit
/// where GitHub's own review decision is `APPROVED`.
fn reviewed_since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let opinions = opinions(pull);
    if opinions.iter().any(|review| review.state == "CHANGES_REQUESTED") {
        return None;
    }
    let any_commit = rules.trusts_github && pull.review_decision.as_deref() == Some("APPROVED");
    let counted = opinions.iter().filter(|review| {
        review.state == "APPROVED"
            && review.author != pull.author
            && !(rules.second_eyes && made_the_head(pull, review))
            && (any_commit || review.commit.as_ref() == Some(&pull.head))
    });
    let times: Vec<i64> = counted.map(|review| review.at).collect();
    let newest = times.iter().max()?;
    (times.len() >= rules.min_approvals).then(|| newest + rules.settle)
}

/// Whether the head may be the reviewer's own work.
fn made_the_head(pull: &Pull, review: &Review) -> bool {
    let login = review.author.as_ref().map(|author| author.login.as_str());
    [&pull.head_author, &pull.head_committer].iter().any(|maker| match &maker.login {
        Some(known) => Some(known.as_str()) == login,
        None => true,
    })
}

/// Whether only people may merge it.
pub(crate) fn is_protected(pull: &Pull) -> bool {
    pull.files.iter().any(|file| file.starts_with("secret/"))
}

/// How often each pull request is on the base: by commits that are no older than it.
pub(crate) fn on_base(repository: &Repository) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for commit in &repository.branches["main"] {
        let headline = commit.message.lines().next().unwrap_or_default();
        let number =
            headline.rsplit_once("(#").and_then(|(_, tail)| tail.strip_suffix(')')?.parse().ok());
        let opened =
            |number: u64| repository.pulls.get(&number).map_or_else(|| from_start(0), created_at);
        if let Some(number) = number.filter(|number| commit.committed_at >= opened(*number)) {
            *times.entry(number).or_default() += 1;
        }
    }
    times
}

/// Pull requests whose merges the last thirty commits show: as many as the query reads.
pub(crate) fn recently_on_base(repository: &Repository) -> BTreeSet<u64> {
    let mut recent = repository.clone();
    let commits = recent.branches.get_mut("main").expect("the base");
    commits.drain(..commits.len().saturating_sub(30));
    on_base(&recent).into_keys().collect()
}
