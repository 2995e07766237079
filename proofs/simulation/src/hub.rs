//! GitHub's end of the wire.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request};
use serde_json::Value;

use crate::eligible::{self, Rules};
use crate::facts::{Facts, Shown};
use crate::fate::{Purpose, Twist};
use crate::protection;
use crate::scene::{Mutant, Scene};
use crate::table::Place;
use crate::wire::Answered;
use testkit::clock::http_date;
use testkit::limits::{self, Limits};
use testkit::state::Repository;
use testkit::{Reply, commit_id, graphql, rest};

/// A coordinator sends this now.
pub(crate) fn sent(scene: &mut Scene, who: usize, request: &Request<Bytes>) -> Purpose {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    let Some(watched) = scene.watched.get_mut(&who) else { return Purpose::Look };
    let mut verdicts = vec![watched.github_request()];
    let merge = merge_of(request);
    if let Some(number) = merge {
        verdicts.push(watched.merge_call(number, &body));
        scene.counts.total("merge calls");
    } else if request.method() != Method::GET && request.uri().path() != "/graphql" {
        verdicts.push(Err("a write other than a merge call".to_owned()));
    }
    let is_list = body["variables"]["owner"].is_string();
    let (purpose, name) = match (merge, is_list, body["variables"]["after"].is_string()) {
        (Some(_), ..) => (Purpose::Merge, "merge"),
        (None, true, false) => (Purpose::List, "list"),
        (None, true, true) => (Purpose::Page, "further page"),
        (None, false, _) if request.method() == Method::GET => (Purpose::Look, "files"),
        (None, false, _) => (Purpose::Look, "second look"),
    };
    *watched.sent.entry((Place::GitHub, name)).or_default() += 1;
    for verdict in verdicts {
        scene.blame(who, verdict);
    }
    purpose
}

/// The pull request that it merges.
fn merge_of(request: &Request<Bytes>) -> Option<u64> {
    let number = request.uri().path().strip_suffix("/merge")?.rsplit('/').next()?;
    (request.method() == Method::PUT).then(|| number.parse().ok()).flatten()
}

/// The server has it.
pub(crate) fn carry_out(
    scene: &mut Scene,
    who: usize,
    request: &Request<Bytes>,
    twist: Twist,
) -> Answered {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    let mut answered = match merge_of(request) {
        Some(number) => merge(scene, who, number, request, twist),
        None if request.uri().path() == "/graphql" => query(scene, who, body, twist),
        None => files(scene, request),
    };
    let date = http_date(scene.github.now());
    let remaining = scene.github.rate_limit_remaining.to_string();
    answered.reply = answered.reply.header("date", date).header("x-ratelimit-remaining", remaining);
    answered
}

fn query(scene: &mut Scene, who: usize, mut body: Value, twist: Twist) -> Answered {
    if twist == Twist::SmallPages {
        body["variables"]["first"] = 2.into();
    }
    let is_first = body["variables"]["after"].is_null();
    let old = scene.past.front().cloned().filter(|_| twist == Twist::Stale);
    let now = old.map(|old| std::mem::replace(scene.github.repository(), old));
    let mut reply = shown(scene, &body);
    if twist == Twist::Nulls {
        reply = limits::apply(&Limits::nulls(1), reply);
    }
    let rules = scene.watched.get(&who).map(|watched| watched.bounds.rules.clone());
    let facts = rules
        .map(|rules| facts(scene.github.repository(), &rules, &reply, is_first))
        .unwrap_or_default();
    if let Some(now) = now {
        *scene.github.repository() = now;
    }
    Answered { reply, facts }
}

fn shown(scene: &mut Scene, body: &Value) -> Reply {
    let hide: fn(&mut Scene) = match scene.mutant {
        Some(Mutant::HidesRules) => protection::hide,
        Some(Mutant::HidesFailures) => protection::hide_failures,
        _ => return graphql::answer(&scene.github, body),
    };
    let truth = scene.github.repository().clone();
    hide(scene);
    let reply = graphql::answer(&scene.github, body);
    *scene.github.repository() = truth;
    reply
}

