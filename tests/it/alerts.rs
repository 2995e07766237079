//! Alerts, seen from outside: issues in the world's repository, and a command.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::contract::assert_conforms;
use crate::coordinator;
use testkit::production::Refusing;
use testkit::workplace::RosterText;
use testkit::{Fault, Finished, GitHub, Issue, Kind, Production, Reply, Repository, Route};
use testkit::{TOKEN, Workplace};

mod command;

const CYCLE: [&str; 3] = ["reconcile", "-o", "json"];

/// A repository without pull requests, and production.
struct World {
    github: GitHub,
    production: Production,
    workplace: Workplace,
}

impl World {
    fn new(alerts: &str) -> Self {
        Self::with(|roster| roster, alerts)
    }

    fn with(change: impl FnOnce(RosterText) -> RosterText, alerts: &str) -> Self {
        let github = GitHub::start(Repository::with([]));
        let production = Production::up();
        let roster = RosterText::default().merging(&github, "").watching(
            "production",
            &production.url(),
            "",
        );
        let text = format!("{}\n[alerts]\n{alerts}\n", change(roster).text());
        Self { github, production, workplace: Workplace::new(&text) }
    }

    fn of_issues() -> Self {
        Self::new("github_issue = true")
    }

    fn answers(&self, status: u16) {
        self.production.state().reply = Reply::new(status, "ok");
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let finished = coordinator(&self.workplace).args(arguments.iter().copied()).run();
        assert_conforms(&self.github);
        finished
    }

    fn cycle(&self) -> Value {
        self.run(&CYCLE).json()
    }

    fn issues(&self) -> Vec<Issue> {
        self.github.state().repository().issues.values().cloned().collect()
    }

    fn open(&self) -> Vec<u64> {
        self.issues().iter().filter(|issue| issue.open).map(|issue| issue.number).collect()
    }

    fn writes(&self) -> usize {
        self.github.count(Kind::Write)
    }
}

/// The signals of the advice that is about alerts.
fn warnings(report: &Value) -> Vec<&str> {
    let advice = report["advice"].as_array().into_iter().flatten();
    let signals = advice.filter_map(|advice| advice["signal"].as_str());
    signals.filter(|signal| signal.starts_with("alerts: ")).collect()
}

#[test]
fn a_cause_has_one_issue_that_opens_stays_as_it_is_and_closes_itself() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    let [issue] = &world.issues()[..] else { panic!("one issue: {:#?}", world.issues()) };
    assert_eq!(issue.title, "demo: production is down: production");
    assert_eq!(issue.labels, ["coordinator:alert"]);
    assert!(issue.body.starts_with("**production answers 503"), "{}", issue.body);
    assert!(issue.body.contains("What may help: "), "{}", issue.body);

    let writes = world.writes();
    world.cycle();
    assert_eq!((world.writes(), world.open()), (writes, vec![1]), "nothing changed");

    world.answers(200);
    world.cycle();
    let [issue] = &world.issues()[..] else { panic!("still one issue") };
    assert!(!issue.open);
    assert_eq!(issue.comments, ["The cause is gone; closed by coordinator."]);
    let writes = world.writes();
    world.cycle();
    assert_eq!(world.writes(), writes, "a closed issue is left alone");
}

#[test]
fn a_cycle_without_a_change_sends_no_request_more_than_without_alerts() {
    let world = World::of_issues();
    assert_eq!(world.cycle()["requests"]["github"], 1);
    world.answers(503);
    assert_eq!(world.cycle()["requests"]["github"], 4, "list, list again, open, list again");
    assert_eq!(world.cycle()["requests"]["github"], 1);
    let without = World::new("");
    assert_eq!(without.cycle()["requests"]["github"], 1);
    let journal = without.github.journal();
    let document = journal[0].body["query"].as_str().expect("a query");
    assert!(!document.contains("issue"), "{document}");
}

#[test]
fn overlapping_cycles_leave_one_issue() {
    let world = World::of_issues();
    world.answers(503);
    let running: Vec<_> =
        (0..6).map(|_| coordinator(&world.workplace).args(CYCLE).spawn()).collect();
    for cycle in running {
        assert_eq!(warnings(&cycle.wait().json()), Vec::<&str>::new());
    }
    world.cycle();
    assert_eq!(world.open(), [1]);
    let writes = world.writes();
    world.cycle();
    assert_eq!((world.open(), world.writes()), (vec![1], writes));
}

