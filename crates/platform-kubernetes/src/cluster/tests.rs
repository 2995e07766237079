//! The pure parts: what a Job looks like, what it says, what is decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Settings;
use super::job::job;
use super::record::{self, Job, Pods, Predecessor};
use super::stuck::{Events, Signs, stuck};
use crate::generated::{HISTORY, NewSession};
use crate::{JobTemplate, KubernetesSettings, Workspace};
use coordinator_core::backoff::BackoffSettings;
use coordinator_core::fleet::{
    Container, FleetName, Follows, Outcome, RoleKey, Run, SessionSpec, Slot, State, StuckReason,
    Want,
};
use coordinator_core::platform::CycleId;

fn settings() -> Settings {
    Settings {
        fleet: FleetName::parse("demo").expect("a valid name"),
        repository: Some("acme/app".to_owned()),
        kubernetes: KubernetesSettings {
            namespace: Some("agents".to_owned()),
            service_account: Some("coordinator-session".to_owned()),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            image_pull_secrets: Vec::new(),
            priority_class: None,
            runtime_class: None,
            wrapper: None,
            queue_name: None,
            start_timeout: Duration::from_secs(600),
            ttl: Duration::from_secs(86400),
            workspace: Workspace::EmptyDir { size_limit: Some("10Gi".to_owned()) },
            template: None,
        },
        has_items: false,
        deadline: Duration::from_secs(240),
    }
}

