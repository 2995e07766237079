//! What `doctor` finds on a cluster that is not as it should be.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use http::{Method, Request, Response, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use coordinator_core::finding::{Finding, Grade};
use coordinator_platform_kubernetes::{Kubernetes, KubernetesSettings, Settings};
use coordinator_roster::PlatformKind;

/// A Unix time that everybody agrees on.
const NOON: u64 = 1_800_000_000;
const NOON_DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

/// What the cluster answers where it does not answer as it should: method, path and body to status
/// and body.
type Oddity = fn(&Method, &str, &Value) -> Option<(u16, Value)>;

fn as_it_should(_: &Method, _: &str, _: &Value) -> Option<(u16, Value)> {
    None
}

fn answer(method: &Method, path: &str, body: &Value) -> (u16, Value) {
    match (method.as_str(), path.split('?').next().unwrap_or_default()) {
        ("GET", "/version") => {
            (200, json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.1" }))
        }
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews") => {
            (201, json!({ "status": { "userInfo": { "username": "alice" } } }))
        }
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews") => {
            let asked = &body["spec"]["resourceAttributes"];
            let is_needed =
                ["get", "list", "create"].contains(&asked["verb"].as_str().unwrap_or_default());
            let is_removal = asked["verb"] == "delete" && asked["resource"] == "jobs";
            let is_ledger = asked["resource"] == "configmaps";
            (201, json!({ "status": { "allowed": is_needed || is_removal || is_ledger } }))
        }
        ("GET", "/api/v1/namespaces/agents") => {
            (403, refusal("namespaces \"agents\" is forbidden"))
        }
        (
            "GET",
            "/apis/batch/v1/namespaces/agents/jobs" | "/api/v1/namespaces/agents/configmaps",
        ) => (200, json!({ "metadata": {}, "items": [] })),
        ("GET", "/apis/kueue.x-k8s.io") => {
            (200, json!({ "kind": "APIGroup", "preferredVersion": { "version": "v1beta2" } }))
        }
        ("GET", "/apis/kueue.x-k8s.io/v1beta2/namespaces/agents/localqueues/agents") => {
            (200, json!({ "kind": "LocalQueue" }))
        }
        ("POST", "/apis/batch/v1/namespaces/agents/jobs") => (201, body.clone()),
        _ => (404, refusal("the server could not find the requested resource")),
    }
}

fn refusal(message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message })
}

fn cluster(settings: &KubernetesSettings, oddity: Oddity) -> (Kubernetes, Arc<Mutex<Vec<String>>>) {
    let journal = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&journal);
    let service = tower::service_fn(move |request: Request<Body>| {
        let written = Arc::clone(&written);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let path = head.uri.to_string();
            let accept = head.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let is_partial = accept.is_some_and(|accept| accept.contains("PartialObjectMetadata"));
            assert!(
                is_partial || !path.contains("/secrets/"),
                "a Secret's content is read: {path}"
            );
            written.lock().expect("nobody panicked").push(format!("{} {path}", head.method));
            let (status, answer) = oddity(&head.method, &path, &body)
                .unwrap_or_else(|| answer(&head.method, &path, &body));
            let response = Response::builder().status(status).header(header::DATE, NOON_DATE);
            Ok::<_, kube::Error>(
                response.body(Body::from(answer.to_string().into_bytes())).expect("valid"),
            )
        }
    });
    let fleet = coordinator_core::fleet::FleetName::parse("demo").expect("a valid name");
    let (kubernetes, deadline) = (settings.clone(), Duration::from_secs(240));
    let settings = Settings { fleet, repository: None, kubernetes, has_items: false, deadline };
    let client = kube::Client::new(service, "default");
    (Kubernetes::new(settings, client, "agents", Instant::now() + Duration::from_secs(60)), journal)
}

/// Two roles that share an image, one that has another, and one of which none is wanted.
const ROLES: &str = "[[role]]\nkey = \"ui_builder\"\nbrief = \"brief.md\"\ncount = 2\n\
    [[role]]\nkey = \"tester\"\nbrief = \"brief.md\"\ncount = 1\n\
    [[role]]\nkey = \"painter\"\nbrief = \"brief.md\"\ncount = 1\n[role.kubernetes]\n\
    image = \"example.com/gpu:1\"\n\
    [[role]]\nkey = \"idle\"\nbrief = \"brief.md\"\ncount = 0\n[role.kubernetes]\n\
    image = \"example.com/idle:1\"\n";

