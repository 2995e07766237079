use std::time::Duration;

use super::*;
use crate::render::sample::{
    a_role, at, converged, endpoint, merged, role, skip, slot, stuck, target,
};
use coordinator_core::fleet::{Hold, Mode, StuckReason};
use coordinator_core::merge::reason::Reason as PullReason;
use coordinator_core::pull::GapCause;
use coordinator_core::report::{
    Advice, Cause, CertificateFault, Contact, Contacts, RateLimit, RoleCount, SpawnFailure,
    Spawned, Unjudged,
};

fn roles() -> [Role; 3] {
    [
        a_role("code_reviewer", Mode::Reviewer, 1),
        a_role("ui_builder", Mode::TaskDriven, 3),
        a_role("sentinel", Mode::Sentinel, 1),
    ]
}

/// The converged cycle after `change`, concluded.
fn after(change: impl FnOnce(&mut Report)) -> Report {
    let mut report = converged();
    change(&mut report);
    conclude(&mut report, &roles());
    report
}

#[track_caller]
fn check(status: Status, reasons: &[&str], change: impl FnOnce(&mut Report)) {
    let report = after(change);
    let found: Vec<&str> = report.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert_eq!((report.status, &found[..]), (status, reasons));
    assert_eq!(report.reasons.first().map_or(Status::Healthy, |worst| worst.status), status);
}

fn advises(report: &Report, signal: &str, action: &str) -> bool {
    let wanted = Advice { signal: signal.to_owned(), action: action.to_owned() };
    report.advice.contains(&wanted)
}

fn failed(error: &str) -> StepOutcome {
    StepOutcome::Failed(error.to_owned())
}

fn spawn_failures(count: u32) -> Vec<SpawnFailure> {
    (0..count)
        .map(|index| SpawnFailure { target: target("qa", index), error: "no".to_owned() })
        .collect()
}

fn production(status: Option<u16>, verdict: HealthVerdict) -> Vec<EndpointHealth> {
    vec![endpoint("production", status, verdict, 9)]
}

#[test]
fn an_inventory_that_fails_is_degraded_and_broken_where_the_platform_refuses_us() {
    for (platform, status) in [
        (Access::Granted, Status::Degraded),
        (Access::Refused, Status::Broken),
        (Access::NoAnswer, Status::Broken),
    ] {
        check(status, &["inventory failed: no"], |report| {
            report.inventory.outcome = failed("no");
            report.contacts.platform = platform;
        });
    }
}

#[test]
fn a_converged_cycle_is_healthy_and_has_no_advice() {
    let report = after(|_| {});
    assert_eq!(report.status, Status::Healthy);
    assert!(report.reasons.is_empty() && report.advice.is_empty(), "{report:?}");
}

#[test]
fn production_down_or_out_is_broken_and_another_answer_degraded() {
    check(Status::Broken, &["production answers 503"], |report| {
        report.health.body.endpoints = production(Some(503), HealthVerdict::Down);
    });
    check(Status::Broken, &["production does not answer (no answer within 10s)"], |report| {
        report.health.body.endpoints = production(None, HealthVerdict::PotentialOutage);
        report.health.body.endpoints[0].error = Some("no answer within 10s".to_owned());
    });
    check(Status::Degraded, &["production answers 404"], |report| {
        report.health.body.endpoints = production(Some(404), HealthVerdict::Unexpected);
    });
}

#[test]
fn all_spawns_failed_is_broken_only_when_nothing_is_live() {
    let idle_fleet = |report: &mut Report| report.inventory.body.running = Some(0);
    check(Status::Broken, &["no agent runs and every spawn failed (1)"], |report| {
        idle_fleet(report);
        report.spawn.body.failed = spawn_failures(1);
    });
    check(Status::Degraded, &["2 spawns failed"], |report| {
        idle_fleet(report);
        report.spawn.body.failed = spawn_failures(2);
        report.spawn.body.spawned = vec![Spawned { target: target("dev", 0), generation: 1 }];
    });
    check(Status::Degraded, &["2 spawns failed"], |report| {
        report.spawn.body.failed = spawn_failures(2);
    });
    check(Status::Healthy, &[], |report| report.spawn.body.failed = spawn_failures(1));
}

