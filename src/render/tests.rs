use insta::assert_snapshot;
use serde_json::json;

use super::sample::{at, converged, endpoint, eventful, filled_with, merged, slot, stuck, target};
use super::words::UTC;
use super::*;
use coordinator_core::fleet::{Hold, HoldReason, StuckReason, Unmanaged};
use coordinator_core::report::{HealthVerdict, RateLimit, SpawnFailure, StepOutcome};
use coordinator_core::secrets::Secrets;

mod folding;
mod items;
mod layout;
mod metrics_file;
mod untrusted;
mod widths;

fn text_on(report: &Report, screen: Screen, secrets: &Secrets) -> String {
    text::report(report, Form { screen, ..Form::plain(Output::Text, secrets) })
}

fn text(report: &Report, width: Option<usize>) -> String {
    text_on(report, Screen { color: false, width }, &Secrets::default())
}

#[test]
fn a_converged_healthy_cycle_is_five_short_lines() {
    assert_snapshot!(text(&converged(), None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running
      spawn      nothing to start
      merge      none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict
      health     production 200 in 45 ms

    healthy  0.8 s, 3 requests
    "#);
}

#[test]
fn an_eventful_cycle_names_every_thing_once() {
    assert_snapshot!(text(&eventful(), None), @r#"
    coordinator  demo  2026-01-01 00:00 UTC

      inventory  0 of 38 agents running
      spawn      8 started, 1 already running, 1 held, 1 failed
                 + ui_builder     s0 s1 s2
                 + api_builder    s0-s3 s7
                 = designer       s0 already running
                 ! sentinel s0    no command `claude` on PATH
                                  install it, or set `command` for this role in roster.toml
                 ~ e2e_tester s1  backs off until 00:14 UTC: failed 3 times, last exit 1 after 4s
      merge      2 merged, 3 open
                 + #7   Add login form
                 + #9   Fix the flaky parser test
                 - #8   Rename config keys         ci_pending: `build` is in progress
                 - #12  Bump serde                 not_approved: 0 of 1 approvals on the head commit
                 - #13  Move handlers              conflict with main
      health     production 503 in 1.2 s: down
                 merged within 30 minutes: #7, #9

    broken: production answers 503  2.4 s, 46 requests

    advice  sentinel: look at `coordinator logs sentinel-s0`
            production: sentinel reverts; if a revert is open, approve it
    "#);
}

#[test]
fn a_narrow_terminal_gets_short_lines_and_whole_words() {
    assert_snapshot!(text(&eventful(), Some(60)), @r#"
    coordinator  demo  2026-01-01 00:00 UTC

      inventory  0 of 38 agents running
      spawn      8 started, 1 already running, 1 held, 1 failed
                 + ui_builder     s0 s1 s2
                 + api_builder    s0-s3 s7
                 = designer       s0 already running
                 ! sentinel s0    no command `claude` on PATH
                                  install it, or set `command`
                                  for this role in roster.toml
                 ~ e2e_tester s1  backs off until 00:14 UTC:
                                  failed 3 times, last exit 1
                                  after 4s
      merge      2 merged, 3 open
                 + #7   Add login form
                 + #9   Fix the flaky parser test
                 - #8   Rename config keys
                   ci_pending: `build` is in progress
                 - #12  Bump serde
                   not_approved: 0 of 1 approvals on the head
                   commit
                 - #13  Move handlers
                   conflict with main
      health     production 503 in 1.2 s: down
                 merged within 30 minutes: #7, #9

    broken: production answers 503  2.4 s, 46 requests

    advice  sentinel: look at `coordinator logs sentinel-s0`
            production: sentinel reverts; if a revert is open,
            approve it
    "#);
}

#[test]
fn slots_with_one_cause_share_a_line() {
    let mut report = converged();
    let hold = |reason, minute: Option<u64>, detail: &str| Hold {
        reason,
        until: minute.map(at),
        detail: detail.to_owned(),
    };
    let interval = |minute| hold(HoldReason::Interval, Some(minute), "once every 30m");
    let role_failed = hold(HoldReason::RoleFailed, None, "another session failed to start");
    report.spawn.body.held = vec![
        (target("ui_builder", 1), interval(30)),
        (target("api_builder", 0), interval(20)),
        (target("designer", 0), hold(HoldReason::Backoff, Some(24 * 60), "failed")),
        (target("qa", 1), role_failed.clone()),
        (target("qa", 2), role_failed),
    ];
    let failure = |role| SpawnFailure {
        target: target(role, 0),
        error: "no command `claude` on PATH".to_owned(),
    };
    report.spawn.body.failed = ["qa", "architect", "writer", "sentinel"].map(failure).to_vec();
    assert_snapshot!(text(&report, None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running
      spawn      5 held, 4 failed
                 ! 4 failed     no command `claude` on PATH
                                qa s0, architect s0, writer s0, sentinel s0
                 ~ ui_builder s1, api_builder s0  wait, the first until 00:20 UTC: once every 30m
                 ~ designer s0  backs off until 2026-01-02 00:00 UTC: failed
                 ~ qa s1 s2     role_failed: another session failed to start
      merge      none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict
      health     production 200 in 45 ms

    healthy  0.8 s, 3 requests
    "#);
}

/// Sessions that a person should look at, in every way that there is.
fn troubled() -> Report {
    let mut report = converged();
    let image = "ErrImagePull: no image `agents:lates`\ncorrect `image` in [platform.kubernetes]";
    report.inventory.body.roles[0].surplus = 2;
    report.inventory.body.stuck = vec![
        stuck("ui_builder", 0, StuckReason::Pending, Some(4), image),
        stuck("ui_builder", 1, StuckReason::Pending, Some(2), image),
        stuck("qa", 0, StuckReason::Suspended, None, "queued by agents"),
    ];
    report.inventory.body.out_of_range = vec![slot("ui_builder", 38), slot("ui_builder", 39)];
    let unmanaged =
        Unmanaged { session: "demo-old-s0".to_owned(), reason: "no role `old`".to_owned() };
    report.inventory.body.unmanaged = vec![unmanaged];
    report
}

#[test]
fn a_session_that_is_not_as_it_should_be_is_named_with_its_reason_and_remedy() {
    assert_snapshot!(text(&troubled(), None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running, 2 over their role's count, 3 stuck, 1 unmanaged
                 ? ui_builder s0 s1  pending since 00:02 UTC: ErrImagePull: no image `agents:lates`
                                     correct `image` in [platform.kubernetes]
                 ? qa s0             suspended: queued by agents
                 - ui_builder        s38 s39 beyond the role's count, left to finish
                 - unmanaged         demo-old-s0: no role `old`
      spawn      nothing to start
      merge      none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict
      health     production 200 in 45 ms

    healthy  0.8 s, 3 requests
    "#);
    assert_snapshot!("troubled_markdown", markdown::report(&troubled(), &UTC, &Secrets::default()));
}

#[test]
fn programs_get_the_full_names_of_stuck_and_surplus_sessions() {
    let json = json::report(&troubled(), &Secrets::default()).expect("it is written");
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let inventory = &json["steps"]["inventory"];
    assert_eq!(inventory["out_of_range"], json!(["demo-ui-builder-s38", "demo-ui-builder-s39"]));
    let first = json!({
        "slot": "demo-ui-builder-s0",
        "role": "ui_builder",
        "reason": "pending",
        "since": "2026-01-01T00:04:00Z",
        "detail": "ErrImagePull: no image `agents:lates`; correct `image` in [platform.kubernetes]",
    });
    assert_eq!(inventory["stuck"][0], first);
    assert_eq!(inventory["stuck"][2]["since"], json!(null));
}

#[test]
fn each_end_of_a_step_has_its_words() {
    let mut report = converged();
    report.dry_run = true;
    report.inventory.outcome =
        StepOutcome::Failed("cannot read the records\nof the fleet".to_owned());
    report.inventory.body.running = None;
    report.spawn.outcome = StepOutcome::Skipped;
    report.spawn.body.rate_limit = Some(RateLimit { resets_at: Some(at(45)), said: String::new() });
    report.merge.outcome = StepOutcome::Failed("the deadline came first".to_owned());
    report.merge.body.merged = vec![merged(1, "One")];
    report.merge.body.skipped.truncate(1);
    report.merge.body.rate_limit = Some(RateLimit { resets_at: Some(at(30)), said: String::new() });
    report.health.outcome = StepOutcome::NotConfigured;
    report.health.body.endpoints.clear();
    assert_snapshot!(text(&report, None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC  dry run: nothing was changed

      inventory  failed: cannot read the records; of the fleet
      spawn      skipped
                 stopped by a rate limit of the platform until 00:45 UTC
      merge      1 to merge, 11 left open; failed: the deadline came first
                 stopped by a rate limit of GitHub until 00:30 UTC
                 + #1  One
                 - #0  Some title  not_approved: some detail
      health     not configured

    healthy  0.8 s, 3 requests
    "#);
}

#[test]
fn several_endpoints_share_a_line_only_when_all_are_up() {
    let mut report = converged();
    report.merge.body.skipped.clear();
    let endpoints = &mut report.health.body.endpoints;
    endpoints.push(endpoint("api", Some(204), HealthVerdict::Up, 7));
    assert!(text(&report, None).contains("health     production 200 in 45 ms, api 204 in 7 ms\n"));
    let mut silent = endpoint("shop", None, HealthVerdict::PotentialOutage, 10_000);
    silent.error = Some("no answer within 10s".to_owned());
    report.health.body.endpoints.push(silent);
    assert_snapshot!(text(&report, None), @r#"
    coordinator  demo  2026-01-01 00:05 UTC

      inventory  38 of 38 agents running
      spawn      nothing to start
      merge      none merged, 12 open
      health     production 200 in 45 ms
                 api 204 in 7 ms
                 shop: no answer within 10s (potential outage)
                 nothing merged within 30 minutes

    healthy  0.8 s, 3 requests
    "#);
}

#[test]
fn without_colour_the_report_reads_the_same() {
    for report in [converged(), eventful()] {
        let colored =
            text_on(&report, Screen { color: true, width: Some(80) }, &Secrets::default());
        assert!(colored.contains("\u{1b}["), "{colored}");
        assert_eq!(anstream::adapter::strip_str(&colored).to_string(), text(&report, Some(80)));
    }
}

#[test]
fn done_held_failed_and_detail_have_their_colours() {
    let colored = text_on(&eventful(), Screen { color: true, width: None }, &Secrets::default())
        .replace('\u{1b}', "ESC");
    assert_snapshot!("eventful_colored", colored);
}

#[test]
fn the_json_report_keeps_its_contract() {
    let json = json::report(&eventful(), &Secrets::default()).expect("it is written");
    assert_eq!(json.lines().count(), 1, "one report is one line");
    let folded =
        json.replace("},{", "},\n{").replace("\":{\"", "\":\n{\"").replace("}]}},\"", "}]}},\n\"");
    assert_snapshot!("eventful_json", folded);
}

#[test]
fn the_markdown_report_is_a_table_and_lists() {
    assert_snapshot!(markdown::report(&converged(), &UTC, &Secrets::default()), @r#"
    ### coordinator, demo: healthy

    | step | outcome | time | |
    |---|---|---|---|
    | inventory | ok | 3 ms | 38 of 38 agents running |
    | spawn | ok | 0 ms | nothing to start |
    | merge | ok | 0.7 s | none merged, 12 open: 7 need review, 3 wait for checks, 2 conflict |
    | health | ok | 45 ms | production 200 in 45 ms |

    2026-01-01 00:05 UTC, 0.8 s, 3 requests
    "#);
    assert_snapshot!("eventful_markdown", markdown::report(&eventful(), &UTC, &Secrets::default()));
}

/// The sample has it in every text; in a narrow list it would be wrapped, in Markdown escaped.
#[test]
fn no_form_of_a_report_shows_a_secret() {
    let secret = "ghp_0123 456789";
    let report = filled_with(&format!("a {secret} b"));
    let shown = |secrets: &Secrets| {
        let narrow = Screen { color: false, width: Some(20) };
        [
            text_on(&report, narrow, secrets),
            text_on(&report, Screen::PLAIN, secrets),
            markdown::report(&report, &UTC, secrets),
            json::report(&report, secrets).expect("it is written"),
            metrics::report(&report, secrets),
            workflow::annotations(&report, &UTC, secrets),
        ]
    };
    for open in shown(&Secrets::default()) {
        assert!(open.contains("0123"), "{open}");
    }
    for masked in shown(&Secrets::new([secret.to_owned()])) {
        assert!(masked.contains("**") && !masked.contains("0123"), "{masked}");
    }
}
