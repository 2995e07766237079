//! The requests of a cycle on Kubernetes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kubernetes_fleet::{
    Fleet, OPEN, RECONCILE, SLOT, assert_idle, failure, held, occupy, roster, slots,
};
use testkit::BEARER;
use testkit::Fault;
use testkit::kubernetes::cluster::Nodes;
use testkit::kubernetes::request::Asked;
use testkit::kubernetes::trouble::{Call, Trouble};
use testkit::server::Gate;
use testkit::workplace::RosterText;

#[test]
fn filling_an_empty_fleet_costs_one_list_one_look_at_the_ledger_and_one_create_per_slot() {
    let fleet = Fleet::open(&[("ui_builder", 3), ("tester", 2)]);
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned").len(), 5, "{report:#}");
    let mut calls = fleet.cluster.calls();
    assert_eq!(calls.remove(0), Call::ListJobs);
    assert_eq!(calls.remove(0), Call::ReadLedger);
    assert_eq!(calls, [Call::Create; 5]);
    assert_eq!(report["requests"]["platform"], 7);
    let jobs = fleet.cluster.state().jobs();
    let names =
        ["demo-tester-s0", "demo-tester-s1", SLOT, "demo-ui-builder-s1", "demo-ui-builder-s2"];
    assert_eq!(jobs, names);
}

#[test]
fn a_converged_cycle_is_one_list() {
    let fleet = Fleet::open(&[("ui_builder", 5)]);
    fleet.reconcile();
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(report["steps"]["inventory"]["running"], 5);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs]);
    assert_eq!(report["requests"]["platform"], 1);
}

#[test]
fn every_list_is_consistent_paged_and_of_this_fleet_alone() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.cluster.state().add("another-owners", &json!({"app": "other"}));
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["inventory"]["unmanaged"], json!([]), "{report:#}");
    let lists = [fleet.asked(Call::ListJobs), fleet.asked(Call::ListPods)].concat();
    assert_eq!(lists.len(), 3);
    for asked in lists {
        assert_eq!(asked.parameter("labelSelector"), "coordinator.dev/fleet=demo");
        assert_eq!(asked.parameter("limit"), "500");
        assert!(!asked.query.contains_key("resourceVersion"), "{:?}", asked.query);
        let phase = if asked.call == Call::ListPods { "status.phase!=Running" } else { "" };
        assert_eq!(asked.parameter("fieldSelector"), phase);
    }
}

#[test]
fn replacing_costs_two_requests_per_slot_and_two_per_cycle() {
    let fleet = Fleet::open(&[("ui_builder", 3)]);
    fleet.reconcile();
    for slot in [SLOT, "demo-ui-builder-s1"] {
        fleet.cluster.state().finish(slot, 1, "");
    }
    let ended = fleet.uid(SLOT);
    let report = fleet.reconcile_alone();
    assert_eq!(slots(&report, "spawned"), [SLOT, "demo-ui-builder-s1"], "{report:#}");
    let once = [Call::ListJobs, Call::ListPods, Call::WriteLedger].map(|call| (call, 1));
    for (call, times) in once.into_iter().chain([(Call::Delete, 2), (Call::Create, 2)]) {
        assert_eq!(fleet.cluster.count(call), times, "{call:?}");
    }
    assert_eq!(fleet.cluster.journal().len(), 7);
    let deletions = fleet.asked(Call::Delete);
    let deletion =
        deletions.iter().find(|asked| asked.name() == SLOT).expect("the slot was cleared");
    assert_eq!(deletion.body["preconditions"], json!({"uid": ended}));
    assert_eq!(deletion.body["propagationPolicy"], "Background");
    assert_eq!(fleet.generation(SLOT), "2");
    let annotations = fleet.cluster.state().job(SLOT)["metadata"]["annotations"].clone();
    assert_eq!(annotations["coordinator.dev/prev-uid"], *ended);
}

#[test]
fn the_coordinator_sends_only_requests_that_its_role_allows() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    fleet.reconcile();
    fleet.cluster.state().write_log(SLOT, "hello\n");
    fleet.run(&["sessions"]);
    fleet.run(&["logs", SLOT]);
    fleet.cluster.state().finish(SLOT, 1, "");
    fleet.reconcile();
    fleet.run(&["reconcile", "--dry-run"]);
    for asked in fleet.cluster.journal() {
        assert!(
            asked.status < 300,
            "{} {} -> {} {}",
            asked.method,
            asked.path,
            asked.status,
            asked.reply
        );
    }
    let verbs: BTreeSet<&str> = fleet.cluster.journal().iter().map(Asked::verb).collect();
    assert_eq!(verbs, BTreeSet::from(["create", "delete", "get", "list"]));
}