fn container() -> Container {
    let texts = |texts: &[(&str, &str)]| {
        texts
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    Container {
        image: "example.com/agent:1".to_owned(),
        env_from: vec!["agent-keys".to_owned()],
        requests: texts(&[("cpu", "500m")]),
        limits: texts(&[("memory", "2Gi")]),
    }
}

fn want(command: &[&str], env: &[(&str, &str)]) -> Want {
    let spec = SessionSpec {
        command: command.iter().map(ToString::to_string).collect(),
        prompt: "cost $(PRICE) and $$ {brief}".to_owned(),
        brief: "build $(it)".to_owned(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        time_limit: Duration::from_millis(7_199_500),
        container: Some(container()),
        backoff: BackoffSettings {
            backoff_base: Duration::from_secs(60),
            backoff_cap: Duration::from_secs(3600),
            min_runtime: Duration::from_secs(30),
            min_interval: Duration::ZERO,
        },
        ..SessionSpec::default()
    };
    let role = RoleKey::parse("ui_builder").expect("a valid key");
    let slot = Slot::of_role(&role, 2);
    Want {
        slot,
        role,
        spec: Arc::new(spec),
        item: None,
        follows: Follows::Anything,
        by_hand: false,
    }
}

fn made(settings: &Settings, want: &Want, predecessor: Option<&Predecessor>) -> Value {
    let cycle = CycleId("c1".to_owned());
    let container = want.spec.container.as_ref().expect("it has one");
    job(settings, want, container, &NewSession::after(predecessor, &cycle))
}

fn run(generation: u64, detail: &str) -> Run {
    let finished_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + generation * 60);
    Run {
        generation,
        outcome: Outcome::Failed,
        exit_code: Some(3),
        detail: Some(detail.to_owned()),
        started_at: finished_at - Duration::from_secs(4),
        finished_at,
        disrupted: generation == 2,
        stopped_by: None,
        result: None,
        item: None,
    }
}

#[test]
fn the_job_of_a_session_is_pinned_field_by_field() {
    let history = vec![run(1, "OOMKilled: no memory")];
    let predecessor = Predecessor { uid: Some("u-1".to_owned()), generation: 1, history };
    let mut made =
        made(&settings(), &want(&["claude", "-p", "{prompt}", "{role}"], &[]), Some(&predecessor));
    made["metadata"]["annotations"]["coordinator.dev/config-hash"] = json!("<hash>");
    for path in ["/metadata/labels", "/spec/template/metadata/labels"] {
        made.pointer_mut(path).expect("labels are there")["app.kubernetes.io/version"] =
            json!("<version>");
    }
    insta::assert_json_snapshot!("job", made);
    let read: k8s_openapi::api::batch::v1::Job = serde_json::from_value(made).expect("it is a Job");
    assert_eq!(read.spec.expect("a Job has a spec").backoff_limit, Some(0));
}

#[test]
fn nothing_that_a_text_says_is_expanded_but_the_prompt() {
    let want = want(
        &["sh", "-c", "echo $$ $(HOME) {brief} {prompt}"],
        &[("PRICE", "5$"), ("COORDINATOR_SLOT", "x")],
    );
    let made = made(&settings(), &want, None);
    let agent = &made["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(agent["command"][2], "echo $$$$ $$(HOME) build $$(it) $(COORDINATOR_PROMPT)");
    let env = agent["env"].as_array().expect("a list");
    let value = |name: &str| {
        let mut found = env.iter().filter(|one| one["name"] == name);
        let value = found.next().expect("the variable is there")["value"].clone();
        assert!(found.next().is_none(), "{name} is there twice");
        value
    };
    assert_eq!(value("COORDINATOR_PROMPT"), "cost $$(PRICE) and $$$$ {brief}");
    assert_eq!(value("COORDINATOR_SLOT"), "demo-ui-builder-s2");
    assert_eq!(value("PRICE"), "5$$");
}

#[test]
fn a_template_adds_what_has_no_key_and_the_generated_job_wins() {
    let mut settings = settings();
    let template = json!({
        "metadata": { "annotations": { "team": "a" } },
        "spec": { "template": { "spec": {
            "affinity": { "nodeAffinity": {} },
            "securityContext": { "runAsUser": 5000 },
            "containers": [
                { "name": "agent",
                    "env": [{ "name": "HOME", "value": "/home" },
                        { "name": "X", "value": "$(HOME)" }] },
                { "name": "proxy", "image": "example.com/proxy:1" },
            ],
        } } },
    });
    settings.kubernetes.template = Some(JobTemplate { path: "job.yaml".into(), job: template });
    let made = made(&settings, &want(&["a"], &[]), None);
    let pod = &made["spec"]["template"]["spec"];
    assert_eq!(made["metadata"]["annotations"]["team"], "a");
    assert_eq!(pod["securityContext"]["runAsUser"], 5000);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["containers"].as_array().map(Vec::len), Some(2));
    assert_eq!(pod["containers"][0]["image"], "example.com/agent:1");
    assert_eq!(made["spec"]["backoffLimit"], 0);
}

#[test]
fn the_cluster_is_asked_to_leave_a_session_where_it_is_unless_the_template_allows_moves() {
    let (evict, disrupt) =
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt");
    let mut settings = settings();
    let annotations = |settings: &Settings| {
        let made = made(settings, &want(&["a"], &[]), None);
        made["spec"]["template"]["metadata"]["annotations"].clone()
    };
    assert_eq!(annotations(&settings), json!({ evict: "false", disrupt: "true" }));
    let job =
        json!({ "spec": { "template": { "metadata": { "annotations": { evict: "true" } } } } });
    settings.kubernetes.template = Some(JobTemplate { path: "job.yaml".into(), job });
    assert_eq!(annotations(&settings), json!({ evict: "true", disrupt: "true" }));
}

#[test]
fn a_time_before_all_clocks_and_a_generation_after_all_others_can_be_written_on() {
    let never = "0001-01-01T00:00:00Z";
    let failed = json!({ "type": "Failed", "status": "True", "lastTransitionTime": never });
    let job = json!({
        "metadata": {
            "name": "demo-ui-builder-s2", "uid": "u", "creationTimestamp": never,
            "labels": { "coordinator.dev/generation": u64::MAX.to_string() },
        },
        "status": { "startTime": never, "conditions": [failed] },
    });
    let job: Job = serde_json::from_value(job).expect("it is a Job");
    let predecessor = job.predecessor(&Pods::default());
    assert_eq!(predecessor.history[0].started_at, SystemTime::UNIX_EPOCH);
    let next = made(&settings(), &want(&["a"], &[]), Some(&predecessor));
    assert_eq!(next["metadata"]["labels"]["coordinator.dev/generation"], u64::MAX.to_string());
}

#[test]
fn a_history_keeps_eight_runs_and_four_kibibytes_whatever_the_agents_said() {
    let runs: Vec<Run> =
        (1..=12).map(|number| run(number, &"\u{1F980}\"\\\n".repeat(2000))).collect();
    let text = record::written(&runs);
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let read = job_with(&json!({ "conditions": [] }), &text).slot_record(&Pods::default()).history;
    assert_eq!(
        read.iter().map(|run| run.generation).collect::<Vec<_>>(),
        [5, 6, 7, 8, 9, 10, 11, 12]
    );
    let short = vec![run(1, "a"), run(2, "b")];
    let read = job_with(&json!({}), &record::written(&short)).slot_record(&Pods::default()).history;
    assert_eq!(read, short);
    assert_eq!(job_with(&json!({}), "garbled").slot_record(&Pods::default()).history, []);
}

fn job_with(status: &Value, history: &str) -> Job {
    let job = json!({
        "metadata": {
            "name": "demo-ui-builder-s2",
            "uid": "u-9",
            "creationTimestamp": "2027-01-15T08:00:00Z",
            "labels": { "coordinator.dev/fleet": "demo", "coordinator.dev/generation": "13" },
            "annotations": { HISTORY: history },
        },
        "spec": { "activeDeadlineSeconds": 7800 },
        "status": status,
    });
    serde_json::from_value(job).expect("it is a Job")
}

fn ended(kind: &str, reason: &str) -> Value {
    json!({
        "startTime": "2027-01-15T08:00:01Z",
        "conditions": [{
            "type": kind, "status": "True", "reason": reason,
            "lastTransitionTime": "2027-01-15T08:10:00Z",
        }],
    })
}

#[test]
fn only_a_terminal_condition_frees_a_slot() {
    let live = [
        json!({}),
        json!({ "active": 0 }),
        json!({ "active": 1, "ready": 0 }),
        json!({ "conditions": [{ "type": "Suspended", "status": "True" }] }),
        json!({ "conditions": [{ "type": "FailureTarget", "status": "True" }], "terminating": 1 }),
        json!({ "conditions": [{ "type": "SuccessCriteriaMet", "status": "True" }] }),
        json!({ "conditions": [{ "type": "Complete", "status": "False" }] }),
    ];
    for status in live {
        let record = job_with(&status, "[]").slot_record(&Pods::default());
        let session = record.live.unwrap_or_else(|| panic!("{status} holds the slot"));
        assert_eq!((session.state, session.generation), (State::Starting, Some(13)), "{status}");
    }
    let record = job_with(&json!({ "active": 1, "ready": 1 }), "[]").slot_record(&Pods::default());
    assert_eq!(record.live.map(|live| live.state), Some(State::Running));
    let over = [
        (ended("Complete", "CompletionsReached"), Outcome::Succeeded),
        (ended("Failed", "BackoffLimitExceeded"), Outcome::Failed),
        (ended("Failed", "DeadlineExceeded"), Outcome::TimedOut),
    ];
    for (status, outcome) in over {
        let record = job_with(&status, "[]").slot_record(&Pods::default());
        assert_eq!(record.live, None);
        assert_eq!(record.history.iter().map(|run| run.outcome).collect::<Vec<_>>(), [outcome]);
        assert_eq!(record.history[0].runtime(), Duration::from_secs(599));
    }
}

/// The pod of [`job_with`].
fn pod(phase: &str, extra: &Value) -> Pods {
    pod_of("u-9", phase, extra)
}

fn pod_of(job: &str, phase: &str, extra: &Value) -> Pods {
    let mut pod = json!({
        "metadata": {
            "name": "p", "creationTimestamp": "2027-01-15T08:00:01Z",
            "labels": {
                "batch.kubernetes.io/job-name": "demo-ui-builder-s2",
                "batch.kubernetes.io/controller-uid": job,
            },
        },
        "status": { "phase": phase },
    });
    for (key, value) in extra.as_object().expect("a table") {
        pod["status"][key] = value.clone();
    }
    Pods::new(vec![serde_json::from_value(pod).expect("it is a Pod")])
}

#[test]
fn the_pod_tells_exit_code_last_words_limits_and_disruptions() {
    let failed = job_with(&ended("Failed", "BackoffLimitExceeded"), "[]");
    let terminated = json!({ "containerStatuses": [{
        "name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "message": "first\nlast words\n\n",
            "startedAt": "2027-01-15T08:00:05Z", "finishedAt": "2027-01-15T08:00:09Z",
        } },
    }] });
    let last = |pods: &Pods| failed.slot_record(pods).history.pop().expect("a run");
    let run = last(&pod("Failed", &terminated));
    assert_eq!((run.exit_code, run.detail.as_deref()), (Some(137), Some("OOMKilled: last words")));
    assert_eq!((run.runtime(), run.disrupted), (Duration::from_secs(4), false));
    let timed_out = last(&pod("Failed", &json!({ "reason": "DeadlineExceeded" })));
    assert_eq!(timed_out.outcome, Outcome::TimedOut);
    let condition = json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True" }] });
    assert!(last(&pod("Failed", &condition)).disrupted);
    let predecessors = last(&pod_of("u-8", "Failed", &terminated));
    assert_eq!(
        (predecessors.exit_code, predecessors.detail),
        (None, Some("BackoffLimitExceeded".to_owned()))
    );
}