/// What is found on a cluster with this oddity, `late` seconds after noon, and what was asked for
/// it.
async fn found(lines: &str, oddity: Oddity, late: u64) -> (Vec<Finding>, Vec<String>) {
    let home = tempfile::tempdir().expect("a directory");
    let write =
        |name: &str, text: &str| std::fs::write(home.path().join(name), text).expect("a file");
    write("brief.md", "Do one thing.");
    let head = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\n";
    write("roster.toml", &format!("{head}image = \"example.com/agent:1\"\n{lines}\n{ROLES}"));
    let roster = coordinator_roster::load(&home.path().join("roster.toml"), &|_| None);
    let roster = roster.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let PlatformKind::Kubernetes(settings) = &roster.platform.kind else {
        panic!("it says kubernetes")
    };
    let (kubernetes, journal) = cluster(settings, oddity);
    let now = UNIX_EPOCH + Duration::from_secs(NOON + late);
    let findings = kubernetes.check(&roster.roles, Some("test"), now).await;
    let journal = journal.lock().expect("nobody panicked").clone();
    (findings, journal)
}

/// The one finding that is not as it should be.
#[track_caller]
fn the_only_trouble(findings: &[Finding]) -> (Grade, &str, &str) {
    let troubles: Vec<&Finding> =
        findings.iter().filter(|finding| finding.grade != Grade::Ok).collect();
    let [Finding { grade, what, remedy: Some(remedy) }] = troubles[..] else {
        panic!("not one trouble with a remedy: {findings:#?}")
    };
    (*grade, what, remedy)
}

#[tokio::test]
async fn where_all_is_well_that_is_said_and_nothing_is_changed() {
    let (findings, journal) = found("", as_it_should, 0).await;
    let expected = [
        "the API server is Kubernetes v1.33.1 (context test, namespace agents)",
        "the clock agrees with the API server's",
        "the API server accepts the credentials of alice",
        "alice has all rights that are needed in namespace agents",
        "the cluster would accept a session of ui_builder (dry run)",
        "the cluster would accept a session of painter (dry run)",
    ];
    assert_eq!(findings, expected.map(Finding::ok));
    for request in journal.iter().filter(|request| !request.starts_with("GET ")) {
        assert!(request.contains("reviews") || request.ends_with("dryRun=All"), "{request}");
    }
}

#[tokio::test]
async fn each_missing_permission_is_named_with_its_verb_resource_and_role() {
    let oddity: Oddity = |_, _, body| {
        let asked = &body["spec"]["resourceAttributes"];
        let is_missing = asked["verb"] == "create" || asked["subresource"] == "log";
        is_missing.then(|| (201, json!({ "status": { "allowed": false } })))
    };
    let (findings, journal) = found("", oddity, 0).await;
    let failed = findings.iter().filter(|finding| finding.grade == Grade::Fail);
    let failed: Vec<_> = failed
        .map(|finding| (finding.what.as_str(), finding.remedy.as_deref().unwrap_or_default()))
        .collect();
    let expected = [
        (
            "alice may not create jobs in namespace agents",
            "add verb `create` on `jobs` of API group \"batch\" to the Role `coordinator` there",
        ),
        (
            "alice may not get pods/log in namespace agents",
            "add verb `get` on `pods/log` of API group \"\" to the Role `coordinator` there",
        ),
        (
            "alice may not create configmaps in namespace agents",
            "add verb `create` on `configmaps` of API group \"\" to the Role `coordinator` there",
        ),
    ];
    assert_eq!(failed, expected);
    assert!(
        !journal.iter().any(|request| request.contains("/jobs")),
        "no dry run without the right to it"
    );
}

