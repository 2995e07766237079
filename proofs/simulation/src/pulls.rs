//! What people and other programs do to pull requests and their repository.

use crate::dice::Dice;
use crate::eligible;
use crate::scene::Scene;
use crate::{time, titles};
use testkit::{Author, Check, Maker, Pull, Review};

/// The most open pull requests, and the most others that GitHub keeps: a big repository makes the
/// simulation slow.
const MAX_PULLS: usize = 6;

const OF_ANOTHER_APP: [(&str, &str); 7] = [
    ("build", "SUCCESS"),
    ("build", "FAILURE"),
    ("build", "NEUTRAL"),
    ("codecov/project", "SUCCESS"),
    ("codecov/project", "CANCELLED"),
    ("docs", "SKIPPED"),
    ("docs", "SUCCESS"),
];

/// One thing happens.
pub(crate) fn happen(scene: &mut Scene) -> &'static str {
    scene.remember();
    let Scene { dice, github, .. } = scene;
    let pulls = &mut github.repository().pulls;
    let open: Vec<u64> =
        pulls.values().filter(|pull| pull.state == "OPEN").map(|pull| pull.number).collect();
    let over: Vec<u64> =
        pulls.values().filter(|pull| pull.state != "OPEN").map(|pull| pull.number).collect();
    for number in over.iter().take(over.len().saturating_sub(MAX_PULLS)) {
        pulls.remove(number);
    }
    if open.is_empty() || dice.percent(if open.len() < MAX_PULLS { 25 } else { 5 }) {
        return to_the_repository(scene);
    }
    let pull = pulls.get_mut(dice.pick(&open)).expect("it is listed");
    match dice.between(0, 24) {
        0..=5 => review(pull, dice),
        6..=11 => check(pull, dice),
        12..=15 => mend(pull),
        _ => to_a_pull(pull, dice),
    }
}

/// Chance alone spoils more than it mends.
fn mend(pull: &mut Pull) -> &'static str {
    pull.labels.clear();
    pull.draft = false;
    "main".clone_into(&mut pull.base);
    "MERGEABLE".clone_into(&mut pull.mergeable);
    pull.checks = vec![Check::run("build", 1, "SUCCESS"), status("e2e", 1_001, "SUCCESS")];
    pull.rollup_state = None;
    let approval =
        |login: &str| Review { at: time::seconds(), ..Review::approval(login, &pull.head) };
    pull.reviews = vec![approval("alice"), approval("bob")];
    "a pull request is made ready to merge"
}

fn review(pull: &mut Pull, dice: &mut Dice) -> &'static str {
    let head = pull.head.clone();
    let by = |state: &str, login: &str| Review {
        author: Some(Author::user(login)),
        state: state.to_owned(),
        at: time::seconds(),
        ..Review::approval(login, &head)
    };
    match dice.between(0, 5) {
        0..=3 => {
            let login = *dice.pick(&["alice", "alice", "bob"]);
            pull.reviews.push(by("APPROVED", login));
            "a review approves"
        }
        4 => {
            if let Some(last) = pull.reviews.last_mut() {
                "DISMISSED".clone_into(&mut last.state);
            }
            "a review is dismissed"
        }
        _ => {
            pull.reviews.push(by("CHANGES_REQUESTED", "bob"));
            "a review requests changes"
        }
    }
}

fn check(pull: &mut Pull, dice: &mut Dice) -> &'static str {
    let id = u64::try_from(pull.checks.len()).expect("few") + 1;
    match dice.between(0, 15) {
        0 => {
            let conclusion = *dice.pick(&["FAILURE", "CANCELLED", "TIMED_OUT"]);
            pull.checks.push(run_of("build", id, Some(conclusion), "pull_request"));
            "a check is run again and fails"
        }
        1 => {
            pull.checks.push(run_of("build", id, None, "pull_request"));
            "a check is run again, and runs"
        }
        2..=4 => {
            pull.checks.push(run_of("build", id, Some("SUCCESS"), "pull_request"));
            "a check is run again and succeeds"
        }
        5..=7 => {
            let state =
                *dice.pick(&["SUCCESS", "SUCCESS", "PENDING", "EXPECTED", "FAILURE", "ERROR"]);
            let name = *dice.pick(&["e2e", "e2e", "build", "codecov/patch"]);
            // GitHub shows the last status of a context alone.
            pull.checks
                .retain(|row| !matches!(row, Check::Status { name: known, .. } if known == name));
            pull.checks.push(status(name, id + 1_000, state));
            "a commit status is set"
        }
        8..=10 => {
            let conclusion = *dice.pick(&["SKIPPED", "SKIPPED", "NEUTRAL"]);
            let event = *dice.pick(&["pull_request", "pull_request", "push"]);
            pull.checks.push(run_of("build", id, Some(conclusion), event));
            "a check is run again and does nothing"
        }
        11..=12 => {
            let conclusion = *dice.pick(&[Some("SUCCESS"), Some("SUCCESS"), Some("FAILURE"), None]);
            pull.checks.push(run_of("build", id, conclusion, "push"));
            "a push runs the workflow of a pull request, too"
        }
        13 => {
            let states = [None, None, Some("PENDING"), Some("FAILURE")];
            pull.rollup_state = dice.pick(&states).map(str::to_owned);
            "GitHub expects what it does not show, or not any more"
        }
        _ => {
            let (name, conclusion) = *dice.pick(&OF_ANOTHER_APP);
            pull.checks.push(of_another_app(name, id, conclusion, dice.between(1, 2)));
            "a check of another app ends, in one of its suites"
        }
    }
}

