//! Coordinators that run at the same time on one thread: polled in random order, frozen,
//! interrupted, and killed at any await.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::sources;
use coordinator_core::fleet::SlotRecord;
use coordinator_core::platform::{CycleId, Platform};
use coordinator_core::report::{Interrupt, Report};
use coordinator_github::{Credentials, Github};
use coordinator_platform_kubernetes::{self, Kubernetes};
use coordinator_roster::{PlatformKind, Roster};
use futures_util::task::AtomicWaker;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::ledger::Watched;
use crate::queue::{AllSources, Queue};
use crate::report;
use crate::rosters::{bounds, steps};
use crate::scene::{Mutant, Shared, lock};
use crate::table::Place;
use crate::{time, wire};

/// One coordinator to be: when it starts, and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) who: usize,
    pub(crate) roster: Rc<Roster>,
    pub(crate) start: Instant,
    pub(crate) dry_run: bool,
    /// Seconds by which its clock is wrong.
    pub(crate) skew: i64,
    /// Killed at this poll.
    pub(crate) dies_at: Option<u64>,
    /// Stopped at this poll, until then.
    pub(crate) freezes: Option<(u64, std::time::Duration)>,
    /// Interrupted at this poll.
    pub(crate) interrupted_at: Option<u64>,
}

/// A coordinator that runs.
struct Member {
    plan: Plan,
    future: Pin<Box<dyn Future<Output = Report>>>,
    stop: Rc<Stop>,
    flag: Arc<Flag>,
    polls: u64,
    thaw: Option<Pin<Box<Sleep>>>,
}

/// Whether a coordinator can be polled.
#[derive(Default)]
struct Flag {
    woken: AtomicBool,
    crew: AtomicWaker,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.crew.wake();
    }
}

/// Runs them all to their ends.
pub(crate) async fn run(scene: &Shared, plans: Vec<Plan>) {
    let mut members: Vec<Member> = plans.into_iter().map(|plan| Member::new(scene, plan)).collect();
    poll_fn(|context| {
        loop {
            let mut ready: Vec<usize> =
                (0..members.len()).filter(|at| members[*at].is_ready(context)).collect();
            if ready.is_empty() {
                return if members.is_empty() { Poll::Ready(()) } else { Poll::Pending };
            }
            lock(scene).dice.shuffle(&mut ready);
            let mut gone: Vec<usize> =
                ready.into_iter().filter(|at| members[*at].turn(scene)).collect();
            gone.sort_unstable();
            for at in gone.into_iter().rev() {
                members.remove(at);
            }
        }
    })
    .await;
}

impl Member {
    fn new(scene: &Shared, plan: Plan) -> Self {
        let stop = Rc::new(Stop::default());
        let future = Box::pin(live(Shared::clone(scene), plan.clone(), Rc::clone(&stop)));
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), crew: AtomicWaker::new() });
        Self { plan, future, stop, flag, polls: 0, thaw: None }
    }

    /// Has something to do, and may.
    fn is_ready(&mut self, context: &mut Context<'_>) -> bool {
        self.flag.crew.register(context.waker());
        if let Some(thaw) = &mut self.thaw {
            if thaw.as_mut().poll(context).is_pending() {
                return false;
            }
            self.thaw = None;
        }
        self.flag.woken.load(Ordering::Relaxed)
    }

    /// One step of it, or its end: then true.
    fn turn(&mut self, scene: &Shared) -> bool {
        self.polls += 1;
        let who = self.plan.who;
        if self.plan.dies_at == Some(self.polls) {
            let mut scene = lock(scene);
            scene.fault(Place::Coordinator, "killed at an await");
            scene.counts.total("coordinators killed");
            return true;
        }
        if let Some((_, pause)) = self.plan.freezes.filter(|(at, _)| *at == self.polls) {
            let mut scene = lock(scene);
            scene.fault(Place::Coordinator, "frozen for a while, then continues");
            if let Some(watched) = scene.watched.get_mut(&who) {
                watched.was_frozen = true;
            }
            self.thaw = Some(Box::pin(tokio::time::sleep(pause)));
            return false;
        }
        if self.plan.interrupted_at == Some(self.polls) {
            let mut scene = lock(scene);
            scene.fault(Place::Coordinator, "interrupted (SIGTERM)");
            if let Some(watched) = scene.watched.get_mut(&who) {
                watched.interrupted = Some(Instant::now());
            }
            drop(scene);
            self.stop.now(Interrupt::Sigterm);
        }
        self.flag.woken.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut context = Context::from_waker(&waker);
        match time::skewed(self.plan.skew, || self.future.as_mut().poll(&mut context)) {
            Poll::Pending => false,
            Poll::Ready(report) => {
                let mut scene = lock(scene);
                scene.counts.total("cycles");
                report::check(&mut scene, who, &cycle_id(who), &report);
                true
            }
        }
    }
}