#[test]
fn held_work_that_failed_is_degraded_after_one_failure_and_never_healthy() {
    let held = |reason| Hold { reason, until: None, detail: String::new() };
    check(
        Status::Degraded,
        &["2 sessions are held because a spawn of their role failed"],
        |report| {
            report.spawn.body.failed = spawn_failures(1);
            report.spawn.body.held =
                (1..3).map(|index| (target("qa", index), held(HoldReason::RoleFailed))).collect();
        },
    );
    for reason in [HoldReason::Backoff, HoldReason::Cap, HoldReason::MaxSpawns, HoldReason::Quota] {
        check(Status::Healthy, &[], |report| {
            report.spawn.body.held = vec![(target("qa", 1), held(reason))];
        });
    }
}

#[test]
fn an_unknown_inventory_is_degraded_and_broken_when_nothing_can_be_started() {
    let unknown = |report: &mut Report| {
        report.inventory.outcome = failed("unreadable records");
        report.inventory.body.running = None;
    };
    check(Status::Degraded, &["inventory failed: unreadable records"], unknown);
    let reasons =
        ["no agent runs and every spawn failed (1)", "inventory failed: unreadable records"];
    check(Status::Broken, &reasons, |report| {
        unknown(report);
        report.spawn.body.failed = spawn_failures(1);
    });
    check(Status::Degraded, &reasons[1..], |report| {
        unknown(report);
        report.spawn.body.failed = spawn_failures(1);
        report.spawn.body.already_running = vec![target("dev", 0)];
    });
}

#[test]
fn a_platform_on_which_nothing_can_be_started_is_broken_when_nothing_runs() {
    let unusable = |report: &mut Report| {
        report.inventory.outcome = failed("no place");
        report.inventory.body.running = None;
        report.spawn.outcome = failed("no place");
    };
    let both = ["inventory failed: no place", "spawn failed: no place"];
    let reasons = ["no agent runs and none could be started", both[0], both[1]];
    check(Status::Broken, &reasons, unusable);
    check(Status::Degraded, &both, |report| {
        unusable(report);
        report.spawn.body.already_running = vec![target("dev", 0)];
    });
}

#[test]
fn pull_requests_that_could_not_be_listed_are_broken_a_rate_limit_is_degraded() {
    let not_listed = |report: &mut Report| {
        report.merge.outcome = failed("no token");
        report.merge.body.open = 0;
        report.merge.body.skipped.clear();
    };
    check(Status::Broken, &["merge failed: no token"], not_listed);
    check(Status::Degraded, &["a rate limit stopped the merge step"], |report| {
        not_listed(report);
        report.merge.body.rate_limit = Some(RateLimit { resets_at: None, said: String::new() });
    });
    check(Status::Degraded, &["a rate limit stopped the spawn step"], |report| {
        report.spawn.body.rate_limit = Some(RateLimit { resets_at: None, said: String::new() });
    });
    check(Status::Degraded, &["merge failed: the deadline came first"], |report| {
        report.merge.outcome = failed("the deadline came first");
    });
    check(Status::Degraded, &["merge failed: no token", "interrupted by SIGINT"], |report| {
        not_listed(report);
        report.interrupted = Some(Interrupt::Sigint);
    });
}

#[test]
fn each_sign_of_trouble_at_its_limit_is_degraded_and_below_it_healthy() {
    check(Status::Degraded, &["failed to merge #9"], |report| {
        report.merge.body.failed = vec![skip(9, "t", PullReason::ValidationFailed, "")];
    });
    check(Status::Healthy, &[], |report| report.merge.body.review_queue = 10);
    check(Status::Degraded, &["11 pull requests wait for review"], |report| {
        report.merge.body.review_queue = 11;
    });
    check(Status::Healthy, &[], |report| report.merge.body.conflicts = 2);
    check(Status::Degraded, &["3 pull requests conflict"], |report| {
        report.merge.body.conflicts = 3;
    });
    check(Status::Degraded, &["spawn failed: it panicked"], |report| {
        report.spawn.outcome = failed("it panicked");
    });
    check(Status::Degraded, &["health failed: it panicked"], |report| {
        report.health.outcome = failed("it panicked");
    });
}