/// A run of the workflow, which this event started; without a conclusion it runs.
fn run_of(name: &str, id: u64, concluded: Option<&str>, started_by: &str) -> Check {
    let mut check = Check::run(name, id, concluded.unwrap_or_default());
    if let Check::CheckRun { status, conclusion, event, run, .. } = &mut check {
        started_by.clone_into(event);
        *run = id;
        if concluded.is_none() {
            "IN_PROGRESS".clone_into(status);
            *conclusion = None;
        }
    }
    check
}

fn of_another_app(name: &str, id: u64, conclusion: &str, suite: u64) -> Check {
    let mut check = Check::run(name, id, conclusion);
    if let Check::CheckRun { app, workflow, run, .. } = &mut check {
        "other-ci".clone_into(app);
        *workflow = None;
        *run = suite;
    }
    check
}

fn status(name: &str, id: u64, state: &str) -> Check {
    let (name, state, creator) = (name.to_owned(), state.to_owned(), "ci-bot".to_owned());
    Check::Status { name, state, id, required: false, creator }
}

fn to_a_pull(pull: &mut Pull, dice: &mut Dice) -> &'static str {
    match dice.between(0, 9) {
        0..=3 => {
            pull.head = format!("{}-{:x}", pull.number, dice.throw() & 0xFFFF);
            pull.checks = match dice.between(0, 5) {
                0 => Vec::new(),
                1 => vec![of_another_app("docs", 1, "SKIPPED", 1)],
                _ => vec![Check::run("build", 1, "SUCCESS")],
            };
            pull.rollup_state = None;
            (pull.head_author, pull.head_committer) = (maker(dice), maker(dice));
            "a push moves a head"
        }
        4 => {
            if pull.labels.pop().is_none() {
                pull.labels.push("hold".to_owned());
            }
            "a blocking label comes or goes"
        }
        5 => {
            pull.draft = !pull.draft;
            "a pull request becomes a draft, or ready"
        }
        6 => {
            let unknown = pull.mergeable == "UNKNOWN";
            if unknown { "MERGEABLE" } else { "UNKNOWN" }.clone_into(&mut pull.mergeable);
            "GitHub works out mergeability, or does so again"
        }
        7 => {
            "CLOSED".clone_into(&mut pull.state);
            "a pull request is closed"
        }
        8 => {
            pull.title = title(pull.number, dice);
            "a pull request gets another title"
        }
        _ => {
            let base = if pull.base == "main" { "release" } else { "main" };
            base.clone_into(&mut pull.base);
            "a pull request gets another base"
        }
    }
}

fn to_the_repository(scene: &mut Scene) -> &'static str {
    let serial = scene.dice.between(1_000, 9_999);
    scene.numbers += 1;
    let number = scene.numbers;
    let Scene { dice, github, protection, .. } = scene;
    let repository = github.repository();
    match dice.between(0, 12) {
        0..=3 => {
            repository.pulls.insert(number, fresh(number, dice));
            "a pull request is opened"
        }
        4..=5 => {
            repository.commit("main", &format!("Direct change {serial}"), 0);
            "the base moves"
        }
        6..=7 => {
            let mut open = repository
                .pulls
                .values()
                .filter(|pull| pull.state == "OPEN" && pull.mergeable == "MERGEABLE");
            // A person would see that the commit is there already.
            let on_base = eligible::on_base(repository);
            let found =
                open.next().map(|pull| pull.number).filter(|number| !on_base.contains_key(number));
            if let Some(number) = found {
                repository.squash_merge(number, &format!("Merged by hand (#{number})"));
            }
            "another person merges"
        }
        8 => {
            repository.strict = !repository.strict;
            "the base demands up-to-date heads, or not any more"
        }
        9 => {
            protection.demand_reviews(dice);
            "the base demands reviews, or not any more"
        }
        10 => {
            protection.demand_checks(dice);
            "the base demands other checks"
        }
        11 => {
            let theirs = number + dice.between(1, 3);
            let before = -864_000 - time::seconds();
            repository.commit(
                "main",
                &format!("Taken over with its old number (#{theirs})"),
                before,
            );
            "the base takes over commits of another repository, whose numbers are still to come \
             here"
        }
        _ => {
            repository.archived = !repository.archived && dice.percent(50);
            "the repository is archived, or opened again"
        }
    }
}

/// A pull request of this moment; mostly an eligible one.
pub(crate) fn fresh(number: u64, dice: &mut Dice) -> Pull {
    let mut pull = Pull::eligible(number).titled(&title(number, dice));
    pull.created = Some(time::seconds());
    for review in &mut pull.reviews {
        review.at = time::seconds();
    }
    if dice.percent(40) {
        let state = *dice.pick(&["SUCCESS", "SUCCESS", "PENDING"]);
        pull.checks.push(status("e2e", 1_001, state));
    }
    if dice.percent(20) {
        let conclusion = *dice.pick(&["SKIPPED", "NEUTRAL"]);
        pull.checks.push(of_another_app("docs", 2, conclusion, 1));
    }
    pull
}

/// The committer: mostly the author, at times a reviewer, and once in a while an address without an
/// account.
fn maker(dice: &mut Dice) -> Maker {
    match *dice.pick(&["agent-a", "agent-a", "agent-a", "alice", "bob", ""]) {
        "" => Maker { email: "agent@localhost".to_owned(), login: None },
        login => Maker::user(login),
    }
}

fn title(number: u64, dice: &mut Dice) -> String {
    if dice.percent(25) {
        (*dice.pick(&titles::UNKIND)).to_owned()
    } else {
        format!("Change {number}")
    }
}
