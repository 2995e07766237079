//! `template`: the fields that a user's Job may set, and those that only the coordinator and the
//! roster set.

use std::fmt::Write as _;

use coordinator_roster::PlatformKind;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Folder;
use super::mistakes::refused_in;

const ROSTER: &str = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\n\
    image = \"agent:1\"\ntemplate = \"job.yaml\"\n[[role]]\nkey = \"a\"\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\n";

fn folder(roster: &str, template: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::with_briefs(roster);
    folder.write("job.yaml", template);
    folder
}

fn load(template: &str) -> Value {
    let roster = folder(ROSTER, template).load().unwrap_or_else(|problems| panic!("{problems}"));
    let PlatformKind::Kubernetes(settings) = roster.platform.kind else {
        panic!("the platform is kubernetes")
    };
    settings.template.expect("the roster names a template").job
}

/// A template with this value at this path, which may go through the agent's container.
fn with(path: &str, value: &Value) -> String {
    let wrapped = path.rsplit('.').fold(value.clone(), |value, segment| match segment {
        "containers[agent]" => {
            let mut container = json!({"name": "agent"});
            container
                .as_object_mut()
                .expect("a table")
                .extend(value.as_object().expect("a table").clone());
            json!({"containers": [container]})
        }
        _ => json!({ segment: value }),
    });
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job"});
    job.as_object_mut().expect("a table").extend(wrapped.as_object().expect("a table").clone());
    // JSON is YAML.
    job.to_string()
}

fn refused(template: impl AsRef<[u8]>, parts: &[&str]) {
    refused_in(&folder(ROSTER, template), "6:12", parts);
}

#[test]
fn a_template_that_is_not_one_job_is_refused() {
    refused_in(
        &Folder::with_briefs(ROSTER),
        "6:12",
        &["template job.yaml not found", "beside the roster"],
    );
    refused("", &["the template job.yaml is empty", "write one Job in YAML"]);
    refused("# nothing yet\n---\n", &["is empty"]);
    refused("a Job, please", &["is not a mapping"]);
    refused("- a\n", &["is not a mapping"]);
    refused(format!("{JOB}---\n{JOB}"), &["holds several documents"]);
    refused("kind: [\n", &["is not valid YAML: unclosed bracket '[' at line 1, column 7"]);
    refused(format!("{JOB}kind: Job\n"), &["duplicate mapping key `kind`", "at line 3, column 1"]);
    refused([0x61, 0x3a, 0x20, 0xff], &["is not UTF-8 from byte 3 on", "save the file as UTF-8"]);
    refused("x: 1\n".repeat(60_000), &["is too large: 300000 bytes", "256 KiB at most"]);
    refused(
        "apiVersion: apps/v1\nkind: Deployment\n",
        &["is not a Job: it has `apiVersion: apps/v1` and `kind: Deployment`", "`kind: Job`"],
    );
    refused("apiVersion: batch/v1\nkind: CronJob\n", &["is not a Job"]);
    refused("spec: {}\n", &["is not a Job: it has no `apiVersion` and no `kind`"]);
}

#[test]
fn a_few_lines_cannot_fill_the_memory() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}, ", level - 1).repeat(8);
        let _ = writeln!(bomb, "a{level}: &a{level} [{below}]");
    }
    refused(bomb, &["is not valid YAML: YAML document too large or too complex"]);
    refused("[".repeat(50_000), &["is not valid YAML"]);
}

#[test]
fn generated_fields_without_a_key_cannot_be_changed() {
    let remedy = "take it out: the coordinator alone sets it";
    let agent = "spec.template.spec.containers[agent]";
    let numbers =
        ["parallelism", "completions", "backoffLimit"].map(|field| format!("spec.{field}"));
    for path in numbers {
        refused(with(&path, &json!(7)), &[&format!("sets {path}"), remedy]);
    }
    let texts = [
        "metadata.name".to_owned(),
        "spec.podReplacementPolicy".to_owned(),
        "spec.template.spec.restartPolicy".to_owned(),
        format!("{agent}.terminationMessagePolicy"),
        format!("{agent}.workingDir"),
    ];
    for path in texts {
        refused(with(&path, &json!("x")), &[&format!("sets {path}"), remedy]);
    }
    refused(with("spec.suspend", &json!(true)), &["sets spec.suspend", remedy]);
    refused(
        with("spec.podFailurePolicy.rules", &json!([])),
        &["sets spec.podFailurePolicy.rules", remedy],
    );
    for path in ["metadata.labels", "spec.template.metadata.labels"] {
        for mark in ["coordinator.dev/slot", "app.kubernetes.io/managed-by"] {
            refused(with(path, &json!({mark: "x"})), &[&format!("sets {path}[{mark}]"), remedy]);
        }
    }
    let prompt = json!({"env": [{"name": "COORDINATOR_PROMPT", "value": "x"}]});
    refused(
        with(agent, &prompt),
        &["sets spec.template.spec.containers[agent].env[COORDINATOR_PROMPT]", remedy],
    );
    let mount = json!({"volumeMounts": [{"name": "x", "mountPath": "/tmp/"}]});
    refused(with(agent, &mount), &["volumeMounts[/tmp]", remedy]);
    let volume = json!([{"name": "tmp", "emptyDir": {"medium": "Memory"}}]);
    refused(with("spec.template.spec.volumes", &volume), &["volumes[tmp]", remedy]);
}

