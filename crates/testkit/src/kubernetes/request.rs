//! One request to the API server, read.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use super::status::Resource;
use super::trouble::Call;

/// The label of a work item's register.
const REGISTER: &str = "coordinator.dev/register";

/// A request, and after it was served, its answer: an entry of the journal.
#[derive(Debug, Clone)]
pub struct Asked {
    pub call: Call,
    pub method: Method,
    /// Without its query.
    pub path: String,
    /// Decoded.
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    /// Null where there was none.
    pub body: Value,
    pub target: Option<Target>,
    /// The world's answer, before faults on the wire.
    pub status: u16,
    pub reply: Value,
    /// The answer came from the script, not from the cluster.
    pub scripted: bool,
}

/// The objects that a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub resource: Resource,
    pub namespace: String,
    /// Empty for the whole collection.
    pub name: String,
    /// `log`, `status`; mostly empty.
    pub subresource: String,
}

impl Target {
    fn read(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (resource, rest) = match parts.as_slice() {
            ["apis", "batch", "v1", "namespaces", namespace, "jobs", rest @ ..] => {
                ((Resource::Jobs, namespace), rest)
            }
            ["api", "v1", "namespaces", namespace, "pods", rest @ ..] => {
                ((Resource::Pods, namespace), rest)
            }
            ["api", "v1", "namespaces", namespace, "configmaps", rest @ ..] => {
                ((Resource::ConfigMaps, namespace), rest)
            }
            ["api", "v1", "namespaces", namespace, "events", rest @ ..] => {
                ((Resource::Events, namespace), rest)
            }
            _ => return None,
        };
        let part = |place: usize| rest.get(place).copied().unwrap_or_default().to_owned();
        let (resource, namespace) = resource;
        Some(Self {
            resource,
            namespace: (*namespace).to_owned(),
            name: part(0),
            subresource: part(1),
        })
    }
}

impl Asked {
    /// Reads a request that has not been answered yet.
    pub fn read(request: &http::Request<Bytes>) -> Self {
        let path = request.uri().path().to_owned();
        let query = decode(request.uri().query().unwrap_or_default());
        let target = Target::read(&path);
        let mut asked = Self {
            call: Call::Other,
            method: request.method().clone(),
            path,
            query,
            headers: request.headers().clone(),
            body: serde_json::from_slice(request.body()).unwrap_or(Value::Null),
            target,
            status: 0,
            reply: Value::Null,
            scripted: false,
        };
        asked.call = asked.purpose();
        asked
    }

    fn purpose(&self) -> Call {
        let call = call(&self.method, self.target.as_ref(), self.query.contains_key("continue"));
        let is_labelled = !self.body["metadata"]["labels"][REGISTER].is_null();
        let is_selected = self.parameter("labelSelector").starts_with(REGISTER);
        match call {
            Call::ReadLedger if is_selected || !self.parameter("fieldSelector").is_empty() => {
                Call::ListRegisters
            }
            Call::WriteLedger if is_labelled => Call::WriteRegister,
            Call::DropLedger if !self.name().contains("-ledger-") => Call::DropRegister,
            call => call,
        }
    }

    /// A parameter of the query, empty where it is missing.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether the server only checks the request and changes nothing.
    pub fn is_dry_run(&self) -> bool {
        self.parameter("dryRun") == "All" || self.body["dryRun"][0] == "All"
    }

    /// The object that the path or the body names.
    pub fn name(&self) -> &str {
        match &self.target {
            Some(target) if !target.name.is_empty() => &target.name,
            _ => self.body["metadata"]["name"].as_str().unwrap_or_default(),
        }
    }

    /// The authorizer's name for it.
    pub fn verb(&self) -> &'static str {
        let one = self.target.as_ref().is_some_and(|target| !target.name.is_empty());
        match (&self.method, one) {
            (&Method::GET, _) if self.parameter("watch") == "true" => "watch",
            (&Method::GET, true) => "get",
            (&Method::GET, false) => "list",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, true) => "delete",
            (&Method::DELETE, false) => "deletecollection",
            _ => "unknown",
        }
    }
}

fn call(method: &Method, target: Option<&Target>, further: bool) -> Call {
    let Some(Target { resource, name, subresource, .. }) = target else { return Call::Other };
    match (method, resource, name.as_str(), subresource.as_str()) {
        (&Method::GET, Resource::Jobs, "", "") if further => Call::MoreJobs,
        (&Method::GET, Resource::Jobs, "", "") => Call::ListJobs,
        (&Method::GET, Resource::Pods, "", "") if further => Call::MorePods,
        (&Method::GET, Resource::Pods, "", "") => Call::ListPods,
        (&Method::GET, Resource::Events, "", "") => Call::ListEvents,
        (&Method::GET, Resource::Jobs, _, "") => Call::Get,
        (&Method::GET, Resource::Pods, _, "log") => Call::Log,
        (&Method::POST, Resource::Jobs, "", "") => Call::Create,
        (&Method::PATCH, Resource::Jobs, _, "") => Call::Patch,
        (&Method::DELETE, Resource::Jobs, name, "") if !name.is_empty() => Call::Delete,
        (&Method::GET, Resource::ConfigMaps, "", "") => Call::ReadLedger,
        (&Method::POST | &Method::PUT, Resource::ConfigMaps, _, "") => Call::WriteLedger,
        (&Method::DELETE, Resource::ConfigMaps, _, "") => Call::DropLedger,
        _ => Call::Other,
    }
}

fn decode(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (unescape(k), unescape(v)))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        rest = match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                &tail[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                tail
            }
            (byte, _) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(bytes).expect("queries are UTF-8")
}
