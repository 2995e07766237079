//! Fills one slot: looks up the holder of its name and decides; the API server enforces the result.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Kubernetes;
use super::answer::{Created, Deleted, refusal};
use super::api::Ask;
use super::job;
use super::ledger::{Mode, Unrecorded, WriteContext};
use super::record::{Job, Pods, Predecessor};
use crate::generated::{FLEET, NewSession};

use coordinator_core::fleet::{Hold, HoldReason, Want};
use coordinator_core::platform::{CycleId, Start};

mod item;

/// The predecessor's share of the quota is free when the quota controller has seen its deletion.
const QUOTA_PAUSES: [Duration; 4] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// The holder of the slot's name.
#[derive(Debug)]
enum Holder {
    None,
    /// A session that is not over, whatever its pod does.
    Live,
    /// A terminal Job that is being deleted, and that a finalizer keeps.
    Leaving,
    /// A session that ended: a terminal Job, which may be replaced, or one that is gone and that is
    /// in the ledger.
    Ended(Predecessor),
    /// A Job that is not of this fleet.
    Stranger,
    /// It could not be looked up: why.
    Unknown(String),
}

/// The decision on a slot.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Create a Job, after this one when there is one.
    Create(Option<Predecessor>),
    Answer(Start),
    /// A person must act: why, and what to do.
    Fail(String),
}

struct Turn<'a> {
    cycle: &'a CycleId,
    /// By the server's clock.
    now: SystemTime,
}

/// The result of removing an ended session.
enum Removed {
    Yes,
    /// The name is free, and the answer to the removal was lost: another cycle may have replaced
    /// the session, too.
    ByUnknown,
    /// It stays, or its slot is another cycle's.
    No(Start),
}

/// The decision on one slot. Pure.
fn decide(session: &str, holder: Holder, want: &Want, now: SystemTime) -> Step {
    match holder {
        Holder::None => Step::Create(None),
        Holder::Live => Step::Answer(Start::AlreadyRunning),
        Holder::Leaving => Step::Answer(Start::Held(name_held())),
        Holder::Ended(predecessor) => match want.hold(session, &predecessor.history, now) {
            Some(hold) => Step::Answer(Start::Held(hold)),
            None => Step::Create(Some(predecessor)),
        },
        Holder::Stranger => Step::Fail(stranger()),
        Holder::Unknown(why) => Step::Answer(Start::Held(hold(HoldReason::Unknown, why))),
    }
}

fn hold(reason: HoldReason, detail: String) -> Hold {
    Hold { reason, until: None, detail }
}

// The report names the slot beside a detail, and folds slots of one detail: no Job's name in it.

fn name_held() -> Hold {
    let detail = "a Job that is being deleted still has the name; `kubectl get jobs -o yaml` shows \
                  its finalizers";
    hold(HoldReason::Orphan, detail.to_owned())
}

fn stranger() -> String {
    "another program's Job has this name; rename it, or give this fleet another `fleet` or \
     namespace"
        .to_owned()
}

impl Kubernetes {
    pub(super) async fn fill(
        &self,
        want: &Want,
        cycle: &CycleId,
        now: SystemTime,
    ) -> anyhow::Result<Start> {
        if let Some(item) = want.item_run() {
            return self.fill_item(want, item, cycle, now).await;
        }
        let session = want.slot.session_name(&self.settings.fleet);
        let holder = self.holder(want, &session).await;
        let now = self.api.server_time().unwrap_or(now);
        match decide(&session, holder, want, now) {
            Step::Create(predecessor) => self.replace(want, Turn { cycle, now }, predecessor).await,
            Step::Answer(start) => Ok(start),
            Step::Fail(why) => anyhow::bail!(why),
        }
    }

