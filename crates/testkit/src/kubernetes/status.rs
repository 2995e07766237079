//! What the API server answers when it refuses, word for word.

use serde_json::{Value, json};

use super::request::Target;
use crate::server::Reply;

/// A resource as messages name it: `jobs.batch`, `pods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Jobs,
    Pods,
    ConfigMaps,
    Events,
}

impl Resource {
    /// The API group, empty for the core.
    pub fn group(self) -> &'static str {
        match self {
            Self::Jobs => "batch",
            Self::Pods | Self::ConfigMaps | Self::Events => "",
        }
    }

    /// The word in paths.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Pods => "pods",
            Self::ConfigMaps => "configmaps",
            Self::Events => "events",
        }
    }

    /// Of one object.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "Job",
            Self::Pods => "Pod",
            Self::ConfigMaps => "ConfigMap",
            Self::Events => "Event",
        }
    }

    /// Of one object.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Jobs => "batch/v1",
            Self::Pods | Self::ConfigMaps | Self::Events => "v1",
        }
    }

    /// The word in messages.
    pub fn qualified(self) -> &'static str {
        match self {
            Self::Jobs => "jobs.batch",
            Self::Pods => "pods",
            Self::ConfigMaps => "configmaps",
            Self::Events => "events",
        }
    }

    fn details(self, name: &str) -> Value {
        let mut details = json!({"kind": self.plural()});
        for (key, value) in [("group", self.group()), ("name", name)] {
            if !value.is_empty() {
                details[key] = value.into();
            }
        }
        details
    }
}

/// JSON as the API server labels it.
pub fn json_reply(code: u16, body: &Value) -> Reply {
    Reply::json(code, body).header("content-type", "application/json")
}

/// A `Status` of a refused request.
pub fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Reply {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if !details.is_null() {
        status["details"] = details.clone();
    }
    json_reply(code, &status)
}

/// 401: the token is unknown or has expired.
pub fn unauthorized() -> Reply {
    failure(401, "Unauthorized", "Unauthorized", &Value::Null)
}

/// 403 of the authorizer.
pub fn forbidden(user: &str, verb: &str, target: &Target) -> Reply {
    let Target { resource, subresource, name, namespace } = target;
    let whole = [resource.plural(), subresource].join("/");
    let whole = whole.trim_end_matches('/');
    let group = resource.group();
    let denied = format!(
        "User \"{user}\" cannot {verb} resource \"{whole}\" in API group \"{group}\" in the \
         namespace \"{namespace}\""
    );
    denied_by(*resource, name, &denied)
}

/// 403 of the authorizer, for the namespace itself.
pub fn no_right_to_look_at(user: &str, namespace: &str) -> Reply {
    let message = format!(
        "namespaces \"{namespace}\" is forbidden: User \"{user}\" cannot get resource \
         \"namespaces\" in API group \"\" in the namespace \"{namespace}\""
    );
    failure(403, "Forbidden", &message, &json!({"name": namespace, "kind": "namespaces"}))
}

/// 403 of anything that admits or authorizes.
pub fn denied_by(resource: Resource, name: &str, why: &str) -> Reply {
    let what = resource.qualified();
    let what = if name.is_empty() { what.to_owned() } else { format!("{what} \"{name}\"") };
    failure(403, "Forbidden", &format!("{what} is forbidden: {why}"), &resource.details(name))
}

/// 404 of an object.
pub fn not_found(resource: Resource, name: &str) -> Reply {
    let message = format!("{} \"{name}\" not found", resource.qualified());
    failure(404, "NotFound", &message, &resource.details(name))
}

/// 404 of a namespace.
pub fn no_namespace(name: &str) -> Reply {
    let details = json!({"name": name, "kind": "namespaces"});
    failure(404, "NotFound", &format!("namespaces \"{name}\" not found"), &details)
}

/// 404 of a path that belongs to no API.
pub fn no_such_path() -> Reply {
    Reply::new(404, "404 page not found\n").header("content-type", "text/plain; charset=utf-8")
}

