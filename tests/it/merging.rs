//! Merging while the world changes: lost answers, overlapping runs, signals, rereads.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::contract::assert_conforms;
use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Check, Fault, GitHub, Kind, Production, Pull, Reply, Repository, Route, Workplace};

const MERGE: [&str; 5] = ["reconcile", "--only", "merge", "-o", "json"];

fn github(pulls: impl IntoIterator<Item = Pull>) -> GitHub {
    GitHub::start(Repository::with(pulls))
}

fn workplace(github: &GitHub) -> Workplace {
    RosterText::default().merging(github, "").write()
}

fn merge(github: &GitHub) -> Value {
    let report = coordinator(&workplace(github)).args(MERGE).run().json();
    assert_conforms(github);
    report["steps"]["merge"].clone()
}

/// Number and reason of each pull request that was not merged.
pub(crate) fn left_alone(step: &Value) -> Value {
    let rows = ["skipped", "failed"]
        .into_iter()
        .flat_map(|key| step[key].as_array().into_iter().flatten());
    rows.map(|row| json!([row["number"], row["reason"]])).collect()
}

/// Numbers of the merged pull requests.
pub(crate) fn merged(step: &Value) -> Value {
    step["merged"].as_array().into_iter().flatten().map(|row| row["number"].clone()).collect()
}

#[test]
fn a_second_run_merges_nothing_and_costs_one_query() {
    let github = github([Pull::eligible(1), Pull::eligible(2)]);
    assert_eq!(merged(&merge(&github)), json!([1, 2]));
    let before = github.journal().len();
    let step = merge(&github);
    assert_eq!((merged(&step), &step["open"]), (json!([]), &json!(0)));
    assert_eq!(github.journal().len(), before + 1);
}

#[test]
fn a_skipped_required_check_is_distinguished_from_one_that_never_ran() {
    let checks = |e2e: &str| vec![Check::run("e2e", 1, e2e), Check::run("lint", 2, "SUCCESS")];
    let without = Pull { checks: vec![Check::run("lint", 2, "SUCCESS")], ..Pull::eligible(3) };
    let github = github([
        Pull { checks: checks("SUCCESS"), ..Pull::eligible(1) },
        Pull { checks: checks("SKIPPED"), ..Pull::eligible(2) },
        without,
    ]);
    let workplace = RosterText::default().merging(&github, "required_checks = [\"e2e\"]").write();
    let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!(merged(&step), json!([1]), "{step:#}");
    let details: Vec<&str> = step["skipped"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["detail"].as_str())
        .collect();
    let skipped = "`e2e` was skipped or neutral, which does not satisfy `required_checks`";
    assert_eq!(details, [skipped, "the check `e2e` is missing on the head commit"]);
}

#[test]
fn what_forbids_every_merge_degrades_a_cycle_also_while_nothing_is_open() {
    let bare = Repository::with([]);
    let no_squash = "the repository does not allow squash merges; allow them in its settings";
    let no_access = "the token has no write access; \
        give it write access to contents and pull requests";
    let read_only = Some("READ".to_owned());
    for (repository, why) in [
        (Repository { squash_allowed: false, ..bare.clone() }, no_squash),
        (Repository { viewer_permission: read_only, ..bare }, no_access),
    ] {
        let github = GitHub::start(repository);
        let sentence = format!("nothing can be merged: {why}");
        let workplace = workplace(&github);
        let report = coordinator(&workplace).args(MERGE).run().json();
        assert_eq!(report["status"], "degraded", "{report:#}");
        assert_eq!(report["reasons"], json!([sentence]));
        let pulls = coordinator(&workplace).args(["pulls"]).run();
        assert!(pulls.stdout.contains(&sentence), "{}", pulls.stdout);
    }
}

#[test]
fn a_merge_call_that_finds_squash_merges_off_degrades_the_cycle_once() {
    let github = github([Pull::eligible(1), Pull::eligible(2)]);
    let refusal = Fault::status(405, "Squash merges are not allowed on this repository.");
    github.script(Route::Merge(1), [refusal]);
    let report = coordinator(&workplace(&github)).args(MERGE).run().json();
    assert_eq!(report["status"], "degraded", "{report:#}");
    assert_eq!(report["reasons"].as_array().map(Vec::len), Some(1), "{report:#}");
}

#[test]
fn a_merge_that_conflicts_with_another_leaves_the_other_alone() {
    let github = github([Pull { conflicts_with: vec![2], ..Pull::eligible(1) }, Pull::eligible(2)]);
    let step = merge(&github);
    assert_eq!((merged(&step), left_alone(&step)), (json!([1]), json!([[2, "not_mergeable"]])));
}