#[tokio::test]
async fn without_the_right_to_read_events_the_fleet_is_kept_and_doctor_says_what_is_lost() {
    let oddity: Oddity = |_, path, body| {
        let is_meant = path.contains("selfsubjectaccessreviews")
            && body["spec"]["resourceAttributes"]["resource"] == "events";
        is_meant.then(|| (201, json!({ "status": { "allowed": false } })))
    };
    let (findings, _) = found("", oddity, 0).await;
    let (grade, what, remedy) = the_only_trouble(&findings);
    assert_eq!(grade, Grade::Warn);
    assert!(what.contains("may not list events") && what.contains("stuck"), "{what}");
    assert!(remedy.starts_with("add verb `list` on `events`"), "{remedy}");
}

#[tokio::test]
async fn more_rights_than_needed_are_a_warning() {
    let oddity: Oddity = |_, path, _| {
        path.contains("selfsubjectaccessreviews")
            .then(|| (201, json!({ "status": { "allowed": true } })))
    };
    let (findings, _) = found("", oddity, 0).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert_eq!(grade, Grade::Warn);
    assert_eq!(
        what,
        "alice has more rights than are needed: patch jobs, update jobs, deletecollection jobs, \
         delete pods"
    );
}

#[tokio::test]
async fn a_server_that_is_too_old_is_a_warning_whatever_its_vendor_calls_it() {
    let old: Oddity = |_, path, _| {
        (path == "/version")
            .then(|| (200, json!({ "major": "1", "minor": "30+", "gitVersion": "v1.30.4-gke" })))
    };
    let (findings, _) = found("", old, 0).await;
    let (grade, what, remedy) = the_only_trouble(&findings);
    assert_eq!(grade, Grade::Warn);
    assert!(
        what.contains("v1.30.4-gke") && remedy.starts_with("use 1.31 or later"),
        "{what}; {remedy}"
    );
    let current: Oddity = |_, path, _| {
        (path == "/version")
            .then(|| (200, json!({ "major": "1", "minor": "31+", "gitVersion": "v1.31.0" })))
    };
    assert_eq!(found("", current, 0).await.0[0].grade, Grade::Ok);
}

