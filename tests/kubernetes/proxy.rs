//! A proxy before the API server, which does to requests and answers what networks and busy servers
//! do to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use jiff::fmt::rfc2822;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};

use crate::account;
use crate::fleet::Fleet;
use testkit::clock::http_date;
use testkit::server::{Ending, Server};
use testkit::{Finished, Program, Reply};

/// What happens to one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The proxy answers; the API server never sees it.
    Refuse(u16, Option<u32>),
    /// The connection is reset; the API server never sees it.
    Drop,
    /// The API server sees it after this, whether or not the client still waits.
    Wait(Pause),
    /// The API server carries it out, and the connection is reset.
    LoseReply,
    /// The API server gets it twice; the client gets the second answer.
    Twice,
    /// 504 at once; the API server carries it out after this.
    Late(Pause),
    /// The answer to a list of this many lists ago.
    Stale(usize),
    /// The connection ends in the middle of the answer.
    Cut,
    /// The answer's `Date` is this many seconds off.
    Shift(i64),
}

impl Fault {
    /// Its kind, to count by.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Refuse(status, _) => status.to_string(),
            Self::Wait(Pause::For(_)) => "delay".to_owned(),
            Self::Wait(Pause::Until(_)) => "hold".to_owned(),
            other => {
                let text = format!("{other:?}");
                text.split('(').next().unwrap_or_default().to_lowercase()
            }
        }
    }
}

/// How long something waits.
#[derive(Debug, Clone)]
pub(crate) enum Pause {
    /// This long.
    For(Duration),
    /// Until the gate opens.
    Until(Gate),
}

impl Pause {
    async fn pass(&self) {
        match self {
            Self::For(time) => tokio::time::sleep(*time).await,
            Self::Until(gate) => gate.pass().await,
        }
    }
}

/// Holds requests back until it opens.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
}

impl Gate {
    /// A closed one.
    pub(crate) fn new() -> Self {
        Self { open: watch::Sender::new(false), waiting: Arc::default() }
    }

    /// How many requests wait or have waited before it.
    pub(crate) fn arrived(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Lets all through, now and later.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // The sender is this gate's own.
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

/// A request of a coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Which coordinator.
    pub(crate) who: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Null without one.
    pub(crate) body: Value,
}

impl Asked {
    pub(crate) fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Not the ledger.
    pub(crate) fn changes_a_job(&self) -> bool {
        self.is_write() && self.job().is_some()
    }

    pub(crate) fn is_creation(&self) -> bool {
        self.method == Method::POST && self.path.ends_with("/jobs")
    }

    /// Of Jobs, any page.
    pub(crate) fn is_list(&self) -> bool {
        self.method == Method::GET && self.path.ends_with("/jobs")
    }

    /// Not the first one.
    pub(crate) fn is_next_page(&self) -> bool {
        self.is_list() && self.query.contains("continue=")
    }

    /// The Job that it is about.
    pub(crate) fn job(&self) -> Option<&str> {
        self.body["metadata"]["name"]
            .as_str()
            .or_else(|| Some(self.path.rsplit_once("/jobs/")?.1))
            .filter(|_| self.path.contains("/jobs"))
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) asked: Asked,
    pub(crate) fault: Fault,
    /// The API server's statuses, one for each time that it got the request.
    pub(crate) answers: Vec<u16>,
}

type Decide = Box<dyn FnMut(&Asked) -> Fault + Send>;

/// The proxy; dropping it ends it, with all that it holds back.
pub(crate) struct Proxy {
    server: Server,
    inside: Arc<Inside>,
}

struct Inside {
    client: OnceCell<kube::Client>,
    kubeconfig: String,
    /// Instead of the coordinator's own `limit`.
    page: Option<u32>,
    decide: Mutex<Decide>,
    journal: Mutex<Vec<Exchange>>,
    /// First pages of lists of Jobs.
    lists: Mutex<Vec<Bytes>>,
    under_way: AtomicUsize,
}

impl Proxy {
    /// A proxy without faults that is an administrator. Lists come in pages of `page` objects,
    /// where that is given.
    pub(crate) fn new(page: Option<u32>) -> Self {
        Self::acting_as(page, account::edited(|_| {}))
    }

