//! `coordinator doctor` on a real cluster: it changes nothing, and names what stands in the way.

use k8s_openapi::api::rbac::v1::Role;
use serde_json::{Value, json};

use crate::account::{self, Access, await_access};
use crate::cluster::Cluster;
use crate::fleet::{Fleet, Roster, text};
use crate::shipped::{self, ACCOUNT};
use testkit::Finished;

/// The findings of this grade.
fn graded(finished: &Finished, grade: &str) -> Vec<String> {
    let report: Value = finished.json();
    let findings = report["findings"].as_array().expect("a list").iter();
    let graded = findings.filter(|finding| finding["grade"] == grade);
    graded
        .map(|finding| format!("{}; {}", text(finding, "/what"), text(finding, "/remedy")))
        .collect()
}

fn doctor(fleet: &Fleet<'_>) -> Finished {
    fleet.run(&["doctor", "-o", "json"])
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn an_administrator_may_do_all_that_is_needed_and_more() {
    let cluster = Cluster::new("doctor-admin");
    let fleet = Fleet::new(&cluster, Roster::of("ui_builder", 2));

    let finished = doctor(&fleet);

    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    let good = graded(&finished, "ok").concat();
    let namespace = format!("has all rights that are needed in namespace {}", cluster.namespace());
    for part in [
        "the API server is Kubernetes v1.",
        &namespace,
        "would accept a session of ui_builder (dry run)",
    ] {
        assert!(good.contains(part), "{part:?} is not in {good}");
    }
    let more = graded(&finished, "warn");
    assert!(
        more.len() == 1 && more[0].contains("has more rights than are needed: patch jobs"),
        "{more:?}"
    );
    assert_eq!(cluster.jobs().len(), 0);
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn the_shipped_account_is_all_right_until_a_permission_is_taken_away() {
    let cluster = Cluster::new("doctor-shipped");
    let _policy = shipped::install(&cluster);
    let fleet = shipped::fleet(&cluster, 1);

    let finished = doctor(&fleet);
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    let troubles = [graded(&finished, "warn"), graded(&finished, "fail")].concat();
    assert_eq!(troubles, Vec::<String>::new(), "least is enough");
    assert!(finished.stdout.contains(&cluster.username(ACCOUNT)), "{}", finished.stdout);

    let verbs = ["get", "list", "create"];
    let least = json!([{ "apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs }]);
    cluster.patch::<Role>(ACCOUNT, &json!({ "rules": least }));
    let access = Access { group: "", resource: "pods/log", verb: "get" };
    await_access(&cluster, ACCOUNT, access, false);
    let finished = doctor(&fleet);
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    let named = graded(&finished, "fail");
    let jobs_and_pods = ["delete jobs", "get pods", "list pods", "get pods/log"];
    let ledger = ["list", "create", "update", "delete"].map(|verb| format!("{verb} configmaps"));
    let missing: Vec<String> = jobs_and_pods.map(str::to_owned).into_iter().chain(ledger).collect();
    assert_eq!(named.len(), missing.len(), "{named:?}");
    let useful = graded(&finished, "warn");
    assert!(useful.len() == 1 && useful[0].contains("may not list events"), "{useful:?}");
    for (named, missing) in named.iter().zip(missing) {
        assert!(named.contains(&format!("may not {missing} in namespace")), "{named}");
        assert!(named.contains("to the Role `coordinator`"), "{named}");
    }
}

#[test]
#[ignore = "needs a cluster in KUBECONFIG"]
fn what_would_keep_sessions_from_starting_is_found_before_they_try() {
    let cluster = Cluster::new("doctor-trouble");
    let mut fleet = Fleet::new(&cluster, Roster::of("ui_builder", 1));
    let failing = |fleet: &Fleet<'_>, parts: &[&str]| {
        let finished = doctor(fleet);
        assert_eq!(finished.code, Some(1), "{}", finished.stdout);
        let named = graded(&finished, "fail").concat();
        assert!(parts.iter().all(|part| named.contains(part)), "{parts:?} is not in {named}");
    };

    cluster.quota(0);
    let finished = doctor(&fleet);
    let waits = graded(&finished, "warn").concat();
    assert!(
        waits.contains("would wait (quota): ") && waits.contains("count/jobs.batch"),
        "{waits}"
    );

    fleet.edit(|roster| roster.kubernetes = "queue_name = \"agents\"\n".to_owned());
    failing(&fleet, &["has no Kueue"]);
    let gone = std::fs::read_to_string(fleet.workplace.roster()).expect("the roster is there");
    fleet.workplace.write("roster.toml", gone.replace(cluster.namespace(), "no-such-namespace"));
    failing(&fleet, &["no namespace named no-such-namespace", "create it"]);
    fleet.with_kubeconfig(&account::edited(|config| {
        config["users"][0]["user"] = json!({ "token": "stale" });
    }));
    failing(&fleet, &["not authenticated to the API server (401)", "renew the kubeconfig"]);
    fleet.with_kubeconfig(&account::edited(|config| {
        config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    }));
    failing(&fleet, &["no answer from the API server", "refused"]);
    fleet.with_kubeconfig(&account::edited(|config| {
        let cluster = config["clusters"][0]["cluster"].as_object_mut().expect("a cluster");
        cluster.remove("certificate-authority-data");
        // Of an authority that did not issue the server's certificate.
        let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/vouched/root.pem");
        cluster.insert("certificate-authority".to_owned(), json!(other));
    }));
    failing(&fleet, &["certificate is not trusted", "`certificate-authority` of the cluster"]);
}
