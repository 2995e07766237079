//! What GitHub makes of the reviews and checks of a pull request by the rules of the branch that it
//! goes into.

use crate::dice::Dice;
use crate::eligible::{Parts, by_check, opinions, passes};
use crate::scene::Scene;
use testkit::{Check, Pull};

/// The rules of the base.
#[derive(Debug, Clone, Default)]
pub(crate) struct Protection {
    /// Approvals that a merge needs; 0 demands no review.
    reviews: usize,
    /// Names of checks that must pass.
    checks: Vec<&'static str>,
}

impl Protection {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut protection = Self::default();
        protection.demand_reviews(dice);
        protection.demand_checks(dice);
        protection
    }

    pub(crate) fn demand_reviews(&mut self, dice: &mut Dice) {
        self.reviews = *dice.pick(&[0, 0, 0, 1, 1, 2]);
    }

    pub(crate) fn demand_checks(&mut self, dice: &mut Dice) {
        let checks: [&[&str]; 4] = [&[], &[], &["build"], &["build", "e2e"]];
        self.checks = dice.pick(&checks).to_vec();
    }

    /// `reviewDecision`. Whether an approval is of the head makes no difference to GitHub.
    fn decision(&self, pull: &Pull) -> Option<&'static str> {
        let opinions = opinions(pull);
        let count = |state: &str| opinions.iter().filter(|review| review.state == state).count();
        (self.reviews > 0).then(|| match (count("CHANGES_REQUESTED"), count("APPROVED")) {
            (0, approvals) if approvals >= self.reviews => "APPROVED",
            (0, _) => "REVIEW_REQUIRED",
            (_, _) => "CHANGES_REQUESTED",
        })
    }

    /// `mergeStateStatus`. Who has fallen behind stays so as long as that matters.
    fn state(&self, pull: &Pull, strict: bool) -> &'static str {
        let rows = newest(&pull.checks);
        let is_met = |name: &&str| {
            let mut named = rows.iter().filter(|row| *Parts::of(row).name == **name).peekable();
            named.peek().is_some() && named.all(|row| passes(row))
        };
        let is_reviewed = matches!(pull.review_decision.as_deref(), None | Some("APPROVED"));
        if pull.mergeable == "UNKNOWN" {
            "UNKNOWN"
        } else if strict && pull.merge_state_status == "BEHIND" {
            "BEHIND"
        } else if !is_reviewed || !self.checks.iter().all(is_met) {
            "BLOCKED"
        } else if rows.iter().all(|row| passes(row)) {
            "CLEAN"
        } else {
            "UNSTABLE"
        }
    }
}

/// To GitHub a run that was skipped is as good as any: the last one counts.
fn newest(checks: &[Check]) -> Vec<&Check> {
    by_check(checks).into_values().filter_map(|runs| runs.last().copied()).collect()
}

/// Works out GitHub's own state of each open pull request anew, after a change.
pub(crate) fn enforce(scene: &mut Scene) {
    let protection = &scene.protection;
    let repository = scene.github.repository();
    let strict = repository.strict;
    for pull in repository.pulls.values_mut().filter(|pull| pull.state == "OPEN") {
        for check in &mut pull.checks {
            let (Check::CheckRun { name, required, .. } | Check::Status { name, required, .. }) =
                check;
            *required = protection.checks.contains(&name.as_str());
        }
        pull.review_decision = protection.decision(pull).map(str::to_owned);
        protection.state(pull, strict).clone_into(&mut pull.merge_state_status);
    }
}

/// As if nothing had failed that ran again: what a GitHub shows that forgets it.
pub(crate) fn hide_failures(scene: &mut Scene) {
    for pull in scene.github.repository().pulls.values_mut() {
        let runs = by_check(&pull.checks).into_values();
        let shown = runs.flat_map(|runs| {
            let last = runs.len() - 1;
            let is_shown = move |(at, row): &(usize, &Check)| *at == last || passes(row);
            runs.into_iter().enumerate().filter(is_shown).map(|(_, row)| row.clone())
        });
        let shown: Vec<Check> = shown.collect();
        if shown.len() < pull.checks.len() {
            pull.rollup_state = None;
        }
        pull.checks = shown;
    }
}

/// As if the branch had no rules: what a GitHub shows that does not keep them.
pub(crate) fn hide(scene: &mut Scene) {
    for pull in
        scene.github.repository().pulls.values_mut().filter(|pull| pull.mergeable == "MERGEABLE")
    {
        pull.review_decision = Some("APPROVED".to_owned());
        "CLEAN".clone_into(&mut pull.merge_state_status);
    }
}
