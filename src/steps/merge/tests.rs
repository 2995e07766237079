//! The step over a scripted GitHub; whole cycles of the program are tested from outside.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{MergeContext, PauseWatch, Production, ProductionWatch, run};
use coordinator_core::fleet::{FleetPause, Pause};
use coordinator_core::merge::MergePolicy;
use coordinator_core::merge::reason::Reason;
use coordinator_core::merge::sample::{globs, policy};
use coordinator_core::pull::GapCause;
use coordinator_core::report::MergeReport;
use coordinator_github::fake::{self, Journal, Reply, Sent};

fn context() -> MergeContext {
    let merge_until = Instant::now() + Duration::from_secs(60);
    MergeContext {
        dry_run: false,
        merge_until,
        stop: CancellationToken::new(),
        production: None,
        pause: None,
    }
}

fn merged(number: u64) -> Reply {
    Reply::json(200, &json!({ "merged": true, "sha": format!("commit-{number}"), "message": "ok" }))
}

/// The pull request that a merge call is for.
fn merge_of(sent: &Sent) -> Option<u64> {
    sent.url.strip_suffix("/merge")?.rsplit('/').next()?.parse().ok()
}

/// A server that shows `pulls` in the list and answers merge calls by `merge`.
fn server(
    pulls: Vec<Value>,
    mut merge: impl FnMut(u64) -> Reply + Send + 'static,
) -> impl FnMut(&Sent) -> Reply + Send + 'static {
    move |sent| match merge_of(sent) {
        Some(number) => merge(number),
        None if fake::is_recheck(sent) => Reply::Reset,
        None => Reply::json(200, &fake::list(&pulls)),
    }
}

struct Ran {
    body: MergeReport,
    journal: Journal,
    result: anyhow::Result<()>,
}

impl Ran {
    fn merged(&self) -> Vec<u64> {
        self.body.merged.iter().map(|merged| merged.number).collect()
    }

    fn reasons(&self) -> Vec<(u64, &'static str)> {
        let entries = self.body.skipped.iter().chain(&self.body.failed);
        entries.map(|entry| (entry.number, entry.reason.word())).collect()
    }

    fn merge_calls(&self) -> Vec<u64> {
        self.journal
            .lock()
            .expect("no test panics with the lock")
            .iter()
            .filter_map(merge_of)
            .collect()
    }

    fn requests(&self) -> usize {
        self.journal.lock().expect("no test panics with the lock").len()
    }
}

async fn ran(
    script: impl FnMut(&Sent) -> Reply + Send + 'static,
    policy: &MergePolicy,
    context: &MergeContext,
) -> Ran {
    let (github, journal) = fake::github(script);
    let mut body = MergeReport::default();
    let result = run(&mut body, &github, policy, context).await;
    assert_eq!(
        github.requests(),
        journal.lock().expect("no test panics with the lock").len() as u64
    );
    Ran { body, journal, result }
}

#[tokio::test]
async fn k_merges_cost_k_requests_more_and_the_lowest_number_goes_first() {
    let pulls = [9, 3, 5].map(fake::pull).to_vec();
    let ran = ran(server(pulls, merged), &policy(), &context()).await;
    assert_eq!(ran.merged(), [3, 5, 9]);
    assert_eq!(ran.body.merged[0].commit.as_deref(), Some("commit-3"));
    assert_eq!(ran.body.merged[0].head, "head-3");
    assert_eq!((ran.body.open, ran.requests()), (3, 4));
    assert!(ran.reasons().is_empty());
}

#[tokio::test]
async fn a_converged_cycle_costs_one_request() {
    let mut waiting = fake::pull(1);
    waiting["latestOpinionatedReviews"]["nodes"] = json!([]);
    let mut conflicting = fake::pull(2);
    conflicting["mergeable"] = json!("CONFLICTING");
    let mut red = fake::pull(3);
    red["statusCheckRollup"] = fake::rollup("head-3", &[fake::row("build", 1, "FAILURE")], 1);
    let ran = ran(server(vec![waiting, conflicting, red], merged), &policy(), &context()).await;
    assert_eq!(ran.reasons(), [(1, "not_approved"), (2, "conflict"), (3, "ci_failed")]);
    assert_eq!((ran.body.review_queue, ran.body.conflicts, ran.requests()), (1, 1, 1));
}