#[test]
fn a_job_says_that_its_pod_was_taken_away_when_the_pod_is_gone() {
    let evicted = job_with(&ended("Failed", "PodFailurePolicy"), "[]");
    let run = evicted.slot_record(&Pods::default()).history.pop().expect("a run");
    assert_eq!((run.outcome, run.disrupted), (Outcome::Failed, true));
    assert_eq!(run.detail.as_deref(), Some("the cluster removed its pod"));
}

#[test]
fn a_session_that_does_not_get_on_says_why() {
    let settings = settings().kubernetes;
    let slot = want(&["a"], &[]).slot;
    let created = humantime::parse_rfc3339("2027-01-15T08:00:00Z").expect("a time");
    let found = |job: &Job, pods: &Pods, after: u64| {
        let now = created + Duration::from_secs(after);
        stuck(&slot, job, Signs { pod: pods.of(job), events: None }, &settings, now)
            .map(|stuck| (stuck.reason, stuck.detail))
    };
    let waiting = json!({ "containerStatuses": [{
        "name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ImagePullBackOff",
            "message": "Back-off pulling image" } },
    }] });
    let pending = job_with(&json!({ "active": 1, "startTime": "2027-01-15T08:00:00Z" }), "[]");
    assert_eq!(found(&pending, &pod("Pending", &waiting), 599), None);
    let image = Some((StuckReason::Pending, "ImagePullBackOff: Back-off pulling image".to_owned()));
    assert_eq!(found(&pending, &pod("Pending", &waiting), 601), image);
    let (reason, detail) = found(&pending, &Pods::default(), 601).expect("it has no pod");
    assert!(reason == StuckReason::Pending && detail.contains("kubectl get events"), "{detail}");
    let running =
        job_with(&json!({ "active": 1, "ready": 1, "startTime": "2027-01-15T08:00:00Z" }), "[]");
    assert_eq!(found(&running, &Pods::default(), 7800), None);
    assert_eq!(
        found(&running, &Pods::default(), 8000).map(|one| one.0),
        Some(StuckReason::OverDeadline)
    );
    let mut suspended = job_with(&json!({}), "[]");
    suspended.spec.suspend = true;
    assert_eq!(
        found(&suspended, &Pods::default(), 1).map(|one| one.0),
        Some(StuckReason::Suspended)
    );
    let failing = json!({ "conditions": [
        { "type": "FailureTarget", "status": "True", "lastTransitionTime": "2027-01-15T08:00:00Z" },
    ] });
    let terminating = job_with(&failing, "[]");
    assert_eq!(found(&terminating, &Pods::default(), 329), None);
    assert_eq!(
        found(&terminating, &Pods::default(), 331).map(|one| one.0),
        Some(StuckReason::Terminating)
    );
    let over = job_with(&ended("Failed", "DeadlineExceeded"), "[]");
    assert_eq!(found(&over, &Pods::default(), 9999), None);
}

