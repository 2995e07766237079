//! `doctor` on a cluster: whether sessions can run there with these credentials. Creations are dry
//! runs.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;

use super::Kubernetes;
use super::inspect::{self, NEEDED, Permission, SURPLUS, USEFUL, Version};
use crate::KubernetesSettings;
use coordinator_core::finding::{Finding, Grade, clock};
use coordinator_core::fleet::{Container, Follows, Listing, Role, Slot, Want};
use coordinator_core::platform::{Platform, Start};

/// Before, a Job could count as finished while its pod still ended (KEP-4368).
const OLDEST: (u32, u32) = (1, 31);

impl Kubernetes {
    /// Whether sessions can be kept on this cluster. `context` is the kubeconfig's.
    pub async fn check(
        &self,
        roles: &[Role],
        context: Option<&str>,
        now: SystemTime,
    ) -> Vec<Finding> {
        Cluster { roles, settings: &self.settings.kubernetes, kubernetes: self }
            .findings(context, now)
            .await
    }
}

fn stops_all(error: &anyhow::Error) -> Finding {
    Finding::fail(format!("{error:#}"), "no session is listed or started until then")
}

struct Cluster<'a> {
    roles: &'a [Role],
    settings: &'a KubernetesSettings,
    kubernetes: &'a Kubernetes,
}

impl Cluster<'_> {
    /// Ends early where a failure answers the remaining checks as well.
    async fn findings(&self, context: Option<&str>, now: SystemTime) -> Vec<Finding> {
        let version = match self.kubernetes.version().await {
            Ok(version) => version,
            Err(error) => return vec![stops_all(&error)],
        };
        let mut findings =
            vec![server(&version, &inspect::source(context), self.kubernetes.namespace())];
        let remedy = "synchronise both with NTP: servers refuse credentials where clocks differ";
        let theirs = self.kubernetes.server_time();
        findings.extend(theirs.map(|theirs| clock("the API server's", theirs, now, remedy)));
        let user = match self.kubernetes.user().await {
            Ok(user) => user,
            Err(error) => return findings.into_iter().chain([stops_all(&error)]).collect(),
        };
        findings.push(Finding::ok(format!("the API server accepts the credentials of {user}")));
        findings.extend(self.namespace().await);
        findings.extend(self.permissions(&user).await);
        findings.extend(self.queue().await);
        findings.extend(self.kubernetes.check_named(self.roles).await);
        if findings.iter().all(|finding| finding.grade != Grade::Fail) {
            findings.extend(self.rehearsals(now).await);
        }
        findings
    }

    async fn namespace(&self) -> Option<Finding> {
        let is_absent = self.kubernetes.has_namespace().await == Some(false);
        is_absent.then(|| {
            let remedy = "create it, or set `namespace` in [platform.kubernetes]";
            Finding::fail(format!("no namespace named {}", self.kubernetes.namespace()), remedy)
        })
    }

    async fn permissions(&self, user: &str) -> Vec<Finding> {
        let all: Vec<Permission> = NEEDED.into_iter().chain(USEFUL).chain(SURPLUS).collect();
        let answers = join_all(all.iter().map(|permission| self.kubernetes.may(*permission))).await;
        match answers.into_iter().collect::<anyhow::Result<Vec<bool>>>() {
            Ok(allowed) => rights(user, self.kubernetes.namespace(), &allowed),
            Err(error) => vec![stops_all(&error)],
        }
    }

    async fn queue(&self) -> Option<Finding> {
        let queue = self.settings.queue_name.as_ref()?;
        Some(match self.kubernetes.queue_is_there().await {
            Err(error) => Finding::fail(format!("{error:#}"), "no session starts until then"),
            Ok(()) => match self.kubernetes.has_local_queue(queue).await {
                Ok(true) => Finding::ok(format!("Kueue runs, and has the local queue {queue}")),
                Ok(false) => Finding::fail(
                    format!(
                        "no local queue named {queue} in namespace {} (`queue_name` in the roster)",
                        self.kubernetes.namespace()
                    ),
                    "create it, or correct `queue_name`; until then all sessions stay suspended",
                ),
                Err(why) => Finding::ok(format!(
                    "Kueue runs; not checked: whether it has the local queue {queue} ({why})"
                )),
            },
        })
    }

    /// A role for each image and its settings: quota, admission and mistakes show where they are
    /// made.
    async fn rehearsals(&self, now: SystemTime) -> Vec<Finding> {
        let listing = match self.kubernetes.list().await {
            Ok(listing) => listing,
            Err(error) => return vec![stops_all(&error)],
        };
        let mut tried: Vec<&Container> = Vec::new();
        let mut findings = Vec::new();
        for role in self.roles.iter().filter(|role| role.count > 0) {
            let Some(container) = &role.spec.container else { continue };
            if !tried.contains(&container) {
                tried.push(container);
                let want = Want {
                    slot: free_slot(role, &listing),
                    role: role.key.clone(),
                    spec: Arc::clone(&role.spec),
                    item: None,
                    follows: Follows::Anything,
                    by_hand: false,
                };
                findings.push(rehearsed(
                    &want,
                    role.count,
                    self.kubernetes.preview(&want, now).await,
                ));
            }
        }
        findings
    }
}

