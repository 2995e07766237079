use super::super::conclude;
use super::*;
use crate::render::sample::{converged, endpoint, merged, skip, slot};
use coordinator_core::pull::GapCause;
use coordinator_core::report::{Cause, Contact, RateLimit, SourceOutcome, Unjudged};

/// The converged cycle after `change`, concluded.
fn after(change: impl FnOnce(&mut Report)) -> Report {
    let mut report = converged();
    change(&mut report);
    conclude(&mut report, &[]);
    report
}

fn found(report: &Report) -> Vec<(AlertKind, String, String)> {
    let row = |it: Alert| (it.cause.kind, it.cause.subject, it.text);
    alerts(report).into_iter().map(row).collect()
}

fn gone(report: &Report, kind: AlertKind, subject: &str) -> bool {
    is_gone(report, &AlertCause::new(kind, subject), |name| name == "issues")
}

fn failed(error: &str) -> StepOutcome {
    StepOutcome::Failed(error.to_owned())
}

fn source(outcome: SourceOutcome) -> SourceReport {
    SourceReport {
        source: "issues".to_owned(),
        kind: "github-issues",
        outcome,
        items: 0,
        running: None,
        waiting: BTreeMap::new(),
        needs_human: 0,
    }
}

#[test]
fn a_converged_cycle_has_no_alert_and_every_cause_has_gone() {
    let report = after(|_| {});
    assert_eq!(found(&report), []);
    for kind in AlertKind::ALL {
        assert!(is_seen(&report, kind), "{kind:?}");
        assert!(gone(&report, kind, ""), "{kind:?}");
    }
}

#[test]
fn each_endpoint_that_is_down_has_an_alert_and_an_unexpected_answer_neither_opens_nor_ends_one() {
    let report = after(|report| {
        report.health.body.endpoints = vec![
            endpoint("web", Some(503), HealthVerdict::Down, 9),
            endpoint("api", None, HealthVerdict::PotentialOutage, 9),
            endpoint("docs", Some(404), HealthVerdict::Unexpected, 9),
            endpoint("blog", Some(200), HealthVerdict::Up, 9),
        ];
    });
    let subjects: Vec<_> = alerts(&report).into_iter().map(|it| it.cause.subject).collect();
    assert_eq!(subjects, ["web", "api"]);
    let ends = ["web", "api", "docs", "blog", "no longer in the roster"]
        .map(|name| gone(&report, AlertKind::ProductionDown, name));
    assert_eq!(ends, [false, false, false, true, true]);
}

#[test]
fn numbers_in_an_error_do_not_change_an_alert_and_another_answer_does() {
    let down = |status, error: &str| {
        let report = after(|report| {
            let mut web = endpoint("web", status, HealthVerdict::Down, 9);
            web.error = Some(error.to_owned());
            report.health.body.endpoints = vec![web];
        });
        alerts(&report).remove(0).steady
    };
    assert_eq!(down(Some(503), "busy since 17:12"), down(Some(503), "busy since 17:17"));
    assert_ne!(down(Some(503), ""), down(Some(500), ""));
    let blind = |error: &str| {
        let report = after(|report| report.inventory.outcome = failed(error));
        alerts(&report).remove(0).steady
    };
    assert_eq!(blind("timed out after 9.1 s"), blind("timed out after 9.3 s"));
    assert_ne!(blind("timed out after 9.1 s"), blind("refused"));
}

#[test]
fn what_only_follows_from_being_offline_is_not_an_alert_and_nothing_has_gone() {
    let report = after(|report| {
        let mut web = endpoint("web", None, HealthVerdict::PotentialOutage, 9);
        web.cause = Some(Cause::Unreachable);
        web.reached = false;
        report.health.body.endpoints = vec![web];
        report.contacts.github = Contact::Unreachable(Cause::Unreachable);
        report.merge.outcome = failed("no answer");
    });
    let kinds: Vec<_> = alerts(&report).into_iter().map(|it| it.cause.kind).collect();
    assert_eq!(kinds, [AlertKind::Offline]);
    for kind in AlertKind::ALL {
        assert!(!gone(&report, kind, ""), "{kind:?}");
    }
}

