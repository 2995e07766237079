//! A posted Job on its way in: decoded, completed with the server's defaults, and checked.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use k8s_openapi::api::batch::v1::Job;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::status::{self, Cause};
use crate::server::Reply;

/// The posted Job as the server would store it under this uid, without its times; or the refusal.
pub fn admit(posted: &Value, namespace: &str, strict: bool, uid: &str) -> Result<Value, Reply> {
    let typed: Job = decode(posted)?;
    let known = serde_json::to_value(&typed).expect("a Job serialises");
    let mut unknown = Vec::new();
    unknown_fields(posted, &known, "", &mut unknown);
    if strict && !unknown.is_empty() {
        let list: Vec<String> =
            unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
        return Err(undecodable(&format!("strict decoding error: {}", list.join(", "))));
    }
    let mut job = known;
    let asked = job["metadata"]["namespace"].as_str().unwrap_or(namespace);
    if asked != namespace {
        let message =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(status::bad_request(message));
    }
    job["metadata"]["namespace"] = namespace.into();
    complete(&mut job);
    select(&mut job, uid);
    let causes = causes(&job);
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    if causes.is_empty() { Ok(job) } else { Err(status::invalid("Job", name, &causes)) }
}

fn decode(posted: &Value) -> Result<Job, Reply> {
    let (version, kind) = (&posted["apiVersion"], &posted["kind"]);
    if version != "batch/v1" || kind != "Job" {
        let message = format!(
            "the object provided is unrecognized (must be of type Job): \
             couldn't get version/kind; got {version}/{kind}"
        );
        return Err(status::bad_request(&message));
    }
    let job = serde_json::from_value(posted.clone())
        .map_err(|error| undecodable(&format!("json: {error}")))?;
    let containers =
        posted["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
    let resources = containers
        .flat_map(|container| ["requests", "limits"].map(|kind| &container["resources"][kind]));
    let mut amounts =
        resources.filter_map(Value::as_object).flat_map(Map::values).filter_map(Value::as_str);
    if amounts.any(|amount| !is_all(QUANTITY, amount)) {
        return Err(undecodable(&format!(
            "quantities must match the regular expression '^{QUANTITY}$'"
        )));
    }
    Ok(job)
}

fn undecodable(why: &str) -> Reply {
    status::bad_request(&format!("Job in version \"v1\" cannot be handled as a Job: {why}"))
}

/// Fields that did not survive the typed form.
fn unknown_fields(posted: &Value, known: &Value, path: &str, unknown: &mut Vec<String>) {
    match posted {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match known.get(key) {
                    Some(known) => unknown_fields(value, known, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown_fields(item, &known[index], &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

fn default(object: &mut Value, key: &str, value: impl Into<Value>) {
    if object[key].is_null() {
        object[key] = value.into();
    }
}

fn complete(job: &mut Value) {
    job["metadata"]["generation"] = 1.into();
    job["status"] = json!({});
    let spec = &mut job["spec"];
    default(spec, "parallelism", 1);
    default(spec, "completions", 1);
    default(spec, "backoffLimit", 6);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "manualSelector", false);
    let replacement =
        if spec["podFailurePolicy"].is_null() { "TerminatingOrFailed" } else { "Failed" };
    default(spec, "podReplacementPolicy", replacement);
    let pod = &mut spec["template"]["spec"];
    default(pod, "restartPolicy", "Always");
    default(pod, "dnsPolicy", "ClusterFirst");
    default(pod, "schedulerName", "default-scheduler");
    default(pod, "securityContext", json!({}));
    default(pod, "terminationGracePeriodSeconds", 30);
    if let account @ Value::String(_) = pod["serviceAccountName"].clone() {
        pod["serviceAccount"] = account;
    }
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        let image = container["image"].as_str().unwrap_or_default();
        // A name that cannot be read has no tag to judge by.
        let readable = !image.contains(' ');
        let moving = image.ends_with(":latest")
            || !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
        default(
            container,
            "imagePullPolicy",
            if moving && readable { "Always" } else { "IfNotPresent" },
        );
        default(container, "resources", json!({}));
        default(container, "terminationMessagePath", "/dev/termination-log");
        default(container, "terminationMessagePolicy", "File");
    }
}

/// The selector by which the Job finds its pods, and the labels that it looks for.
fn select(job: &mut Value, uid: &str) {
    job["metadata"]["uid"] = uid.into();
    let name = job["metadata"]["name"].clone();
    job["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for prefix in ["", "batch.kubernetes.io/"] {
        labels[format!("{prefix}controller-uid")] = uid.into();
        labels[format!("{prefix}job-name")] = name.clone();
    }
}

fn cause(field: &str, reason: &'static str, message: impl Into<String>) -> Cause {
    Cause { field: field.to_owned(), reason, message: message.into() }
}

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUANTITY: &str = "([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)";
const LABEL: &str = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

/// Whether the whole text matches one of the patterns above.
fn is_all(pattern: &'static str, text: &str) -> bool {
    static MADE: LazyLock<Mutex<BTreeMap<&str, Regex>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().expect("no holder of this lock panics");
    let whole = made
        .entry(pattern)
        .or_insert_with(|| Regex::new(&format!("^({pattern})$")).expect("a pattern of the API"));
    whole.is_match(text)
}

fn causes(job: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_metadata(&job["metadata"], "metadata", &mut causes);
    check_metadata(&job["spec"]["template"]["metadata"], "spec.template", &mut causes);
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(cause(
            "metadata.name",
            "FieldValueRequired",
            "Required value: name or generateName is required",
        ));
    } else if !is_all(SUBDOMAIN, name) || name.len() > 253 {
        let message = format!(
            "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
             character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
        );
        causes.push(cause("metadata.name", "FieldValueInvalid", message));
    }
    check_pod(&job["spec"]["template"]["spec"], &mut causes);
    causes
}

fn check_metadata(metadata: &Value, path: &str, causes: &mut Vec<Cause>) {
    let empty = Map::new();
    for value in metadata["labels"].as_object().unwrap_or(&empty).values().filter_map(Value::as_str)
    {
        let field = format!("{path}.labels");
        if value.len() > 63 {
            let message = format!("Invalid value: \"{value}\": must be no more than 63 bytes");
            causes.push(cause(&field, "FieldValueInvalid", message));
        } else if !is_all(LABEL, value) {
            let message = format!(
                "Invalid value: \"{value}\": a valid label must be an empty string or consist of \
                 alphanumeric characters, '-', '_' or '.', and must start and end with an \
                 alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
                 for validation is '{LABEL}')"
            );
            causes.push(cause(&field, "FieldValueInvalid", message));
        }
    }
    let annotations = metadata["annotations"].as_object().unwrap_or(&empty);
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    if annotations.iter().map(size).sum::<usize>() > 256 * 1024 {
        let message = "Too long: may not be more than 262144 bytes";
        causes.push(cause(&format!("{path}.annotations"), "FieldValueTooLong", message));
    }
}

fn check_pod(pod: &Value, causes: &mut Vec<Cause>) {
    let containers = pod["containers"].as_array().map_or(&[][..], Vec::as_slice);
    if containers.is_empty() {
        causes.push(cause("spec.template.spec.containers", "FieldValueRequired", "Required value"));
    }
    for (index, container) in containers.iter().enumerate() {
        let field = format!("spec.template.spec.containers[{index}]");
        let image = container["image"].as_str().unwrap_or_default();
        if image.is_empty() {
            causes.push(cause(&format!("{field}.image"), "FieldValueRequired", "Required value"));
        }
        for (place, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate()
        {
            let known = |volume: &Value| volume["name"] == mount["name"];
            if !pod["volumes"].as_array().is_some_and(|volumes| volumes.iter().any(known)) {
                let message = format!("Not found: {}", mount["name"]);
                causes.push(cause(
                    &format!("{field}.volumeMounts[{place}].name"),
                    "FieldValueNotFound",
                    message,
                ));
            }
        }
    }
    if !["Never", "OnFailure"].contains(&pod["restartPolicy"].as_str().unwrap_or_default()) {
        let message = "Required value: valid values: \"OnFailure\", \"Never\"";
        causes.push(cause("spec.template.spec.restartPolicy", "FieldValueRequired", message));
    }
}
