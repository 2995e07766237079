//! What the cluster is: namespaces with Jobs and pods, a clock, rights, and a witness of the
//! invariant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::request::Asked;
use super::status::Resource;
use super::trouble::{Route, Trouble};
use crate::fault::Faults;
use crate::pull::from_now;

/// Where the fleet's Jobs are.
pub const NAMESPACE: &str = "agents";

/// The coordinator's user name.
pub const USER: &str = "system:serviceaccount:agents:coordinator";

/// The user who may do everything.
pub const ADMIN: &str = "administrator";

/// Everything, behind one lock.
pub struct Cluster {
    pub namespaces: BTreeMap<String, Namespace>,
    /// The coordinator's rights in [`NAMESPACE`]: verb and resource.
    pub rights: BTreeSet<(String, String)>,
    /// The user of each valid token.
    pub tokens: BTreeMap<String, &'static str>,
    /// Seconds by which the cluster's clock differs from this machine's.
    pub clock_offset: i64,
    /// The fate of a new Job's pod.
    pub nodes: Nodes,
    /// The kubelets start containers whose environment names keys that are not there.
    pub ignores_missing_keys: bool,
    /// The version that the server reports.
    pub version: &'static str,
    pub faults: Faults<Route, Trouble>,
    pub changes: Vec<(Route, Change)>,
    pub journal: Vec<Asked>,
    /// The violations so far. A test that provokes one empties this.
    pub breaches: Vec<String>,
    /// Writes that were answered with a timeout and wait to be carried out.
    pub late: Vec<Asked>,
    /// The state that a stale list shows.
    pub memory: Option<BTreeMap<String, Namespace>>,
    /// The further pages of lists, by resource and resource version.
    pub pages: BTreeMap<(Resource, u64), Vec<Value>>,
    /// Jobs of work items whose agent has started, in this order; a reader takes them.
    pub agents: Vec<Value>,
    /// Counts writes.
    pub revision: u64,
}

/// A change of the cluster.
pub type Change = Box<dyn FnOnce(&mut Cluster) + Send>;

/// The objects of one namespace, by name, as the server stores them.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    pub jobs: BTreeMap<String, Value>,
    pub pods: BTreeMap<String, Value>,
    pub config_maps: BTreeMap<String, Value>,
    pub events: BTreeMap<String, Value>,
    /// The pods' logs, with a sender while a pod may still write.
    pub logs: BTreeMap<String, Log>,
    /// On `count/jobs.batch`.
    pub quota: Option<Quota>,
}

/// A container's output.
#[derive(Debug, Clone)]
pub struct Log {
    pub text: watch::Receiver<Vec<u8>>,
    /// `None` once the container has ended.
    pub writer: Option<watch::Sender<Vec<u8>>>,
}

/// A `ResourceQuota`.
#[derive(Debug, Clone)]
pub struct Quota {
    pub name: String,
    pub hard: u64,
    /// As the server believes: a refused create counts too, until it counts again.
    pub used: u64,
    /// The server does not count again by itself when a Job goes.
    pub lags: bool,
}

/// The fate of a new Job's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// It runs at once.
    Ready,
    /// It is made, and finds no node.
    Full,
    /// The Job controller does not even see the Job.
    Asleep,
}

impl Default for Cluster {
    fn default() -> Self {
        let rights = [
            "get jobs",
            "list jobs",
            "create jobs",
            "delete jobs",
            "get pods",
            "list pods",
            "get pods/log",
            "list configmaps",
            "create configmaps",
            "update configmaps",
            "delete configmaps",
            "list events",
        ];
        let rights = rights.map(|right| right.split_once(' ').expect("verb and resource"));
        Self {
            namespaces: BTreeMap::from([(NAMESPACE.to_owned(), Namespace::default())]),
            rights: rights.map(|(verb, resource)| (verb.to_owned(), resource.to_owned())).into(),
            tokens: BTreeMap::from([
                (crate::BEARER.to_owned(), USER),
                (super::ADMINISTRATOR.to_owned(), ADMIN),
            ]),
            clock_offset: 0,
            nodes: Nodes::Ready,
            ignores_missing_keys: false,
            version: "v1.34.1",
            faults: Faults::default(),
            changes: Vec::new(),
            journal: Vec::new(),
            breaches: Vec::new(),
            late: Vec::new(),
            memory: None,
            pages: BTreeMap::new(),
            agents: Vec::new(),
            revision: 1_000,
        }
    }
}

impl Cluster {
    /// The time by the cluster's clock.
    pub fn now(&self) -> SystemTime {
        from_now(self.clock_offset)
    }

    /// The time as objects carry it: whole seconds.
    pub fn stamp(&self) -> String {
        humantime::format_rfc3339_seconds(self.now()).to_string()
    }

