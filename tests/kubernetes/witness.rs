//! An independent witness: every change of every Job and Pod of a namespace, as the API server
//! itself tells it, and a judge who reads them one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use futures_util::TryStreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Resource;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::cluster::{Cluster, is_over, until};

const SLOT: &str = "coordinator.dev/slot";

/// One object after one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The API server's number of the change: one order for all objects.
    pub(crate) revision: u64,
    pub(crate) kind: Kind,
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) slot: String,
    /// A Job that is not Complete or Failed; a pod that has not Succeeded or Failed.
    pub(crate) is_live: bool,
    /// Somebody has deleted it, and it is still there.
    pub(crate) is_leaving: bool,
    /// It is no longer there; all else is what it was at last.
    pub(crate) is_gone: bool,
    /// The uid of the Job that a Job replaced.
    pub(crate) predecessor: Option<String>,
    /// The uid of the Job that a pod belongs to.
    pub(crate) owner: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Pod,
}

/// What can be told of an object of either kind.
trait Witnessed: Clone + Debug + DeserializeOwned + Send
where
    Self: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    const KIND: Kind;
    fn is_live(&self) -> bool;
}

impl Witnessed for Job {
    const KIND: Kind = Kind::Job;
    fn is_live(&self) -> bool {
        !is_over(self)
    }
}

impl Witnessed for Pod {
    const KIND: Kind = Kind::Pod;
    fn is_live(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        !phase.is_some_and(|phase| ["Succeeded", "Failed"].contains(&phase))
    }
}

type History = Arc<Mutex<Vec<Seen>>>;

/// Watches from its making on; what it has seen is complete.
pub(crate) struct Witness<'a> {
    cluster: &'a Cluster,
    history: History,
    marks: AtomicUsize,
}

impl<'a> Witness<'a> {
    /// Of a namespace in which nothing has happened yet.
    pub(crate) fn new(cluster: &'a Cluster) -> Self {
        until("the namespace's service account", || {
            let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = cluster.api();
            cluster.wait(accounts.get_opt("default")).expect("an account can be looked up")
        });
        let history = History::default();
        watch::<Job>(cluster, &history);
        watch::<Pod>(cluster, &history);
        Self { cluster, history, marks: AtomicUsize::new(0) }
    }

    /// All changes up to now, in the order in which they were made.
    pub(crate) fn history(&self) -> Vec<Seen> {
        let mark = format!("mark-{}", self.marks.fetch_add(1, Ordering::SeqCst));
        // As a restricted namespace with a quota asks for it.
        let few = json!({ "cpu": "1m", "memory": "1Mi" });
        let containers = json!([{ "name": "none", "image": "example.com/none:1",
            "resources": { "requests": few },
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
            } }]);
        let spec = json!({ "containers": containers,
            "restartPolicy": "Never", "nodeSelector": { "none": "" },
            "securityContext": {
                "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" },
            } });
        self.cluster.create::<Pod>(json!({ "metadata": { "name": mark }, "spec": spec }));
        self.cluster.create::<Job>(json!({
            "metadata": { "name": mark },
            "spec": { "suspend": true, "template": { "spec": spec } },
        }));
        let mut history = until("both watches have come to the mark", || {
            let history = self.history.lock().expect("no holder panics");
            let has = |kind| history.iter().any(|seen| seen.kind == kind && seen.name == mark);
            (has(Kind::Job) && has(Kind::Pod)).then(|| history.clone())
        });
        history.sort_by_key(|seen| seen.revision);
        history
    }

    /// What must not be, and was.
    pub(crate) fn violations(&self) -> Vec<String> {
        judge(&self.history())
    }
}

/// From the first change in the namespace on, on a thread of its own, as long as there is a history
/// to add to.
fn watch<K: Witnessed + 'static>(cluster: &Cluster, history: &History) {
    let api: Api<K> = cluster.api();
    let namespace = cluster.namespace().to_owned();
    let list = cluster.wait(api.list(&ListParams::default())).expect("objects can be listed");
    assert!(list.items.is_empty(), "something has happened in {namespace} before");
    let mut revision = list.metadata.resource_version.expect("a list has a version");
    let history = Arc::downgrade(history);
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let api: Api<K> =
                Api::namespaced(Client::try_default().await.expect("a kubeconfig"), &namespace);
            while follow(&api, &mut revision, &history).await.is_some() {}
        });
    });
}