#[test]
fn an_issue_of_an_overlapping_cycle_is_found_before_another_is_opened() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    let first = world.issues().remove(0);
    world.github.state().repository().issues.clear();
    // The other cycle opens it after this one has read the list of pull requests.
    world.github.when(Route::Recheck, move |state| {
        state.repository().issues.insert(first.number, first);
    });
    world.cycle();
    assert_eq!(world.issues().len(), 1);
}

#[test]
fn of_two_issues_with_one_cause_the_lowest_number_stays() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    let first = world.issues().remove(0);
    world.github.state().repository().issues.insert(7, Issue { number: 7, ..first });
    world.cycle();
    assert_eq!(world.open(), [1]);
    assert_eq!(world.issues()[1].comments, ["The same as #1; closed by coordinator."]);
}

#[test]
fn an_issue_is_rewritten_when_its_text_changes() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    world.answers(500);
    world.cycle();
    let [issue] = &world.issues()[..] else { panic!("one issue") };
    assert!(issue.open && issue.body.starts_with("**production answers 500"), "{}", issue.body);
}

#[test]
fn an_issue_of_another_account_or_another_fleet_is_never_touched() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    let body = world.issues()[0].body.clone();
    let other_fleet = body.replace("\"fleet\":\"demo\"", "\"fleet\":\"other\"");
    assert_ne!(body, other_fleet);
    {
        let mut state = world.github.state();
        let issues = &mut state.repository().issues;
        issues.clear();
        issues.insert(1, Issue::labelled(1, "mallory", &body));
        issues.insert(2, Issue::labelled(2, "coordinator-bot", &other_fleet));
        issues.insert(3, Issue::labelled(3, "coordinator-bot", "written by hand"));
    }
    world.cycle();
    assert_eq!(world.open(), [1, 2, 3, 4], "the fleet opens its own");
    world.answers(200);
    world.cycle();
    assert_eq!(world.open(), [1, 2, 3]);
    for (issue, expected) in world.issues().iter().zip([&*body, &*other_fleet, "written by hand"]) {
        assert_eq!((&*issue.body, issue.comments.len()), (expected, 0));
    }
}

#[test]
fn a_cycle_that_cannot_see_a_cause_closes_nothing() {
    let world = World::of_issues();
    world.answers(503);
    world.cycle();
    world.answers(200);
    world.run(&["reconcile", "--skip", "health"]);
    world.run(&["reconcile", "--only", "merge"]);
    assert_eq!(world.open(), [1], "the health step did not run");
    world.answers(404);
    world.cycle();
    assert_eq!(world.open(), [1], "an unexpected answer is not a good one");
    world.answers(200);
    world.run(&["reconcile", "--only", "health"]);
    assert_eq!(world.open(), Vec::<u64>::new(), "a query of its own shows the issues");
}

#[test]
fn pull_requests_that_cannot_be_listed_have_an_issue_where_github_still_takes_it() {
    let world = World::of_issues();
    world.github.script(Route::List, [Fault::status(500, "Server Error")]);
    let report = world.cycle();
    assert_eq!(report["status"], "broken");
    assert_eq!(world.issues()[0].title, "demo: pull requests cannot be judged");
    world.cycle();
    assert_eq!(world.open(), Vec::<u64>::new());
}

#[test]
fn a_dry_run_writes_no_issue_and_reads_none() {
    let world = World::of_issues();
    world.answers(503);
    world.run(&["reconcile", "--dry-run"]);
    assert_eq!((world.issues().len(), world.writes(), world.github.journal().len()), (0, 0, 1));
}

#[test]
fn offline_no_issue_is_tried() {
    let world = World::of_issues();
    let (github, production) = (Refusing::start(), Refusing::start());
    let roster = fs::read_to_string(world.workplace.roster()).expect("a roster");
    let roster = roster.replace(&world.github.url(), &github.url());
    let roster = roster.replace(&world.production.url(), &production.url());
    world.workplace.write("roster.toml", roster);
    let report = world.cycle();
    let reason = report["reasons"][0].as_str().expect("a reason is text");
    assert!(reason.starts_with("offline"), "{reason}");
    assert_eq!((&report["requests"]["github"], warnings(&report).len()), (&json!(1), 0));
}

