//! The fake cluster against a recording of the real one: `tests/cases/kubernetes.jsonl` holds what
//! a kube-apiserver and its controllers answered, and `.ci/cluster/record.py` writes it.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::kubernetes_world::send;
use testkit::BEARER;
use testkit::Kubernetes;
use testkit::kubernetes::ADMINISTRATOR;

/// A line of the recording.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    /// An event in the cluster.
    Event { event: String },
    /// A request and its answer.
    Request(Box<Request>),
}

#[derive(Debug, Deserialize)]
struct Request {
    sentence: String,
    /// `coordinator`, `administrator`, `stranger` (an unknown token) or `anonymous` (none).
    #[serde(rename = "as")]
    who: String,
    method: String,
    path: String,
    #[serde(default)]
    body: Value,
    /// Names for parts of the reply, which later lines use as `${name}`.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    status: u16,
    #[serde(rename = "type")]
    content_type: String,
    /// The part of the reply that was recorded.
    #[serde(default)]
    at: String,
    /// `*` is any text. An error whose words are those of a Go parser is recorded without them.
    reply: Value,
}

struct Replay {
    cluster: Kubernetes,
    kept: BTreeMap<String, String>,
    differences: Vec<String>,
}

impl Replay {
    fn play(&mut self, what: &str) {
        let mut words = what.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (what, name, more, last_words) = (word(), word(), word(), word());
        let mut cluster = self.cluster.state();
        match what {
            "remove" => cluster.remove(name),
            "limit" if name == "none" => cluster.namespace().quota = None,
            "limit" => cluster.limit_jobs(name.parse().expect("a number")),
            "revoke" => cluster.revoke(name, more),
            "keep" => {
                let pod = cluster.pods_of(more).remove(0);
                self.kept.insert("pod".to_owned(), pod);
            }
            "finish" => cluster.finish(name, more.parse().expect("an exit code"), last_words),
            "deadline" => cluster.deadline_exceeded(name),
            "time-out" => cluster.time_out(name),
            "failing" => cluster.failing(name),
            "suspend" => cluster.suspend(name),
            other => panic!("no such event: {other}"),
        }
    }

    fn send(&mut self, request: &Request) {
        let token = match request.who.as_str() {
            "coordinator" => Some(BEARER),
            "administrator" => Some(ADMINISTRATOR),
            "stranger" => Some("unknown-token"),
            _ => None,
        };
        let fill = |text: &str| {
            self.kept.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${{{name}}}"), value)
            })
        };
        let method: Method = request.method.parse().expect("a method");
        let body =
            if request.body.is_null() { String::new() } else { fill(&request.body.to_string()) };
        let (status, content_type, text) =
            send(&self.cluster, token, method, &fill(&request.path), body);
        let reply: Value = serde_json::from_str(&text).unwrap_or(Value::from(text));
        let sentence = &request.sentence;
        if (status, &content_type) != (request.status, &request.content_type) {
            let recorded = (request.status, &request.content_type);
            self.differences.push(format!(
                "{sentence}: recorded {recorded:?}, here {status} {content_type} {reply}"
            ));
            return;
        }
        for (name, place) in &request.keep {
            let value = reply
                .pointer(place)
                .and_then(Value::as_str)
                .unwrap_or_else(|| panic!("{sentence}: {place}"));
            self.kept.insert(name.clone(), value.to_owned());
        }
        let got = reply.pointer(&request.at).unwrap_or(&Value::Null);
        let mut differences = Vec::new();
        let is_loose = reply["kind"] == "Status"
            && request.reply.get("message").is_none()
            && reply.get("message").is_some();
        compare(&self.expected(&request.reply), got, &request.at, is_loose, &mut differences);
        self.differences.extend(differences.into_iter().map(|one| format!("{sentence}: {one}")));
    }

    fn expected(&self, reply: &Value) -> Value {
        let text = self.kept.iter().fold(reply.to_string(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        });
        serde_json::from_str(&text).expect("names stand for plain words")
    }
}

/// Where the two differ; every key of one must be in the other.
fn compare(
    recorded: &Value,
    got: &Value,
    place: &str,
    is_loose: bool,
    differences: &mut Vec<String>,
) {
    match (recorded, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                compare(
                    value,
                    right.get(key).unwrap_or(&Value::Null),
                    &format!("{place}/{key}"),
                    false,
                    differences,
                );
            }
            let more = right.keys().filter(|key| !is_loose && !left.contains_key(*key));
            differences.extend(more.map(|key| format!("{place}/{key}: only here: {}", right[key])));
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (one, other)) in left.iter().zip(right).enumerate() {
                compare(one, other, &format!("{place}/{index}"), false, differences);
            }
        }
        (Value::String(any), Value::String(_)) if any == "*" => {}
        (recorded, got) if recorded == got => {}
        (recorded, got) => differences.push(format!("{place}: recorded {recorded}, here {got}")),
    }
}

#[test]
fn the_fake_cluster_answers_word_for_word_as_a_recorded_real_one() {
    let recording = include_str!("../cases/kubernetes.jsonl");
    let mut replay =
        Replay { cluster: Kubernetes::start(), kept: BTreeMap::new(), differences: Vec::new() };
    let mut requests = 0;
    for line in recording.lines() {
        match serde_json::from_str(line).unwrap_or_else(|problem| panic!("{problem}: {line}")) {
            Line::Event { event } => replay.play(&event),
            Line::Request(request) => {
                replay.send(&request);
                requests += 1;
            }
        }
    }
    assert!(requests > 70, "the recording has {requests} requests");
    // The recording deletes live Jobs, too.
    replay.cluster.state().take_breaches();
    assert!(replay.differences.is_empty(), "{:#?}", replay.differences);
}
