//! What the API server does with a request: authenticate, authorise, admit, store, answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::admission;
use super::cluster::{ADMIN, Cluster, NAMESPACE, Quota, USER};
use super::config_map;
use super::list;
use super::request::{Asked, Target};
use super::status::{self, Resource};
use super::witness::{is_live_job, is_live_pod};
use crate::server::{Growing, Reply};

/// Carries a request out and answers it; a `stale` list shows the remembered state.
pub fn answer(cluster: &mut Cluster, asked: &Asked, stale: bool) -> Reply {
    let user = match authenticate(cluster, asked) {
        Ok(user) => user,
        Err(refusal) => return refusal,
    };
    let Some(target) = &asked.target else { return elsewhere(cluster, user, asked) };
    if !may(cluster, user, asked.verb(), target) {
        return status::forbidden(user, asked.verb(), target);
    }
    match (asked.verb(), target.resource, target.subresource.as_str()) {
        ("list", _, "") => list::answer(cluster, asked, target, stale),
        ("get", _, "") => get(cluster, target),
        ("get", Resource::Pods, "log") => log(cluster, asked, target),
        ("create", Resource::Jobs, "") => create(cluster, asked, target),
        ("delete", Resource::Jobs, "") => delete(cluster, asked, target),
        ("patch", Resource::Jobs, "") => patch(cluster, asked, target),
        ("create" | "update", Resource::ConfigMaps, "") => {
            config_map::write(cluster, asked, target)
        }
        ("delete", Resource::ConfigMaps, "") => config_map::delete(cluster, asked, target),
        _ => status::no_such_path(),
    }
}

fn authenticate(cluster: &Cluster, asked: &Asked) -> Result<&'static str, Reply> {
    let header = asked.headers.get("authorization").and_then(|value| value.to_str().ok());
    match header.map(|header| header.strip_prefix("Bearer ").unwrap_or_default()) {
        None => Ok("system:anonymous"),
        Some(token) => cluster.tokens.get(token).copied().ok_or_else(status::unauthorized),
    }
}

fn may(cluster: &Cluster, user: &str, verb: &str, target: &Target) -> bool {
    let Target { resource, subresource, namespace, .. } = target;
    let resource = [resource.plural(), subresource].join("/");
    let right = (verb.to_owned(), resource.trim_end_matches('/').to_owned());
    user == ADMIN || user == USER && namespace == NAMESPACE && cluster.rights.contains(&right)
}

/// Paths that every authenticated user may request.
fn elsewhere(cluster: &Cluster, user: &str, asked: &Asked) -> Reply {
    match asked.path.as_str() {
        "/version" => {
            let (major, minor) =
                cluster.version[1..].split_once('.').expect("a version has two parts");
            let minor = minor.split('.').next().unwrap_or_default();
            let version = json!({"major": major, "minor": minor, "gitVersion": cluster.version,
                "gitCommit": "0",
                "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26",
                "compiler": "gc", "platform": "linux/amd64"});
            status::json_reply(200, &version)
        }
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            let mut review = asked.body.clone();
            review["status"] = json!({"userInfo": {"username": user}});
            status::json_reply(201, &review)
        }
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => review(cluster, &asked.body),
        "/api/v1/namespaces/agents" => status::no_right_to_look_at(user, NAMESPACE),
        _ => status::no_such_path(),
    }
}

fn review(cluster: &Cluster, body: &Value) -> Reply {
    let attributes = &body["spec"]["resourceAttributes"];
    let text = |name: &str| attributes[name].as_str().unwrap_or_default();
    let resource = match text("resource") {
        "jobs" => Resource::Jobs,
        "configmaps" => Resource::ConfigMaps,
        "events" => Resource::Events,
        _ => Resource::Pods,
    };
    let known = text("resource") == resource.plural() && text("group") == resource.group();
    let target = Target {
        resource,
        namespace: text("namespace").to_owned(),
        name: text("name").to_owned(),
        subresource: text("subresource").to_owned(),
    };
    let mut review = body.clone();
    review["status"] = json!({"allowed": known && may(cluster, USER, text("verb"), &target)});
    status::json_reply(201, &review)
}

fn object<'a>(cluster: &'a Cluster, target: &Target) -> Option<&'a Value> {
    let objects = cluster.namespaces.get(&target.namespace)?;
    match target.resource {
        Resource::Jobs => objects.jobs.get(&target.name),
        Resource::Pods => objects.pods.get(&target.name),
        Resource::ConfigMaps => objects.config_maps.get(&target.name),
        Resource::Events => objects.events.get(&target.name),
    }
}

