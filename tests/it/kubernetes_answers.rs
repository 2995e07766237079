//! The effect of each answer of the API server: a session, a held slot or a failure that names what
//! to do.

use std::time::Duration;

use serde_json::{Value, json};

use crate::kubernetes_fleet::{
    Fleet, OPEN, RECONCILE, SLOT, assert_idle, failure, held, occupy, roster, slots,
};
use testkit::Fault;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Trouble};
use testkit::production::Refusing;
use testkit::workplace::RosterText;

const ONE: &[(&str, u32)] = &[("ui_builder", 1)];

#[test]
fn a_create_that_meets_a_live_session_of_another_cycle_finds_it_running() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.when(Call::Create, |cluster| occupy(cluster, "ui_builder", 0..1));
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ReadLedger, Call::Create, Call::Get]);
}

#[test]
fn a_name_that_a_deleted_job_still_has_holds_the_slot() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.when(Call::Create, |cluster| {
        occupy(cluster, "ui_builder", 0..1);
        cluster.terminate(SLOT);
    });
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(held(&report), ["orphan"]);
    let detail = report["steps"]["spawn"]["held"][0].to_string();
    assert!(detail.contains(SLOT), "{detail}");
}

#[test]
fn a_full_quota_holds_the_rest_of_the_role_and_is_not_a_failure() {
    let fleet = Fleet::open(&[("ui_builder", 20)]);
    fleet.cluster.state().limit_jobs(2);
    let finished = fleet.run(&RECONCILE);
    let report = finished.json();
    assert_eq!(slots(&report, "spawned").len(), 2, "{report:#}");
    assert_eq!(slots(&report, "failed"), [""; 0]);
    assert_eq!(held(&report), ["quota"; 18]);
    assert_eq!(finished.code, Some(0));
    assert!(fleet.cluster.count(Call::Create) < 20, "the rest of the role was not even tried");
}

#[test]
fn a_missing_right_is_reported_with_its_verb_and_resource() {
    for (verb, resource, prepare) in
        [("create", "jobs", None), ("delete", "jobs", Some(1)), ("list", "jobs", None)]
    {
        let fleet = Fleet::open(ONE);
        if let Some(exit) = prepare {
            fleet.reconcile();
            fleet.cluster.state().finish(SLOT, exit, "");
        }
        fleet.cluster.state().revoke(verb, resource);
        let report = fleet.reconcile();
        let error = match report["steps"]["inventory"]["error"].as_str() {
            Some(error) => error.to_owned(),
            None => failure(&report),
        };
        let wanted = format!("cannot {verb} resource \"{resource}\"");
        assert!(error.contains(&wanted) && error.contains("Role"), "{error}");
    }
}

#[test]
fn without_the_right_to_read_pods_the_fleet_runs_and_the_report_names_the_right() {
    let fleet = Fleet::open(ONE);
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 3, "");
    fleet.cluster.state().revoke("list", "pods");
    let finished = fleet.run(&RECONCILE);
    assert_eq!(slots(&finished.json(), "spawned"), [SLOT]);
    assert!(
        finished.stderr.contains("cannot list resource \\\"pods\\\"")
            || finished.stderr.contains("cannot list resource \"pods\""),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_namespace_that_is_not_there_is_named_with_what_to_do() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.state().namespaces.clear();
    let error = failure(&fleet.reconcile());
    assert!(
        error.contains("namespaces \"agents\" not found") && error.contains("create the namespace"),
        "{error}"
    );
}

#[test]
fn a_job_that_the_server_finds_invalid_is_reported_with_the_field() {
    let fleet = Fleet::open(ONE);
    let causes = [status::Cause {
        field: "spec.template.spec.runtimeClassName".to_owned(),
        reason: "FieldValueInvalid",
        message: "Invalid value: \"G V\": must be a name".to_owned(),
    }];
    fleet.cluster.always(Call::Create, status::invalid("Job", SLOT, &causes));
    let error = failure(&fleet.reconcile());
    assert!(
        error.contains("spec.template.spec.runtimeClassName")
            && error.contains("correct [platform.kubernetes]"),
        "{error}"
    );
    assert_eq!(
        fleet.cluster.calls(),
        [Call::ListJobs, Call::ReadLedger, Call::Create],
        "the answer leaves no doubt"
    );
}

#[test]
fn an_admission_that_refuses_is_quoted() {
    let fleet = Fleet::open(ONE);
    let why = "ValidatingAdmissionPolicy 'coordinator' with binding 'coordinator' denied request: \
        not well-formed";
    let reply = status::denied_by(status::Resource::Jobs, SLOT, why);
    fleet.cluster.always(Call::Create, reply);
    assert!(failure(&fleet.reconcile()).contains("denied request: not well-formed"));
}

#[test]
fn credentials_that_are_no_longer_good_are_named_as_such() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.state().tokens.clear();
    let report = fleet.reconcile();
    let error = report["steps"]["inventory"]["error"].as_str().expect("the list failed");
    assert!(error.contains("401") && error.contains("kubeconfig"), "{error}");
    assert_idle(&report);
    assert_eq!(fleet.cluster.count(Call::Create), 0);
}