    /// The same decision; the writes are dry runs on the server, so that quota, admission and
    /// permissions show.
    pub(super) async fn rehearse(&self, want: &Want, now: SystemTime) -> anyhow::Result<Start> {
        if let Some(item) = want.item_run() {
            return self.rehearse_item(want, item, now).await;
        }
        let session = want.slot.session_name(&self.settings.fleet);
        let holder = self.holder(want, &session).await;
        let now = self.api.server_time().unwrap_or(now);
        let predecessor = match decide(&session, holder, want, now) {
            Step::Create(predecessor) => predecessor,
            Step::Answer(start) => return Ok(start),
            Step::Fail(why) => anyhow::bail!(why),
        };
        self.queue_is_there().await?;
        let ended = predecessor
            .as_ref()
            .and_then(|predecessor| Some((predecessor, predecessor.uid.as_ref()?)));
        if let Some((predecessor, uid)) = ended {
            if let Some(kept) = self.record(&session, predecessor, now, Mode::DryRun).await {
                return Ok(kept);
            }
            match self.delete(&session, uid, true).await {
                Deleted::Yes => {}
                Deleted::SomebodyElse => return Ok(Start::AlreadyRunning),
                Deleted::Refused(why) | Deleted::Unknown(why) | Deleted::Lost(why) => {
                    anyhow::bail!(why)
                }
            }
        }
        let cycle = CycleId("dry-run".to_owned());
        let new = NewSession::after(predecessor.as_ref(), &cycle);
        match (self.create(want, &new, true).await?, ended) {
            // The predecessor, which a real run deletes first, has the name and its share of the
            // quota.
            (Created::NameTaken | Created::QuotaFull(_), Some(_)) => {
                Ok(Start::Started { generation: new.generation })
            }
            (Created::Unknown(why) | Created::Lost(why), _) => anyhow::bail!(why),
            (created, _) => self.conclude(&session, &new, created).await,
        }
    }

    /// Removes the ended session by its uid, then creates the next. Where another cycle was first,
    /// the slot is left to it.
    async fn replace(
        &self,
        want: &Want,
        turn: Turn<'_>,
        predecessor: Option<Predecessor>,
    ) -> anyhow::Result<Start> {
        let (Turn { cycle, now }, session) = (turn, &*want.slot.session_name(&self.settings.fleet));
        self.queue_is_there().await?;
        let generation = predecessor.as_ref().map_or(0, |predecessor| predecessor.generation);
        let ended = predecessor
            .as_ref()
            .and_then(|predecessor| Some((predecessor, predecessor.uid.as_ref()?)));
        // What another cycle may have done to the slot meanwhile.
        let mut newest = Holder::None;
        if let Some((predecessor, uid)) = ended {
            // Before the removal: until now the ended Job holds its slot's history.
            if let Some(kept) = self.record(session, predecessor, now, Mode::Write).await {
                return Ok(kept);
            }
            match self.remove(session, uid).await? {
                Removed::Yes => {}
                Removed::ByUnknown => newest = self.remembered(session, Instant::now()).await,
                Removed::No(left) => return Ok(left),
            }
        }
        let followed = match &newest {
            Holder::Ended(newest) if newest.generation > generation => Some(newest),
            Holder::Unknown(why) => return Ok(Start::Held(hold(HoldReason::Unknown, why.clone()))),
            Holder::Ended(_) | Holder::None | Holder::Live | Holder::Leaving | Holder::Stranger => {
                predecessor.as_ref()
            }
        };
        let new = NewSession::after(followed, cycle);
        let created = self.create_patiently(want, &new, ended.is_some()).await?;
        self.conclude(session, &new, created).await
    }

    /// Creates the Job; after a removal, also while the quota still counts the removed one.
    async fn create_patiently(
        &self,
        want: &Want,
        new: &NewSession<'_>,
        after_removal: bool,
    ) -> anyhow::Result<Created> {
        let mut created = self.create(want, new, false).await?;
        for pause in QUOTA_PAUSES.iter().filter(|_| after_removal) {
            if !matches!(created, Created::QuotaFull(_)) || !self.api.has_time_for(*pause) {
                break;
            }
            tokio::time::sleep(*pause).await;
            created = self.create(want, new, false).await?;
        }
        Ok(created)
    }