/// 409 of a create.
pub fn already_exists(resource: Resource, name: &str, is_being_deleted: bool) -> Reply {
    let prefix = if is_being_deleted { "object is being deleted: " } else { "" };
    let message = format!("{prefix}{} \"{name}\" already exists", resource.qualified());
    failure(409, "AlreadyExists", &message, &resource.details(name))
}

/// 409 of a delete: `expected` is not the `UID` or `ResourceVersion` of the object.
pub fn precondition(
    resource: Resource,
    name: &str,
    field: &str,
    expected: &str,
    found: &str,
) -> Reply {
    let (kind, group) = (resource.kind(), resource.group());
    let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let remedy = if field == "UID" { "deleted and then recreated" } else { "modified" };
    let message = format!(
        "Operation cannot be fulfilled on {qualified} \"{name}\": the {field} in the precondition \
         ({expected}) does not match the {field} in record ({found}). The object might have been \
         {remedy}"
    );
    failure(409, "Conflict", &message, &json!({"name": name, "group": group, "kind": kind}))
}

/// 409 of a write that names an old `resourceVersion`, or of a quota that two creations charged at
/// once.
pub fn modified(qualified: &str, name: &str, kind: &str) -> Reply {
    let message = format!(
        "Operation cannot be fulfilled on {qualified} \"{name}\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    failure(409, "Conflict", &message, &json!({"name": name, "kind": kind}))
}

/// 409 of a creation that lost the race for its quota, and did nothing.
pub fn quota_conflict() -> Reply {
    modified("resourcequotas", "fleet", "resourcequotas")
}

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    pub field: String,
    /// `FieldValueInvalid`, `FieldValueRequired`, ...
    pub reason: &'static str,
    pub message: String,
}

/// 422: the object is not valid.
pub fn invalid(kind: &str, name: &str, causes: &[Cause]) -> Reply {
    let mut lines: Vec<String> =
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    lines.dedup();
    let all = if let [one] = &lines[..] { one.clone() } else { format!("[{}]", lines.join(", ")) };
    let message = format!("{kind}.batch \"{name}\" is invalid: {all}");
    let causes: Vec<Value> = causes
        .iter()
        .map(
            |cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}),
        )
        .collect();
    let details = json!({"name": name, "group": "batch", "kind": kind, "causes": causes});
    failure(422, "Invalid", &message, &details)
}

/// 400.
pub fn bad_request(message: &str) -> Reply {
    failure(400, "BadRequest", message, &Value::Null)
}

/// 410: the pages of the list are gone; the token continues with a list that never was.
pub fn expired(inconsistent: &str) -> Reply {
    let message = "The provided continue parameter is too old to display a consistent list \
        result. You can start a new list without the continue parameter, or use the continue \
        token in this response to retrieve the remainder of the results. Continuing with the \
        provided token results in an inconsistent list - objects that were created, modified, or \
        deleted between the time the first chunk was returned and now may show up in the list.";
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {"continue": inconsistent},
        "status": "Failure",
        "message": message, "reason": "Expired", "code": 410,
    });
    json_reply(410, &status)
}

/// 429 of priority and fairness, which speaks plain text.
pub fn too_many_requests(seconds: u64) -> Reply {
    let text = "Too many requests, please try again later.\n";
    Reply::new(429, text)
        .header("content-type", "text/plain; charset=utf-8")
        .header("retry-after", seconds.to_string())
}

/// 503 of a server that starts, stops or has lost its storage.
pub fn unavailable(retry_after: Option<u64>) -> Reply {
    let reply = failure(
        503,
        "ServiceUnavailable",
        "the server is currently unable to handle the request",
        &json!({}),
    );
    match retry_after {
        Some(seconds) => reply.header("retry-after", seconds.to_string()),
        None => reply,
    }
}

/// 504: the server gave up waiting; the write may still be carried out.
pub fn timeout() -> Reply {
    let message =
        "Timeout: request did not complete within requested timeout - context deadline exceeded";
    failure(504, "Timeout", message, &json!({}))
}

/// 500 of a storage that does not answer.
pub fn internal(message: &str) -> Reply {
    let details = json!({"causes": [{"message": message}]});
    failure(500, "InternalError", &format!("Internal error occurred: {message}"), &details)
}