#[test]
fn a_retry_after_within_the_deadline_is_obeyed() {
    for reply in [status::too_many_requests(1), status::unavailable(Some(1))] {
        let fleet = Fleet::open(ONE);
        fleet.cluster.script(Call::ListJobs, [reply.clone()]);
        fleet.cluster.script(Call::Create, [reply]);
        let report = fleet.reconcile();
        assert_eq!(slots(&report, "spawned"), [SLOT], "{report:#}");
        let expected =
            [Call::ListJobs, Call::ListJobs, Call::ReadLedger, Call::Create, Call::Create];
        assert_eq!(fleet.cluster.calls(), expected);
        let [.., refused, tried] = &fleet.asked(Call::Create)[..] else { panic!("two creates") };
        assert_eq!(refused.body, tried.body);
    }
}

#[test]
fn a_pause_beyond_the_deadline_is_not_waited_for() {
    for reply in [status::too_many_requests(3_600), status::unavailable(Some(3_600))] {
        let fleet = Fleet::open(ONE);
        fleet.cluster.always(Call::Create, reply);
        let error = failure(&fleet.reconcile());
        assert!(error.contains("overloaded") && error.contains("next cycle"), "{error}");
        assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ReadLedger, Call::Create]);
    }
}

#[test]
fn a_retry_after_of_zero_does_not_cause_a_storm() {
    let fleet = Fleet::of(&roster(OPEN, ONE).deadline("4s"));
    fleet.cluster.always(Call::Create, status::too_many_requests(0));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [""; 0], "{report:#}");
    let tries = fleet.cluster.count(Call::Create);
    assert!(tries <= 5, "{tries} creates in four seconds");
}

#[test]
fn a_server_that_fails_without_retry_after_gets_no_second_request() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.always(Call::Create, status::unavailable(None));
    let error = failure(&fleet.reconcile());
    assert!(error.contains("503"), "{error}");
    assert_eq!(fleet.cluster.count(Call::Create), 1);
}

/// Doubt that ends with the Job there, made by this very cycle.
#[test]
fn a_create_whose_answer_is_lost_is_found_again_by_its_cycle() {
    for trouble in [
        Trouble::Wire(Fault::reply(status::timeout()).after_applying()),
        Trouble::Wire(
            Fault::reply(status::internal("etcdserver: request timed out")).after_applying(),
        ),
        Trouble::Wire(Fault::reset().after_applying()),
        Trouble::Wire(Fault::truncated()),
        Trouble::Twice,
    ] {
        let fleet = Fleet::open(ONE);
        fleet.cluster.script(Call::Create, [trouble.clone()]);
        let report = fleet.reconcile();
        assert_eq!(slots(&report, "spawned"), [SLOT], "{trouble:?}: {report:#}");
        assert_eq!(
            fleet.cluster.calls(),
            [Call::ListJobs, Call::ReadLedger, Call::Create, Call::Get],
            "{trouble:?}"
        );
    }
}

#[test]
fn a_create_whose_answer_is_lost_while_another_cycle_was_first_is_theirs() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.when(Call::Create, |cluster| occupy(cluster, "ui_builder", 0..1));
    fleet.cluster.script(Call::Create, [status::timeout()]);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(slots(&report, "already_running"), [SLOT]);
}

#[test]
fn a_create_that_may_still_come_to_pass_is_reported_as_such_and_never_repeated() {
    for trouble in [Trouble::Late, Trouble::Wire(Fault::reset()), Trouble::Wire(Fault::garbage())] {
        let fleet = Fleet::open(ONE);
        fleet.cluster.script(Call::Create, [trouble.clone()]);
        let report = fleet.reconcile();
        let error = failure(&report);
        assert!(error.contains("may still start"), "{trouble:?}: {error}");
        assert_eq!(fleet.cluster.count(Call::Create), 1, "{trouble:?}");
    }
}

#[test]
fn a_create_that_is_never_answered_ends_with_the_cycle_and_stays_in_view() {
    let fleet = Fleet::of(&roster(OPEN, ONE).deadline("3s"));
    fleet.cluster.always(Call::Create, Fault::never());
    let report = fleet.reconcile();
    let error = failure(&report);
    assert!(error.contains("answer"), "{error}");
    assert_eq!(slots(&report, "spawned"), [""; 0]);
}

#[test]
fn a_deletion_whose_answer_is_lost_is_looked_into_before_anything_is_created() {
    let applied = Fault::reply(status::timeout()).after_applying();
    for (fault, starts) in [(applied, true), (Fault::reply(status::timeout()), false)] {
        let fleet = Fleet::open(ONE);
        fleet.reconcile();
        fleet.cluster.state().finish(SLOT, 1, "");
        fleet.cluster.script(Call::Delete, [fault]);
        let report = fleet.reconcile_alone();
        let spawned = slots(&report, "spawned").len();
        assert_eq!(spawned, usize::from(starts), "{report:#}");
        assert_eq!(fleet.cluster.count(Call::Create), usize::from(starts));
        assert_eq!(slots(&report, "failed").len(), usize::from(!starts));
    }
}