fn get(cluster: &Cluster, target: &Target) -> Reply {
    let found = object(cluster, target);
    found.map_or_else(
        || status::not_found(target.resource, &target.name),
        |found| status::json_reply(200, found),
    )
}

/// In the order of the real server: the namespace, the object itself, the quota, and only then the
/// name.
fn create(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let strict = asked.parameter("fieldValidation") == "Strict";
    let namespace = &target.namespace;
    let uid = cluster.new_uid();
    let Some(objects) = cluster.namespaces.get_mut(namespace) else {
        return status::no_namespace(namespace);
    };
    let job = match admission::admit(&asked.body, namespace, strict, &uid) {
        Ok(job) => job,
        Err(refusal) => return refusal,
    };
    let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if let Some(refusal) =
        objects.quota.as_mut().and_then(|quota| charge(quota, &name, asked.is_dry_run()))
    {
        return refusal;
    }
    if let Some(holder) = objects.jobs.get(&name) {
        let is_being_deleted = !holder["metadata"]["deletionTimestamp"].is_null();
        return status::already_exists(Resource::Jobs, &name, is_being_deleted);
    }
    if asked.is_dry_run() {
        let mut dry = job;
        cluster.stamp_new(&mut dry);
        dry["metadata"].as_object_mut().expect("metadata is a map").remove("resourceVersion");
        return status::json_reply(201, &dry);
    }
    let stored = cluster.store(job);
    cluster.witness(&name);
    status::json_reply(201, &stored)
}

/// Charged before the name is looked at: a create that is refused afterwards still counts.
fn charge(quota: &mut Quota, job: &str, is_dry_run: bool) -> Option<Reply> {
    let Quota { name, hard, used, .. } = quota;
    if *used >= *hard {
        let why = format!(
            "exceeded quota: {name}, requested: count/jobs.batch=1, used: count/jobs.batch={used}, \
             limited: count/jobs.batch={hard}"
        );
        return Some(status::denied_by(Resource::Jobs, job, &why));
    }
    if !is_dry_run {
        *used += 1;
    }
    None
}

/// The server adds a warning when a deletion has no `propagationPolicy`.
fn delete(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let reply = remove(cluster, asked, target);
    if asked.body["propagationPolicy"].is_string() {
        return reply;
    }
    let warning = "child pods are preserved by default when jobs are deleted; set \
        propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress \
        this warning";
    reply.header("warning", format!("299 - \"{warning}\""))
}

fn remove(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let Target { resource, namespace, name, .. } = target;
    let Some(found) = object(cluster, target) else { return status::not_found(*resource, name) };
    let metadata = &found["metadata"];
    for (key, field) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let (expected, is) =
            (asked.body["preconditions"][key].as_str(), metadata[key].as_str().unwrap_or_default());
        if let Some(expected) = expected.filter(|expected| *expected != is) {
            return status::precondition(*resource, name, field, expected, is);
        }
    }
    let details = json!({"name": name, "group": "batch", "kind": "jobs", "uid": metadata["uid"]});
    let removed = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details});
    if asked.is_dry_run() {
        return status::json_reply(200, &removed);
    }
    cluster.witness_removal(name);
    // The API's default for Jobs of batch/v1 leaves the pods behind.
    let policy = asked.body["propagationPolicy"].as_str().unwrap_or("Orphan");
    let is_held = found_finalizers(cluster, target)
        || (policy == "Foreground" && has_live_pods(cluster, name));
    if is_held {
        let (now, objects) = (cluster.stamp(), cluster.namespaces.get_mut(namespace));
        let job = objects.and_then(|objects| objects.jobs.get_mut(name)).expect("it was found");
        if job["metadata"]["deletionTimestamp"].is_null() {
            job["metadata"]["deletionTimestamp"] = now.into();
            job["metadata"]["deletionGracePeriodSeconds"] = 0.into();
            job["metadata"]["generation"] = 2.into();
        }
        return status::json_reply(200, &job.clone());
    }
    if policy == "Orphan" {
        orphan(cluster, name);
    }
    cluster.remove(name);
    cluster.witness(name);
    status::json_reply(200, &removed)
}