#[test]
fn a_slot_whose_last_sessions_failed_is_degraded_also_while_the_next_one_starts() {
    let failing = |count: u32| {
        move |report: &mut Report| {
            report.inventory.body.failing = (0..count).map(|index| slot("qa", index)).collect();
            report.spawn.body.spawned = vec![Spawned { target: target("qa", 0), generation: 4 }];
        }
    };
    check(Status::Healthy, &[], failing(0));
    check(Status::Degraded, &["qa-s0 keeps failing"], failing(1));
    check(Status::Degraded, &["2 slots keep failing: qa-s0, qa-s1"], failing(2));
    let several = "5 slots keep failing: qa-s0, qa-s1, qa-s2 and 2 more";
    check(Status::Degraded, &[several], failing(5));
    let report = after(failing(5));
    assert!(advises(&report, several, "look at `coordinator logs qa-s0`"), "{:?}", report.advice);
}

#[test]
fn a_role_all_of_whose_slots_wait_is_healthy_and_has_advice() {
    let count = |running, backing_off, idle| {
        move |report: &mut Report| {
            let role = role("ui_builder");
            report.inventory.body.roles =
                vec![RoleCount { role, desired: 2, running, backing_off, idle, surplus: 0 }];
        }
    };
    for (running, backing_off, idle, expected) in [
        (Some(0), 2, 0, &["the last sessions of ui_builder failed"][..]),
        (Some(0), 1, 1, &[]),
        (Some(1), 1, 0, &[]),
        (Some(1), 0, 1, &[]),
        (None, 0, 2, &[]),
        (Some(0), 0, 2, &["nothing to do for ui_builder"]),
    ] {
        check(Status::Healthy, &[], count(running, backing_off, idle));
        let advice = after(count(running, backing_off, idle)).advice;
        let signals: Vec<_> = advice.iter().map(|advice| advice.signal.as_str()).collect();
        assert_eq!(signals, expected);
    }
}

#[test]
fn the_worst_reason_comes_first() {
    let reasons = ["production answers 500", "11 pull requests wait for review"];
    check(Status::Broken, &reasons, |report| {
        report.merge.body.review_queue = 11;
        report.health.body.endpoints = production(Some(500), HealthVerdict::Down);
    });
}

#[test]
fn when_production_is_not_up_the_merges_of_this_cycle_are_suspects_too() {
    let old = RecentMerge { number: 3, title: "Old".to_owned(), merged_at: at(0) };
    let with = |verdict, dry_run| {
        let old = old.clone();
        after(move |report| {
            report.merge.body.recent = vec![old];
            report.merge.body.merged = vec![merged(7, "Seven"), merged(8, "Eight")];
            report.health.body.endpoints = production(Some(503), verdict);
            report.dry_run = dry_run;
        })
    };
    let numbers = |report: &Report| {
        report.health.body.recent_merges.iter().map(|merge| merge.number).collect::<Vec<_>>()
    };
    let down = with(HealthVerdict::Down, false);
    assert_eq!(numbers(&down), [8, 7, 3]);
    let action = "look at #8, #7, #3, merged within 30 minutes; sentinel reverts; if a revert is \
        open, approve it";
    assert!(advises(&down, "production answers 503", action), "{:?}", down.advice);
    assert_eq!(numbers(&with(HealthVerdict::Down, true)), [3], "a dry run merged nothing");
    assert!(numbers(&with(HealthVerdict::Up, false)).is_empty());
}

#[test]
fn a_stuck_session_is_reported_and_leaves_the_status_as_it_is() {
    let report = after(|report| {
        let pending =
            (0..5).map(|index| stuck("ui_builder", index, StuckReason::Pending, None, "no image"));
        let lost = stuck("sentinel", 0, StuckReason::Terminating, None, "its node does not answer");
        report.inventory.body.stuck = pending.chain([lost]).collect();
    });
    assert_eq!((report.status, &report.reasons[..]), (Status::Healthy, &[][..]));
    let signals: Vec<_> = report.advice.iter().map(|advice| advice.signal.as_str()).collect();
    assert_eq!(
        signals,
        [
            "pending: ui-builder-s0, ui-builder-s1, ui-builder-s2 and 2 more",
            "terminating: sentinel-s0"
        ]
    );
    assert!(
        report.advice.iter().all(|advice| advice.action.contains("holds its slot")),
        "{:?}",
        report.advice
    );
}

