//! A second opinion on pull requests, in the terms of the world and without a line of the program's own: which of them
//! may be merged by what one answer shows, and from when on.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::state::Repository;
use crate::world::{Check, Pull};

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
}

/// Since when a pull request may be merged, in seconds from the start of the world; `None`: not as it is.
pub(crate) fn since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let is_open = pull.state == "OPEN" && !pull.draft && !pull.fork && pull.base == "main";
    let is_held = pull.labels.iter().any(|label| BLOCKED.contains(&label.as_str()))
        || pull.title.to_lowercase().starts_with("wip")
        || pull.is_in_merge_queue
        || pull.is_merge_queue_enabled;
    let is_mergeable = pull.mergeable == "MERGEABLE"
        && ["CLEAN", "UNSTABLE", "HAS_HOOKS"].contains(&pull.merge_state_status.as_str());
    let is_decided = matches!(pull.review_decision.as_deref(), None | Some("APPROVED"));
    if !is_open || is_held || !is_mergeable || !is_decided || !is_green(&pull.checks) {
        return None;
    }
    approved_since(pull, rules)
}

/// Of each name the newest row counts; all must be good, and one a success.
fn is_green(checks: &[Check]) -> bool {
    let mut newest: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for check in checks {
        let (Check::CheckRun { name, id, .. } | Check::Status { name, id, .. }) = check;
        let known = newest.entry(name).or_insert((*id, check.counted_state()));
        if *id >= known.0 {
            *known = (*id, check.counted_state());
        }
    }
    let states: Vec<&str> = newest.into_values().map(|(_, state)| state).collect();
    states.iter().all(|state| ["SUCCESS", "NEUTRAL", "SKIPPED"].contains(state))
        && states.contains(&"SUCCESS")
}

/// The last opinion of each reviewer counts: nobody may ask for changes, and enough must approve the head.
fn approved_since(pull: &Pull, rules: &Rules) -> Option<i64> {
    let mut last: BTreeMap<&str, (&str, &str, i64)> = BTreeMap::new();
    for review in pull.reviews.iter().filter(|review| review.can_push && review.state != "COMMENTED") {
        let login = review.author.as_ref().map_or("", |author| &*author.login);
        last.insert(login, (&review.state, review.commit.as_deref().unwrap_or_default(), review.at));
    }
    if last.values().any(|(state, ..)| *state == "CHANGES_REQUESTED") {
        return None;
    }
    let author = pull.author.as_ref().map_or("", |author| &*author.login);
    let counted = last.iter().filter(|(login, (state, commit, _))| {
        **login != author && *state == "APPROVED" && *commit == pull.head
    });
    let times: Vec<i64> = counted.map(|(_, (.., at))| *at).collect();
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