#[test]
fn more_than_five_hundred_jobs_come_in_pages() {
    let fleet = Fleet::open(&[("ui_builder", 501)]);
    occupy(&mut fleet.cluster.state(), "ui_builder", 0..501);
    let report = fleet.reconcile();
    assert_idle(&report);
    assert_eq!(report["steps"]["inventory"]["running"], 501);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs, Call::MoreJobs]);
    assert_eq!(report["requests"]["platform"], 2);
}

#[test]
fn thirty_two_creations_are_under_way_at_once_to_a_server_far_away_and_no_more() {
    let fleet = Fleet::open(&[("ui_builder", 40)]);
    let gate = Gate::default();
    for call in [Call::ListJobs, Call::ReadLedger] {
        fleet.cluster.always(call, Fault::late(Duration::from_millis(150)));
    }
    fleet.cluster.always(Call::Create, Trouble::Held(gate.clone()));
    let cycle = fleet.program(RECONCILE).spawn();
    fleet.cluster.await_calls(Call::Create, 32);
    assert_eq!(fleet.cluster.count(Call::Create), 32);
    gate.open();
    assert_eq!(slots(&cycle.wait().json(), "spawned").len(), 40);
}

#[test]
fn a_session_runs_once_ends_by_itself_and_cannot_do_much() {
    let fleet = Fleet::of(&roster("time_limit = \"2h\"", &[("ui_builder", 1)]));
    fleet.reconcile();
    let job = fleet.cluster.state().job(SLOT).clone();
    let spec = &job["spec"];
    for (key, value) in [
        ("parallelism", 1),
        ("completions", 1),
        ("backoffLimit", 0),
        ("activeDeadlineSeconds", 7_800),
    ] {
        assert_eq!(spec[key], value, "{key}");
    }
    assert_eq!(
        (&spec["podReplacementPolicy"], &spec["suspend"]),
        (&json!("Failed"), &json!(false))
    );
    assert_eq!(spec["ttlSecondsAfterFinished"], 86_400);
    let rules = spec["podFailurePolicy"]["rules"].as_array().expect("rules are a list");
    assert!(
        rules.iter().all(|rule| rule["action"] == "FailJob"),
        "others would start sessions again: {rules:?}"
    );
    let pod = &spec["template"]["spec"];
    assert_eq!(
        (&pod["restartPolicy"], &pod["activeDeadlineSeconds"]),
        (&json!("Never"), &json!(7_200))
    );
    assert_eq!(
        (&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]),
        (&json!(false), &json!(false))
    );
    assert_restricted(pod);
    let labels = json!({
        "app.kubernetes.io/name": "coordinator-session", "app.kubernetes.io/instance": "demo",
        "app.kubernetes.io/component": "ui_builder", "app.kubernetes.io/managed-by": "coordinator",
        "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"), "coordinator.dev/fleet": "demo",
        "coordinator.dev/role": "ui_builder", "coordinator.dev/slot": SLOT,
        "coordinator.dev/generation": "1",
    });
    assert_eq!(job["metadata"]["labels"], labels);
    for (label, value) in labels.as_object().expect("labels are a map") {
        assert_eq!(spec["template"]["metadata"]["labels"][label], *value, "the pod's {label}");
    }
}

/// The `restricted` Pod Security Standard, for one pod with one container.
fn assert_restricted(pod: &Value) {
    let (whole, agent) = (&pod["securityContext"], &pod["containers"][0]["securityContext"]);
    assert_eq!(agent["allowPrivilegeEscalation"], false);
    assert_eq!(agent["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(agent["readOnlyRootFilesystem"], true);
    assert!(whole["runAsNonRoot"] == true || agent["runAsNonRoot"] == true, "{pod:#}");
    assert_eq!(whole["seccompProfile"]["type"], "RuntimeDefault");
    for key in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
        assert_eq!(pod[key], Value::Null, "{key}");
    }
    for volume in pod["volumes"].as_array().expect("volumes") {
        let allowed = volume["emptyDir"].is_object() || volume["persistentVolumeClaim"].is_object();
        assert!(allowed, "{volume}");
    }
}

#[test]
fn the_prompt_travels_as_a_variable_and_a_dollar_sign_stays_one() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.workplace().write("briefs/ui_builder.md", "Spend $(HOME) and $$ wisely.");
    fleet.reconcile();
    let job = fleet.cluster.state().job(SLOT).clone();
    let agent = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(agent["command"], json!(["agent", "$(COORDINATOR_PROMPT)"]));
    let variable = |name: &str| {
        let all = agent["env"].as_array().expect("variables");
        all.iter()
            .find(|one| one["name"] == name)
            .map(|one| one["value"].as_str().expect("a value").to_owned())
    };
    let prompt = variable("COORDINATOR_PROMPT").expect("the prompt");
    assert!(prompt.contains("Spend $$(HOME) and $$$$ wisely."), "{prompt}");
    assert_eq!(variable("COORDINATOR_SLOT").as_deref(), Some(SLOT));
    assert_eq!(variable("COORDINATOR_GENERATION").as_deref(), Some("1"));
    assert_eq!(variable("GITHUB_TOKEN"), None, "the coordinator's credential is not the session's");
    assert!(!job.to_string().contains(testkit::TOKEN));
    assert!(!job.to_string().contains(BEARER));
}