#[test]
fn a_long_review_queue_wants_more_of_the_roster_s_reviewers() {
    let report = after(|report| report.merge.body.review_queue = 14);
    assert!(
        advises(&report, "review queue is 14", "raise the `count` of code_reviewer"),
        "{:?}",
        report.advice
    );
}

#[test]
fn a_token_is_reported_when_it_expires_within_seven_days_or_may_administrate() {
    let days = |days: u64| Some(at(5) + Duration::from_secs(days * 86_400 + 3_600));
    let report = after(|report| report.merge.body.token_expires_at = days(6));
    let action = "make a new one, or use a GitHub App, whose tokens renew themselves";
    assert!(advises(&report, "the GitHub token expires in 6 days", action), "{:?}", report.advice);
    assert!(after(|report| report.merge.body.token_expires_at = days(7)).advice.is_empty());
    let report = after(|report| report.merge.body.token_is_administrator = true);
    assert_eq!(report.advice.len(), 1);
    assert_eq!(report.status, Status::Healthy);
}

fn unjudged(number: Option<u64>, cause: GapCause, sentence: &str) -> Unjudged {
    Unjudged { number, cause, sentence: sentence.to_owned() }
}

#[test]
fn pull_requests_that_could_not_be_judged_are_degraded_and_broken_where_none_could() {
    let limits =
        || unjudged(Some(3), GapCause::TooLarge, "Resource limits for this query exceeded.");
    let reason =
        "1 of 2 pull requests could not be judged (#3): Resource limits for this query exceeded.";
    check(Status::Degraded, &[reason], |report| {
        report.merge.body.open = 2;
        report.merge.body.unjudged = vec![limits()];
    });
    let reason = "2 of 2 pull requests could not be judged (#3 and 1 whose number is unknown): \
        Resource limits for this query exceeded.";
    check(Status::Broken, &[reason], |report| {
        report.merge.body.open = 2;
        report.merge.body.unjudged = vec![limits(), unjudged(None, GapCause::TooLarge, "the same")];
    });
}

#[test]
fn advice_on_what_could_not_be_judged_fits_its_cause() {
    let action = |cause, sentence| {
        let report = after(|report| {
            report.merge.body.open = 2;
            report.merge.body.unjudged = vec![unjudged(Some(3), cause, sentence)];
        });
        let [advice] = &report.advice[..] else { panic!("one advice: {:?}", report.advice) };
        assert!(advice.signal.contains("#3"), "{advice:?}");
        advice.action.clone()
    };
    let refused = action(GapCause::Refused, "Resource not accessible by personal access token");
    assert!(refused.contains("token read checks"), "{refused}");
    let saml = action(GapCause::Refused, "Resource protected by organization SAML enforcement.");
    assert!(saml.contains("single sign-on"), "{saml}");
    let large = action(GapCause::TooLarge, "Resource limits for this query exceeded.");
    assert!(large.contains("by hand") && !large.contains("token"), "{large}");
    let other = action(GapCause::Other, "Something went wrong");
    assert!(other.contains("next cycle") && !other.contains("token"), "{other}");
}

#[test]
fn a_new_name_and_what_this_github_lacks_are_spoken_of_and_leave_the_status_as_it_is() {
    let report = after(|report| {
        report.merge.body.renamed_to = Some("acme/gadgets".to_owned());
        report.merge.body.unavailable = vec!["this GitHub server has no field `rules`".to_owned()];
    });
    assert_eq!((report.status, report.advice.len()), (Status::Healthy, 2));
    assert!(report.advice[0].signal.contains("acme/gadgets"), "{:?}", report.advice);
}

