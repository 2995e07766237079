//! The cluster under test, seen with an administrator's eyes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ResourceQuota};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::Resource;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Nothing on a cluster without load takes longer.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A namespace of its own on the cluster; dropping it deletes it.
pub(crate) struct Cluster {
    runtime: Runtime,
    pub(crate) client: Client,
    namespace: String,
}

impl Cluster {
    /// A new namespace; `about` is for those who look into the cluster.
    pub(crate) fn new(about: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(
            std::env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG names no cluster: see tests/kubernetes/main.rs"
        );
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(Client::try_default()).expect("the kubeconfig is good");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("{about}-{}-{count}", std::process::id());
        let cluster = Self { runtime, client, namespace };
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let new = read(json!({ "metadata": { "name": cluster.namespace } }));
        cluster
            .wait(namespaces.create(&PostParams::default(), &new))
            .expect("a namespace can be made");
        cluster
    }

    /// The namespace's name.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs to its end.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The objects of one kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of one kind in the whole cluster.
    pub(crate) fn all<K>(&self) -> Api<K>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Creates an object.
    pub(crate) fn create<K>(&self, manifest: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let new: K = read(manifest);
        self.wait(self.api::<K>().create(&PostParams::default(), &new))
            .expect("the object can be created")
    }

    /// Where the namespace's Jobs are.
    pub(crate) fn jobs_path(&self) -> String {
        format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace)
    }

    /// A service account of the namespace, as the API server calls it.
    pub(crate) fn username(&self, account: &str) -> String {
        format!("system:serviceaccount:{}:{account}", self.namespace)
    }

    /// A quota for Jobs that the server enforces by now: it holds for `ConfigMaps`, too, of which
    /// there is one already.
    pub(crate) fn quota(&self, jobs: u32) {
        until("the namespace's first ConfigMap", || {
            self.wait(self.api::<ConfigMap>().get_opt("kube-root-ca.crt"))
                .expect("it can be looked up")
        });
        self.create::<ResourceQuota>(json!({
            "metadata": { "name": "small" },
            "spec": { "hard": { "count/jobs.batch": jobs.to_string(), "count/configmaps": "1" } },
        }));
        let rehearsal = PostParams { dry_run: true, field_manager: None };
        let one: ConfigMap = read(json!({ "metadata": { "name": "one-more" } }));
        until("the quota is enforced", || {
            self.wait(self.api::<ConfigMap>().create(&rehearsal, &one)).is_err().then_some(())
        });
    }

    /// The Job of that name, if it is there.
    pub(crate) fn job(&self, name: &str) -> Option<Job> {
        self.wait(self.api::<Job>().get_opt(name)).expect("a Job can be looked up")
    }

    /// All Jobs of the namespace.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        self.wait(self.api::<Job>().list(&ListParams::default())).expect("Jobs can be listed").items
    }

    /// The identity of every Job of the namespace, by name.
    pub(crate) fn uids(&self) -> BTreeMap<String, String> {
        self.jobs()
            .iter()
            .map(|job| (job.metadata.name.clone().expect("a name"), uid(job)))
            .collect()
    }

    /// Changes fields of an object, as people do.
    pub(crate) fn patch<K>(&self, name: &str, patch: &Value)
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        self.wait(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)))
            .expect("the object can be changed");
    }

    /// Has the cluster remove the Job so many seconds after its end; a roster may not ask for so
    /// few.
    pub(crate) fn keep_for(&self, name: &str, seconds: u32) {
        self.try_keep_for(name, seconds).expect("the Job can be changed");
    }

    /// The same for a Job that may be gone.
    pub(crate) fn try_keep_for(&self, name: &str, seconds: u32) -> kube::Result<Job> {
        let patch = Patch::Merge(json!({ "spec": { "ttlSecondsAfterFinished": seconds } }));
        self.wait(self.api::<Job>().patch(name, &PatchParams::default(), &patch))
    }

    /// The pods of one Job, and those that its predecessors of that name have left.
    pub(crate) fn pods(&self, job: &str) -> Vec<Pod> {
        let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
        self.wait(self.api::<Pod>().list(&selector)).expect("pods can be listed").items
    }

    /// Tells the pod of a session how to behave from now on: see tests/cluster/README.md.
    pub(crate) fn tell(&self, session: &str, annotations: &[(&str, &str)]) {
        let pod = until(&format!("a pod of {session}"), || {
            let owner = self.job(session)?.metadata.uid;
            let owned = |pod: &Pod| {
                pod.metadata
                    .owner_references
                    .iter()
                    .flatten()
                    .any(|one| Some(&one.uid) == owner.as_ref())
            };
            self.pods(session).into_iter().find(owned)
        });
        let name = pod.metadata.name.expect("a pod has a name");
        let annotations = annotations
            .iter()
            .map(|(key, value)| (format!("test.coordinator.dev/{key}"), json!(value)));
        let annotations: serde_json::Map<String, Value> = annotations.collect();
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.wait(self.api::<Pod>().patch(&name, &PatchParams::default(), &Patch::Merge(patch)))
            .expect("a pod can be annotated");
    }

    /// Waits until a session's agent runs.
    pub(crate) fn running(&self, session: &str) {
        until(&format!("{session} runs"), || {
            let status = self.job(session)?.status?;
            (status.ready.unwrap_or(0) > 0).then_some(())
        });
    }

    /// Ends a session's agent, and waits until its Job is over.
    pub(crate) fn end(&self, session: &str, code: u8, last_words: &str) {
        self.running(session);
        self.tell(session, &[("exit", &code.to_string()), ("message", last_words)]);
        until(&format!("{session} is over"), || is_over(&self.job(session)?).then_some(()));
    }

    /// Marks a Job for deletion.
    pub(crate) fn delete_job(&self, name: &str) {
        self.wait(self.api::<Job>().delete(name, &DeleteParams::background()))
            .expect("a Job can be deleted");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let deleted = self.wait(namespaces.delete(&self.namespace, &DeleteParams::default()));
        assert!(
            deleted.is_ok() || std::thread::panicking(),
            "the namespace stays: {:?}",
            deleted.err()
        );
    }
}

/// Looks twenty times a second until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    at_once(what, || {
        let seen = look();
        if seen.is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        seen
    })
}

/// Looks without a pause until there is something to see.
pub(crate) fn at_once<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + MAX_WAIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "after {MAX_WAIT:?} still not: {what}");
    }
}

/// What a manifest says.
pub(crate) fn read<K: DeserializeOwned>(manifest: Value) -> K {
    serde_json::from_value(manifest).expect("a valid manifest")
}

/// An object's identity: another object of that name has another.
pub(crate) fn uid<K: kube::ResourceExt>(object: &K) -> String {
    object.uid().expect("an object has a uid")
}

/// A Job's label or annotation `coordinator.dev/<key>`, or nothing.
pub(crate) fn note(job: &Job, key: &str) -> String {
    let key = format!("coordinator.dev/{key}");
    let metadata = &job.metadata;
    let found = [&metadata.labels, &metadata.annotations]
        .into_iter()
        .flatten()
        .find_map(|notes| notes.get(&key));
    found.cloned().unwrap_or_default()
}

/// Complete or Failed.
pub(crate) fn is_over(job: &Job) -> bool {
    has_condition(job, "Complete") || has_condition(job, "Failed")
}

/// Whether the Job's controller says so.
pub(crate) fn has_condition(job: &Job, name: &str) -> bool {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == name && one.status == "True")
}