/// One watch, which the API server ends after a while; the next goes on where it ended. `None` when
/// nobody wants to know.
async fn follow<K: Witnessed>(
    api: &Api<K>,
    revision: &mut String,
    history: &Weak<Mutex<Vec<Seen>>>,
) -> Option<()> {
    let Ok(changes) = api.watch(&WatchParams::default().timeout(60), revision).await else {
        return history.upgrade().map(drop);
    };
    let mut changes = std::pin::pin!(changes);
    while let Ok(Some(change)) = changes.try_next().await {
        let (object, is_gone) = match change {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(error) => panic!("the witness has missed something: {error:?}"),
        };
        let seen = see(&object, is_gone);
        *revision = seen.revision.to_string();
        history.upgrade()?.lock().expect("no holder panics").push(seen);
    }
    history.upgrade().map(drop)
}

fn see<K: Witnessed>(object: &K, is_gone: bool) -> Seen {
    let meta: &ObjectMeta = object.meta();
    let annotations = meta.annotations.clone().unwrap_or_default();
    let revision = meta.resource_version.as_ref().and_then(|version| version.parse().ok());
    Seen {
        revision: revision.expect("versions are numbers"),
        kind: K::KIND,
        uid: meta.uid.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
        slot: meta.labels.as_ref().and_then(|labels| labels.get(SLOT)).cloned().unwrap_or_default(),
        is_live: object.is_live(),
        is_leaving: meta.deletion_timestamp.is_some() && !is_gone,
        is_gone,
        predecessor: annotations.get("coordinator.dev/prev-uid").cloned(),
        owner: meta.owner_references.as_ref().and_then(|owners| Some(owners.first()?.uid.clone())),
        annotations,
    }
}

/// A slot between two changes.
#[derive(Debug, Default)]
struct Slot {
    /// By uid: is it live?
    jobs: BTreeMap<String, bool>,
    /// Those that are live, with their Job's uid.
    pods: BTreeMap<String, Option<String>>,
}

/// Reads a history in its order; each line is a violation. Objects without a slot are nobody's.
pub(crate) fn judge(history: &[Seen]) -> Vec<String> {
    let mut slots: BTreeMap<&str, Slot> = BTreeMap::new();
    let mut violations = BTreeSet::new();
    for seen in history.iter().filter(|seen| !seen.slot.is_empty()) {
        let slot = slots.entry(&seen.slot).or_default();
        let found = match seen.kind {
            Kind::Job => slot.job(seen),
            Kind::Pod => slot.pod(seen),
        };
        let line =
            |what| format!("{}: {what} ({}, revision {})", seen.slot, seen.uid, seen.revision);
        violations.extend(found.into_iter().map(line));
    }
    violations.into_iter().collect()
}