fn running_pod(conditions: &Value, extra: &Value) -> Pods {
    let mut status = json!({ "conditions": conditions });
    for (key, value) in extra.as_object().expect("a table") {
        status[key] = value.clone();
    }
    let mut pods = pod_of("u-9", "Running", &status);
    let mut pod = json!({
        "metadata": {
            "name": "p", "uid": "p-1", "creationTimestamp": "2027-01-15T08:00:02Z",
            "labels": { "batch.kubernetes.io/controller-uid": "u-9" },
        },
        "spec": { "nodeName": "n1" },
        "status": { "phase": "Running" },
    });
    for (key, value) in status.as_object().expect("a table") {
        pod["status"][key] = value.clone();
    }
    pods.add(vec![serde_json::from_value(pod).expect("it is a Pod")]);
    pods
}

fn events(of: &[(&str, &str, &str, &str)]) -> Events {
    let mut events = Events::default();
    for (uid, at, reason, message) in of {
        let event = json!({
            "involvedObject": { "uid": uid }, "lastTimestamp": at, "reason": reason,
            "message": message,
        });
        events.add(serde_json::from_value(event).expect("it is an event"));
    }
    events
}

/// Why the session of a Job without a ready pod is stuck, an hour after its creation.
fn explained(pods: &Pods, events: Option<&Events>) -> (StuckReason, Option<SystemTime>, String) {
    let job = job_with(&json!({ "active": 1, "startTime": "2027-01-15T08:00:00Z" }), "[]");
    let now = humantime::parse_rfc3339("2027-01-15T09:00:00Z").expect("a time");
    let signs = Signs { pod: pods.of(&job), events };
    let slot = want(&["a"], &[]).slot;
    let found = stuck(&slot, &job, signs, &settings().kubernetes, now).expect("it is stuck");
    (found.reason, found.since, found.detail)
}