#[test]
fn a_template_may_repeat_generated_fields() {
    load(&with("spec.template.spec.restartPolicy", &json!("Never")));
    load(&with("spec.backoffLimit", &json!(0)));
    load(&with("spec.suspend", &json!(false)));
}

#[test]
fn what_would_make_it_another_job_is_not_added() {
    let remedy = "take it out";
    for field in ["generateName", "uid", "resourceVersion", "finalizers", "ownerReferences"] {
        let path = format!("metadata.{field}");
        refused(with(&path, &json!(["x"])), &[&format!("sets {path}"), remedy]);
    }
    let spec = [
        "completionMode",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
        "successPolicy",
        "manualSelector",
        "selector",
        "managedBy",
        "tempalte",
    ];
    for field in spec {
        let path = format!("spec.{field}");
        refused(with(&path, &json!(true)), &[&format!("sets {path}"), remedy]);
    }
    refused(with("status", &json!({"active": 1})), &["sets status", remedy]);
    let marked = [
        "metadata.labels",
        "metadata.annotations",
        "spec.template.metadata.labels",
        "spec.template.metadata.annotations",
    ];
    for path in marked {
        for mark in ["coordinator.dev/unknown", "batch.kubernetes.io/job-name", "job-name"] {
            refused(with(path, &json!({mark: "x"})), &[&format!("sets {path}[{mark}]"), remedy]);
        }
    }
    let agent = "spec.template.spec.containers[agent]";
    for field in ["terminationMessagePath", "restartPolicy", "restartPolicyRules"] {
        refused(with(agent, &json!({field: "x"})), &[&format!("sets {agent}.{field}"), remedy]);
    }
    refused(
        with("spec.template.spec.initContainers", &json!([{"name": "agent"}])),
        &["sets spec.template.spec.initContainers[agent]", remedy],
    );
    let permit = json!({"env": [{"name": "COORDINATOR_START_PERMIT", "value": "x"}]});
    refused(with(agent, &permit), &["env[COORDINATOR_START_PERMIT]", remedy]);
}

#[test]
fn a_secret_of_the_coordinator_is_refused_by_whichever_field_names_it() {
    let pod = "spec.template.spec";
    let reference = json!({ "name": "coordinator-github" });
    let variable = json!({ "name": "X",
        "valueFrom": { "secretKeyRef": { "name": "coordinator-github", "key": "x" } } });
    let fields = [
        (format!("{pod}.containers[agent]"), json!({ "envFrom": [{ "secretRef": reference }] })),
        (format!("{pod}.containers[agent]"), json!({ "env": [variable] })),
        (
            format!("{pod}.containers"),
            json!([{ "name": "proxy", "envFrom": [{ "secretRef": reference }] }]),
        ),
        (format!("{pod}.initContainers"), json!([{ "name": "first", "env": [variable] }])),
        (format!("{pod}.ephemeralContainers"), json!([{ "name": "later", "env": [variable] }])),
        (format!("{pod}.imagePullSecrets"), json!([reference])),
    ];
    let volumes = [
        json!({ "secret": { "secretName": "coordinator-github" } }),
        json!({ "projected": { "sources": [{ "configMap": { "name": "a" } },
            { "secret": reference }] } }),
        json!({ "csi": { "driver": "x", "nodePublishSecretRef": reference } }),
        json!({ "azureFile": { "secretName": "coordinator-github" } }),
        json!({ "rbd": { "secretRef": reference } }),
        json!({ "ofTomorrow": { "someSecretRef": reference } }),
    ];
    let volumes = volumes.map(|mut volume| {
        volume["name"] = "given".into();
        (format!("{pod}.volumes"), json!([volume]))
    });
    for (path, value) in fields.into_iter().chain(volumes) {
        let parts = [
            "the template job.yaml names `coordinator-github`, a Secret of the coordinator, in \
             spec.",
            "name another",
        ];
        refused(with(&path, &value), &parts);
        let harmless = value.to_string().replace("coordinator-github", "agents");
        let harmless: Value = serde_json::from_str(&harmless).expect("it was JSON");
        load(&with(&path, &harmless));
    }
    // A ConfigMap, a container and a claim may be called as they like.
    let shared = json!({ "envFrom": [{ "configMapRef": { "name": "coordinator-github" } }] });
    load(&with(&format!("{pod}.containers[agent]"), &shared));
    load(&with(
        &format!("{pod}.initContainers"),
        &json!([{ "name": "coordinator-github", "image": "a:1" }]),
    ));
}

