//! The fake cluster itself: it answers as the real API server does, and its witness sees what must
//! not happen.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use testkit::BEARER;
use testkit::kubernetes::Kubernetes;
use testkit::kubernetes::cluster::Nodes;
use testkit::kubernetes::status;
use testkit::kubernetes::trouble::{Call, Trouble};

const JOBS: &str = "/apis/batch/v1/namespaces/agents/jobs";
const PODS: &str = "/api/v1/namespaces/agents/pods";

/// The clients of all tests at once: making one reads the certificates of the whole machine.
static CLIENT: LazyLock<(Runtime, reqwest::Client)> = LazyLock::new(|| {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    (runtime.expect("a runtime"), reqwest::Client::new())
});

/// One request with this token: status, content type, body.
pub(crate) fn send(
    cluster: &Kubernetes,
    token: Option<&str>,
    method: Method,
    path: &str,
    body: String,
) -> (u16, String, String) {
    let (runtime, client) = &*CLIENT;
    let mut request = client.request(method, format!("{}{path}", cluster.url())).body(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    runtime.block_on(async {
        let response = request.send().await.expect("an answer");
        let content_type =
            response.headers()["content-type"].to_str().expect("a type is text").to_owned();
        (response.status().as_u16(), content_type, response.text().await.expect("a whole answer"))
    })
}

/// One request of the coordinator's: status and body, which is null where it is not JSON.
fn ask(cluster: &Kubernetes, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let (status, text) = ask_as(cluster, BEARER, method, path, body);
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn ask_as(
    cluster: &Kubernetes,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> (u16, String) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, text) = send(cluster, Some(token), method, path, body);
    (status, text)
}

fn get(cluster: &Kubernetes, path: &str) -> (u16, Value) {
    ask(cluster, Method::GET, path, &Value::Null)
}

fn create(cluster: &Kubernetes, name: &str) -> (u16, Value) {
    ask(cluster, Method::POST, JOBS, &job(name))
}

fn delete(cluster: &Kubernetes, name: &str, options: &Value) -> (u16, Value) {
    ask(cluster, Method::DELETE, &format!("{JOBS}/{name}"), options)
}

fn job(name: &str) -> Value {
    let labels = json!({"coordinator.dev/fleet": "demo", "coordinator.dev/slot": name});
    let container = json!({"name": "agent", "image": "example.com/agent:1"});
    let pod = json!({"restartPolicy": "Never", "containers": [container]});
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
    })
}

fn assert_refused(answer: &(u16, Value), code: u16, reason: &str, message: &str) {
    let (status, body) = answer;
    assert_eq!((*status, body["code"].as_u64()), (code, Some(u64::from(code))), "{body:#}");
    assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Failure")), "{body:#}");
    assert_eq!(body["reason"], reason, "{body:#}");
    assert_eq!(body["message"], message, "{body:#}");
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list has items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_created_job_gets_what_only_the_server_can_give() {
    let cluster = Kubernetes::start();
    let (status, made) = create(&cluster, "demo-x-s0");
    assert_eq!(status, 201, "{made:#}");
    let uid = made["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(made["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], uid);
    assert_eq!(
        made["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"],
        "demo-x-s0"
    );
    assert_eq!(made["spec"]["podReplacementPolicy"], "TerminatingOrFailed");
    assert_eq!(made["status"], json!({}), "the answer comes before the Job controller");
    let (_, now) = get(&cluster, &format!("{JOBS}/demo-x-s0"));
    assert_eq!((&now["status"]["active"], &now["status"]["ready"]), (&json!(1), &json!(1)));
    assert_eq!(now["metadata"]["uid"], uid);
    let (_, pods) =
        get(&cluster, &format!("{PODS}?labelSelector=batch.kubernetes.io%2Fjob-name%3Ddemo-x-s0"));
    assert_eq!(pods["items"][0]["status"]["phase"], "Running");
    assert_eq!(pods["items"][0]["metadata"]["ownerReferences"][0]["uid"], uid);
}

#[test]
fn a_taken_name_is_refused_also_while_its_holder_is_being_deleted() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    let exists = "jobs.batch \"x\" already exists";
    assert_refused(&create(&cluster, "x"), 409, "AlreadyExists", exists);
    cluster.state().terminate("x");
    let answer = create(&cluster, "x");
    assert_refused(&answer, 409, "AlreadyExists", &format!("object is being deleted: {exists}"));
    assert_eq!(answer.1["details"], json!({"name": "x", "group": "batch", "kind": "jobs"}));
}