    /// Time passes for the whole cluster.
    pub fn advance(&mut self, seconds: i64) {
        self.clock_offset += seconds;
    }

    /// The next write: a number for names and versions.
    pub fn next(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// Takes a right of the coordinator's away.
    pub fn revoke(&mut self, verb: &str, resource: &str) {
        let had = self.rights.remove(&(verb.to_owned(), resource.to_owned()));
        assert!(had, "the coordinator may not {verb} {resource} anyway");
    }

    /// From now on stale lists show the present state.
    pub fn remember(&mut self) {
        self.memory = Some(self.namespaces.clone());
    }

    /// A quota on the number of Jobs, with the present ones counted.
    pub fn limit_jobs(&mut self, hard: u64) {
        let namespace = self.namespace();
        let used = namespace.jobs.len() as u64;
        namespace.quota = Some(Quota { name: "fleet".to_owned(), hard, used, lags: false });
    }

    /// The quota controller counts again.
    pub fn recount(&mut self) {
        let namespace = self.namespace();
        let used = namespace.jobs.len() as u64;
        if let Some(quota) = &mut namespace.quota {
            quota.used = used;
        }
    }

    /// The fleet's namespace.
    pub fn namespace(&mut self) -> &mut Namespace {
        self.namespaces.entry(NAMESPACE.to_owned()).or_default()
    }

    /// A Job of the fleet's namespace.
    pub fn job(&mut self, name: &str) -> &mut Value {
        let jobs = &mut self.namespace().jobs;
        assert!(jobs.contains_key(name), "no Job {name}: there are {:?}", jobs.keys());
        jobs.get_mut(name).expect("it was just there")
    }

    /// The names of the Jobs in the fleet's namespace.
    pub fn jobs(&mut self) -> Vec<String> {
        self.namespace().jobs.keys().cloned().collect()
    }

    /// The generations that the ledger remembers of a slot, oldest first.
    pub fn ledger(&mut self, session: &str) -> Vec<u64> {
        let maps = self.namespace().config_maps.values();
        let lists = maps.filter_map(|map| map["data"][session].as_str());
        let runs = lists
            .flat_map(|list| serde_json::from_str::<Vec<Value>>(list).expect("a list of runs"));
        let generations: BTreeSet<u64> = runs.filter_map(|run| run["gen"].as_u64()).collect();
        generations.into_iter().collect()
    }

    /// The pods of a Job, by their names, which begin with its own.
    pub fn pods_of(&mut self, job: &str) -> Vec<String> {
        let uid = self.job(job)["metadata"]["uid"].clone();
        let prefix = format!("{job}-");
        let named = self
            .namespace()
            .pods
            .range(prefix.clone()..)
            .take_while(|(name, _)| name.starts_with(&prefix));
        let owned = named.filter(|(_, pod)| pod["metadata"]["ownerReferences"][0]["uid"] == uid);
        owned.map(|(name, _)| name.clone()).collect()
    }

    /// The one pod of a Job.
    pub fn pod(&mut self, job: &str) -> &mut Value {
        let name = self.pods_of(job).pop().unwrap_or_else(|| panic!("the Job {job} has no pod"));
        self.namespace().pods.get_mut(&name).expect("a listed pod is there")
    }

    /// Stores the Job, gives it what only the server can give, and lets the Job controller see it.
    /// Not recorded by the witness: the test did this, not the coordinator.
    pub fn store(&mut self, mut job: Value) -> Value {
        self.stamp_new(&mut job);
        let name = job["metadata"]["name"].as_str().expect("a Job has a name").to_owned();
        self.namespace().jobs.insert(name.clone(), job.clone());
        self.control(&name);
        job
    }

    /// The uid of the next object.
    pub fn new_uid(&mut self) -> String {
        let serial = self.next();
        format!("6b1f0c2e-0000-4000-8000-{serial:012}")
    }

    /// Version and time of a new object.
    pub fn stamp_new(&mut self, object: &mut Value) {
        let serial = self.next();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = serial.to_string().into();
        metadata["creationTimestamp"] = self.stamp().into();
    }

    /// The Job was written once more.
    pub fn touch(&mut self, job: &str) {
        let serial = self.next();
        self.job(job)["metadata"]["resourceVersion"] = serial.to_string().into();
    }

    /// Adds a Job with these labels, such as another owner's.
    pub fn add(&mut self, name: &str, labels: &Value) {
        let spec = json!({"containers": [{"name": "main", "image": "example.com/other:1"}],
            "restartPolicy": "Never"});
        let posted = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": spec}},
        });
        let uid = self.new_uid();
        let job = super::admission::admit(&posted, NAMESPACE, true, &uid).expect("a valid Job");
        self.store(job);
    }
}