#[test]
fn an_alert_that_fails_is_a_warning_and_changes_neither_status_nor_exit_code() {
    let plain = World::new("");
    plain.answers(503);
    let expected = plain.run(&CYCLE);
    let status = expected.json()["status"].clone();
    for change in [
        |world: &World| world.github.state().repository().has_issues = false,
        |world: &World| world.github.state().repository().hides_issues = true,
        |world: &World| {
            let limit = Fault::secondary_rate_limit(403, 60);
            world.github.always(Route::Issues, limit);
        },
        |world: &World| world.github.always(Route::Issues, Fault::reset()),
        |world: &World| world.github.always(Route::Issues, Fault::html()),
    ] {
        let world = World::of_issues();
        world.answers(503);
        change(&world);
        let finished = coordinator(&world.workplace).args(CYCLE).run();
        let report = finished.json();
        assert_eq!((finished.code, &report["status"]), (expected.code, &status));
        assert_eq!(report["steps"]["merge"]["outcome"], "ok");
        let warnings = warnings(&report);
        assert_eq!(warnings.len(), 1, "{report:#}");
        assert!(warnings[0].starts_with("alerts: issues were not written: "), "{warnings:?}");
    }
}

#[test]
fn a_healthy_cycle_whose_issues_cannot_be_read_stays_healthy() {
    let world = World::of_issues();
    world.github.state().repository().hides_issues = true;
    let report = world.cycle();
    assert_eq!((&report["status"], warnings(&report).len()), (&json!("healthy"), 1));
    assert_eq!(report["requests"]["github"], 1);
}

#[test]
fn an_issue_that_lost_its_label_is_closed_at_once() {
    let world = World::of_issues();
    world.answers(503);
    world.github.state().repository().viewer_permission = Some("READ".to_owned());
    let report = world.cycle();
    assert!(warnings(&report)[0].contains("label"), "{report:#}");
    assert_eq!(world.open(), Vec::<u64>::new());
}

#[test]
fn text_from_elsewhere_forges_no_mark_mentions_nobody_and_shows_no_secret() {
    let mark = r#"<!-- coordinator:alert {"fleet":"demo","cause":"offline","text":"0"} -->"#;
    let world = World::of_issues();
    let message = format!("@everyone {mark} {TOKEN} [click](https://evil.example)");
    world.github.script(Route::List, [Fault::status(500, &message)]);
    world.cycle();
    let [issue] = &world.issues()[..] else { panic!("one issue") };
    assert_eq!(issue.body.matches("<!--").count(), 1, "{}", issue.body);
    for hostile in ["@everyone", "](", "https://", TOKEN] {
        assert!(!issue.body.contains(hostile), "{hostile}: {}", issue.body);
    }
    world.cycle();
    assert_eq!(world.open(), Vec::<u64>::new(), "its mark is the one that was written");
}

#[test]
fn slots_that_keep_failing_have_one_issue_per_role() {
    let role = |roster: RosterText| {
        roster.defaults("backoff_base = \"0s\"\nmin_runtime = \"0s\"").role(
            "crasher",
            3,
            r#"["false"]"#,
        )
    };
    let world = World::with(role, "github_issue = true");
    let mut rounds = 0..200;
    while world.open().is_empty() && rounds.next().is_some() {
        world.cycle();
    }
    let [issue] = &world.issues()[..] else { panic!("one issue: {:#?}", world.issues()) };
    assert_eq!(issue.title, "demo: crasher keeps failing");
    assert!(issue.body.contains("coordinator logs crasher-s"), "{}", issue.body);
}

#[test]
fn the_metrics_have_each_cause_that_the_cycle_could_see() {
    let world = World::new("");
    world.answers(503);
    let file = world.workplace.path().join("coordinator.prom");
    let name = file.to_str().expect("temporary folders are UTF-8");
    let samples = |arguments: &[&str]| {
        world.run(&[arguments, &["--metrics-file", name]].concat());
        alert_samples(&file)
    };
    let whole = samples(&["reconcile"]);
    assert_eq!(
        whole,
        [
            "offline 0",
            "production_down 1",
            "pulls_unreadable 0",
            "sessions_unreadable 0",
            "source_unreadable 0",
            "keeps_failing 0",
            "merge_forbidden 0",
            "budget_holds 0",
        ]
    );
    let merge = samples(&["reconcile", "--only", "merge"]);
    assert_eq!(merge, ["offline 0", "pulls_unreadable 0", "merge_forbidden 0"]);
}

fn alert_samples(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the file was written");
    let samples = text.lines().filter_map(|line| line.strip_prefix("coordinator_alert{"));
    samples
        .map(|sample| {
            let cause = sample.split("cause=\"").nth(1).expect("a cause");
            cause.replace("\"}", "")
        })
        .collect()
}

#[test]
fn issues_without_a_repository_are_refused_before_the_cycle() {
    let text = format!("{}\n[alerts]\ngithub_issue = true\n", RosterText::default().text());
    let finished = coordinator(&Workplace::new(&text)).args(CYCLE).run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("add [repository]"), "{}", finished.stderr);
}