#[tokio::test]
async fn a_dry_run_merges_nothing_and_respects_the_same_limits() {
    let pulls = [1, 2, 3].map(fake::pull).to_vec();
    let policy = MergePolicy { max_merges: 2, ..policy() };
    let ran =
        ran(server(pulls, merged), &policy, &MergeContext { dry_run: true, ..context() }).await;
    assert_eq!(ran.merged(), [1, 2]);
    assert_eq!(ran.reasons(), [(3, "deferred")]);
    assert_eq!(ran.requests(), 1);
}

#[tokio::test]
async fn max_merges_zero_pauses() {
    let policy = MergePolicy { max_merges: 0, ..policy() };
    let ran = ran(server(vec![fake::pull(1)], merged), &policy, &context()).await;
    assert_eq!(ran.reasons(), [(1, "deferred")]);
    assert!(ran.merge_calls().is_empty());
}

#[tokio::test]
async fn no_merge_starts_after_its_time_or_a_stop() {
    let late = MergeContext { merge_until: Instant::now(), ..context() };
    let stopped = context();
    stopped.stop.cancel();
    for context in [late, stopped] {
        let ran = ran(server(vec![fake::pull(1)], merged), &policy(), &context).await;
        assert_eq!(ran.reasons(), [(1, "deferred")]);
        assert!(ran.merge_calls().is_empty());
    }
}

#[tokio::test]
async fn one_failed_merge_does_not_stop_the_others_and_is_not_repeated() {
    for (status, reason, failed) in [
        (500, "merge_outcome_unknown", true),
        (403, "forbidden", true),
        (404, "not_found", true),
        (422, "validation_failed", true),
        (409, "head_moved", false),
        (405, "not_mergeable", false),
    ] {
        let script = server([1, 2].map(fake::pull).to_vec(), move |number| match number {
            1 => Reply::json(status, &json!({ "message": "no" })),
            _ => merged(number),
        });
        let ran = ran(script, &policy(), &context()).await;
        assert_eq!(ran.merged(), [2], "{status}");
        assert_eq!(ran.reasons(), [(1, reason)]);
        assert_eq!(ran.merge_calls(), [1, 2]);
        assert_eq!(ran.body.failed.len(), usize::from(failed));
        assert!(ran.result.is_ok());
    }
}

#[tokio::test]
async fn a_lost_answer_is_not_repeated() {
    let ran = ran(server(vec![fake::pull(1)], |_| Reply::Reset), &policy(), &context()).await;
    assert_eq!(ran.reasons(), [(1, "merge_outcome_unknown")]);
    assert_eq!(ran.merge_calls(), [1]);
}

#[tokio::test]
async fn a_dropped_step_leaves_the_merge_call_under_way_in_the_report() {
    let (github, journal) = fake::github(server([1, 2].map(fake::pull).to_vec(), |_| Reply::Never));
    let (mut body, policy, context) = (MergeReport::default(), policy(), context());
    {
        let step = run(&mut body, &github, &policy, &context);
        let called = async {
            while !journal
                .lock()
                .expect("no test panics with the lock")
                .iter()
                .any(|it| merge_of(it).is_some())
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = step => panic!("the server never answers"),
            () = called => {}
        }
    }
    assert_eq!((body.failed[0].number, body.failed[0].reason), (1, Reason::MergeOutcomeUnknown));
    assert_eq!((body.skipped[0].number, body.skipped[0].reason), (2, Reason::Deferred));
    assert_eq!(body.open, 2);
}

#[tokio::test]
async fn a_rate_limit_ends_the_step_with_every_candidate_told() {
    let script = server([1, 2, 3].map(fake::pull).to_vec(), |number| match number {
        1 => merged(1),
        _ => Reply::json(403, &json!({ "message": "You have exceeded a secondary rate limit" })),
    });
    let ran = ran(script, &policy(), &context()).await;
    assert_eq!(ran.merged(), [1]);
    assert_eq!(ran.reasons(), [(2, "rate_limited"), (3, "rate_limited")]);
    assert_eq!(ran.merge_calls(), [1, 2]);
    assert!(ran.body.rate_limit.is_some() && ran.result.is_ok());
}