#[test]
fn pull_requests_left_behind_are_spoken_of() {
    let behind = |numbers: u64, merges: u64| {
        after(|report| {
            report.merge.body.skipped =
                (0..numbers).map(|n| skip(n, "t", PullReason::BehindBase, "")).collect();
            report.merge.body.merged = (0..merges).map(|n| merged(n, "t")).collect();
        })
    };
    for (numbers, merges, speaks) in [(0, 1, false), (1, 0, false), (1, 1, true), (2, 0, true)] {
        let report = behind(numbers, merges);
        assert_eq!(
            !report.advice.is_empty(),
            speaks,
            "{numbers} behind, {merges} merged: {:?}",
            report.advice
        );
    }
}

#[test]
fn the_exit_code_is_the_first_that_applies() {
    let mut report = converged();
    assert_eq!(exit_code(&report, true, true), 0);
    report.dry_run = true;
    report.merge.body.merged = vec![merged(7, "t")];
    assert_eq!((exit_code(&report, false, true), exit_code(&report, false, false)), (3, 0));
    report.status = Status::Degraded;
    report.spawn.body.rate_limit = Some(RateLimit { resets_at: None, said: String::new() });
    assert_eq!((exit_code(&report, false, true), exit_code(&report, true, true)), (75, 1));
    report.merge.body.rate_limit = report.spawn.body.rate_limit.take();
    assert_eq!((exit_code(&report, false, true), exit_code(&report, true, true)), (75, 1));
    report.status = Status::Broken;
    assert_eq!(exit_code(&report, false, true), 1);
    report.interrupted = Some(Interrupt::Sigterm);
    assert_eq!(exit_code(&report, true, true), 143);
    report.interrupted = Some(Interrupt::Sigint);
    assert_eq!(exit_code(&report, true, true), 130);
}

/// Production that gave this answer, or none for this cause.
fn trouble(status: Option<u16>, cause: Option<Cause>) -> Report {
    after(|report| {
        let verdict = match status {
            Some(500..) => HealthVerdict::Down,
            Some(_) => HealthVerdict::Unexpected,
            None => HealthVerdict::PotentialOutage,
        };
        report.health.body.endpoints = production(status, verdict);
        report.health.body.endpoints[0].cause = cause;
        report.health.body.endpoints[0].reached = true;
    })
}

#[test]
fn advice_fits_the_cause_and_a_revert_is_for_what_a_merge_can_break() {
    let proxy = || Some(Cause::Proxy("p:3128 (HTTPS_PROXY)".to_owned()));
    let fault = CertificateFault::Expired(None);
    for (status, cause, part, reverts) in [
        (Some(503), None, "reverts", true),
        (Some(404), None, "correct `url` or `expect`", true),
        (Some(429), None, "rate limit", false),
        (Some(401), None, "no login", false),
        (Some(302), Some(Cause::Redirect), "`redirects`", false),
        (None, Some(Cause::TooManyHeaders), "fewer headers", false),
        (None, Some(Cause::Name), "name service", false),
        (None, proxy(), "the proxy p:3128 (HTTPS_PROXY)", false),
        (None, Some(Cause::UnusableProxy), "the proxy's variable", false),
        (None, Some(Cause::Certificate(fault)), "renew", false),
        (None, Some(Cause::Refused), "nothing listens there", true),
        (None, Some(Cause::Unreachable), "reverts", true),
        (None, Some(Cause::Timeout), "reverts", true),
        (None, Some(Cause::Dropped), "reverts", true),
        (None, Some(Cause::NotHttp), "scheme or port", true),
    ] {
        let report = trouble(status, cause.clone());
        let [advice] = report.advice.as_slice() else { panic!("one: {:?}", report.advice) };
        assert!(advice.action.contains(part), "{status:?} {cause:?}: {advice:?}");
        assert_eq!(advice.action.contains("revert"), reverts, "{status:?} {cause:?}: {advice:?}");
    }
}

/// Neither GitHub, nor a cluster, nor production, for these causes; `None` was reached.
fn unreached(github: Contact, cluster: Contact, endpoints: &[Option<Cause>]) -> Report {
    after(|report| {
        report.merge.outcome = failed("no answer from GitHub");
        report.merge.body.open = 0;
        report.merge.body.recent =
            vec![RecentMerge { number: 3, title: "Old".to_owned(), merged_at: at(0) }];
        report.contacts = Contacts { github, cluster, ..Contacts::default() };
        let endpoint = |cause: &Option<Cause>| EndpointHealth {
            cause: cause.clone(),
            reached: cause.is_none(),
            ..endpoint("production", None, HealthVerdict::PotentialOutage, 9)
        };
        report.health.body.endpoints = endpoints.iter().map(endpoint).collect();
    })
}