#[test]
fn a_pod_that_runs_and_is_not_ready_is_named_as_such_with_its_conditions() {
    let conditions = json!([
        { "type": "Initialized", "status": "True" },
        { "type": "ContainersReady", "status": "False", "reason": "ContainersNotReady",
          "message": "containers with unready status: [proxy]" },
        { "type": "Ready", "status": "False", "reason": "ContainersNotReady",
          "message": "containers with unready status: [proxy]",
          "lastTransitionTime": "2027-01-15T08:30:00Z" },
    ]);
    let (reason, since, detail) = explained(&running_pod(&conditions, &json!({})), None);
    assert_eq!(reason, StuckReason::Pending);
    assert_eq!(since, humantime::parse_rfc3339("2027-01-15T08:30:00Z").ok());
    let ready = "Ready is False (ContainersNotReady: containers with unready status: [proxy])";
    assert_eq!(detail, format!("its pod runs on node n1 and is not ready: {ready}"));
    let probe = events(&[
        ("p-1", "2027-01-15T08:59:00Z", "Unhealthy", "Readiness probe failed: status 503"),
        ("p-1", "2027-01-15T08:40:00Z", "Failed", "older"),
        ("u-8", "2027-01-15T09:00:00Z", "FailedCreate", "of another Job"),
    ]);
    let (_, _, detail) = explained(&running_pod(&conditions, &json!({})), Some(&probe));
    assert!(
        detail.ends_with(&format!("{ready}; Unhealthy: Readiness probe failed: status 503")),
        "{detail}"
    );
}

#[test]
fn a_node_that_went_away_shows_in_a_condition_without_a_reason_and_in_an_event() {
    let conditions = json!([
        { "type": "Ready", "status": "False", "lastTransitionTime": "2027-01-15T08:58:00Z" },
        { "type": "ContainersReady", "status": "True" },
        { "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager" },
    ]);
    let gone = events(&[("p-1", "2027-01-15T08:58:00Z", "NodeNotReady", "Node is not ready")]);
    let (_, _, detail) = explained(&running_pod(&conditions, &json!({})), Some(&gone));
    assert_eq!(
        detail,
        "its pod runs on node n1 and is not ready: Ready is False; DisruptionTarget is True \
         (DeletionByTaintManager); NodeNotReady: Node is not ready"
    );
}