    /// Makes sure that the ledger has the history of an ended session. `None` when it has; else the
    /// session's Job stays.
    async fn record(
        &self,
        session: &str,
        predecessor: &Predecessor,
        now: SystemTime,
        mode: Mode,
    ) -> Option<Start> {
        match self
            .ledger
            .record(WriteContext { api: &self.api, now, mode }, session, &predecessor.history)
            .await
        {
            Ok(()) => None,
            Err(Unrecorded::Failed(why)) => {
                Some(Start::Failed(format!("{why}; until then no finished session is replaced")))
            }
            Err(Unrecorded::FailedBefore(why)) => {
                Some(Start::Held(hold(HoldReason::RoleFailed, why)))
            }
        }
    }

    async fn remove(&self, session: &str, uid: &str) -> anyhow::Result<Removed> {
        let (why, was_lost) = match self.delete(session, uid, false).await {
            Deleted::Yes => return Ok(Removed::Yes),
            Deleted::SomebodyElse => return Ok(Removed::No(Start::AlreadyRunning)),
            Deleted::Refused(why) => anyhow::bail!(why),
            Deleted::Unknown(why) => (why, false),
            Deleted::Lost(why) => (why, true),
        };
        match self.look_back(session, was_lost).await {
            Ok(None) => Ok(Removed::ByUnknown),
            Ok(Some(job)) if job.uid() != uid => Ok(Removed::No(Start::AlreadyRunning)),
            // The server is back, and others need not wait for the next cycle.
            Ok(Some(_)) if was_lost => {
                Ok(Removed::No(Start::Failed(format!("{why}; the next cycle continues"))))
            }
            Ok(Some(_)) | Err(_) => anyhow::bail!(why),
        }
    }

    /// After an unclear answer, the Job itself shows which cycle created it.
    async fn conclude(
        &self,
        session: &str,
        new: &NewSession<'_>,
        created: Created,
    ) -> anyhow::Result<Start> {
        let started = Start::Started { generation: new.generation };
        let (doubt, was_lost) = match created {
            Created::Yes => return Ok(started),
            Created::NameHeld => return Ok(Start::Held(name_held())),
            Created::QuotaFull(why) => return Ok(Start::Held(hold(HoldReason::Quota, why))),
            Created::Refused(why) => anyhow::bail!(why),
            Created::NameTaken => (None, false),
            Created::Unknown(why) => (Some(why), false),
            Created::Lost(why) => (Some(why), true),
        };
        let may_start =
            |why| format!("{why}; it may still start: the next cycle's inventory shows it");
        match (self.look_back(session, was_lost).await, doubt) {
            (Ok(Some(job)), _) if job.cycle() == Some(new.cycle.0.as_str()) => Ok(started),
            (Ok(Some(job)), _) if !self.is_ours(&job) => anyhow::bail!(stranger()),
            (_, None) | (Ok(Some(_)), Some(_)) => Ok(Start::AlreadyRunning),
            // The server is back, and others need not wait for the next cycle.
            (Ok(None), Some(why)) if was_lost => Ok(Start::Failed(may_start(why))),
            (Ok(None) | Err(_), Some(why)) => anyhow::bail!(may_start(why)),
        }
    }

    /// From the inventory of this cycle; without one, the slot is looked up on its own.
    async fn holder(&self, want: &Want, session: &str) -> Holder {
        let seen = self.view.borrow().as_ref().map(|view| {
            let job = view.jobs.get(&want.slot);
            job.map_or(Err(view.at), |job| Ok(self.holding(job, &view.pods)))
        });
        match seen {
            Some(Ok(holder)) => return holder,
            Some(Err(at)) => return self.remembered(session, at).await,
            None => {}
        }
        match self.look_up(session).await {
            Ok(None) => self.remembered(session, Instant::now()).await,
            Ok(Some(job)) => self.looked_up(session, &job).await,
            Err(why) => Holder::Unknown(why),
        }
    }

