//! Lists: selectors, pages and their tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::cluster::{Cluster, Namespace};
use super::request::{Asked, Target};
use super::status::{self, Resource};
use crate::server::Reply;

/// Answers a list, from the remembered state when it is `stale`.
pub fn answer(cluster: &mut Cluster, asked: &Asked, target: &Target, stale: bool) -> Reply {
    let found = match asked.parameter("continue") {
        "" => select(cluster, asked, target, stale).map(|items| (cluster.revision, items)),
        token => go_on(cluster, asked, target, token),
    };
    match found {
        Ok((revision, items)) => page(cluster, asked, target, revision, items),
        Err(refusal) => refusal,
    }
}

/// The answer to a token that is too old: another one, which leads to a list that never was.
pub fn expired(asked: &Asked) -> Reply {
    let start = read_token(asked.parameter("continue")).map(|(_, start)| start).unwrap_or_default();
    status::expired(&token(-1, &start))
}

fn go_on(
    cluster: &Cluster,
    asked: &Asked,
    target: &Target,
    token: &str,
) -> Result<(u64, Vec<Value>), Reply> {
    let Some((revision, start)) = read_token(token) else {
        return Err(status::bad_request(
            "invalid continue token: continue key is not valid: illegal base64 data",
        ));
    };
    let is_left = |item: &Value| item["metadata"]["name"].as_str().unwrap_or_default() >= &*start;
    let Ok(revision) = u64::try_from(revision) else {
        let items = select(cluster, asked, target, false)?;
        return Ok((cluster.revision, items.into_iter().filter(is_left).collect()));
    };
    let items = cluster.pages.get(&(target.resource, revision)).ok_or_else(|| expired(asked))?;
    Ok((revision, items.iter().filter(|item| is_left(item)).cloned().collect()))
}

fn page(
    cluster: &mut Cluster,
    asked: &Asked,
    target: &Target,
    revision: u64,
    mut items: Vec<Value>,
) -> Reply {
    let limit: usize =
        asked.parameter("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if items.len() > limit {
        cluster.pages.entry((target.resource, revision)).or_insert_with(|| items.clone());
        let left = items.split_off(limit);
        let last = items.last().map(|item| item["metadata"]["name"].as_str().unwrap_or_default());
        let revision = i64::try_from(revision).expect("small");
        metadata["continue"] = token(revision, &format!("{}\0", last.unwrap_or_default())).into();
        if asked.parameter("labelSelector").is_empty()
            && asked.parameter("fieldSelector").is_empty()
        {
            metadata["remainingItemCount"] = left.len().into();
        }
    }
    for item in &mut items {
        // Items of a typed list have no kind and version of their own.
        let fields = item.as_object_mut().expect("an object");
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    let (kind, version) = (target.resource.kind(), target.resource.api_version());
    status::json_reply(
        200,
        &json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata,
            "items": items}),
    )
}

fn select(
    cluster: &Cluster,
    asked: &Asked,
    target: &Target,
    stale: bool,
) -> Result<Vec<Value>, Reply> {
    let labels = requirements(asked.parameter("labelSelector"));
    if labels.iter().any(|(key, _, value)| key.contains(' ') || value.contains(' ')) {
        return Err(status::bad_request(
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ));
    }
    let fields = requirements(asked.parameter("fieldSelector"));
    for (field, _, _) in &fields {
        let known = match target.resource {
            Resource::Jobs => {
                ["metadata.name", "metadata.namespace", "status.successful"].as_slice()
            }
            Resource::Pods => {
                &["metadata.name", "metadata.namespace", "status.phase", "spec.nodeName"]
            }
            Resource::ConfigMaps => &["metadata.name", "metadata.namespace"],
            Resource::Events => &["type", "reason", "involvedObject.kind", "involvedObject.uid"],
        };
        if !known.contains(field) {
            let message = match target.resource {
                Resource::Jobs => format!("field label \"{field}\" not supported for Job"),
                Resource::Pods | Resource::ConfigMaps | Resource::Events => {
                    format!("field label not supported: {field}")
                }
            };
            return Err(status::bad_request(&message));
        }
    }
    let memory = cluster.memory.as_ref().filter(|_| stale).unwrap_or(&cluster.namespaces);
    let all = memory
        .get(&target.namespace)
        .map(|objects| of(objects, target.resource))
        .unwrap_or_default();
    let matches = |item: &&Value| {
        let label = |key: &str| item["metadata"]["labels"][key].as_str();
        let field = |path: &str| {
            item.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str)
        };
        labels.iter().all(|(key, operator, wanted)| operator.holds(label(key), wanted))
            && fields.iter().all(|(path, operator, wanted)| operator.holds(field(path), wanted))
    };
    Ok(all.into_iter().filter(matches).cloned().collect())
}

fn of(objects: &Namespace, resource: Resource) -> Vec<&Value> {
    match resource {
        Resource::Jobs => objects.jobs.values().collect(),
        Resource::Pods => objects.pods.values().collect(),
        Resource::ConfigMaps => objects.config_maps.values().collect(),
        Resource::Events => objects.events.values().collect(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Is,
    IsNot,
    Exists,
    In,
}

impl Operator {
    fn holds(self, found: Option<&str>, wanted: &str) -> bool {
        match self {
            Self::Is => found == Some(wanted),
            Self::IsNot => found != Some(wanted),
            Self::Exists => found.is_some(),
            Self::In => found.is_some_and(|found| wanted.split(',').any(|one| one.trim() == found)),
        }
    }
}

/// The equality-based form of a selector, or one `key in (a, b)`.
fn requirements(selector: &str) -> Vec<(&str, Operator, &str)> {
    if let Some((key, values)) = selector.split_once(" in (") {
        let values = values.strip_suffix(')').expect("a set ends with a parenthesis");
        return vec![(key, Operator::In, values)];
    }
    let parts = selector.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            if let Some((key, value)) = part.split_once("!=") {
                return (key, Operator::IsNot, value);
            }
            let plain = part.split_once("==").or_else(|| part.split_once('='));
            plain.map_or((part, Operator::Exists, ""), |(key, value)| (key, Operator::Is, value))
        })
        .collect()
}

fn token(revision: i64, start: &str) -> String {
    let content = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start});
    URL_SAFE_NO_PAD.encode(content.to_string())
}

fn read_token(token: &str) -> Option<(i64, String)> {
    let content: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    Some((content["rv"].as_i64()?, content["start"].as_str()?.to_owned()))
}