#[test]
fn a_token_of_the_cluster_and_a_second_start_are_refused_too() {
    let pod = "spec.template.spec";
    let none = "an agent gets no credentials of the cluster";
    for source in ["serviceAccountToken", "podCertificate"] {
        let projected =
            json!([{ "name": "t", "projected": { "sources": [{ source: { "path": "t" } }] } }]);
        let path = format!("sets {pod}.volumes[t].projected.sources[0].{source}");
        refused(with(&format!("{pod}.volumes"), &projected), &[&path, none]);
    }
    refused(
        with(&format!("{pod}.automountServiceAccountToken"), &json!(true)),
        &["automountServiceAccountToken to true", none],
    );
    load(&with(&format!("{pod}.automountServiceAccountToken"), &json!(false)));
    for key in ["serviceAccountName", "serviceAccount"] {
        let field = format!("{pod}.{key}");
        refused(
            with(&field, &json!("coordinator")),
            &[&format!("names `coordinator` in {field}"), "name another"],
        );
        load(&with(&field, &json!("agents")));
    }
    let restarted =
        |policy: &str| json!([{ "name": "proxy", "image": "p:1", "restartPolicy": policy }]);
    let once = "a session is started once";
    for policy in ["Always", "OnFailure", "Never"] {
        let path = format!("{pod}.containers[proxy].restartPolicy");
        refused(with(&format!("{pod}.containers"), &restarted(policy)), &[&path, once]);
    }
    refused(
        with(&format!("{pod}.initContainers"), &restarted("OnFailure")),
        &["initContainers[proxy]", once],
    );
    load(&with(&format!("{pod}.initContainers"), &restarted("Always")));
}

#[test]
fn fields_that_the_roster_sets_are_refused_with_the_key() {
    let agent = "spec.template.spec.containers[agent]";
    let keys = [
        ("metadata.namespace".to_owned(), "namespace"),
        ("spec.activeDeadlineSeconds".to_owned(), "time_limit"),
        ("spec.template.spec.activeDeadlineSeconds".to_owned(), "time_limit"),
        ("spec.ttlSecondsAfterFinished".to_owned(), "ttl"),
        (format!("{agent}.image"), "image"),
        (format!("{agent}.command"), "command"),
        (format!("{agent}.args"), "command"),
        (format!("{agent}.resources.limits.cpu"), "resources"),
    ];
    for (path, key) in &keys {
        let remedy = format!("take it out: `{key}` in the roster sets it");
        refused(with(path, &json!("x")), &[&format!("the template job.yaml sets {path}"), &remedy]);
    }
    refused(
        with("spec.template.spec.volumes", &json!([{"name": "workspace"}])),
        &["take it out: `workspace` in the roster sets it"],
    );
    refused(
        with(agent, &json!({"volumeMounts": [{"name": "x", "mountPath": "/workspace"}]})),
        &["take it out: `workspace` in the roster sets it"],
    );
}

#[test]
fn a_field_of_an_optional_key_is_refused_only_where_the_roster_sets_the_key() {
    let keys = [
        ("serviceAccountName", json!("agents"), "service_account = \"sessions\""),
        ("serviceAccount", json!("agents"), "service_account = \"sessions\""),
        ("priorityClassName", json!("low"), "priority_class = \"high\""),
        ("runtimeClassName", json!("gvisor"), "runtime_class = \"kata\""),
        ("nodeSelector", json!({"a": "b"}), "node_selector = { a = \"c\" }"),
        ("tolerations", json!([{"operator": "Exists", "key": "agents"}]), "tolerations = [{}]"),
        ("imagePullSecrets", json!([{"name": "a"}]), "image_pull_secrets = [\"b\"]"),
    ];
    for (field, value, line) in keys {
        let template = with(&format!("spec.template.spec.{field}"), &value);
        assert_eq!(load(&template)["spec"]["template"]["spec"][field], value);
        let roster = ROSTER.replace("template =", &format!("{line}\ntemplate ="));
        let key = line.split(' ').next().expect("a key");
        let remedy = format!("take it out: `{key}` in the roster sets it");
        refused_in(
            &folder(&roster, template),
            "7:12",
            &[&format!("sets spec.template.spec.{field}"), &remedy],
        );
    }
    let queue = with("metadata.labels", &json!({"kueue.x-k8s.io/queue-name": "a"}));
    assert_eq!(load(&queue)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "a");
    let roster = ROSTER.replace("template =", "queue_name = \"b\"\ntemplate =");
    refused_in(
        &folder(&roster, queue),
        "7:12",
        &["take it out: `queue_name` in the roster sets it"],
    );
}

