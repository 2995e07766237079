//! The rosters of a simulation: one file, read once by the program's own reader, and what chance
//! makes of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use coordinator::steps::StepName;
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::budget::Budget;
use coordinator_core::fleet::{Role, SessionSpec, Usd};
use coordinator_core::merge::{
    CheckMode, CommitMessage, LastPushApproval, RequiredCheck, StaleApprovals,
};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_roster::Roster;
use globset::GlobSet;

use crate::dice::Dice;
use crate::eligible::Rules;
use crate::ledger::Bounds;
use testkit::Workplace;
use testkit::workplace::RosterText;

const ROLES: [&str; 3] = ["builder", "reviewer", "sentinel"];

static SHIPPED: LazyLock<Roster> = LazyLock::new(|| {
    let mut text = RosterText::kubernetes("").deadline("200s");
    for role in ROLES {
        text = text.role(role, 2, "[\"agent\"]");
    }
    let merging = "\n[repository]\nname = \"demo/app\"\napi_url = \"https://api.github.example\"\n\
        [merge]\nprotected_paths = [\"secret/**\"]\nignored_checks = [\"codecov/*\"]\n";
    let workplace = Workplace::new(&format!("{}{merging}", text.text()));
    let roster = coordinator_roster::load(&workplace.roster(), &|_| None);
    roster.unwrap_or_else(|problems| panic!("{problems:?}"))
});

/// What each session may cost.
static PRICE: LazyLock<Usd> = LazyLock::new(|| Usd::from_dollars(2.0));

/// All steps.
pub(crate) fn steps() -> Vec<StepName> {
    vec![StepName::Inventory, StepName::Spawn, StepName::Merge, StepName::Health]
}

/// A roster of this seed.
pub(crate) fn draw(dice: &mut Dice) -> Roster {
    let mut roster = SHIPPED.clone();
    let (base, interval) = (*dice.pick(&[0, 60, 60, 300]), *dice.pick(&[0, 0, 60, 1_800]));
    for role in &mut roster.roles {
        role.spec = Arc::new(restrained(&role.spec, base, interval));
    }
    roster.platform.max_running = *dice.pick(&[None, None, None, Some(3), Some(5)]);
    roster.platform.on_inventory_failure =
        *dice.pick(&[OnInventoryFailure::Spawn, OnInventoryFailure::Skip]);
    roster.deadline = Duration::from_secs(*dice.pick(&[200, 200, 60, 45]));
    roster.merge.settle = Duration::from_secs(*dice.pick(&[0, 0, 60, 300]));
    roster.merge.pause = Duration::from_secs(*dice.pick(&[0, 1, 5]));
    roster.merge.min_approvals = *dice.pick(&[1, 1, 1, 2]);
    roster.merge.stale_approvals = *dice.pick(&[StaleApprovals::Block, StaleApprovals::Github]);
    roster.merge.last_push_approval = *dice.pick(&[
        LastPushApproval::Github,
        LastPushApproval::Github,
        LastPushApproval::Require,
    ]);
    roster.merge.commit_message =
        *dice.pick(&[CommitMessage::Title, CommitMessage::Title, CommitMessage::Repository]);
    roster.merge.checks = *dice.pick(&[CheckMode::All, CheckMode::All, CheckMode::Required]);
    roster.merge.required_checks = required_checks(dice);
    if dice.percent(70) {
        roster.merge.protected_paths = None;
    }
    if dice.percent(70) {
        roster.merge.ignored_checks = GlobSet::empty();
    }
    if dice.percent(40) {
        let sessions = u32::try_from(dice.between(2, 12)).expect("small");
        let session = roster.roles.iter().map(|role| (role.key.clone(), *PRICE)).collect();
        let per_day = Usd::from_dollars(PRICE.dollars() * f64::from(sessions));
        roster.budget = Budget { per_day: Some(per_day), session, ..Budget::default() };
    }
    again(&roster, dice)
}

fn required_checks(dice: &mut Dice) -> Vec<RequiredCheck> {
    let named = |name: &str, app: Option<&str>| RequiredCheck {
        name: name.to_owned(),
        app: app.map(str::to_owned),
    };
    match dice.between(0, 9) {
        0..=1 => vec![named("build", None)],
        2 => vec![named("build", Some("github-actions"))],
        3 => vec![named("build", Some("other-ci")), named("e2e", None)],
        _ => Vec::new(),
    }
}

/// The spec with this backoff and interval, in seconds.
fn restrained(spec: &SessionSpec, backoff_base: u64, min_interval: u64) -> SessionSpec {
    SessionSpec {
        backoff: BackoffSettings {
            backoff_base: Duration::from_secs(backoff_base),
            min_interval: Duration::from_secs(min_interval),
            ..spec.backoff
        },
        ..spec.clone()
    }
}

/// The same with other counts, as after an edit.
pub(crate) fn again(roster: &Roster, dice: &mut Dice) -> Roster {
    let mut roster = roster.clone();
    for role in &mut roster.roles {
        role.count = *dice.pick(&[0, 1, 1, 2, 3, 4]);
    }
    roster.platform.max_spawns = *dice.pick(&[50, 50, 50, 2, 0]);
    roster.merge.max_merges = *dice.pick(&[20, 20, 20, 1, 0]);
    roster
}

/// The same without a pause switch, and time enough.
pub(crate) fn generous(roster: &Roster) -> Roster {
    let mut roster = roster.clone();
    roster.platform.max_spawns = 50;
    roster.merge.max_merges = 50;
    roster.deadline = Duration::from_secs(200);
    roster.budget = Budget::default();
    roster
}

/// How many sessions fit under this cap.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few")]
fn affordable(cap: Usd) -> usize {
    (cap.dollars() / PRICE.dollars()).round() as usize
}

/// The limits of a cycle by this roster.
pub(crate) fn bounds(roster: &Roster, dry_run: bool) -> Bounds {
    let names = |role: &Role| {
        role.wants().map(|want| want.slot.session_name(&roster.fleet)).collect::<Vec<_>>()
    };
    Bounds {
        rules: rules(roster),
        deadline: roster.deadline,
        dry_run,
        max_merges: usize::try_from(roster.merge.max_merges).expect("small"),
        max_spawns: usize::try_from(roster.platform.max_spawns).expect("small"),
        max_running: roster.platform.max_running,
        affordable: roster.budget.per_day.map(affordable),
        pause: roster.merge.pause,
        names_commits: roster.merge.commit_message == CommitMessage::Title,
        slots: roster.roles.iter().flat_map(names).collect(),
        items: false,
    }
}

/// How its policy differs from others'.
pub(crate) fn rules(roster: &Roster) -> Rules {
    Rules {
        settle: i64::try_from(roster.merge.settle.as_secs()).expect("small"),
        min_approvals: usize::try_from(roster.merge.min_approvals).expect("small"),
        protects: roster.merge.protected_paths.is_some(),
        trusts_github: roster.merge.stale_approvals == StaleApprovals::Github,
        second_eyes: roster.merge.last_push_approval == LastPushApproval::Require,
        only_required: roster.merge.checks == CheckMode::Required,
        demanded: roster
            .merge
            .required_checks
            .iter()
            .map(|it| (it.name.clone(), it.app.clone()))
            .collect(),
        ignored: (!roster.merge.ignored_checks.is_empty()).then_some("codecov/"),
    }
}