#[test]
fn a_quota_is_charged_before_the_name_is_looked_at() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    cluster.state().limit_jobs(3);
    for used in [2, 3] {
        assert_eq!(create(&cluster, "x").0, 409);
        assert_eq!(cluster.state().namespace().quota.as_ref().expect("a quota").used, used);
    }
    let full = "jobs.batch \"x\" is forbidden: exceeded quota: fleet, requested: \
        count/jobs.batch=1, used: count/jobs.batch=3, limited: count/jobs.batch=3";
    assert_refused(&create(&cluster, "x"), 403, "Forbidden", full);
    cluster.state().recount();
    assert_eq!(create(&cluster, "y").0, 201);
}

#[test]
fn a_dry_run_meets_every_check_and_leaves_nothing() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    cluster.state().limit_jobs(2);
    let dry = |name| ask(&cluster, Method::POST, &format!("{JOBS}?dryRun=All"), &job(name));
    assert_eq!(dry("y").0, 201);
    assert_eq!(dry("x").0, 409);
    assert_eq!(cluster.state().namespace().quota.as_ref().expect("a quota").used, 1);
    assert_eq!(cluster.state().jobs(), ["x"]);
    cluster.state().limit_jobs(1);
    assert_eq!(dry("y").0, 403);
    assert!(cluster.journal().iter().filter(|asked| asked.is_dry_run()).count() == 3);
}