#[test]
fn a_machine_that_reaches_nothing_is_offline_and_advises_no_revert() {
    let out = |cause: Cause| Contact::Unreachable(cause);
    let proxy = || Cause::Proxy("p:3128 (HTTPS_PROXY)".to_owned());
    for (github, cluster, endpoints, reason) in [
        (
            out(Cause::Refused),
            Contact::NotTried,
            vec![Some(Cause::Refused)],
            "offline: neither GitHub nor production can be reached; this machine seems to be \
             offline",
        ),
        (
            out(Cause::Name),
            out(Cause::Unreachable),
            vec![Some(Cause::Name), Some(Cause::Unreachable)],
            "offline: neither GitHub nor the cluster nor any of 2 endpoints can be reached; this \
             machine seems to be offline",
        ),
        (
            out(Cause::Name),
            Contact::NotTried,
            vec![],
            "offline: GitHub cannot be reached; this machine seems to be offline",
        ),
        (
            out(proxy()),
            Contact::NotTried,
            vec![Some(proxy())],
            "offline: neither GitHub nor production can be reached; the proxy p:3128 \
             (HTTPS_PROXY) seems to be offline",
        ),
        (
            out(proxy()),
            Contact::NotTried,
            vec![Some(Cause::Name)],
            "offline: neither GitHub nor production can be reached; this machine or its proxy \
             p:3128 (HTTPS_PROXY) seems to be offline",
        ),
    ] {
        let report = unreached(github, cluster, &endpoints);
        let reasons: Vec<_> = report.reasons.iter().map(|reason| reason.text.as_str()).collect();
        assert_eq!((report.status, reasons.as_slice()), (Status::Broken, &[reason][..]));
        let [advice] = report.advice.as_slice() else { panic!("one: {:?}", report.advice) };
        assert!(!advice.action.contains("revert"), "{advice:?}");
        assert!(report.health.body.recent_merges.is_empty(), "nothing is suspected");
    }
}

#[test]
fn production_alone_out_of_reach_is_an_outage_and_so_is_a_single_server_that_refuses() {
    let refused = || Contact::Unreachable(Cause::Refused);
    let is_offline =
        |report: &Report| report.reasons.iter().any(|reason| reason.text.starts_with("offline"));
    for (github, cluster, endpoints) in [
        (Contact::Reached, Contact::NotTried, vec![Some(Cause::Refused)]),
        (Contact::NotTried, Contact::NotTried, vec![Some(Cause::Refused)]),
        (Contact::NotTried, Contact::NotTried, vec![Some(Cause::Name), Some(Cause::Name)]),
        (refused(), Contact::NotTried, vec![]),
        (refused(), Contact::Reached, vec![Some(Cause::Refused)]),
        (refused(), Contact::NotTried, vec![Some(Cause::Refused), None]),
    ] {
        let report = unreached(github.clone(), cluster, &endpoints);
        assert_eq!(report.status, Status::Broken, "{github:?} {endpoints:?}");
        assert!(!is_offline(&report), "{github:?} {endpoints:?}: {:?}", report.reasons);
    }
    let down = unreached(Contact::Reached, Contact::NotTried, &[Some(Cause::Refused)]);
    assert!(down.advice.iter().any(|advice| advice.action.contains("revert")), "{:?}", down.advice);
}

#[test]
fn what_only_this_machine_says_of_its_fleet_stays_a_reason_when_it_is_offline() {
    let report = after(|report| {
        report.contacts.github = Contact::Unreachable(Cause::Name);
        report.health.body.endpoints.clear();
        report.spawn.body.failed = spawn_failures(2);
    });
    let texts: Vec<_> = report.reasons.iter().map(|reason| reason.text.as_str()).collect();
    assert!(texts[0].starts_with("offline: ") && texts.contains(&"2 spawns failed"), "{texts:?}");
}