fn cycle_id(who: usize) -> CycleId {
    CycleId(format!("cycle-{who}"))
}

/// Finite work first, as the program has it.
fn sources<'a>(scene: &Shared, roster: &'a Roster) -> Vec<AllSources<'a>> {
    let has_items = lock(scene).items.is_some();
    let queue = has_items.then(|| AllSources::Queue(Box::new(Queue::new(scene, &roster.roles[0]))));
    let shipped = sources::configured(roster, &[], &[]).into_iter().map(AllSources::Shipped);
    queue.into_iter().chain(shipped).collect()
}

/// The cluster, as this coordinator reaches it.
fn platform(scene: &Shared, who: usize, roster: &Roster, has_items: bool) -> Kubernetes {
    let PlatformKind::Kubernetes(settings) = &roster.platform.kind else {
        panic!("the roster is on a cluster")
    };
    let repository = roster.repository.as_ref().expect("the roster names a repository");
    let settings = coordinator_platform_kubernetes::Settings {
        fleet: roster.fleet.clone(),
        repository: Some(format!("{}/{}", repository.owner, repository.name)),
        kubernetes: (**settings).clone(),
        has_items,
        deadline: roster.deadline,
    };
    let client = kube::Client::new(wire::kubernetes(scene, who), "agents");
    Kubernetes::new(settings, client, "agents", Instant::now() + roster.deadline)
}

/// A person ends the pause and lets every stopped slot go on, as `coordinator resume` does.
pub(crate) async fn resume(scene: &Shared, who: usize, roster: &Roster) {
    let has_items = lock(scene).items.is_some();
    let platform = platform(scene, who, roster, has_items);
    let listing = platform.list().await.expect("nothing disturbs the list");
    platform.resume().await.expect("nothing disturbs the end of a pause");
    let is_held =
        |record: &SlotRecord| record.history.last().is_some_and(|run| run.stopped_by.is_some());
    let held = listing.slots.iter().filter(|(_, record)| record.live.is_none() && is_held(record));
    for (slot, _) in held {
        let went_on = platform.release(slot).await.expect("nothing disturbs it");
        if !went_on {
            lock(scene).violate(&format_args!("{} is held and cannot go on", slot.name()));
        }
    }
}

/// A coordinator's whole life.
async fn live(scene: Shared, plan: Plan, stop: Rc<Stop>) -> Report {
    sleep_until(plan.start).await;
    let Plan { who, roster, dry_run, .. } = plan;
    {
        let mut scene = lock(&scene);
        scene.note(&format_args!("coordinator {who} starts"));
        let mut bounds = bounds(&roster, dry_run);
        bounds.items = scene.items.is_some();
        if scene.mutant == Some(Mutant::LowersCap) {
            bounds.max_running = bounds.max_running.map(|cap| cap - 1);
        }
        if scene.mutant == Some(Mutant::LowersBudget) {
            bounds.affordable = bounds.affordable.map(|most| most - 1);
        }
        let removed = scene.removed.clone();
        scene.watched.insert(who, Watched::new(bounds, removed));
    }
    let has_items = lock(&scene).items.is_some();
    let repository = roster.repository.as_ref().expect("the roster names a repository");
    let credentials = Credentials::token(testkit::TOKEN).expect("a token");
    let github = Github::new(wire::github(&scene, who), repository, credentials);
    let platform = platform(&scene, who, &roster, has_items);
    let cycle = Cycle {
        roster: &roster,
        id: cycle_id(who),
        steps: steps(),
        sources: sources(&scene, &roster),
        dry_run,
        platform: Ok(platform),
        github,
        probe: Err(anyhow::anyhow!("nothing is probed")),
        clock: time::believed,
        progress: Progress::default(),
    };
    cycle::run(&cycle, &stop).await
}
