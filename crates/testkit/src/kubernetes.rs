//! A Kubernetes API server over HTTP: routes a request, applies its scripted faults, keeps the
//! journal.
//!
//! It answers as the real one does, down to the words, and plays the Job controller, the kubelet
//! and the garbage collector, which here act at once or when a test calls for it. Time, too, passes
//! only then. A witness checks every change; dropping the fake fails the test when a slot ever had
//! two live sessions or a live one was ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use cluster::{Change, Cluster, NAMESPACE};
use request::Asked;
use trouble::{Call, Route, Trouble};

use super::clock::http_date;
use super::fault::Fault;
use super::server::{Gate, Reply, Server};
use crate::BEARER;

pub mod admission;
pub mod api;
pub mod cluster;
pub mod config_map;
pub mod life;
pub mod list;
pub mod request;
pub mod status;
pub mod trouble;
pub mod witness;

/// The token of a cluster administrator.
pub const ADMINISTRATOR: &str = "administrators-token-of-the-world-09c2d1";

/// The longest wait of a test, generous for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fake API server; dropping it ends it.
pub struct Kubernetes {
    server: Server,
    cluster: Arc<Mutex<Cluster>>,
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubernetes").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Kubernetes {
    /// An empty cluster.
    pub fn start() -> Self {
        let cluster = Arc::new(Mutex::new(Cluster::default()));
        let shared = Arc::clone(&cluster);
        let server = Server::start(move |request| {
            let mut cluster = shared.lock().unwrap_or_else(PoisonError::into_inner);
            serve(&mut cluster, &request)
        });
        Self { server, cluster }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The cluster, to look at or to change.
    pub fn state(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next requests of this route go wrong in this order.
    pub fn script<T: Into<Trouble>>(
        &self,
        route: impl Into<Route>,
        troubles: impl IntoIterator<Item = T>,
    ) {
        self.state().faults.script(route.into(), troubles.into_iter().map(Into::into));
    }

    /// Every request of this route gets this fault.
    pub fn always(&self, route: impl Into<Route>, trouble: impl Into<Trouble>) {
        self.state().faults.always(route.into(), trouble.into());
    }

    /// The cluster is well again.
    pub fn heal(&self) {
        self.state().faults = super::fault::Faults::default();
    }

    /// The cluster changes just before the next request of this route is answered.
    pub fn when(
        &self,
        route: impl Into<Route>,
        change: impl FnOnce(&mut Cluster) + Send + 'static,
    ) {
        let change: Change = Box::new(change);
        self.state().changes.push((route.into(), change));
    }

    /// Carries out the writes that were answered with a timeout, as a server may do later.
    pub fn land(&self) {
        let mut cluster = self.state();
        for asked in std::mem::take(&mut cluster.late) {
            api::answer(&mut cluster, &asked, false);
        }
    }

    /// All requests so far.
    pub fn journal(&self) -> Vec<Asked> {
        self.state().journal.clone()
    }

    /// Empties the journal.
    pub fn forget(&self) {
        self.state().journal.clear();
    }

    /// The requests so far, by kind.
    pub fn calls(&self) -> Vec<Call> {
        self.state().journal.iter().map(|asked| asked.call).collect()
    }

    /// How many requests of this kind came so far.
    pub fn count(&self, call: Call) -> usize {
        self.state().journal.iter().filter(|asked| asked.call == call).count()
    }

    /// Waits until `times` requests of this kind have arrived.
    pub fn await_calls(&self, call: Call, times: usize) {
        let end = Instant::now() + PATIENCE;
        while self.count(call) < times {
            assert!(Instant::now() < end, "{times} x {call:?} in vain: {:?}", self.calls());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A kubeconfig whose one context, `world`, belongs to the coordinator's service account.
    pub fn kubeconfig(&self) -> String {
        let url = self.url();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: world\n\
             clusters:\n- name: world\n  cluster:\n    server: {url}\n\
             users:\n- name: coordinator\n  user:\n    token: {BEARER}\n\
             contexts:\n- name: world\n  context:\n    cluster: world\n    user: coordinator\n    \
             namespace: {NAMESPACE}\n"
        )
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        let breaches = self.state().take_breaches();
        assert!(
            breaches.is_empty() || std::thread::panicking(),
            "the invariant broke: {breaches:#?}"
        );
    }
}

fn serve(cluster: &mut Cluster, request: &Request<Bytes>) -> Reply {
    let mut asked = Asked::read(request);
    let routes =
        [Route::Any, Route::Of(asked.call), Route::At(asked.call, asked.name().to_owned())];
    while let Some(due) = cluster.changes.iter().position(|(route, _)| routes.contains(route)) {
        let (_, change) = cluster.changes.remove(due);
        change(cluster);
    }
    let trouble = cluster.faults.take(&routes);
    asked.scripted = matches!(&trouble, Some(Trouble::Wire(Fault { reply: Some(_), .. })));
    let reply = match trouble {
        None => api::answer(cluster, &asked, false),
        Some(Trouble::Wire(fault)) => spoil(cluster, &asked, fault),
        Some(Trouble::Held(gate)) => hold(api::answer(cluster, &asked, false), gate),
        Some(Trouble::Stale) => api::answer(cluster, &asked, true),
        Some(Trouble::Expired) => list::expired(&asked),
        Some(Trouble::Late) => {
            cluster.late.push(asked.clone());
            status::timeout()
        }
        Some(Trouble::Twice) => {
            api::answer(cluster, &asked, false);
            api::answer(cluster, &asked, false)
        }
    };
    asked.status = reply.status;
    asked.reply = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    cluster.journal.push(asked);
    let serial = cluster.revision;
    let date = http_date(cluster.now());
    let audit = format!("00000000-0000-4000-9000-{serial:012}");
    reply
        .header("date", date)
        .header("audit-id", audit)
        .header("cache-control", "no-cache, private")
}

fn spoil(cluster: &mut Cluster, asked: &Asked, fault: Fault) -> Reply {
    let answer =
        if fault.applied { api::answer(cluster, asked, false) } else { Reply::new(500, "") };
    fault.reply.unwrap_or(answer).after(fault.delay).ending(fault.ending)
}

fn hold(reply: Reply, gate: Gate) -> Reply {
    Reply { gate: Some(gate), ..reply }
}