impl Slot {
    fn job(&mut self, seen: &Seen) -> Vec<&'static str> {
        let mut found = Vec::new();
        let before = self.jobs.insert(seen.uid.clone(), seen.is_live);
        if before == Some(false) && seen.is_live {
            found.push("a finished Job came back to life");
        }
        if seen.is_live && (seen.is_leaving || seen.is_gone) {
            found.push("a live Job was deleted");
        }
        if seen.is_gone {
            self.jobs.remove(&seen.uid);
        }
        if self.jobs.len() > 1 {
            found.push("two Jobs at once");
        }
        let is_over = !seen.is_live || seen.is_gone;
        if is_over && self.pods.values().any(|owner| owner.as_ref() == Some(&seen.uid)) {
            found.push("a live pod outlives its Job");
        }
        found
    }

    fn pod(&mut self, seen: &Seen) -> Vec<&'static str> {
        let mut found = Vec::new();
        if seen.is_live && !seen.is_gone {
            self.pods.insert(seen.uid.clone(), seen.owner.clone());
            if seen.owner.as_ref().is_none_or(|owner| self.jobs.get(owner) != Some(&true)) {
                found.push("a live pod without a live Job");
            }
        } else {
            self.pods.remove(&seen.uid);
        }
        if self.pods.len() > 1 {
            found.push("two live pods at once");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of an object in the slot `a`; pods belong to the Job whose uid is `job`.
    fn change(revision: u64, kind: Kind, uid: &str, state: &str) -> Seen {
        Seen {
            revision,
            kind,
            uid: uid.to_owned(),
            name: uid.to_owned(),
            slot: "a".to_owned(),
            is_live: state.contains("live"),
            is_leaving: state.contains("leaving"),
            is_gone: state.contains("gone"),
            predecessor: None,
            owner: (kind == Kind::Pod).then(|| "job".to_owned()),
            annotations: BTreeMap::new(),
        }
    }

    fn judged(changes: &[(Kind, &str, &str)]) -> Vec<String> {
        let numbered = (1..).zip(changes);
        judge(
            &numbered
                .map(|(revision, (kind, uid, state))| change(revision, *kind, uid, state))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_life_and_a_replacement_are_no_violation() {
        let first = [
            (Kind::Job, "job", "live"),
            (Kind::Pod, "pod", "live"),
            (Kind::Pod, "pod", "over"),
            (Kind::Job, "job", "over"),
        ];
        let next = [
            (Kind::Job, "job", "over gone"),
            (Kind::Pod, "pod", "over gone"),
            (Kind::Job, "next", "live"),
        ];
        assert_eq!(judged(&[&first[..], &next[..]].concat()), Vec::<String>::new());
    }

    #[test]
    fn each_violation_is_seen() {
        let job = (Kind::Job, "job", "live");
        let pod = (Kind::Pod, "pod", "live");
        let cases = [
            (
                vec![job, (Kind::Job, "job", "live leaving")],
                "a: a live Job was deleted (job, revision 2)",
            ),
            (
                vec![job, (Kind::Job, "job", "live gone")],
                "a: a live Job was deleted (job, revision 2)",
            ),
            (vec![job, (Kind::Job, "other", "live")], "a: two Jobs at once (other, revision 2)"),
            (
                vec![job, pod, (Kind::Pod, "second", "live")],
                "a: two live pods at once (second, revision 3)",
            ),
            (
                vec![job, pod, (Kind::Job, "job", "over")],
                "a: a live pod outlives its Job (job, revision 3)",
            ),
            (vec![pod], "a: a live pod without a live Job (pod, revision 1)"),
            (
                vec![job, (Kind::Job, "job", "over"), job],
                "a: a finished Job came back to life (job, revision 3)",
            ),
        ];
        for (changes, violation) in cases {
            assert_eq!(judged(&changes), [violation]);
        }
    }

    #[test]
    #[ignore = "needs a cluster in KUBECONFIG"]
    fn two_live_pods_in_a_slot_are_seen_on_the_cluster() {
        let cluster = Cluster::new("witness-pods");
        let witness = Witness::new(&cluster);
        for name in ["one", "two"] {
            let containers = json!([{ "name": "agent", "image": "example.com/agent:1" }]);
            cluster.create::<Pod>(json!({
                "metadata": { "name": name, "labels": { SLOT: "demo-builder-s0" } },
                "spec": { "containers": containers },
            }));
        }
        let violations = witness.violations();
        assert!(
            violations.iter().any(|line| line.contains("two live pods at once")),
            "{violations:#?}"
        );
    }

    #[test]
    #[ignore = "needs a cluster in KUBECONFIG"]
    fn the_deletion_of_a_live_job_is_seen_on_the_cluster() {
        let cluster = Cluster::new("witness-job");
        let witness = Witness::new(&cluster);
        let fleet = crate::fleet::Fleet::new(&cluster, crate::fleet::Roster::of("builder", 1));
        fleet.cycle();
        cluster.running("demo-builder-s0");
        assert_eq!(witness.violations(), Vec::<String>::new());
        cluster.delete_job("demo-builder-s0");
        let violations = witness.violations();
        assert!(
            violations.iter().any(|line| line.contains("a live Job was deleted")),
            "{violations:#?}"
        );
    }
}