#[test]
fn a_list_that_fails_blinds_a_cycle_and_a_rate_limit_does_not() {
    let blind = after(|report| {
        report.merge.outcome = failed("GitHub answered 500");
        report.merge.body.open = 0;
    });
    let expected = (AlertKind::PullsUnreadable, String::new(), "GitHub answered 500".to_owned());
    assert_eq!(found(&blind), [expected]);
    assert!(!gone(&blind, AlertKind::MergeForbidden, ""));
    let limited = after(|report| {
        report.merge.outcome = failed("rate limit");
        report.merge.body.open = 0;
        report.merge.body.rate_limit = Some(RateLimit::default());
    });
    assert_eq!(found(&limited), []);
    assert!(!gone(&limited, AlertKind::PullsUnreadable, ""));
    let unjudged = after(|report| {
        report.merge.body.open = 9;
        report.merge.body.unjudged = vec![Unjudged {
            number: Some(7),
            cause: GapCause::Refused,
            sentence: "Resource not accessible".to_owned(),
        }];
    });
    assert_eq!(alerts(&unjudged)[0].cause.kind, AlertKind::PullsUnreadable);
}

#[test]
fn a_source_that_cannot_be_read_has_an_alert_that_ends_when_it_is_read_or_removed() {
    let unread = |outcome| after(|report| report.inventory.body.sources = vec![source(outcome)]);
    for outcome in [SourceOutcome::Failed("no".to_owned()), SourceOutcome::Partial("no".to_owned())]
    {
        let report = unread(outcome);
        assert_eq!(alerts(&report)[0].cause.subject, "issues");
        assert!(!gone(&report, AlertKind::SourceUnreadable, "issues"));
        assert!(gone(&report, AlertKind::SourceUnreadable, "removed"));
    }
    assert!(gone(&unread(SourceOutcome::Ok), AlertKind::SourceUnreadable, "issues"));
    let unasked = after(|report| report.inventory.body.sources = Vec::new());
    assert!(!gone(&unasked, AlertKind::SourceUnreadable, "issues"), "it was left out");
}

#[test]
fn slots_that_keep_failing_have_an_alert_per_role_and_many_roles_have_one_together() {
    let failing = |roles: &[&str]| {
        after(|report| {
            let slots = roles.iter().flat_map(|role| [slot(role, 0), slot(role, 1)]);
            report.inventory.body.failing = slots.collect();
        })
    };
    let few = failing(&["qa", "ui_builder", "writer"]);
    let subjects: Vec<_> = alerts(&few).into_iter().map(|it| it.cause.subject).collect();
    assert_eq!(subjects, ["qa", "ui_builder", "writer"]);
    assert!(gone(&few, AlertKind::KeepsFailing, "") && gone(&few, AlertKind::KeepsFailing, "ux"));

    let many = failing(&["qa", "ui_builder", "writer", "ux"]);
    let [alert] = &alerts(&many)[..] else { panic!("one alert") };
    assert_eq!(alert.cause.subject, "");
    let expected = "the last three sessions failed of slots of qa, ui_builder, ux, writer";
    assert_eq!(alert.text, expected);
    assert!(!gone(&many, AlertKind::KeepsFailing, "qa"), "it still fails");

    let unknown = after(|report| report.inventory.outcome = failed("no"));
    assert!(!gone(&unknown, AlertKind::KeepsFailing, "qa"));
}

#[test]
fn a_merge_that_is_forbidden_has_an_alert_until_a_cycle_that_left_none_for_later() {
    let forbidden = after(|report| {
        report.merge.body.failed = vec![skip(4, "title", PullReason::Forbidden, "GitHub said no")];
    });
    let expected = (AlertKind::MergeForbidden, String::new(), "#4: GitHub said no".to_owned());
    assert_eq!(found(&forbidden), [expected]);
    let deferred = after(|report| {
        report.merge.body.merged = vec![merged(3, "title")];
        report.merge.body.skipped = vec![skip(4, "title", PullReason::Deferred, "later")];
    });
    assert!(!gone(&deferred, AlertKind::MergeForbidden, ""));
}