#[tokio::test]
async fn a_repository_without_squash_merges_is_asked_once() {
    let script = server([1, 2].map(fake::pull).to_vec(), |_| {
        Reply::json(405, &json!({ "message": "Squash merges are not allowed on this repository." }))
    });
    let ran = ran(script, &policy(), &context()).await;
    assert_eq!(ran.reasons(), [(1, "squash_disabled"), (2, "squash_disabled")]);
    assert_eq!(ran.merge_calls(), [1]);
}

#[tokio::test]
async fn a_failed_list_merges_nothing_and_keeps_the_rate_limit() {
    let failed =
        ran(|_| Reply::json(500, &json!({ "message": "Server Error" })), &policy(), &context())
            .await;
    assert!(failed.result.is_err() && failed.body.rate_limit.is_none());
    let limited = ran(|_| Reply::json(429, &json!({})), &policy(), &context()).await;
    assert!(limited.result.is_err() && limited.body.rate_limit.is_some());
}

/// A list of `pulls`, which a recheck shows as `again`.
fn with_recheck(
    pulls: Vec<Value>,
    again: Vec<Value>,
) -> impl FnMut(&Sent) -> Reply + Send + 'static {
    let mut others = server(pulls, merged);
    move |sent| {
        if fake::is_recheck(sent) { Reply::json(200, &fake::recheck(&again)) } else { others(sent) }
    }
}

#[tokio::test]
async fn superseded_checks_cost_one_more_request_for_all_who_have_them() {
    let rows = [fake::row("build", 10, "CANCELLED"), fake::row("build", 20, "SUCCESS")];
    let with_rows = |number: u64, shown| {
        let mut pull = fake::pull(number);
        pull["statusCheckRollup"] = fake::rollup(&format!("head-{number}"), &rows, shown);
        pull
    };
    let listed = vec![with_rows(1, 1), with_rows(2, 1), fake::pull(3)];
    let again = vec![with_rows(1, 2), with_rows(2, 2)];
    let ran = ran(with_recheck(listed, again), &policy(), &context()).await;
    assert_eq!(ran.merged(), [1, 2, 3]);
    assert_eq!(ran.requests(), 1 + 1 + 3);
}

#[tokio::test]
async fn mergeability_that_is_unknown_is_asked_for_once_more_at_the_end() {
    let unknown = |number| {
        let mut pull = fake::pull(number);
        pull["mergeable"] = json!("UNKNOWN");
        pull["mergeStateStatus"] = json!("UNKNOWN");
        pull
    };
    let listed = vec![unknown(1), unknown(2), fake::pull(3)];
    let ran =
        ran(with_recheck(listed, vec![fake::pull(1), unknown(2)]), &policy(), &context()).await;
    assert_eq!(ran.merged(), [3, 1]);
    assert_eq!(ran.reasons(), [(2, "mergeability_unknown")]);
    assert_eq!(ran.requests(), 1 + 1 + 2);
}

#[tokio::test]
async fn checks_that_cannot_be_read_again_are_not_green() {
    let rows = [fake::row("build", 10, "CANCELLED"), fake::row("build", 20, "SUCCESS")];
    let mut pull = fake::pull(1);
    pull["statusCheckRollup"] = fake::rollup("head-1", &rows, 1);
    let ran = ran(server(vec![pull, fake::pull(2)], merged), &policy(), &context()).await;
    assert_eq!(ran.merged(), [2]);
    assert_eq!(ran.reasons(), [(1, "ci_unreadable")]);
}

#[tokio::test]
async fn a_pull_request_that_touches_a_protected_path_is_left_to_people() {
    let mut others = server([1, 2, 3].map(fake::pull).to_vec(), merged);
    let script = move |sent: &Sent| match sent.url.split_once("/files?") {
        Some((url, _)) if url.ends_with("/1") => Reply::json(
            200,
            &json!([{ "filename": "a", "previous_filename": ".github/workflows/ci.yml" }]),
        ),
        Some((url, _)) if url.ends_with("/2") => {
            Reply::json(500, &json!({ "message": "Server Error" }))
        }
        Some(_) => Reply::json(200, &json!([{ "filename": "src/lib.rs" }])),
        None => others(sent),
    };
    let policy = MergePolicy { protected_paths: Some(globs(&[".github/**"])), ..policy() };
    let ran = ran(script, &policy, &context()).await;
    assert_eq!(ran.merged(), [3]);
    assert_eq!(ran.reasons(), [(1, "protected_path"), (2, "protected_path")]);
}