/// A merge patch (RFC 7386). The Job controller acts on a deadline at once.
fn patch(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let form = asked.headers.get("content-type").and_then(|form| form.to_str().ok());
    if form != Some("application/merge-patch+json") {
        return status::failure(
            415,
            "UnsupportedMediaType",
            "the body is not a merge patch",
            &json!({}),
        );
    }
    let Some(found) = object(cluster, target) else {
        return status::not_found(target.resource, &target.name);
    };
    let mut patched = found.clone();
    merge(&mut patched, &asked.body);
    let (is, asked_for) = (found["metadata"]["uid"].clone(), patched["metadata"]["uid"].clone());
    if is != asked_for {
        let message = format!(
            "Operation cannot be fulfilled on jobs.batch \"{}\": Precondition failed: UID in \
             precondition: {}, UID in object meta: {}",
            target.name, asked_for, is
        );
        let details = json!({"name": target.name, "group": "batch", "kind": "jobs"});
        return status::failure(409, "Conflict", &message, &details);
    }
    *cluster.job(&target.name) = patched.clone();
    cluster.touch(&target.name);
    if patched["spec"]["activeDeadlineSeconds"].as_u64().is_some_and(|limit| limit <= 1)
        && is_live_job(&patched)
    {
        cluster.deadline_exceeded(&target.name);
    }
    status::json_reply(200, &patched)
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            target.as_object_mut().expect("it is a map").remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn found_finalizers(cluster: &Cluster, target: &Target) -> bool {
    let finalizers =
        object(cluster, target).and_then(|job| job["metadata"]["finalizers"].as_array());
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

fn has_live_pods(cluster: &mut Cluster, job: &str) -> bool {
    let pods = cluster.pods_of(job);
    pods.iter().any(|pod| is_live_pod(&cluster.namespace().pods[pod]))
}

fn orphan(cluster: &mut Cluster, job: &str) {
    for pod in cluster.pods_of(job) {
        let pod = cluster.namespace().pods.get_mut(&pod).expect("a listed pod is there");
        pod["metadata"].as_object_mut().expect("metadata is a map").remove("ownerReferences");
    }
}

fn log(cluster: &Cluster, asked: &Asked, target: &Target) -> Reply {
    let name = &target.name;
    let Some(pod) = object(cluster, target) else { return status::not_found(Resource::Pods, name) };
    let asked_for = asked.parameter("container");
    let containers: BTreeMap<&str, &Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| (container["name"].as_str().unwrap_or_default(), container))
        .collect();
    let names: Vec<&str> = containers.keys().copied().collect();
    let container = match (asked_for, names.as_slice()) {
        ("", [only]) => only,
        ("", all) => {
            let all = all.join(" ");
            let message = format!(
                "a container name must be specified for pod {name}, choose one of: [{all}]"
            );
            return status::bad_request(&message);
        }
        (one, all) if all.contains(&one) => one,
        (one, _) => {
            return status::bad_request(&format!("container {one} is not valid for pod {name}"));
        }
    };
    if pod["spec"]["nodeName"].is_null() {
        return status::bad_request(&format!("pod {name} does not have a host assigned"));
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    if let Some(reason) = state["waiting"]["reason"].as_str() {
        let why = match reason {
            "ImagePullBackOff" => "trying and failing to pull image",
            "ErrImagePull" => "image can't be pulled",
            reason => reason,
        };
        let message =
            format!("container \"{container}\" in pod \"{name}\" is waiting to start: {why}");
        return status::bad_request(&message);
    }
    let log = cluster.namespaces.get(&target.namespace).and_then(|objects| objects.logs.get(name));
    text(log.map(|log| log.text.clone()), asked)
}

fn text(log: Option<watch::Receiver<Vec<u8>>>, asked: &Asked) -> Reply {
    let Some(text) = log else { return Reply::new(200, "").header("content-type", "text/plain") };
    let whole = text.borrow().clone();
    let from = asked.parameter("tailLines").parse().map_or(0, |lines: usize| tail(&whole, lines));
    let reply = Reply::new(200, whole[from..].to_vec()).header("content-type", "text/plain");
    if asked.parameter("follow") != "true" {
        return reply;
    }
    Reply { growing: Some(Box::new(Growing { text, from })), ..reply }
}

/// Where the last `lines` lines begin.
fn tail(text: &[u8], lines: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(place, _)| place + 1);
    if lines == 0 { text.len() } else { ends.take(lines).nth(lines - 1).unwrap_or(0) }
}
