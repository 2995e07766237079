//! GitHub over HTTP: routes a request, applies its scripted faults, keeps the journal.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

use super::clock::http_date;
use super::fault::{Fault, Route};
use super::journal::{Entry, Kind};
use super::server::{Reply, Server};
use super::state::{Repository, State};
use super::{graphql, rest};

/// The fake GitHub; dropping it ends it.
#[derive(Debug)]
pub struct GitHub {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl GitHub {
    /// Serves this repository.
    pub fn start(repository: Repository) -> Self {
        let state = Arc::new(Mutex::new(State::new(repository)));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let mut state = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            serve(&mut state, &request)
        });
        Self { server, state }
    }

    /// The roster's `api_url`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The world, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next requests of this route go wrong in this order.
    pub fn script(&self, route: Route, faults: impl IntoIterator<Item = Fault>) {
        self.state().faults.script(route, faults);
    }

    /// Every request of this route gets this fault.
    pub fn always(&self, route: Route, fault: Fault) {
        self.state().faults.always(route, fault);
    }

    /// The world changes just before the next request of this route is answered.
    pub fn when(&self, route: Route, change: impl FnOnce(&mut State) + Send + 'static) {
        self.state().changes.0.push((route, Box::new(change)));
    }

    /// All requests so far.
    pub fn journal(&self) -> Vec<Entry> {
        self.state().journal.clone()
    }

    /// How many requests of this kind came so far.
    pub fn count(&self, kind: Kind) -> usize {
        self.state().journal.iter().filter(|entry| entry.kind == kind).count()
    }

    /// The merge calls so far, in order.
    pub fn merge_calls(&self) -> Vec<u64> {
        self.state()
            .journal
            .iter()
            .filter(|entry| entry.kind == Kind::Merge)
            .filter_map(Entry::pull)
            .collect()
    }

    /// The pull requests that are merged, by number.
    pub fn merged(&self) -> Vec<u64> {
        let mut state = self.state();
        let pulls = state.repository().pulls.values();
        pulls.filter(|pull| pull.state == "MERGED").map(|pull| pull.number).collect()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        let breaches: Vec<String> = self
            .state()
            .repositories
            .values_mut()
            .flat_map(|it| it.actions.take_breaches())
            .collect();
        assert!(
            breaches.is_empty() || std::thread::panicking(),
            "the invariant broke: {breaches:#?}"
        );
    }
}

fn serve(state: &mut State, request: &Request<Bytes>) -> Reply {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    let path =
        request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let kind = kind_of(request.method(), &path, &body);
    let routes = routes_of(kind, &path);
    if let Some(due) = state.changes.0.iter().position(|(route, _)| routes.contains(route)) {
        let (_, change) = state.changes.0.remove(due);
        change(state);
    }
    let fault = state.faults.take(&routes);
    let applied = fault.as_ref().is_none_or(|fault| fault.applied);
    let answer =
        if applied { answer(state, request, &body) } else { Reply::json(500, &Value::Null) };
    let fault = fault.unwrap_or_else(Fault::none);
    let scripted = fault.reply.is_some() || !applied;
    let reply = fault.reply.unwrap_or(answer);
    state.journal.push(Entry {
        kind,
        method: request.method().clone(),
        path,
        operation: graphql::operation_name(&body),
        headers: request.headers().clone(),
        body,
        status: reply.status,
        reply: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
        scripted,
    });
    common_headers(state, reply).after(fault.delay).ending(fault.ending)
}

fn answer(state: &mut State, request: &Request<Bytes>, body: &Value) -> Reply {
    let path = request.uri().path();
    if !path.starts_with("/app/") && !is_authorised(state, request) {
        return rest::error(401, "Bad credentials");
    }
    state.rate_limit_remaining = state.rate_limit_remaining.saturating_sub(1);
    if path == "/graphql" {
        graphql::answer(state, body)
    } else {
        rest::answer(state, request, body)
    }
}

fn is_authorised(state: &mut State, request: &Request<Bytes>) -> bool {
    let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let Some((_, token)) = header.and_then(|value| value.split_once(' ')) else { return false };
    state.viewer = state.accounts.get(token).cloned();
    state.viewer.is_some() || state.tokens.iter().any(|known| known == token)
}

fn common_headers(state: &State, mut reply: Reply) -> Reply {
    let mut common = vec![
        ("date", http_date(state.now())),
        ("x-ratelimit-limit", "5000".to_owned()),
        ("x-ratelimit-remaining", state.rate_limit_remaining.to_string()),
        ("x-ratelimit-reset", rest::next_hour(state).to_string()),
        ("x-github-request-id", "0000:1111:2222".to_owned()),
    ];
    if let Some(expiration) = &state.token_expiration {
        common.push(("github-authentication-token-expiration", expiration.clone()));
    }
    for (name, value) in common {
        if !reply.headers.iter().any(|(present, _)| present == name) {
            reply = reply.header(name, value);
        }
    }
    reply
}

fn kind_of(method: &Method, path: &str, body: &Value) -> Kind {
    if path == "/graphql" {
        return if graphql::lists_pulls(body) { Kind::List } else { Kind::Detail };
    }
    match *method {
        Method::GET => Kind::Detail,
        Method::PUT if path.ends_with("/merge") => Kind::Merge,
        Method::POST if path.ends_with("/access_tokens") => Kind::AccessToken,
        _ => Kind::Write,
    }
}

fn routes_of(kind: Kind, path: &str) -> Vec<Route> {
    let plain = path.split('?').next().unwrap_or(path);
    let pull =
        |suffix| -> Option<u64> { plain.strip_suffix(suffix)?.rsplit('/').next()?.parse().ok() };
    let mut routes = vec![Route::Any];
    routes.extend((kind == Kind::List).then_some(Route::List));
    routes.extend((plain == "/graphql").then_some(Route::GraphQl));
    routes.extend((plain == "/graphql" && kind == Kind::Detail).then_some(Route::Recheck));
    routes.extend((kind == Kind::AccessToken).then_some(Route::AccessToken));
    routes.extend(plain.ends_with("/runs").then_some(Route::Runs));
    routes.extend(plain.contains("/concurrency_groups/").then_some(Route::Group));
    routes.extend(plain.ends_with("/dispatches").then_some(Route::Dispatch));
    routes.extend(
        (plain.contains("/actions/runs/") && plain.ends_with("/jobs")).then_some(Route::RunJobs),
    );
    routes.extend(
        (plain.contains("/actions/jobs/") && plain.ends_with("/logs")).then_some(Route::JobLog),
    );
    routes.extend(plain.contains("/issues").then_some(Route::Issues));
    routes.extend(pull("/merge").map(Route::Merge));
    routes.extend(pull("/files").map(Route::Files));
    routes
}