/// Beyond the role's count when it is full: nothing comes of a dry run.
fn free_slot(role: &Role, listing: &Listing) -> Slot {
    let slots = (0..).map(|index| Slot::of_role(&role.key, index));
    let mut free = slots.filter(|slot| !listing.slots.contains_key(slot));
    free.next().unwrap_or_else(|| Slot::of_role(&role.key, u32::MAX))
}

fn server(version: &Version, source: &str, namespace: &str) -> Finding {
    let what =
        format!("the API server is Kubernetes {} ({source}, namespace {namespace})", version.name);
    if version.number.is_some_and(|number| number >= OLDEST) {
        return Finding::ok(what);
    }
    let (major, minor) = OLDEST;
    let remedy = format!(
        "use {major}.{minor} or later: before, a Job could count as finished while its pod still \
         ended, and its slot be filled again"
    );
    Finding::warn(what, remedy)
}

/// `allowed` answers for [`NEEDED`], then for [`USEFUL`], then for [`SURPLUS`].
fn rights(user: &str, namespace: &str, allowed: &[bool]) -> Vec<Finding> {
    let (needed, others) = allowed.split_at(NEEDED.len().min(allowed.len()));
    let (useful, surplus) = others.split_at(USEFUL.len().min(others.len()));
    let missing = NEEDED.into_iter().zip(needed).filter(|(_, allowed)| !**allowed);
    let mut findings: Vec<Finding> =
        missing.map(|(missing, _)| refused(missing, user, namespace)).collect();
    if findings.is_empty() {
        findings.push(Finding::ok(format!(
            "{user} has all rights that are needed in namespace {namespace}"
        )));
    }
    let unexplained = USEFUL.into_iter().zip(useful).filter(|(_, allowed)| !**allowed);
    findings.extend(unexplained.map(|(missing, _)| unexplained_without(missing, user, namespace)));
    let surplus = SURPLUS.into_iter().zip(surplus).filter(|(_, allowed)| **allowed);
    let surplus: Vec<String> = surplus.map(|(surplus, _)| surplus.to_string()).collect();
    if !surplus.is_empty() {
        findings.push(Finding::warn(
            format!("{user} has more rights than are needed: {}", surplus.join(", ")),
            "run it with only the Role `coordinator` of the manifests",
        ));
    }
    findings
}

fn refused(missing: Permission, user: &str, namespace: &str) -> Finding {
    Finding::fail(format!("{user} may not {missing} in namespace {namespace}"), grant(missing))
}

fn unexplained_without(missing: Permission, user: &str, namespace: &str) -> Finding {
    let what = format!(
        "{user} may not {missing} in namespace {namespace}: the reason why a session is stuck \
         stays unknown"
    );
    Finding::warn(what, grant(missing))
}

fn grant(Permission { verb, group, resource }: Permission) -> String {
    format!(
        "add verb `{verb}` on `{resource}` of API group \"{group}\" to the Role `coordinator` there"
    )
}

/// Beyond the role's `count` a full quota is as it should be.
fn rehearsed(want: &Want, count: u32, answer: anyhow::Result<Start>) -> Finding {
    let role = &want.role;
    match answer {
        Ok(Start::Started { .. }) => {
            Finding::ok(format!("the cluster would accept a session of {role} (dry run)"))
        }
        Ok(Start::AlreadyRunning | Start::Superseded) => {
            Finding::ok(format!("another run has just started a session of {role}"))
        }
        Ok(Start::Held(_)) if want.slot.index().is_some_and(|index| index >= count) => Finding::ok(
            format!("every slot of {role} has its Job; the quota has no room for one more"),
        ),
        Ok(Start::Held(hold)) => Finding::warn(
            format!("a session of {role} would wait ({}): {}", hold.reason.word(), hold.detail),
            "each cycle tries again",
        ),
        Ok(Start::RateLimited(_)) => Finding::warn(
            format!("a session of {role} would wait: the API server is overloaded"),
            "each cycle tries again",
        ),
        Ok(Start::Failed(why)) => Finding::fail(
            format!("a session of {role} could not start (dry run): {why}"),
            "until then no finished session is replaced",
        ),
        Err(error) => Finding::fail(
            format!("the cluster would not accept a session of {role} (dry run): {error:#}"),
            "until then none of it starts",
        ),
    }
}