#[test]
fn an_unreachable_cluster_is_one_line_with_a_remedy() {
    let fleet = Fleet::open(ONE);
    let refusing = Refusing::start();
    let kubeconfig = fleet.cluster.kubeconfig().replace(&fleet.cluster.url(), &refusing.url());
    let program = fleet.program(RECONCILE);
    fleet.workplace().write("kubeconfig.yaml", kubeconfig);
    let report = program.run().json();
    let error = report["steps"]["inventory"]["error"].as_str().expect("the list failed");
    assert!(error.contains("no answer from the API server") && !error.contains('\n'), "{error}");
    assert_idle(&report);
}

#[test]
fn a_context_that_the_kubeconfig_has_is_used() {
    let fleet = Fleet::open(ONE);
    let arguments = [&RECONCILE[..], &["--context", "world"]].concat();
    assert_eq!(slots(&fleet.run(&arguments).json(), "spawned"), [SLOT]);
}

#[test]
fn without_a_kubeconfig_the_report_names_the_ways_to_set_one() {
    let fleet = Fleet::open(ONE);
    let program = fleet.program(RECONCILE).without_env("KUBECONFIG");
    let report = program.run().json();
    let error =
        report["steps"]["inventory"]["error"].as_str().expect("an error, without a cluster");
    assert!(error.contains("KUBECONFIG"), "{error}");
    assert_eq!(fleet.cluster.journal().len(), 0);
}

#[test]
fn a_cluster_behind_a_proxy_is_reported_as_unreachable() {
    let fleet = Fleet::open(ONE);
    let server = format!("    server: {}\n", fleet.cluster.url());
    let proxied = format!("{server}    proxy-url: http://proxy.example:3128\n");
    let program = fleet.program(RECONCILE);
    fleet
        .workplace()
        .write("kubeconfig.yaml", fleet.cluster.kubeconfig().replace(&server, &proxied));
    let report = program.run().json();
    let error = report["steps"]["inventory"]["error"].as_str().expect("an error, without a route");
    assert!(error.contains("proxy.example") && error.contains("proxy-url"), "{error}");
    assert_eq!(fleet.cluster.journal().len(), 0);
    assert_idle(&report);
}

#[test]
fn a_queue_without_kueue_is_reported_once_and_nothing_is_created() {
    let text = RosterText::kubernetes("queue_name = \"agents\"");
    let fleet = Fleet::of(&text.role("ui_builder", 3, r#"["agent"]"#));
    let report = fleet.reconcile();
    let errors = report["steps"]["spawn"]["failed"].to_string();
    assert!(errors.to_lowercase().contains("kueue"), "{errors}");
    assert_eq!(fleet.cluster.count(Call::Create), 0);
    let looks = fleet.cluster.journal().iter().filter(|asked| asked.path.contains("kueue")).count();
    assert_eq!(looks, 1, "one look for the whole cycle");
}

#[test]
fn a_queue_that_is_gone_costs_no_slot_its_history() {
    let queue = |settings| RosterText::kubernetes(settings).defaults(OPEN);
    let fleet = Fleet::of(&queue("").role("ui_builder", 1, r#"["agent"]"#));
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.rewrite(&queue("queue_name = \"agents\"").role("ui_builder", 1, r#"["agent"]"#));
    assert!(failure(&fleet.reconcile()).contains("Kueue"));
    assert_eq!(fleet.sessions(SLOT).len(), 1, "the finished Job is still there");
}

#[test]
fn an_answer_that_does_not_come_from_an_api_server_fails_the_list() {
    let no_list = Fault::json(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}}));
    for fault in [Fault::html(), Fault::truncated(), Fault::garbage(), no_list] {
        let fleet = Fleet::open(ONE);
        fleet.reconcile();
        fleet.cluster.script(Call::ListJobs, [fault.clone()]);
        let report = fleet.reconcile_alone();
        assert_eq!(report["steps"]["inventory"]["outcome"], "failed", "{fault:?}");
        assert_eq!(report["steps"]["inventory"]["running"], Value::Null);
        assert_idle(&report);
        assert_eq!(slots(&report, "already_running"), [SLOT]);
        assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::Get, Call::Get]);
    }
}

#[test]
fn a_proxys_page_with_status_200_is_not_a_session() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.script(Call::Create, [Fault::html()]);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [""; 0]);
    assert!(failure(&report).contains("look for a proxy in between"), "{report:#}");
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::ReadLedger, Call::Create, Call::Get]);
}

#[test]
fn a_slow_server_is_waited_for() {
    let fleet = Fleet::open(ONE);
    fleet.cluster.always(Call::ListJobs, Fault::late(Duration::from_millis(300)));
    fleet.cluster.always(Call::Create, Fault::late(Duration::from_millis(300)));
    assert_eq!(slots(&fleet.reconcile(), "spawned"), [SLOT]);
}