#[test]
fn strict_protection_allows_one_merge_and_the_rest_has_a_reason() {
    let github = github([Pull::eligible(1), Pull::eligible(2)]);
    github.state().repository().strict = true;
    let step = merge(&github);
    assert_eq!(
        (merged(&step), left_alone(&step)),
        (json!([1]), json!([[2, "blocked_by_protection"]]))
    );
}

#[test]
fn a_merge_call_whose_answer_was_lost_is_not_repeated() {
    for fault in [
        Fault::reset().after_applying(),
        Fault::truncated(),
        Fault::garbage().after_applying(),
        Fault::status(502, "Server Error").after_applying(),
        Fault::html().after_applying(),
    ] {
        let told = format!("{fault:?}");
        let github = github([Pull::eligible(1), Pull::eligible(2)]);
        github.script(Route::Merge(1), [fault]);
        let step = merge(&github);
        assert_eq!(left_alone(&step), json!([[1, "merge_outcome_unknown"]]), "{told}");
        assert_eq!(github.merge_calls(), [1, 2], "{told}");
        assert_eq!(github.merged(), [1, 2], "the world did merge both: {told}");
    }
}

#[test]
fn a_connection_reset_before_the_merge_is_left_to_the_next_cycle() {
    let github = github([Pull::eligible(1), Pull::eligible(2)]);
    github.script(Route::Merge(1), [Fault::reset()]);
    let step = merge(&github);
    assert_eq!(
        (merged(&step), left_alone(&step)),
        (json!([2]), json!([[1, "merge_outcome_unknown"]]))
    );
    assert_eq!(github.merge_calls(), [1, 2]);
    assert_eq!(merged(&merge(&github)), json!([1]));
}

#[test]
fn a_half_merged_pull_request_is_not_merged_a_second_time() {
    let github = github([Pull::eligible(1)]);
    github.script(Route::Merge(1), [Fault::status(500, "Server Error").after_applying()]);
    assert_eq!(left_alone(&merge(&github)), json!([[1, "merge_outcome_unknown"]]));
    "OPEN"
        .clone_into(&mut github.state().repository().pulls.get_mut(&1).expect("it is there").state);
    assert_eq!(left_alone(&merge(&github)), json!([[1, "already_on_base"]]));
    assert_eq!(github.merge_calls(), [1]);
}

#[test]
fn mergeability_that_github_works_out_meanwhile_is_read_once_more() {
    let unknown = |pull: Pull| Pull {
        mergeable: "UNKNOWN".to_owned(),
        merge_state_status: "UNKNOWN".to_owned(),
        ..pull
    };
    let github =
        github([unknown(Pull::eligible(1)), unknown(Pull::eligible(2)), Pull::eligible(3)]);
    github.when(Route::Recheck, |state| {
        let pull = state.repository().pulls.get_mut(&1).expect("it is there");
        "MERGEABLE".clone_into(&mut pull.mergeable);
        "CLEAN".clone_into(&mut pull.merge_state_status);
    });
    let step = merge(&github);
    assert_eq!(left_alone(&step), json!([[2, "mergeability_unknown"]]));
    assert_eq!(github.merged(), [1, 3]);
    assert_eq!((github.count(Kind::List), github.count(Kind::Detail)), (1, 1));
}

#[test]
fn what_a_reread_shows_decides() {
    let rerun = |number| {
        let mut pull = Pull::eligible(number);
        let superseded = Check::run("build", 0, "CANCELLED");
        pull.checks.insert(0, superseded);
        pull
    };
    let github = github((1..=5).map(rerun));
    github.when(Route::Recheck, |state| {
        let pulls = &mut state.repository().pulls;
        "CLOSED".clone_into(&mut pulls.get_mut(&1).expect("it is there").state);
        "h99".clone_into(&mut pulls.get_mut(&2).expect("it is there").head);
        pulls.get_mut(&3).expect("it is there").draft = true;
        pulls.get_mut(&4).expect("it is there").labels.push("hold".to_owned());
    });
    let step = merge(&github);
    assert_eq!(merged(&step), json!([5]));
    let reasons = left_alone(&step);
    assert_eq!(reasons[0], json!([1, "not_open"]));
    assert!(
        ["head_moved", "stale_approval"].contains(&reasons[1][1].as_str().unwrap_or_default()),
        "{reasons}"
    );
    assert_eq!(reasons[2], json!([3, "draft"]));
    assert_eq!(reasons[3], json!([4, "blocked_label"]));
    assert_eq!(github.merge_calls(), [5]);
}

