//! `ConfigMaps`: made, replaced by version, removed.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::request::{Asked, Target};
use super::status::{self, Resource};
use crate::server::Reply;

/// All values of one `ConfigMap` together.
const MAX_DATA_BYTES: usize = 1 << 20;

/// A POST, or a PUT that may name the version that it replaces.
pub fn write(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let is_new = asked.verb() == "create";
    let name = asked.name().to_owned();
    let uid = cluster.new_uid();
    let Some(objects) = cluster.namespaces.get(&target.namespace) else {
        return status::no_namespace(&target.namespace);
    };
    let found = objects.config_maps.get(&name);
    let posted = asked.body["metadata"]["resourceVersion"].as_str();
    match found {
        Some(_) if is_new => return status::already_exists(Resource::ConfigMaps, &name, false),
        None if !is_new => return status::not_found(Resource::ConfigMaps, &name),
        Some(found)
            if posted.is_some_and(|posted| found["metadata"]["resourceVersion"] != posted) =>
        {
            return status::modified("configmaps", &name, "configmaps");
        }
        Some(_) | None => {}
    }
    let data = asked.body["data"].as_object().into_iter().flatten();
    let size: usize = data.map(|(_, value)| value.as_str().map_or(0, str::len)).sum();
    if size > MAX_DATA_BYTES {
        let message = format!(
            "ConfigMap \"{name}\" is invalid: []: Too long: may not be more than 1048576 bytes"
        );
        return status::failure(
            422,
            "Invalid",
            &message,
            &json!({"name": name, "kind": "ConfigMap"}),
        );
    }
    let found_generation = found.map(generation);
    let uid = found.map_or(uid.into(), |found| found["metadata"]["uid"].clone());
    let mut stored: Value = asked.body.clone();
    stored["metadata"]["uid"] = uid;
    stored["metadata"]["namespace"] = target.namespace.clone().into();
    cluster.stamp_new(&mut stored);
    if !asked.is_dry_run() {
        if let Some(breach) = breach(found_generation, &stored) {
            cluster.breaches.push(breach);
        }
        let objects = cluster.namespaces.get_mut(&target.namespace).expect("it was just there");
        objects.config_maps.insert(name, stored.clone());
    }
    status::json_reply(if is_new { 201 } else { 200 }, &stored)
}

/// The generation in a register; 0 for any other `ConfigMap`.
fn generation(map: &Value) -> u64 {
    map["data"]["generation"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A write by which a register would forget a start.
fn breach(before: Option<u64>, stored: &Value) -> Option<String> {
    let name = &stored["metadata"]["name"];
    let went_back = before.is_some_and(|before| generation(stored) < before);
    went_back.then(|| format!("the register {name} went back to generation {}", generation(stored)))
}

/// A DELETE by name, with or without a version as precondition.
pub fn delete(cluster: &mut Cluster, asked: &Asked, target: &Target) -> Reply {
    let objects = cluster.namespaces.get_mut(&target.namespace);
    let found = objects.and_then(|objects| objects.config_maps.get(&target.name)).cloned();
    let Some(gone) = found else { return status::not_found(Resource::ConfigMaps, &target.name) };
    for (key, field) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        let is = gone["metadata"][key].as_str().unwrap_or_default();
        let expected = asked.body["preconditions"][key].as_str();
        if let Some(expected) = expected.filter(|expected| *expected != is) {
            return status::precondition(Resource::ConfigMaps, &target.name, field, expected, is);
        }
    }
    if let Some(objects) = cluster.namespaces.get_mut(&target.namespace) {
        objects.config_maps.remove(&target.name);
    }
    cluster.next();
    let details =
        json!({"name": target.name, "kind": "configmaps", "uid": gone["metadata"]["uid"]});
    status::json_reply(
        200,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": details}),
    )
}