/// The facts in an answer, by the state of the repository that it was made from.
fn facts(repository: &Repository, rules: &Rules, reply: &Reply, is_first: bool) -> Facts {
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    let listed = answer["data"]["repository"]["pullRequests"]["nodes"].as_array();
    let nodes: Vec<&Value> = match (listed, answer["data"].as_object()) {
        (Some(nodes), _) => nodes.iter().collect(),
        (None, Some(data)) => {
            data.iter().filter(|(key, _)| key.starts_with("pull_")).map(|(_, node)| node).collect()
        }
        (None, None) => Vec::new(),
    };
    let shown = |node: &&Value| {
        let number = node["number"].as_u64()?;
        let pull = repository.pulls.get(&number)?;
        let (head, title) = (commit_id(&pull.head), pull.title.clone());
        Some(Shown { number, head, title, eligible_since: eligible::since(pull, rules) })
    };
    // The program takes the base's history from the first page.
    let is_first = listed.is_some() && is_first;
    Facts {
        pulls: nodes.iter().filter_map(shown).collect(),
        on_base: is_first.then(|| eligible::recently_on_base(repository)),
        ..Facts::default()
    }
}

fn merge(
    scene: &mut Scene,
    who: usize,
    number: u64,
    request: &Request<Bytes>,
    twist: Twist,
) -> Answered {
    let mut body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    let asked_for = body["sha"].as_str().unwrap_or_default().to_owned();
    if scene.mutant == Some(Mutant::IgnoresSha) {
        body["sha"] = Value::Null;
    }
    scene.remember();
    let before = scene.github.repository().pulls.get(&number).cloned();
    reopen(scene, number, twist);
    let mut reply = rest::answer(&mut scene.github, request, &body);
    let mut facts = facts_of_reply(&reply);
    if reply.status == 200 {
        facts.merged = Some(number);
        scene.counts.total("merges");
        scene.merged_by.insert((number, who));
        let pull = before.expect("a merged pull request is there");
        let head = commit_id(&pull.head);
        if head != asked_for {
            scene.violate(&format_args!(
                "#{number} is merged at {head}, coordinator {who} judged {asked_for}"
            ));
        }
        scene.merged.insert(number, head);
        if twist == Twist::HalfMerged {
            scene.half_merged.insert(number);
            scene.github.repository().pulls.insert(number, pull);
        }
        protection::enforce(scene);
        if scene.mutant == Some(Mutant::DeniesMerges) {
            reply = rest::error(409, "Head branch was modified. Review and try the merge again.");
            facts = facts_of_reply(&reply);
        }
    }
    Answered { reply, facts }
}

/// Reopens the pull request, for a GitHub that merges twice.
fn reopen(scene: &mut Scene, number: u64, twist: Twist) {
    let forgets = match scene.mutant {
        Some(Mutant::MergesTwice) => true,
        Some(Mutant::MergesDoubledCalls) => twist == Twist::Doubled,
        _ => false,
    };
    let pull = scene.github.repository().pulls.get_mut(&number);
    if let Some(pull) = pull.filter(|pull| forgets && pull.state == "MERGED") {
        "OPEN".clone_into(&mut pull.state);
    }
}

fn files(scene: &mut Scene, request: &Request<Bytes>) -> Answered {
    let mut named = Request::builder().method(request.method()).uri(request.uri().clone());
    let authority = request.uri().authority().map_or("", http::uri::Authority::as_str);
    named = named.header(HOST, HeaderValue::from_str(authority).expect("a host"));
    let named = named.body(request.body().clone()).expect("a request");
    let reply = rest::answer(&mut scene.github, &named, &Value::Null);
    let path = request.uri().path();
    let number = path.strip_suffix("/files").and_then(|path| path.rsplit('/').next()?.parse().ok());
    let pull = number.and_then(|number| scene.github.repository().pulls.get(&number));
    let files = pull
        .filter(|_| reply.status == 200)
        .map(|pull| (pull.number, eligible::is_protected(pull)));
    Answered { reply, facts: Facts { files, ..Facts::default() } }
}

/// The facts in any answer by its status and text alone.
pub(crate) fn facts_of_reply(reply: &Reply) -> Facts {
    let text = String::from_utf8_lossy(&reply.body).to_lowercase();
    let names_rate_limit = text.contains("rate limit");
    let rate_limited = match reply.status {
        429 => true,
        403 | 200 => names_rate_limit,
        _ => false,
    };
    let base_moved = reply.status == 405 && text.contains("base branch was modified");
    Facts { rate_limited, base_moved, ..Facts::default() }
}