#[test]
fn overlapping_runs_merge_each_pull_request_once() {
    let github = github((1..=6).map(Pull::eligible));
    github.always(Route::Any, Fault::late(Duration::from_millis(20)));
    let workplaces = [workplace(&github), workplace(&github)];
    let running = workplaces.each_ref().map(|workplace| coordinator(workplace).args(MERGE).spawn());
    let steps = running.map(|running| running.wait().json()["steps"]["merge"].clone());
    for number in 1..=6u64 {
        let by = steps
            .iter()
            .filter(|step| merged(step).as_array().is_some_and(|all| all.contains(&json!(number))));
        assert_eq!(by.count(), 1, "#{number} in {steps:#?}");
    }
    assert!(
        steps.iter().all(|step| step["failed"] == json!([]) && step["outcome"] == "ok"),
        "{steps:#?}"
    );
    assert_eq!(github.state().repository().headlines("main").len(), 7);
}

#[test]
fn a_signal_during_a_slow_merge_ends_the_run_with_a_report_of_what_was_done() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let github = github([Pull::eligible(1), Pull::eligible(2), Pull::eligible(3)]);
        github.script(Route::Merge(2), [Fault::never()]);
        let workplace = workplace(&github);
        let running = coordinator(&workplace).args(MERGE).spawn();
        let end = Instant::now() + Duration::from_secs(30);
        while github.merge_calls() != [1, 2] {
            assert!(Instant::now() < end, "the second merge call never came");
            std::thread::sleep(Duration::from_millis(2));
        }
        running.signal(signal);
        let finished = running.wait();
        let step = &finished.json()["steps"]["merge"];
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert_eq!(merged(step), json!([1]), "{step:#}");
        let unknown = json!([2, "merge_outcome_unknown"]);
        assert!(
            left_alone(step).as_array().is_some_and(|rows| rows.contains(&unknown)),
            "{step:#}"
        );
        assert_eq!(github.merge_calls(), [1, 2]);
    }
}

#[test]
fn a_dry_run_sends_no_write_and_its_exit_code_shows_pending_changes() {
    let github = github([Pull::eligible(1)]);
    let workplace = workplace(&github);
    let dry = || coordinator(&workplace).args(MERGE).args(["--dry-run"]);
    assert_eq!(dry().run().code, Some(0));
    let finished = dry().args(["--detailed-exitcode"]).run();
    assert_eq!((finished.code, merged(&finished.json()["steps"]["merge"])), (Some(3), json!([1])));
    assert_eq!((github.count(Kind::Merge), github.count(Kind::Write)), (0, 0));
    github.state().repository().pulls.clear();
    assert_eq!(dry().args(["--detailed-exitcode"]).run().code, Some(0));
}

#[test]
fn the_pause_is_between_merges_and_not_around_them() {
    let github = github([Pull::eligible(1)]);
    let workplace = RosterText::default().merging(&github, "pause = \"45s\"").write();
    let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!(merged(&step), json!([1]));
}

#[test]
fn no_merge_starts_in_the_last_twenty_seconds_of_the_deadline() {
    let github = github([Pull::eligible(1)]);
    let workplace = RosterText::default().deadline("15s").merging(&github, "").write();
    let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!((merged(&step), left_alone(&step)), (json!([]), json!([[1, "deferred"]])));
    assert_eq!(github.merge_calls(), Vec::<u64>::new());
}

#[test]
fn approvals_settle_by_githubs_clock() {
    let mut pull = Pull::eligible(1);
    pull.reviews[0].at = -90;
    let github = github([pull]);
    github.state().clock_offset = -60;
    let workplace = RosterText::default().merging(&github, "settle = \"60s\"").write();
    let step = coordinator(&workplace).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!(left_alone(&step), json!([[1, "settling"]]));
}

#[test]
fn a_page_that_times_out_on_github_is_requested_again_at_half_the_size() {
    let github = github((1..=3).map(Pull::eligible));
    github.script(
        Route::List,
        [Fault::status(502, "Server Error"), Fault::status(504, "Server Error")],
    );
    let step = merge(&github);
    assert_eq!(merged(&step), json!([1, 2, 3]));
    let sizes: Vec<Value> = github
        .journal()
        .iter()
        .filter(|entry| entry.kind == Kind::List)
        .map(|entry| entry.body["variables"]["first"].clone())
        .collect();
    assert_eq!(sizes, [50, 25, 12]);
}

