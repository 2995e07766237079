//! Queries that are too expensive for GitHub, and its errors for them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::rest;
use super::server::Reply;

/// A limit for each of the two queries that select many pull requests.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pages of the list.
    pub list: Option<Limit>,
    /// Requests that read pull requests by their ids.
    pub reread: Option<Limit>,
}

impl Limits {
    /// At most `shown` pull requests of an answer have values, the others are null.
    pub fn nulls(shown: usize) -> Self {
        let limit = Limit { above: shown, answer: json!("nulls"), readable: shown };
        Self { list: Some(limit.clone()), reread: Some(limit) }
    }
}

/// A limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The most pull requests that one answer may have.
    above: usize,
    /// An HTTP status, or the form of the error in a 200: `nulls`, `fields`, `nothing`, `timeout`.
    answer: Value,
    /// How many pull requests of a page of nulls have values all the same.
    #[serde(default)]
    readable: usize,
}

/// Fields that are null, with an error, where the answer is `fields`.
const COSTLY: [&str; 2] = ["statusCheckRollup", "latestOpinionatedReviews"];

/// The answer to a query: unchanged below the limit, else with the error of the limit.
pub fn apply(limits: &Limits, reply: Reply) -> Reply {
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
    let places = places(&body);
    let is_list = places.first().is_some_and(|place| place[0] == "repository");
    let limit = if is_list { &limits.list } else { &limits.reread };
    let Some(limit) = limit.as_ref().filter(|limit| places.len() > limit.above) else {
        return reply;
    };
    if let Some(status) = limit.answer.as_u64() {
        return rest::error(u16::try_from(status).expect("an HTTP status"), "Server Error");
    }
    match limit.answer.as_str() {
        Some("nulls") => {
            for place in places.iter().skip(limit.readable) {
                hide(&mut body, place);
            }
        }
        Some("fields") => {
            for (place, field) in places.iter().flat_map(|place| COSTLY.map(|field| (place, field)))
            {
                if body["data"]
                    .pointer(&pointer(place))
                    .is_some_and(|pull| pull.get(field).is_some())
                {
                    let mut place = place.clone();
                    place.push(json!(field));
                    hide(&mut body, &place);
                }
            }
        }
        Some("nothing") => hide(&mut body, &[json!("repository")]),
        Some("timeout") => {
            let message = "Something went wrong while executing your query. This may be the \
                result of a timeout, or it could be a GitHub bug.";
            body = json!({ "data": null, "errors": [{ "message": message }] });
        }
        other => panic!("no such answer: {other:?}"),
    }
    Reply::json(200, &body)
}

/// Where the answer shows pull requests.
fn places(body: &Value) -> Vec<Vec<Value>> {
    let listed = body["data"]["repository"]["pullRequests"]["nodes"].as_array();
    if let Some(nodes) = listed {
        let place =
            |index| vec![json!("repository"), json!("pullRequests"), json!("nodes"), json!(index)];
        return (0..nodes.len()).map(place).collect();
    }
    let aliases = body["data"].as_object().into_iter().flat_map(|data| data.keys());
    aliases.filter(|alias| alias.starts_with("pull_")).map(|alias| vec![json!(alias)]).collect()
}

fn hide(body: &mut Value, place: &[Value]) {
    if let Some(value) = body["data"].pointer_mut(&pointer(place)) {
        *value = Value::Null;
    }
    let message = "Resource limits for this query exceeded.";
    let error = json!({ "type": "RESOURCE_LIMITS_EXCEEDED", "path": place, "message": message });
    match &mut body["errors"] {
        Value::Array(errors) => errors.push(error),
        none => *none = json!([error]),
    }
}

fn pointer(place: &[Value]) -> String {
    place.iter().fold(String::new(), |path, part| match part.as_str() {
        Some(name) => path + "/" + name,
        None => format!("{path}/{part}"),
    })
}