#[tokio::test]
async fn refused_credentials_and_none_at_all_are_the_last_word() {
    let expired: Oddity = |_, _, _| Some((401, refusal("Unauthorized")));
    let (findings, journal) = found("", expired, 0).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert_eq!((grade, findings.len(), journal.len()), (Grade::Fail, 1, 1));
    assert!(
        what.contains("not authenticated to the API server (401)") && what.contains("renew"),
        "{what}"
    );

    let nobody: Oddity = |_, path, _| {
        let why =
            "selfsubjectreviews is forbidden: User \"system:anonymous\" cannot create resource";
        path.contains("selfsubjectreviews").then(|| (403, refusal(why)))
    };
    let (findings, _) = found("", nobody, 0).await;
    assert!(
        the_only_trouble(&findings).1.contains("not authenticated to the API server; add a token"),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_namespace_that_is_not_there_is_named() {
    let oddity: Oddity = |_, path, _| {
        (path == "/api/v1/namespaces/agents")
            .then(|| (404, refusal("namespaces \"agents\" not found")))
    };
    let (findings, _) = found("", oddity, 0).await;
    let (grade, what, remedy) = the_only_trouble(&findings);
    assert_eq!((grade, what), (Grade::Fail, "no namespace named agents"));
    assert!(remedy.starts_with("create it"), "{remedy}");
}

#[tokio::test]
async fn a_queue_needs_kueue() {
    let (findings, _) = found("queue_name = \"agents\"", as_it_should, 0).await;
    let there = Finding::ok("Kueue runs, and has the local queue agents");
    assert!(findings.contains(&there), "{findings:#?}");
    let (findings, _) = found("queue_name = \"others\"", as_it_should, 0).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert!(grade == Grade::Fail && what.starts_with("no local queue named others"), "{what}");
    let oddity: Oddity = |_, path, _| path.contains("kueue").then(|| (404, refusal("not found")));
    let (findings, journal) = found("queue_name = \"agents\"", oddity, 0).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert!(grade == Grade::Fail && what.contains("no Kueue"), "{what}");
    assert!(!journal.iter().any(|request| request.contains("dryRun")), "{journal:?}");
}

/// A roster that names one object of each kind.
const NAMED: &str = "env_from = [\"keys\"]\nimage_pull_secrets = [\"registry\"]\n\
    service_account = \"agents\"\n\
    priority_class = \"low\"\nruntime_class = \"gvisor\"";

fn is_named(path: &str) -> bool {
    ["secrets/", "serviceaccounts/", "priorityclasses/", "runtimeclasses/"]
        .iter()
        .any(|kind| path.contains(kind))
}

#[tokio::test]
async fn what_the_roster_names_and_the_cluster_does_not_have_is_found() {
    let others: Oddity = |_, path, _| {
        let exists = is_named(path) && !path.contains("keys") && !path.contains("low");
        exists.then(|| (200, json!({ "kind": "PartialObjectMetadata" })))
    };
    let (findings, journal) = found(NAMED, others, 0).await;
    let failed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Fail)
        .map(|finding| finding.what.as_str())
        .collect();
    assert_eq!(
        failed,
        [
            "no Secret named keys in namespace agents (`env_from` in the roster)",
            "no priority class named low (`priority_class` in the roster)",
        ]
    );
    let good = "all objects that the roster names exist: Secret registry, service account agents, \
        runtime class gvisor";
    assert!(findings.contains(&Finding::ok(good)), "{findings:#?}");
    assert!(!journal.iter().any(|request| request.contains("dryRun")), "{journal:?}");
}

#[tokio::test]
async fn what_these_credentials_may_not_read_is_not_checked_and_stands_in_the_way_of_nothing() {
    let oddity: Oddity = |_, path, _| is_named(path).then(|| (403, refusal("forbidden")));
    let (findings, journal) = found(NAMED, oddity, 0).await;
    assert!(findings.iter().all(|finding| finding.grade == Grade::Ok), "{findings:#?}");
    let line = "not checked, because these credentials may not read them: Secret keys, Secret \
        registry, service account agents, priority class low, runtime class gvisor";
    assert!(findings.contains(&Finding::ok(line)), "{findings:#?}");
    assert!(journal.iter().any(|request| request.contains("dryRun")), "{journal:?}");
}

#[tokio::test]
async fn what_admission_and_quota_say_to_a_dry_run_is_shown() {
    let policy: Oddity = |method, path, body| {
        let image = &body["spec"]["template"]["spec"]["containers"][0]["image"];
        let is_refused =
            method == Method::POST && path.contains("/jobs?") && image == "example.com/gpu:1";
        is_refused.then(|| (422, refusal("violates PodSecurity \"restricted:latest\"")))
    };
    let (findings, _) = found("", policy, 0).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert_eq!(grade, Grade::Fail);
    assert!(what.contains("session of painter (dry run): violates PodSecurity"), "{what}");

    let quota: Oddity = |method, path, _| {
        let is_refused = method == Method::POST && path.contains("/jobs?");
        is_refused.then(|| (403, refusal("jobs.batch \"x\" is forbidden: exceeded quota: agents")))
    };
    let (findings, _) = found("", quota, 0).await;
    let waits = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Warn && finding.what.contains("(quota)"));
    assert_eq!(waits.count(), 2, "{findings:#?}");
}

#[tokio::test]
async fn a_quota_that_a_full_fleet_uses_up_is_as_it_should_be() {
    let full: Oddity = |method, path, _| {
        let job = |name: &str| json!({ "metadata": { "name": name, "uid": name } });
        let jobs = ["demo-ui-builder-s0", "demo-ui-builder-s1", "demo-painter-s0"].map(job);
        match (path.contains("/jobs?"), method == Method::POST) {
            (false, _) => None,
            (true, false) => Some((200, json!({ "metadata": {}, "items": jobs }))),
            (true, true) => {
                Some((403, refusal("jobs.batch \"x\" is forbidden: exceeded quota: agents")))
            }
        }
    };
    let (findings, _) = found("", full, 0).await;
    assert!(findings.iter().all(|finding| finding.grade == Grade::Ok), "{findings:#?}");
    let room = findings.iter().filter(|finding| finding.what.contains("no room for one more"));
    assert_eq!(room.count(), 2, "{findings:#?}");
}

#[tokio::test]
async fn a_clock_that_differs_is_a_warning() {
    let (findings, _) = found("", as_it_should, 86_400).await;
    let (grade, what, _) = the_only_trouble(&findings);
    assert_eq!(grade, Grade::Warn);
    assert!(what.ends_with(" ahead of the API server's"), "{what}");
}