#[test]
fn a_variable_of_any_role_is_the_roster_s() {
    let template = with(
        "spec.template.spec.containers[agent]",
        &json!({"env": [{"name": "PLAIN", "value": "1"}]}),
    );
    assert_eq!(
        load(&template)["spec"]["template"]["spec"]["containers"][0]["env"][0]["name"],
        "PLAIN"
    );
    let told = &["containers[agent].env[PLAIN]", "take it out: `env` in the roster sets it"];
    refused_in(&folder(&format!("{ROSTER}env = {{ PLAIN = \"2\" }}\n"), &template), "6:12", told);
    refused_in(
        &folder(&format!("{ROSTER}[defaults]\nenv = {{ PLAIN = \"2\" }}\n"), template),
        "6:12",
        told,
    );
}

#[test]
fn lists_that_are_merged_by_entry_must_be_lists() {
    let pod = "spec.template.spec";
    refused(with("spec", &json!([])), &["the template job.yaml has no mapping at spec"]);
    refused(
        with("metadata.labels", &json!({"team": 7})),
        &["has no text at metadata.labels.team", "in quotes"],
    );
    refused(
        with(&format!("{pod}.containers"), &json!({"agent": {}})),
        &["has no list at spec.template.spec.containers"],
    );
    refused(
        with(&format!("{pod}.volumes"), &json!([{"emptyDir": {}}])),
        &["volumes", "has an entry without a `name`"],
    );
    let twice = json!([{"name": "proxy"}, {"name": "proxy", "image": "x"}]);
    refused(with(&format!("{pod}.containers"), &twice), &["has `proxy` twice"]);
    let mounts = json!({"volumeMounts": [{"name": "x", "mountPath": "/a"},
        {"name": "y", "mountPath": "/a/"}]});
    refused(
        with(&format!("{pod}.containers[agent]"), &mounts),
        &["has `/a` twice", "volumeMounts"],
    );
}

#[test]
fn all_the_rest_is_handed_over_as_it_is() {
    let template = r#"
apiVersion: batch/v1
kind: Job
metadata:
  creationTimestamp: null
  labels: { team: agents }
  annotations: { example.com/owner: someone }
spec:
  template:
    metadata:
      annotations: { sidecar.istio.io/inject: "false" }
    spec:
      dnsPolicy: Default
      hostAliases: [{ ip: 10.0.0.1, hostnames: [git.example.com] }]
      securityContext: { fsGroup: 1000 }
      affinity: { nodeAffinity: {} }
      initContainers:
        - name: clone
          image: git:1
          volumeMounts: [{ name: workspace, mountPath: /workspace }]
      containers:
        - name: agent
          resources: {}
          envFrom: [{ configMapRef: { name: shared } }]
          env: [{ name: LANG, value: C.UTF-8 }]
          volumeMounts: [{ name: keys, mountPath: /keys, readOnly: true }]
        - name: proxy
          image: proxy:1
          command: [proxy]
          resources: { limits: { memory: 64Mi } }
      volumes:
        - name: keys
          secret: { secretName: keys, defaultMode: 0400 }
status: {}
"#;
    insta::assert_json_snapshot!("handed_over", load(template));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_damaged_template_is_read_or_refused_without_a_panic(
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), "[\\[\\]{}:&*!|>#.\\n\\t a-z0-9-]{0,3}"),
            1..6,
        ),
    ) {
        let mut template = include_str!("kubernetes_mistakes.yaml").to_owned();
        for (at, text) in edits {
            let at = at.index(template.len());
            template.replace_range(at..=at, &text);
        }
        let told = folder(ROSTER, template).load().expect_err("it sets what it may not");
        prop_assert!(told.ends_with(" nothing was changed\n"), "{told}");
    }
}