    /// The same, with the rights of this kubeconfig.
    pub(crate) fn acting_as(page: Option<u32>, kubeconfig: String) -> Self {
        let inside = Arc::new(Inside {
            client: OnceCell::new(),
            kubeconfig,
            page,
            decide: Mutex::new(Box::new(|_| Fault::None)),
            journal: Mutex::default(),
            lists: Mutex::default(),
            under_way: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&inside);
        Self {
            server: Server::start_async(move |request| receive(Arc::clone(&shared), request)),
            inside,
        }
    }

    /// From now on this decides about every request.
    pub(crate) fn disturb(&self, decide: impl FnMut(&Asked) -> Fault + Send + 'static) {
        *self.inside.decide.lock().expect("no holder panics") = Box::new(decide);
    }

    /// No faults from now on; what is held back or late stays so.
    pub(crate) fn calm(&self) {
        self.disturb(|_| Fault::None);
    }

    /// The binary, talking to the API server through this proxy as `who`.
    pub(crate) fn program(&self, fleet: &Fleet, who: &str) -> Program {
        let file = format!("kubeconfig-{who}.yaml");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\n\
             clusters: [{{name: proxy, cluster: {{server: \"{}/{who}\"}}}}]\n\
             users: [{{name: proxy, user: {{}}}}]\n\
             contexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]\n",
            self.server.url()
        );
        fleet.workplace.write(&file, text);
        let path = fleet.workplace.path().join(file);
        let path = path.to_str().expect("a temporary folder has a plain name");
        fleet.program().env("KUBECONFIG", path).args(["reconcile", "-o", "json"])
    }

    /// One cycle through this proxy, and its report.
    pub(crate) fn cycle(&self, fleet: &Fleet, who: &str) -> Value {
        let finished: Finished = self.program(fleet, who).run();
        assert!(finished.code.is_some(), "a cycle ends by itself:\n{}", finished.stderr);
        finished.json()
    }

    /// All requests so far, in the order of their arrival.
    pub(crate) fn journal(&self) -> Vec<Exchange> {
        self.inside.journal.lock().expect("no holder panics").clone()
    }

    /// The requests of one coordinator.
    pub(crate) fn of(&self, who: &str) -> Vec<Exchange> {
        self.journal().into_iter().filter(|one| one.asked.who == who).collect()
    }

    /// How often each kind of fault happened.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for exchange in self.journal() {
            *counts.entry(exchange.fault.word()).or_default() += 1;
        }
        counts
    }

    /// Nothing is held back, and nothing is still to come late.
    pub(crate) fn is_idle(&self) -> bool {
        self.inside.under_way.load(Ordering::SeqCst) == 0
    }
}

async fn receive(inside: Arc<Inside>, request: Request<Bytes>) -> Reply {
    let (asked, request) = inside.read(request);
    let decided = (inside.decide.lock().expect("no holder panics"))(&asked);
    let number = {
        let mut journal = inside.journal.lock().expect("no holder panics");
        journal.push(Exchange { asked, fault: decided.clone(), answers: Vec::new() });
        journal.len() - 1
    };
    inside.under_way.fetch_add(1, Ordering::SeqCst);
    // On its own: a client that goes away takes nothing back.
    let treated = tokio::spawn(async move {
        let reply = inside.treat(number, &request, decided).await;
        inside.under_way.fetch_sub(1, Ordering::SeqCst);
        reply
    });
    treated.await.expect("the API server answers")
}

impl Inside {
    /// What is asked, and the same for the API server.
    fn read(&self, request: Request<Bytes>) -> (Asked, Request<Bytes>) {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().trim_start_matches('/');
        let (who, path) = path.split_once('/').expect("the kubeconfig's path comes first");
        let mut query = parts.uri.query().unwrap_or_default().to_owned();
        if let Some(page) = self.page {
            query = query.replace("limit=500", &format!("limit={page}"));
        }
        let asked = Asked {
            who: who.to_owned(),
            method: parts.method.clone(),
            path: format!("/{path}"),
            query,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let agent = HeaderValue::from_str(&user_agent(who)).expect("a plain name");
        parts.uri = format!("{}?{}", asked.path, asked.query).parse().expect("a path and a query");
        parts.headers.insert(USER_AGENT, agent);
        for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        (asked, Request::from_parts(parts, body))
    }

    async fn treat(
        self: &Arc<Self>,
        number: usize,
        request: &Request<Bytes>,
        fault: Fault,
    ) -> Reply {
        match fault {
            Fault::Refuse(status, retry_after) => return refusal(status, retry_after),
            Fault::Drop => return Reply::new(200, "").ending(Ending::Reset),
            Fault::Late(pause) => {
                let (inside, request) = (Arc::clone(self), request.clone());
                self.under_way.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    pause.pass().await;
                    inside.forward(number, &request).await;
                    inside.under_way.fetch_sub(1, Ordering::SeqCst);
                });
                return refusal(504, None);
            }
            Fault::Stale(age) => {
                if let Some(body) = self.earlier(age) {
                    return Reply::new(200, body).header("content-type", "application/json");
                }
            }
            Fault::Wait(ref pause) => pause.pass().await,
            Fault::Twice => drop(self.forward(number, request).await),
            Fault::None | Fault::LoseReply | Fault::Cut | Fault::Shift(_) => {}
        }
        let reply = self.forward(number, request).await;
        match fault {
            Fault::LoseReply => reply.ending(Ending::Reset),
            Fault::Cut => reply.ending(Ending::Truncated),
            Fault::Shift(seconds) => shifted(reply, seconds),
            _ => reply,
        }
    }

    fn earlier(&self, age: usize) -> Option<Bytes> {
        let lists = self.lists.lock().expect("no holder panics");
        lists.iter().rev().nth(age).or_else(|| lists.first()).cloned()
    }

    async fn forward(&self, number: usize, request: &Request<Bytes>) -> Reply {
        let (parts, body) = request.clone().into_parts();
        let is_first_page = {
            let journal = self.journal.lock().expect("no holder panics");
            let asked = &journal[number].asked;
            asked.is_list() && !asked.is_next_page()
        };
        let client = self.client.get_or_init(|| acting_as(&self.kubeconfig)).await;
        let request = Request::from_parts(parts, Body::from(body.to_vec()));
        let (parts, body) =
            client.send(request).await.expect("the API server answers").into_parts();
        let body = body.collect().await.expect("the API server's answer is complete").to_bytes();
        let status = parts.status.as_u16();
        self.journal.lock().expect("no holder panics")[number].answers.push(status);
        if is_first_page && status == 200 {
            self.lists.lock().expect("no holder panics").push(body.clone());
        }
        parts.headers.iter().filter(|(name, _)| is_kept(name.as_str())).fold(
            Reply::new(status, body),
            |reply, (name, value)| {
                reply.header(name.as_str(), value.to_str().expect("a plain header"))
            },
        )
    }
}

/// How the API server's audit log names a coordinator.
pub(crate) fn user_agent(who: &str) -> String {
    format!("coordinator-through-proxy/{who}")
}

/// The kubeconfig's user, whose answers come as they are: no retry by the client.
async fn acting_as(kubeconfig: &str) -> kube::Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig is YAML");
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("it names a cluster");
    config.default_retry = false;
    ClientBuilder::try_from(config).expect("the kubeconfig is good").build()
}

fn is_kept(header: &str) -> bool {
    ["content-type", "date", "retry-after"].contains(&header)
}

/// What the API server, or a load balancer before it, says when it does not carry out a request.
fn refusal(status: u16, retry_after: Option<u32>) -> Reply {
    let (reason, message) = match status {
        403 => {
            ("Forbidden", "User \"nobody\" cannot list resource \"jobs\" in API group \"batch\"")
        }
        410 => (
            "Expired",
            "The provided continue parameter is too old to display a consistent list result.",
        ),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        _ => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status,
        "reason": reason, "message": message,
    });
    let reply = Reply::json(status, &body);
    match retry_after {
        Some(seconds) => reply.header("retry-after", seconds.to_string()),
        None => reply,
    }
}

fn shifted(reply: Reply, seconds: i64) -> Reply {
    let date = reply.headers.iter().find(|(name, _)| name == DATE.as_str());
    let date = date
        .and_then(|(_, date)| rfc2822::DateTimeParser::new().parse_timestamp(date).ok())
        .map(SystemTime::from)
        .expect("the server tells the time");
    let by = Duration::from_secs(seconds.unsigned_abs());
    let date = if seconds < 0 { date - by } else { date + by };
    reply.header(DATE.as_str(), http_date(date))
}