#[test]
fn a_create_names_what_is_wrong_with_it() {
    let cluster = Kubernetes::start();
    let post = |body: &Value| ask(&cluster, Method::POST, JOBS, body);
    let mut always = job("x");
    always["spec"]["template"]["spec"]["restartPolicy"] = "Always".into();
    let message = "Job.batch \"x\" is invalid: spec.template.spec.restartPolicy: Required value: \
        valid values: \"OnFailure\", \"Never\"";
    assert_refused(&post(&always), 422, "Invalid", message);
    let mut label = job("x");
    label["metadata"]["labels"]["a"] = "two words".into();
    assert_eq!(post(&label).0, 422);
    let mut mount = job("x");
    mount["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "w", "mountPath": "/w"}]);
    assert_eq!(post(&mount).0, 422);
    let elsewhere = ask(&cluster, Method::POST, "/apis/batch/v1/namespaces/other/jobs", &job("x"));
    assert_eq!(elsewhere.0, 403, "the role ends with its namespace: {}", elsewhere.1);
    let mut unknown = job("x");
    unknown["spec"]["backofLimit"] = 0.into();
    let strict = ask(&cluster, Method::POST, &format!("{JOBS}?fieldValidation=Strict"), &unknown);
    let message = "Job in version \"v1\" cannot be handled as a Job: strict decoding error: \
        unknown field \"spec.backofLimit\"";
    assert_refused(&strict, 400, "BadRequest", message);
    assert_eq!(post(&unknown).0, 201, "without strictness it is dropped");
}

#[test]
fn a_create_in_a_missing_namespace_is_refused_with_its_name() {
    let cluster = Kubernetes::start();
    cluster.state().namespaces.clear();
    assert_refused(&create(&cluster, "x"), 404, "NotFound", "namespaces \"agents\" not found");
    let (status, list) = get(&cluster, JOBS);
    assert_eq!(
        (status, names(&list).len()),
        (200, 0),
        "a list does not check whether the namespace exists"
    );
    assert_eq!(get(&cluster, &format!("{JOBS}/x")).1["message"], "jobs.batch \"x\" not found");
}

#[test]
fn a_deletion_by_identity_spares_a_successor() {
    let cluster = Kubernetes::start();
    let (_, first) = create(&cluster, "x");
    cluster.state().finish("x", 1, "");
    let old = first["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let options = json!({"preconditions": {"uid": old}, "propagationPolicy": "Background"});
    let (status, answer) = delete(&cluster, "x", &options);
    assert_eq!((status, &answer["status"]), (200, &json!("Success")));
    assert_eq!(answer["details"]["uid"], *old);
    let (_, second) = create(&cluster, "x");
    let new = second["metadata"]["uid"].as_str().expect("a uid");
    let message = format!(
        "Operation cannot be fulfilled on Job.batch \"x\": the UID in the precondition ({old}) \
         does not match the UID in record ({new}). The object might have been deleted and then \
         recreated"
    );
    assert_refused(&delete(&cluster, "x", &options), 409, "Conflict", &message);
    assert_refused(&delete(&cluster, "y", &options), 404, "NotFound", "jobs.batch \"y\" not found");
}

#[test]
fn pods_survive_a_deletion_without_a_propagation_policy() {
    for (policy, left) in [(Value::Null, 1), (json!("Orphan"), 1), (json!("Background"), 0)] {
        let cluster = Kubernetes::start();
        create(&cluster, "x");
        cluster.state().finish("x", 0, "");
        delete(&cluster, "x", &json!({"propagationPolicy": policy}));
        assert_eq!(cluster.state().namespace().pods.len(), left, "{policy}");
        assert_eq!(cluster.state().jobs(), [""; 0], "{policy}");
    }
}

#[test]
fn a_finalizer_keeps_a_deleted_job() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    cluster.state().finish("x", 1, "");
    cluster.state().hold("x");
    let (status, answer) = delete(&cluster, "x", &json!({"propagationPolicy": "Background"}));
    assert_eq!((status, &answer["kind"]), (200, &json!("Job")));
    assert!(answer["metadata"]["deletionTimestamp"].is_string(), "{answer:#}");
    assert_eq!(create(&cluster, "x").0, 409);
}

#[test]
fn a_long_list_comes_in_pages_of_one_instant() {
    let cluster = Kubernetes::start();
    for index in 0..5 {
        create(&cluster, &format!("x{index}"));
    }
    cluster.state().add("stranger", &json!({"app": "other"}));
    let path = format!("{JOBS}?labelSelector=coordinator.dev/fleet%3Ddemo&limit=3");
    let (_, first) = get(&cluster, &path);
    assert_eq!(names(&first), ["x0", "x1", "x2"]);
    assert!(first["items"][0]["kind"].is_null() && first["kind"] == "JobList", "{first:#}");
    assert!(first["metadata"]["remainingItemCount"].is_null(), "not with a selector");
    create(&cluster, "x9");
    let next = format!(
        "{path}&continue={}",
        first["metadata"]["continue"].as_str().expect("there is more")
    );
    let (_, second) = get(&cluster, &next);
    assert_eq!(names(&second), ["x3", "x4"], "what came after the first page is not in the second");
    assert!(second["metadata"]["continue"].is_null());
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    cluster.script(Call::MoreJobs, [Trouble::Expired]);
    let (status, gone) = get(&cluster, &next);
    assert_eq!((status, &gone["reason"]), (410, &json!("Expired")));
    let other =
        gone["metadata"]["continue"].as_str().expect("the server offers an inconsistent rest");
    let (_, rest) = get(&cluster, &format!("{path}&continue={other}"));
    assert_eq!(names(&rest), ["x3", "x4", "x9"]);
}

#[test]
fn selectors_choose_by_label_and_by_phase() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    create(&cluster, "y");
    cluster.state().finish("y", 0, "");
    let (_, ended) = get(&cluster, &format!("{PODS}?fieldSelector=status.phase!%3DRunning"));
    assert_eq!(ended["items"].as_array().expect("items").len(), 1);
    let (_, none) = get(&cluster, &format!("{JOBS}?labelSelector=coordinator.dev/fleet=other"));
    assert_eq!(names(&none).len(), 0);
    let (_, both) = get(&cluster, &format!("{JOBS}?labelSelector=coordinator.dev/fleet"));
    assert_eq!(names(&both), ["x", "y"]);
    let unknown = get(&cluster, &format!("{JOBS}?fieldSelector=status.active=1"));
    assert_refused(
        &unknown,
        400,
        "BadRequest",
        "field label \"status.active\" not supported for Job",
    );
}