/// Approved, and its checks must be read one by one: the first run of one was cancelled.
fn rerun(number: u64) -> Pull {
    let mut pull = Pull::eligible(number);
    pull.checks.insert(0, Check::run("build", 0, "CANCELLED"));
    pull
}

#[test]
fn checks_are_read_fifty_at_a_time_beside_the_next_page_and_only_where_they_decide() {
    let unapproved = |number| Pull { reviews: Vec::new(), ..rerun(number) };
    let github = github(
        (1..=200).map(|number| if number % 2 == 0 { rerun(number) } else { unapproved(number) }),
    );
    github.always(Route::Any, Fault::late(Duration::from_millis(50)));
    let workplace = RosterText::default().merging(&github, "max_merges = 1").write();
    let report = coordinator(&workplace).args(MERGE).run().json();
    let kinds: Vec<Kind> = github.journal().iter().map(|entry| entry.kind).collect();
    let count = |kind| kinds.iter().filter(|it| **it == kind).count();
    assert_eq!(
        (count(Kind::List), count(Kind::Detail), count(Kind::Merge)),
        (4, 2, 1),
        "{kinds:?}"
    );
    let [first, last] = [Kind::Detail, Kind::List].map(|kind| match kind {
        Kind::Detail => kinds.iter().position(|it| *it == kind),
        _ => kinds.iter().rposition(|it| *it == kind),
    });
    assert!(first < last, "the first rows are requested before the last page: {kinds:?}");
    assert_eq!(merged(&report["steps"]["merge"]), json!([2]));
    assert_conforms(&github);
}

#[test]
fn what_could_not_be_judged_fails_a_strict_run_and_is_in_the_metrics() {
    let huge = Pull {
        broken_fields: vec![("author".to_owned(), "RESOURCE_LIMITS_EXCEEDED".to_owned())],
        ..Pull::eligible(2)
    };
    let github = github([Pull::eligible(1), huge]);
    let workplace = workplace(&github);
    let strict = MERGE.iter().copied().chain(["--strict", "--metrics-file", "coordinator.prom"]);
    let finished = coordinator(&workplace).args(strict).run();
    let report = finished.json();
    assert_eq!((finished.code, &report["status"]), (Some(1), &json!("degraded")), "{report:#}");
    let reasons = report["reasons"].to_string();
    assert!(reasons.contains("1 of 2 pull requests could not be judged (#2)"), "{reasons}");
    assert!(reasons.contains("Something went wrong while executing your query."), "{reasons}");
    assert!(!report["advice"].to_string().contains("token"), "{:#}", report["advice"]);
    let metrics =
        std::fs::read_to_string(workplace.path().join("coordinator.prom")).expect("metrics");
    for sample in ["status=\"degraded\"} 1", "coordinator_pull_requests_unjudged{fleet=\"demo\"} 1"]
    {
        assert!(metrics.contains(sample), "{metrics}");
    }
}

#[test]
fn an_older_github_enterprise_is_judged_without_the_fields_that_it_lacks() {
    let github = github([Pull::eligible(1), rerun(2)]);
    github.state().lacking = [
        "isInMergeQueue",
        "mergeStateStatus",
        "checkRunCountsByState",
        "isRequired",
        "rules",
        "mergeQueue",
    ]
    .map(str::to_owned)
    .to_vec();
    let report = coordinator(&workplace(&github)).args(MERGE).run().json();
    assert_eq!(merged(&report["steps"]["merge"]), json!([1, 2]), "{report:#}");
    let advice = report["advice"].to_string();
    for field in ["isInMergeQueue", "mergeStateStatus", "checkRunCountsByState", "isRequired"] {
        assert!(advice.contains(&format!("this GitHub server has no field `{field}`")), "{advice}");
    }
    let finished = coordinator(&workplace(&github)).args(["doctor"]).run();
    for field in ["rules", "mergeQueue"] {
        assert!(
            finished.stdout.contains(&format!("this GitHub server has no field `{field}`")),
            "{}",
            finished.stdout
        );
    }
    assert_conforms(&github);
}

#[test]
fn an_administrators_token_merges_nothing_where_branch_protection_is_hidden() {
    let github = github([Pull::eligible(1)]);
    github.state().lacking = vec!["mergeStateStatus".to_owned()];
    github.state().repository().viewer_permission = Some("ADMIN".to_owned());
    let step = merge(&github);
    assert_eq!(
        (left_alone(&step), github.merge_calls()),
        (json!([[1, "mergeability_unknown"]]), Vec::new())
    );
}