#[test]
fn a_container_beside_the_agent_is_named_when_it_waits_and_when_it_outlives_the_agent() {
    let container = |name: &str, state: &Value| {
        json!({
            "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        })
    };
    let running = json!({ "running": { "startedAt": "2027-01-15T08:00:03Z" } });
    let crash = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s" } });
    let statuses =
        json!({ "containerStatuses": [container("agent", &running), container("proxy", &crash)] });
    let (_, _, detail) = explained(&running_pod(&json!([]), &statuses), None);
    assert!(detail.ends_with("container proxy: CrashLoopBackOff: back-off 5m0s"), "{detail}");
    let ended = json!({ "terminated": { "exitCode": 3 } });
    let statuses =
        json!({ "containerStatuses": [container("agent", &ended), container("proxy", &running)] });
    let (_, _, detail) = explained(&running_pod(&json!([]), &statuses), None);
    assert!(
        detail.contains("its agent exited with 3, and another container still runs"),
        "{detail}"
    );
}

#[test]
fn events_explain_a_job_without_a_pod_and_a_pod_that_says_nothing() {
    let quota = events(&[(
        "u-9",
        "2027-01-15T08:30:00Z",
        "FailedCreate",
        "Error creating: pods \"demo-ui-builder-s2-x7f2k\" is forbidden: exceeded quota: fleet",
    )]);
    let (_, _, detail) = explained(&Pods::default(), Some(&quota));
    assert_eq!(
        detail,
        "it has no pod: FailedCreate: Error creating: pods is forbidden: exceeded quota: fleet",
        "without the pod's name, so that all that one quota refuses say the same"
    );
    let (_, _, detail) = explained(&Pods::default(), Some(&Events::default()));
    assert!(
        detail.starts_with("it has no pod, and no event explains it; `kubectl get events`"),
        "{detail}"
    );
    let creating = json!({ "containerStatuses": [{
        "name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": { "reason": "ContainerCreating" } },
    }] });
    let mut pods = Pods::default();
    let pod = json!({
        "metadata": { "name": "p", "uid": "p-1",
            "labels": { "batch.kubernetes.io/controller-uid": "u-9" } },
        "status": { "phase": "Pending", "containerStatuses": creating["containerStatuses"] },
    });
    pods.add(vec![serde_json::from_value(pod).expect("it is a Pod")]);
    let mount =
        events(&[("p-1", "2027-01-15T08:30:00Z", "FailedMount", "secret \"model\" not found")]);
    let (_, _, detail) = explained(&pods, Some(&mount));
    assert_eq!(detail, "ContainerCreating: FailedMount: secret \"model\" not found");
}

#[test]
fn what_does_not_end_names_its_node_or_its_finalizers() {
    let now = humantime::parse_rfc3339("2027-01-15T09:00:00Z").expect("a time");
    let slot = want(&["a"], &[]).slot;
    let mut job = json!({
        "metadata": {
            "name": "demo-ui-builder-s2", "uid": "u-9", "deletionTimestamp": "2027-01-15T08:00:00Z",
            "finalizers": ["example.com/archive"],
        },
        "status": { "active": 1, "ready": 1 },
    });
    let detail = |job: &Value, pods: &Pods| {
        let job: Job = serde_json::from_value(job.clone()).expect("it is a Job");
        let signs = Signs { pod: pods.of(&job), events: None };
        let found = stuck(&slot, &job, signs, &settings().kubernetes, now).expect("it is stuck");
        assert_eq!(found.reason, StuckReason::Terminating);
        found.detail
    };
    let held = detail(&job, &Pods::default());
    assert_eq!(held, "it is being deleted and has finalizers: example.com/archive");
    let lost = json!([{ "type": "Ready", "status": "False" }]);
    let node = detail(&job, &running_pod(&lost, &json!({})));
    assert_eq!(node, "its pod on node n1 does not terminate: Ready is False");
    job["metadata"]["finalizers"] = Value::Null;
    let unknown = detail(&job, &Pods::default());
    assert!(unknown.starts_with("its pod does not terminate; `kubectl get pods"), "{unknown}");
}