#[test]
fn a_dry_run_checks_every_write_on_the_server_and_changes_nothing() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    fleet.reconcile();
    fleet.cluster.state().finish(SLOT, 1, "");
    let before = fleet.cluster.state().namespace().jobs.clone();
    fleet.rewrite(&roster(OPEN, &[("ui_builder", 3)]));
    fleet.cluster.forget();
    let report = fleet.run(&["reconcile", "--dry-run", "-o", "json"]).json();
    assert_eq!(slots(&report, "spawned"), [SLOT, "demo-ui-builder-s2"], "{report:#}");
    assert_eq!(report["steps"]["spawn"]["spawned"][0]["generation"], 2);
    let writes: Vec<_> =
        fleet.cluster.journal().into_iter().filter(|asked| asked.method != "GET").collect();
    assert!(
        writes.iter().filter(|asked| asked.call == Call::Create).count() == 2,
        "the server has checked both"
    );
    assert!(writes.iter().all(Asked::is_dry_run));
    assert_eq!(fleet.cluster.state().namespace().jobs, before);
}

#[test]
fn a_dry_run_reports_a_full_quota_and_a_missing_right() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    let dry_run = ["reconcile", "--dry-run", "-o", "json"];
    fleet.cluster.state().limit_jobs(0);
    assert_eq!(held(&fleet.run(&dry_run).json()), ["quota"]);
    fleet.cluster.state().namespace().quota = None;
    fleet.cluster.state().revoke("create", "jobs");
    let error = failure(&fleet.run(&dry_run).json());
    assert!(error.contains("create") && error.contains("jobs"), "{error}");
    assert_eq!(fleet.cluster.state().jobs(), [""; 0]);
}

#[test]
fn a_fleet_wide_cap_and_the_pause_switch_hold_on_kubernetes_too() {
    let text = RosterText::kubernetes("").platform("max_running = 2");
    let fleet = Fleet::of(&text.clone().role("ui_builder", 3, r#"["agent"]"#));
    assert_eq!(held(&fleet.reconcile()), ["cap"]);
    assert_eq!(fleet.cluster.state().jobs().len(), 2);
    let paused =
        RosterText::kubernetes("").platform("max_spawns = 0").role("ui_builder", 3, r#"["agent"]"#);
    fleet.rewrite(&paused);
    let report = fleet.reconcile_alone();
    assert_eq!(held(&report), ["max_spawns"]);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs]);
}

#[test]
fn a_job_that_no_controller_has_seen_yet_is_live() {
    let fleet = Fleet::open(&[("ui_builder", 2)]);
    fleet.cluster.state().nodes = Nodes::Asleep;
    assert_eq!(slots(&fleet.reconcile(), "spawned").len(), 2);
    let report = fleet.reconcile_alone();
    assert_idle(&report);
    assert_eq!(report["steps"]["inventory"]["running"], 2);
    assert_eq!(fleet.cluster.calls(), [Call::ListJobs]);
}

#[test]
fn a_job_with_the_fleets_label_and_a_name_of_its_own_is_reported_and_left_alone() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.cluster.state().add("by-hand", &json!({"coordinator.dev/fleet": "demo"}));
    let report = fleet.reconcile();
    assert_eq!(slots(&report, "spawned"), [SLOT]);
    let unmanaged = report["steps"]["inventory"]["unmanaged"].to_string();
    assert!(unmanaged.contains("by-hand"), "{unmanaged}");
    assert_eq!(fleet.cluster.count(Call::Delete), 0);
}

#[test]
fn a_strangers_job_in_a_slots_place_is_named_and_never_touched() {
    let fleet = Fleet::open(&[("ui_builder", 1)]);
    fleet.cluster.state().add(SLOT, &json!({"app": "other"}));
    fleet.cluster.state().finish(SLOT, 0, "");
    for _ in 0..2 {
        let error = failure(&fleet.reconcile());
        assert!(error.contains("another program's Job has this name"), "{error}");
    }
    assert_eq!(fleet.cluster.count(Call::Delete), 0);
}