#[tokio::test]
async fn a_run_that_is_interrupted_while_it_reads_the_files_merges_nothing_more() {
    let context = context();
    let stop = context.stop.clone();
    let mut others = server([1, 2].map(fake::pull).to_vec(), merged);
    let script = move |sent: &Sent| {
        if !sent.url.contains("/files?") {
            return others(sent);
        }
        stop.cancel();
        Reply::json(200, &json!([{ "filename": "src/lib.rs" }]))
    };
    let policy = MergePolicy { protected_paths: Some(globs(&[".github/**"])), ..policy() };
    let ran = ran(script, &policy, &context).await;
    assert_eq!(ran.reasons(), [(1, "deferred"), (2, "deferred")]);
    assert!(ran.merge_calls().is_empty());
}

#[tokio::test]
async fn a_base_that_moved_is_tried_once_more_and_then_left() {
    let mut calls = 0;
    let script = server([1, 2].map(fake::pull).to_vec(), move |number| {
        calls += 1;
        match (number, calls) {
            (1, _) => Reply::json(
                405,
                &json!({ "message": "Base branch was modified. Review and try again." }),
            ),
            _ => merged(number),
        }
    });
    let ran = ran(script, &policy(), &context()).await;
    assert_eq!(ran.merged(), [2]);
    assert_eq!(ran.reasons(), [(1, "base_modified")]);
    assert_eq!(ran.merge_calls(), [1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_stopped_while_the_base_settles_does_not_merge_by_what_it_saw_long_ago() {
    let moved = |_: u64| {
        Reply::json(405, &json!({ "message": "Base branch was modified. Review and try again." }))
    };
    let long = MergeContext { merge_until: Instant::now() + Duration::from_secs(180), ..context() };
    let stopped = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::time::advance(Duration::from_secs(95)).await;
    };
    let mut held = fake::pull(1);
    held["labels"]["nodes"] = json!([{ "name": "hold" }]);
    let mut others = server(vec![fake::pull(1)], moved);
    let script = move |sent: &Sent| {
        if fake::is_recheck(sent) {
            Reply::json(200, &fake::recheck(&[held.clone()]))
        } else {
            others(sent)
        }
    };
    let policy = policy();
    let (ran, ()) = tokio::join!(ran(script, &policy, &long), stopped);
    assert_eq!(ran.reasons(), [(1, "blocked_label")]);
    assert_eq!(ran.merge_calls(), [1]);
}

#[tokio::test]
async fn a_read_only_token_asks_nothing_more() {
    let script = |_: &Sent| {
        let mut body = fake::list(&[fake::pull(1)]);
        body["data"]["repository"]["viewerPermission"] = json!("READ");
        Reply::json(200, &body)
    };
    let ran = ran(script, &policy(), &context()).await;
    assert_eq!(ran.reasons(), [(1, "no_write_permission")]);
    assert_eq!(ran.requests(), 1);
}

#[tokio::test]
async fn what_the_base_took_lately_and_what_the_token_is_come_with_the_list() {
    let script = |_: &Sent| {
        let mut body = fake::list(&[]);
        body["data"]["repository"]["viewerPermission"] = json!("ADMIN");
        Reply::json(200, &body).with("date", "Thu, 01 Jan 2026 00:10:00 GMT")
    };
    let ran = ran(script, &policy(), &context()).await;
    assert!(ran.body.token_is_administrator);
    let recent: Vec<u64> = ran.body.recent.iter().map(|merge| merge.number).collect();
    assert_eq!(recent, [900]);
}

/// Time jumps on between two requests, as where GitHub answers slowly.
async fn jump(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn data_older_than_five_seconds_is_read_again_in_one_query_before_a_merge() {
    let mut closed = fake::pull(2);
    closed["state"] = json!("CLOSED");
    let mut moved = fake::pull(3);
    moved["headRefOid"] = json!("head-3b");
    let again = vec![closed, moved, fake::pull(4)];
    let policy = MergePolicy { pause: Duration::from_secs(6), ..policy() };
    let script = with_recheck([1, 2, 3, 4].map(fake::pull).to_vec(), again);
    let ran = ran(script, &policy, &context()).await;
    assert_eq!(ran.merged(), [1, 4]);
    assert_eq!(ran.reasons(), [(2, "not_open"), (3, "stale_approval")]);
    assert_eq!(ran.requests(), 1 + 1 + 2, "the list, one reread, two merges");
}

#[tokio::test(start_paused = true)]
async fn rereads_take_only_those_that_may_still_be_merged_and_come_once_per_five_seconds() {
    let pulls: Vec<Value> = (1..=20).map(fake::pull).collect();
    let asked = |sent: &Sent| sent.body["variables"].as_object().map_or(0, |all| all.len() / 2);
    let mut others = server(pulls, merged);
    let script = move |sent: &Sent| {
        if !fake::is_recheck(sent) {
            return others(sent);
        }
        let ids =
            (0..asked(sent)).filter_map(|n| sent.body["variables"][format!("id_{n}")].as_str());
        let numbers = ids.filter_map(|id| id.strip_prefix("PR_")?.parse().ok());
        Reply::json(200, &fake::recheck(&numbers.map(fake::pull).collect::<Vec<_>>()))
    };
    let policy = MergePolicy { pause: Duration::from_secs(1), max_merges: 12, ..policy() };
    let ran = ran(script, &policy, &context()).await;
    assert_eq!(ran.merged(), (1..=12).collect::<Vec<u64>>());
    let journal = ran.journal.lock().expect("no test panics with the lock");
    let rereads: Vec<usize> =
        journal.iter().filter(|sent| fake::is_recheck(sent)).map(asked).collect();
    assert_eq!(rereads, [6], "12 merges take 11 s; the first six go by the list");
}

#[tokio::test]
async fn a_pull_request_that_two_pages_show_is_merged_once_as_the_later_one_shows_it() {
    let mut draft = fake::pull(2);
    draft["isDraft"] = json!(true);
    let mut others = server(Vec::new(), merged);
    let script = move |sent: &Sent| match (merge_of(sent), sent.body["variables"]["after"].as_str())
    {
        (Some(_), _) => others(sent),
        (None, None) => Reply::json(200, &fake::page(&[fake::pull(1), fake::pull(2)], Some("c2"))),
        (None, Some(_)) => Reply::json(200, &fake::page(&[draft.clone(), fake::pull(3)], None)),
    };
    let ran = ran(script, &policy(), &context()).await;
    assert_eq!((ran.merged(), ran.reasons()), (vec![1, 3], vec![(2, "draft")]));
    assert_eq!(ran.body.open, 3);
}

#[tokio::test]
async fn after_a_rate_limit_that_refuses_rows_neither_rows_nor_pages_are_asked_for() {
    let limit =
        || Reply::json(403, &json!({ "message": "You have exceeded a secondary rate limit" }));
    let script = move |sent: &Sent| {
        if fake::is_recheck(sent) {
            return limit();
        }
        let start = sent.body["variables"]["after"]
            .as_str()
            .map_or(0, |after| after.parse().expect("a number"));
        let rows = [fake::row("build", 10, "CANCELLED"), fake::row("build", 20, "SUCCESS")];
        let pulls = (start + 1..=start + 50).map(|number: u64| {
            let mut pull = fake::pull(number);
            pull["statusCheckRollup"] = fake::rollup(&format!("head-{number}"), &rows, 1);
            pull
        });
        let next = (start < 450).then(|| (start + 50).to_string());
        Reply::json(200, &fake::page(&pulls.collect::<Vec<_>>(), next.as_deref()))
    };
    let ran = ran(script, &policy(), &context()).await;
    assert!(ran.result.is_err() && ran.body.rate_limit.is_some() && ran.merge_calls().is_empty());
    let journal = ran.journal.lock().expect("no test panics with the lock");
    let refused = journal.iter().position(fake::is_recheck).expect("rows were asked for");
    assert!(journal.len() <= refused + 2, "a page may have been under way: {}", journal.len());
}

#[tokio::test]
async fn a_list_that_breaks_off_leaves_nothing_in_the_report_and_asks_for_no_rows_of_it() {
    let (github, _) = fake::github(|sent| match sent.body["variables"]["after"].as_str() {
        None => Reply::json(200, &fake::page(&[fake::pull(1)], Some("c2"))),
        Some(_) => Reply::json(500, &json!({ "message": "Server Error" })),
    });
    let mut body = MergeReport::default();
    run(&mut body, &github, &policy(), &context()).await.expect_err("half a list is none");
    assert_eq!((body.open, body.skipped.len(), github.requests()), (0, 0, 2));
}

#[tokio::test]
async fn pull_requests_that_could_not_be_judged_are_known_by_number_and_cause() {
    let script = |_: &Sent| {
        let mut list = fake::list(&[fake::pull(1), fake::pull(2), fake::pull(3)]);
        let nodes = &mut list["data"]["repository"]["pullRequests"]["nodes"];
        nodes[0]["statusCheckRollup"] = Value::Null;
        nodes[1]["statusCheckRollup"] = Value::Null;
        nodes[1]["isDraft"] = json!(true);
        let error = |index: u64| {
            json!({
                "type": "FORBIDDEN", "message": "Resource not accessible by personal access token",
                "path": ["repository", "pullRequests", "nodes", index, "statusCheckRollup"],
            })
        };
        list["errors"] = json!([error(0), error(1)]);
        Reply::json(200, &list)
    };
    let ran = ran(script, &MergePolicy { max_merges: 0, ..policy() }, &context()).await;
    assert_eq!(ran.reasons(), [(1, "ci_unreadable"), (2, "draft"), (3, "deferred")]);
    let [unjudged] = &ran.body.unjudged[..] else {
        panic!("a draft is judged: {:?}", ran.body.unjudged)
    };
    assert_eq!((unjudged.number, unjudged.cause), (Some(1), GapCause::Refused));
    assert!(unjudged.sentence.contains("personal access token"), "{unjudged:?}");
}

/// What is merged while production is like this.
async fn while_production(verdict: Option<Production>) -> Ran {
    let mut labelled = fake::pull(3);
    labelled["labels"]["nodes"] = json!([{ "name": "Revert" }]);
    let mut titled = fake::pull(2);
    titled["title"] = json!("Revert \"Add login\"");
    let (sender, watch) = ProductionWatch::new();
    let context = MergeContext { production: Some(watch), ..context() };
    let policy = policy();
    let step = ran(server(vec![fake::pull(1), titled, labelled], merged), &policy, &context);
    let told = async {
        jump(3).await;
        if let Some(verdict) = verdict {
            sender.send_replace(Some(verdict));
        }
        drop(sender);
    };
    tokio::join!(step, told).0
}

#[tokio::test(start_paused = true)]
async fn while_production_is_down_or_unknown_reverts_alone_are_merged() {
    let ran = while_production(Some(Production::Answers)).await;
    assert_eq!(ran.merged(), [1, 2, 3]);
    for (verdict, words) in [
        (Some(Production::Down("production answers 503".to_owned())), "production answers 503"),
        (Some(Production::Unknown("no health step ran".to_owned())), "no health step ran"),
        (None, "without a verdict"),
    ] {
        let ran = while_production(verdict).await;
        assert_eq!(ran.merged(), [2, 3]);
        assert_eq!(ran.reasons(), [(1, "deferred")]);
        assert!(ran.body.skipped[0].detail.contains(words), "{:?}", ran.body.skipped);
    }
}

/// One eligible pull request, and what the list of sessions says of a pause 3 s after the start;
/// `None`: it ends without a word.
async fn while_paused(answer: Option<FleetPause>) -> Ran {
    let (sender, watch) = PauseWatch::new();
    let context = MergeContext { pause: Some(watch), ..context() };
    let policy = policy();
    let step = ran(server(vec![fake::pull(1)], merged), &policy, &context);
    let told = async {
        jump(3).await;
        if let Some(answer) = answer {
            sender.send_replace(Some(answer));
        }
        drop(sender);
    };
    tokio::join!(step, told).0
}

#[tokio::test(start_paused = true)]
async fn while_the_fleet_is_paused_nothing_is_merged() {
    let by = Pause { by: Some("alice".to_owned()), ..Pause::default() };
    let ran = while_paused(Some(FleetPause::On(by))).await;
    assert_eq!((ran.merged(), ran.merge_calls()), (Vec::new(), Vec::new()));
    assert_eq!(ran.reasons(), [(1, "paused")]);
    assert!(ran.body.skipped[0].detail.contains("alice"), "{:?}", ran.body.skipped);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_cannot_be_read_holds_no_merge() {
    for answer in [None, Some(FleetPause::Off), Some(FleetPause::Unknown("HTTP 503".to_owned()))] {
        assert_eq!(while_paused(answer.clone()).await.merged(), [1], "{answer:?}");
    }
}