#[test]
fn with_hold_when_down_a_revert_alone_is_merged_while_production_is_down() {
    let revert = Pull::eligible(2).titled("Revert \"Change 1\"");
    let hold = "hold_when_down = true";
    for (status, expected) in [(503, json!([2])), (200, json!([1, 2]))] {
        let github = github([Pull::eligible(1), revert.clone()]);
        let production =
            Production::start(Reply::new(status, "").after(Duration::from_millis(200)));
        let roster = RosterText::default().merging(&github, hold).watching(
            "production",
            &production.url(),
            "",
        );
        let finished =
            coordinator(&roster.write()).args(["reconcile", "--skip", "spawn", "-o", "json"]).run();
        let step = finished.json()["steps"]["merge"].clone();
        assert_eq!(merged(&step), expected, "{step:#}");
        if status == 503 {
            assert_eq!(left_alone(&step), json!([[1, "deferred"]]));
            assert!(
                step.to_string().contains("production is down: production answers 503"),
                "{step:#}"
            );
        }
    }
}

#[test]
fn with_hold_when_down_a_run_without_its_health_step_holds_with_a_reason() {
    let github = github([Pull::eligible(1)]);
    let production = Production::up();
    let hold = "hold_when_down = true";
    let roster =
        RosterText::default().merging(&github, hold).watching("production", &production.url(), "");
    let step = coordinator(&roster.write()).args(MERGE).run().json()["steps"]["merge"].clone();
    assert_eq!((merged(&step), left_alone(&step)), (json!([]), json!([[1, "deferred"]])));
    assert!(step.to_string().contains("the health step was skipped"), "{step:#}");
    let finished =
        coordinator(&RosterText::default().merging(&github, hold).write()).args(["check"]).run();
    assert_eq!(finished.code, Some(2), "{}", finished.stdout);
    assert!(finished.stderr.contains("without a [[health]]"), "{}", finished.stderr);
}

#[test]
fn a_list_that_breaks_off_after_its_first_page_merges_nothing() {
    let github = github((1..=120).map(Pull::eligible));
    github.script(Route::List, [Fault::none(), Fault::status(500, "Server Error")]);
    let step = merge(&github);
    assert_eq!((&step["outcome"], github.merge_calls()), (&json!("failed"), Vec::new()));
}

#[test]
fn a_reread_that_fails_closes_what_needed_it_and_nothing_else() {
    let mut rerun = Pull::eligible(1);
    rerun.checks.insert(0, Check::run("build", 0, "CANCELLED"));
    for fault in [Fault::status(500, "Server Error"), Fault::html(), Fault::reset()] {
        let github = github([rerun.clone(), Pull::eligible(2)]);
        github.always(Route::Recheck, fault);
        let step = merge(&github);
        assert_eq!((&step["outcome"], merged(&step)), (&json!("ok"), json!([2])), "{step:#}");
        assert_eq!(left_alone(&step)[0][0], json!(1), "{step:#}");
    }
}

#[test]
fn an_administrators_token_and_one_that_expires_soon_are_pointed_out() {
    let github = github([]);
    {
        let mut state = github.state();
        let in_two_days = testkit::pull::from_now(2 * 86_400);
        let date = humantime::format_rfc3339_seconds(in_two_days).to_string();
        state.token_expiration =
            Some(format!("{} UTC", date.replace('T', " ").trim_end_matches('Z')));
        state.repository().viewer_permission = Some("ADMIN".to_owned());
    }
    let report = coordinator(&workplace(&github)).args(MERGE).run().json();
    let signals = report["advice"].to_string();
    assert!(signals.contains("expires"), "{signals}");
    assert!(signals.contains("administrator"), "{signals}");
}

#[test]
fn pulls_shows_every_verdict_and_changes_nothing() {
    let draft = Pull { draft: true, ..Pull::eligible(2) };
    let github = github([Pull::eligible(1), draft]);
    let finished = coordinator(&workplace(&github)).args(["pulls", "-o", "json"]).run();
    let shown = finished.json();
    let verdicts: Vec<Value> = shown["pulls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| json!([row["number"], row["verdict"]]))
        .collect();
    assert_eq!(json!(verdicts), json!([[1, "merge"], [2, "draft"]]), "{shown:#}");
    assert_eq!((github.journal().len(), finished.code), (1, Some(0)));
}