#[test]
fn a_missing_right_is_named_with_its_verb_and_resource() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    let user = "User \"system:serviceaccount:agents:coordinator\" cannot";
    let within = "in the namespace \"agents\"";
    cluster.state().revoke("list", "jobs");
    let message = format!(
        "jobs.batch is forbidden: {user} list resource \"jobs\" in API group \"batch\" {within}"
    );
    assert_refused(&get(&cluster, JOBS), 403, "Forbidden", &message);
    cluster.state().revoke("delete", "jobs");
    let message = format!(
        "jobs.batch \"x\" is forbidden: {user} delete resource \"jobs\" in API group \"batch\" \
         {within}"
    );
    assert_refused(&delete(&cluster, "x", &json!({})), 403, "Forbidden", &message);
    cluster.state().revoke("get", "pods/log");
    let message = format!(
        "pods \"x-1\" is forbidden: {user} get resource \"pods/log\" in API group \"\" {within}"
    );
    assert_refused(&get(&cluster, &format!("{PODS}/x-1/log")), 403, "Forbidden", &message);
    let patch = ask(&cluster, Method::PATCH, &format!("{JOBS}/x"), &json!({}));
    assert_eq!(patch.0, 403, "what the role never had is refused too");
    let (status, text) = ask_as(&cluster, "expired", Method::GET, JOBS, &Value::Null);
    assert_eq!(status, 401);
    assert!(text.contains("\"Unauthorized\""), "{text}");
}

#[test]
fn a_finished_job_looks_as_the_job_controller_leaves_it() {
    let cluster = Kubernetes::start();
    for name in ["good", "bad", "late", "slow", "evicted"] {
        create(&cluster, name);
    }
    let mut state = cluster.state();
    state.finish("good", 0, "");
    state.finish("bad", 7, "no model answers");
    state.deadline_exceeded("late");
    state.time_out("slow");
    state.evict("evicted");
    let reason = |job: &Value| {
        job["status"]["conditions"][1]["reason"].as_str().expect("a reason").to_owned()
    };
    assert!(state.job("good")["status"]["completionTime"].is_string());
    for (name, why) in [
        ("good", "CompletionsReached"),
        ("bad", "BackoffLimitExceeded"),
        ("late", "DeadlineExceeded"),
        ("slow", "BackoffLimitExceeded"),
        ("evicted", "BackoffLimitExceeded"),
    ] {
        assert_eq!(reason(state.job(name)), why, "{name}");
    }
    assert!(state.job("bad")["status"]["completionTime"].is_null(), "it is set on success alone");
    let ended = state.pod("bad")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!((&ended["exitCode"], &ended["message"]), (&json!(7), &json!("no model answers")));
    assert_eq!(state.pod("slow")["status"]["reason"], "DeadlineExceeded");
    assert_eq!(
        state.pods_of("late"),
        [""; 0],
        "the controller deletes the pod at the Job's deadline"
    );
}