    async fn looked_up(&self, session: &str, job: &Job) -> Holder {
        let needs_pods = job.end().is_some() && self.is_ours(job);
        let pods = if needs_pods {
            self.pods_of(session).await.unwrap_or_default()
        } else {
            Pods::default()
        };
        self.holding(job, &pods)
    }

    /// The last session of a slot that had no Job at that time, from the ledger.
    async fn remembered(&self, session: &str, at: Instant) -> Holder {
        match self.ledger.history(&self.api, session, at).await {
            Ok(history) => Predecessor::remembered(history).map_or(Holder::None, Holder::Ended),
            Err(why) => Holder::Unknown(why),
        }
    }

    fn holding(&self, job: &Job, pods: &Pods) -> Holder {
        if !self.is_ours(job) {
            Holder::Stranger
        } else if job.end().is_none() {
            Holder::Live
        } else if job.deleted_at().is_some() {
            Holder::Leaving
        } else {
            Holder::Ended(job.predecessor(pods))
        }
    }

    fn is_ours(&self, job: &Job) -> bool {
        let labels = job.metadata.labels.as_ref();
        labels
            .and_then(|labels| labels.get(FLEET))
            .is_some_and(|fleet| fleet == self.settings.fleet.as_str())
    }

    /// The Job of that name; `None` is a definite 404. Else why it is not known.
    pub(super) async fn look_up(&self, session: &str) -> Result<Option<Job>, String> {
        let path = format!("{}/{session}", self.api.jobs());
        let ask = Ask { path, ..Ask::default() };
        let answer = self.api.ask(&ask).await.map_err(|lost| lost.0)?;
        match answer.status {
            StatusCode::OK => answer.parse().map(Some).map_err(|lost| lost.0),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(refusal(&answer)),
        }
    }

    /// The Job after a write without a clear answer. Where the answer was lost, a second look: a
    /// server that restarts cuts its connections one after another, and the first look may use the
    /// next one.
    async fn look_back(&self, session: &str, was_lost: bool) -> Result<Option<Job>, String> {
        match self.look_up(session).await {
            Err(_) if was_lost => self.look_up(session).await,
            seen => seen,
        }
    }

    async fn create(
        &self,
        want: &Want,
        new: &NewSession<'_>,
        dry_run: bool,
    ) -> anyhow::Result<Created> {
        let container = want.spec.container.as_ref();
        let container =
            container.ok_or_else(|| anyhow::anyhow!("role `{}` has no image", want.role))?;
        let job = job::job(&self.settings, want, container, new);
        // A slip in the template is an error, not a field that is dropped.
        let query = [("fieldValidation", "Strict"), ("dryRun", "All")];
        let query = if dry_run { &query[..] } else { &query[..1] };
        let ask = Ask {
            method: Method::POST,
            path: self.api.jobs(),
            query,
            body: Some(&job),
            ..Ask::default()
        };
        Ok(self
            .api
            .ask(&ask)
            .await
            .map_or_else(|lost| Created::Lost(lost.0), |answer| Created::of(&answer)))
    }

    /// Bound to the uid, so that a deletion which comes late finds nothing; in the background,
    /// because a Job's pods would outlive it by default.
    async fn delete(&self, session: &str, uid: &str, dry_run: bool) -> Deleted {
        let mut options: Value = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        if dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let path = format!("{}/{session}", self.api.jobs());
        let ask = Ask { method: Method::DELETE, path, body: Some(&options), ..Ask::default() };
        self.api
            .ask(&ask)
            .await
            .map_or_else(|lost| Deleted::Lost(lost.0), |answer| Deleted::of(&answer))
    }
}
