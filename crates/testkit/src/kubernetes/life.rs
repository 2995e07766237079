//! What controllers, kubelets, people and time do to Jobs and pods: the knobs of a test.

use serde_json::{Value, json};
use tokio::sync::watch;

use super::cluster::{Cluster, Log, NAMESPACE, Nodes};
use super::witness::is_live_job;

/// Letters of the random ends of pod names.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Cluster {
    /// The Job controller sees a new Job.
    pub fn control(&mut self, name: &str) {
        let is_suspended = self.job(name)["spec"]["suspend"] == true;
        if self.nodes == Nodes::Asleep {
            return;
        }
        if is_suspended {
            let condition = self.condition("Suspended", "JobSuspended", "Job suspended");
            self.job(name)["status"] = json!({"conditions": [condition], "ready": 0,
                "terminating": 0, "uncountedTerminatedPods": {}});
            return;
        }
        self.make_pod(name);
        if self.nodes == Nodes::Ready {
            self.try_start(name);
        }
    }

    /// The kubelet starts no container whose environment names a key that is not there.
    fn try_start(&mut self, name: &str) {
        match self.missing_key(name) {
            None => self.start(name),
            Some(missing) => self.wait(name, "CreateContainerConfigError", &missing),
        }
    }

    /// The key of a `ConfigMap` that the Job's pod waits for.
    pub fn missing_key(&mut self, name: &str) -> Option<String> {
        if self.ignores_missing_keys {
            return None;
        }
        let variables = self.job(name)["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        let references = variables.as_array().into_iter().flatten();
        let references = references.map(|variable| &variable["valueFrom"]["configMapKeyRef"]);
        for reference in
            references.filter(|reference| !reference.is_null() && reference["optional"] != true)
        {
            let text = |key: &str| reference[key].as_str().unwrap_or_default();
            let (map, key) = (text("name"), text("key"));
            let found = self.namespace().config_maps.get(map);
            if found.is_none_or(|found| found["data"][key].is_null()) {
                return Some(format!("couldn't find key {key} in ConfigMap {NAMESPACE}/{map}"));
            }
        }
        None
    }

    fn make_pod(&mut self, name: &str) {
        let now = self.stamp();
        let job = self.job(name).clone();
        let template = &job["spec"]["template"];
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
            "metadata": {
                "generateName": format!("{name}-"), "namespace": NAMESPACE, "uid": self.new_uid(),
                "generation": 1,
                "labels": template["metadata"]["labels"],
                "finalizers": ["batch.kubernetes.io/job-tracking"],
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name,
                    "uid": job["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true}],
            },
            "status": {"phase": "Pending", "qosClass": "Burstable", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "lastProbeTime": null, "lastTransitionTime": now,
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
            }]},
        });
        if !template["metadata"]["annotations"].is_null() {
            pod["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
        }
        self.stamp_new(&mut pod);
        let pod_name = format!("{name}-{}", suffix(self.revision));
        pod["metadata"]["name"] = pod_name.clone().into();
        self.namespace().pods.insert(pod_name, pod);
        self.job(name)["status"] = json!({"active": 1, "ready": 0, "terminating": 0,
            "startTime": now, "uncountedTerminatedPods": {}});
    }

    fn start(&mut self, name: &str) {
        let now = self.stamp();
        let job = self.job(name).clone();
        if !job["metadata"]["annotations"]["coordinator.dev/item"].is_null() {
            self.agents.push(job);
        }
        let containers = containers(self.job(name), &json!({"running": {"startedAt": now}}), true);
        let condition = |kind| {
            json!({
                "type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": null,
            })
        };
        let conditions = ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map(condition);
        let pod = self.pod(name);
        pod["spec"]["nodeName"] = "node-1".into();
        pod["status"] = json!({"phase": "Running", "startTime": now,
            "containerStatuses": containers,
            "conditions": conditions});
        let (writer, text) = watch::channel(Vec::new());
        let pod_name = self.pods_of(name).pop().expect("the pod was there");
        self.namespace().logs.insert(pod_name, Log { text, writer: Some(writer) });
        self.job(name)["status"]["ready"] = 1.into();
        self.touch(name);
    }

    fn condition(&self, kind: &str, reason: &str, message: &str) -> Value {
        let now = self.stamp();
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
            "lastProbeTime": now,
            "lastTransitionTime": now})
    }

    /// The agent of this Job writes.
    pub fn write_log(&mut self, job: &str, text: &str) {
        let pod = self.pods_of(job).pop().expect("the Job has a pod");
        let log = self.namespace().logs.get(&pod).expect("its container has started");
        let writer = log.writer.as_ref().expect("its container has not ended");
        writer.send_modify(|bytes| bytes.extend_from_slice(text.as_bytes()));
    }

    /// Every pod that waits gets its node, and its agent starts.
    pub fn run_all(&mut self) {
        for name in self.jobs() {
            let job = self.job(&name);
            if !is_live_job(job) || job["spec"]["suspend"] == true || job["status"]["ready"] == 1 {
                continue;
            }
            if self.pods_of(&name).is_empty() {
                self.make_pod(&name);
            }
            self.try_start(&name);
        }
    }

    /// The agent exits with this code and these last words, and the Job is over.
    pub fn finish(&mut self, job: &str, exit: i32, last_words: &str) {
        let reason = if exit == 0 { "Completed" } else { "Error" };
        self.end_pod(job, exit, reason, last_words);
        if exit == 0 { self.complete(job) } else { self.fail(job, "BackoffLimitExceeded") }
    }

    /// The kubelet ends the pod at its own deadline, as it does with most sessions that take too
    /// long.
    pub fn time_out(&mut self, job: &str) {
        self.end_pod(job, 137, "Error", "");
        let status = &mut self.pod(job)["status"];
        status["reason"] = "DeadlineExceeded".into();
        status["message"] = "Pod was active on the node longer than the specified deadline".into();
        self.fail(job, "BackoffLimitExceeded");
    }

    /// The Job controller ends the Job at the Job's deadline, and its pod goes with it.
    pub fn deadline_exceeded(&mut self, job: &str) {
        self.lose_pod(job);
        self.fail(job, "DeadlineExceeded");
    }

    /// The node's pressure or a drain takes the pod away.
    pub fn evict(&mut self, job: &str) {
        self.end_pod(job, 143, "Error", "");
        let condition = self.condition(
            "DisruptionTarget",
            "TerminationByKubelet",
            "The node was low on resource: memory.",
        );
        let status = &mut self.pod(job)["status"];
        status["reason"] = "Evicted".into();
        status["message"] = "The node was low on resource: memory.".into();
        status["conditions"].as_array_mut().expect("a pod has conditions").push(condition);
        self.fail(job, "BackoffLimitExceeded");
    }

    /// The Job has failed, and its pod takes its time to end: not over yet.
    pub fn failing(&mut self, job: &str) {
        let now = self.stamp();
        self.pod(job)["metadata"]["deletionTimestamp"] = now.into();
        let condition =
            self.condition("FailureTarget", "DeadlineExceeded", words("DeadlineExceeded"));
        let status = &mut self.job(job)["status"];
        status["conditions"] = json!([condition]);
        status.as_object_mut().expect("a status is a map").remove("active");
        (status["failed"], status["ready"], status["terminating"]) = (1.into(), 0.into(), 1.into());
        self.touch(job);
    }

    /// The pod waits, for this reason of the kubelet.
    pub fn wait(&mut self, job: &str, reason: &str, message: &str) {
        let now = self.stamp();
        let state = json!({"waiting": {"reason": reason, "message": message}});
        let containers = containers(self.job(job), &state, false);
        let pod = self.pod(job);
        pod["spec"]["nodeName"] = "node-1".into();
        pod["status"] = json!({"phase": "Pending", "startTime": now,
            "containerStatuses": containers,
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now}]});
        self.job(job)["status"]["ready"] = 0.into();
        self.touch(job);
    }

    /// The agent runs, but a probe or another container keeps the pod from being ready, with this
    /// message of the kubelet.
    pub fn unready(&mut self, job: &str, message: &str) {
        self.mark_unready(job, &["Ready", "ContainersReady"], Some(message));
    }

    /// The node does not answer: its controller marks the pod, and writes an event.
    pub fn lose_node(&mut self, job: &str) {
        self.mark_unready(job, &["Ready"], None);
        let pod = self.pod(job)["metadata"]["name"].clone();
        self.warn_of(
            "Pod",
            pod.as_str().expect("a pod has a name"),
            "NodeNotReady",
            "Node is not ready",
        );
    }

    fn mark_unready(&mut self, job: &str, marked: &[&str], message: Option<&str>) {
        let now = self.stamp();
        let conditions =
            self.pod(job)["status"]["conditions"].as_array_mut().expect("a pod that runs has them");
        for condition in
            conditions.iter_mut().filter(|one| marked.iter().any(|kind| one["type"] == *kind))
        {
            condition["status"] = "False".into();
            condition["lastTransitionTime"] = now.clone().into();
            if let Some(message) = message {
                condition["reason"] = "ContainersNotReady".into();
                condition["message"] = message.into();
            }
        }
        self.job(job)["status"]["ready"] = 0.into();
        self.touch(job);
    }

    /// A warning about the Job.
    pub fn warn(&mut self, job: &str, reason: &str, message: &str) {
        self.warn_of("Job", job, reason, message);
    }

    /// A warning about the Job's pod.
    pub fn warn_of_pod(&mut self, job: &str, reason: &str, message: &str) {
        let pod = self.pod(job)["metadata"]["name"].clone();
        self.warn_of("Pod", pod.as_str().expect("a pod has a name"), reason, message);
    }

    fn warn_of(&mut self, kind: &str, name: &str, reason: &str, message: &str) {
        let now = self.stamp();
        let objects = self.namespace();
        let object = if kind == "Job" { &objects.jobs[name] } else { &objects.pods[name] };
        let uid = object["metadata"]["uid"].clone();
        let mut event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"namespace": NAMESPACE},
            "type": "Warning",
            "involvedObject": {"kind": kind, "namespace": NAMESPACE, "name": name, "uid": uid},
            "reason": reason, "message": message, "count": 1, "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": null, "source": {"component": "world"},
        });
        self.stamp_new(&mut event);
        let event_name = format!("{name}.{:016x}", self.revision);
        event["metadata"]["name"] = event_name.clone().into();
        self.namespace().events.insert(event_name, event);
    }

    /// A person, or a queue, suspends the Job: its pod is ended.
    pub fn suspend(&mut self, job: &str) {
        self.lose_pod(job);
        let condition = self.condition("Suspended", "JobSuspended", "Job suspended");
        self.job(job)["spec"]["suspend"] = true.into();
        let status = &mut self.job(job)["status"];
        *status = json!({"conditions": [condition], "ready": 0, "terminating": 0,
            "uncountedTerminatedPods": {}});
        self.touch(job);
    }

    /// A person deletes the Job, and a finalizer keeps it.
    pub fn terminate(&mut self, job: &str) {
        let now = self.stamp();
        let metadata = &mut self.job(job)["metadata"];
        metadata["deletionTimestamp"] = now.into();
        metadata["deletionGracePeriodSeconds"] = 0.into();
        metadata["generation"] = 2.into();
        metadata["finalizers"] = json!(["example.com/hold"]);
        self.touch(job);
    }

    /// Puts a finalizer on the Job: a later deletion leaves it terminating.
    pub fn hold(&mut self, job: &str) {
        self.job(job)["metadata"]["finalizers"] = json!(["example.com/hold"]);
        self.touch(job);
    }

    /// The Job and its pods are gone: its TTL has passed, or a person removed it.
    pub fn remove(&mut self, job: &str) {
        for pod in self.pods_of(job) {
            self.remove_pod(&pod);
        }
        self.namespace().jobs.remove(job);
        if self.namespace().quota.as_ref().is_some_and(|quota| !quota.lags) {
            self.recount();
        }
        self.next();
    }

    /// The pods of a Job are gone, and their logs and exit codes with them.
    pub fn lose_pod(&mut self, job: &str) {
        for pod in self.pods_of(job) {
            self.remove_pod(&pod);
        }
    }

    fn remove_pod(&mut self, pod: &str) {
        self.namespace().pods.remove(pod);
        self.namespace().logs.remove(pod);
        self.next();
    }

    fn end_pod(&mut self, job: &str, exit: i32, reason: &str, last_words: &str) {
        let now = self.stamp();
        let mut terminated = json!({"exitCode": exit, "reason": reason, "finishedAt": now});
        let running =
            self.pod(job)["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
                .clone();
        terminated["startedAt"] = if running.is_null() { now.into() } else { running };
        if !last_words.is_empty() {
            terminated["message"] = last_words.into();
        }
        let containers = containers(self.job(job), &json!({"terminated": terminated}), false);
        let pod = self.pod(job);
        pod["status"]["phase"] = if exit == 0 { "Succeeded" } else { "Failed" }.into();
        pod["status"]["containerStatuses"] = containers;
        pod["metadata"].as_object_mut().expect("metadata is a map").remove("finalizers");
        let name = self.pods_of(job).pop().expect("the pod was there");
        if let Some(log) = self.namespace().logs.get_mut(&name) {
            log.writer = None;
        }
    }

    fn complete(&mut self, job: &str) {
        let now = self.stamp();
        let conditions = ["SuccessCriteriaMet", "Complete"]
            .map(|kind| self.condition(kind, "CompletionsReached", words("CompletionsReached")));
        let started = self.job(job)["status"]["startTime"].clone();
        self.job(job)["status"] = json!({"conditions": conditions, "startTime": started,
            "completionTime": now,
            "succeeded": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}});
        self.touch(job);
    }

    fn fail(&mut self, job: &str, reason: &str) {
        let conditions =
            ["FailureTarget", "Failed"].map(|kind| self.condition(kind, reason, words(reason)));
        let started = self.job(job)["status"]["startTime"].clone();
        self.job(job)["status"] = json!({"conditions": conditions, "startTime": started,
            "failed": 1, "ready": 0,
            "terminating": 0, "uncountedTerminatedPods": {}});
        self.touch(job);
    }
}

/// The Job controller's message for each of its reasons.
fn words(reason: &str) -> &'static str {
    match reason {
        "CompletionsReached" => "Reached expected number of succeeded pods",
        "DeadlineExceeded" => "Job was active longer than specified deadline",
        _ => "Job has reached the specified backoff limit",
    }
}

/// The statuses of a Job's containers, all in this state.
fn containers(job: &Value, state: &Value, running: bool) -> Value {
    let containers = job["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let status = |container: &Value| {
        json!({"name": container["name"], "image": container["image"], "imageID": "",
            "restartCount": 0,
            "ready": running, "started": running, "lastState": {}, "state": state})
    };
    containers.map(status).collect()
}

fn suffix(serial: u64) -> String {
    let letters = LETTERS.len() as u64;
    let digit = |place: u32| {
        LETTERS[usize::try_from(serial / letters.pow(place) % letters).expect("small")]
    };
    (0..5).rev().map(|place| char::from(digit(place))).collect()
}