#[test]
fn the_log_of_a_running_pod_grows_for_a_follower_until_it_ends() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    cluster.state().write_log("x", "one\ntwo\n");
    let pod = cluster.state().pods_of("x").remove(0);
    let url = format!("{PODS}/{pod}/log?container=agent");
    let read = |path: &str| ask_as(&cluster, BEARER, Method::GET, path, &Value::Null);
    assert_eq!(read(&url), (200, "one\ntwo\n".to_owned()));
    assert_eq!(read(&format!("{url}&tailLines=1")), (200, "two\n".to_owned()));
    let (_, whole) = std::thread::scope(|scope| {
        let follower = scope.spawn(|| read(&format!("{url}&follow=true")));
        cluster.await_calls(Call::Log, 3);
        cluster.state().write_log("x", "three\n");
        cluster.state().finish("x", 0, "");
        follower.join().expect("the follower ends")
    });
    assert_eq!(whole, "one\ntwo\nthree\n");
    let refused = get(&cluster, &format!("{PODS}/{pod}/log?container=main"));
    assert_refused(
        &refused,
        400,
        "BadRequest",
        &format!("container main is not valid for pod {pod}"),
    );
}

#[test]
fn the_log_of_a_waiting_pod_is_refused_with_the_reason() {
    let cluster = Kubernetes::start();
    cluster.state().nodes = Nodes::Full;
    create(&cluster, "x");
    let pod = cluster.state().pods_of("x").remove(0);
    let url = format!("{PODS}/{pod}/log?container=agent");
    let nowhere = format!("pod {pod} does not have a host assigned");
    assert_refused(&get(&cluster, &url), 400, "BadRequest", &nowhere);
    cluster.state().wait("x", "ImagePullBackOff", "Back-off pulling image \"example.com/agent:1\"");
    let message = format!(
        "container \"agent\" in pod \"{pod}\" is waiting to start: trying and failing to pull image"
    );
    assert_refused(&get(&cluster, &url), 400, "BadRequest", &message);
}

#[test]
fn the_witness_sees_a_live_job_go_and_a_second_session_come() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    delete(&cluster, "x", &json!({}));
    assert_eq!(cluster.state().take_breaches(), ["the live Job x was deleted"]);
    create(&cluster, "x");
    let breaches = cluster.state().take_breaches();
    assert_eq!(breaches.len(), 1, "the pod that was orphaned still runs: {breaches:?}");
    assert!(breaches[0].contains("2 live sessions"), "{breaches:?}");
}

#[test]
fn a_late_create_arrives_on_demand_and_a_doubled_one_conflicts_with_itself() {
    let cluster = Kubernetes::start();
    cluster.script(Call::Create, [Trouble::Late, Trouble::Twice]);
    assert_eq!(create(&cluster, "x").0, 504);
    assert_eq!(cluster.state().jobs(), [""; 0]);
    cluster.land();
    assert_eq!(cluster.state().jobs(), ["x"]);
    assert_eq!(create(&cluster, "y").0, 409);
    assert_eq!(cluster.state().jobs(), ["x", "y"]);
}

#[test]
fn a_stale_list_shows_what_was() {
    let cluster = Kubernetes::start();
    create(&cluster, "x");
    cluster.state().remember();
    cluster.state().finish("x", 0, "");
    create(&cluster, "y");
    cluster.script(Call::ListJobs, [Trouble::Stale]);
    let (_, stale) = get(&cluster, JOBS);
    assert_eq!(names(&stale), ["x"]);
    assert_eq!(stale["items"][0]["status"]["active"], 1);
    assert_eq!(names(&get(&cluster, JOBS).1), ["x", "y"]);
}

#[test]
fn priority_and_fairness_refuses_in_plain_text_with_a_time() {
    let cluster = Kubernetes::start();
    cluster.always(Call::Get, status::too_many_requests(7));
    let (status, text) = ask_as(&cluster, BEARER, Method::GET, &format!("{JOBS}/x"), &Value::Null);
    assert_eq!((status, text.as_str()), (429, "Too many requests, please try again later.\n"));
    assert_eq!(cluster.count(Call::Get), 1);
    let statuses: BTreeSet<u16> = cluster.journal().iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, BTreeSet::from([429]));
}
