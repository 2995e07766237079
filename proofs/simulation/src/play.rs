//! One seed: hours of faults, then calm, in which the fleet must recover.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coordinator_roster::Roster;
use tokio::time::Instant;

use crate::crew::{self, Plan};
use crate::dice::Dice;
use crate::protection::Protection;
use crate::queue::Items;
use crate::scene::{Mutant, Scene, Shared, Trace, lock};
use crate::table::{Counts, Place};
use crate::{eligible, events, person, protection, pulls, queue, rosters, thrift, time};
use testkit::kubernetes::witness::is_live_job;
use testkit::{Pull, Review};

/// Longer than any backoff, any interval and any request that is under way.
const LULL: Duration = Duration::from_secs(3 * 3_600);

/// Undisturbed cycles until nothing is left to do.
const CYCLES: usize = 3;

/// How one seed went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Of all that happened, in its order.
    pub(crate) hash: u64,
    pub(crate) counts: Counts,
    /// The violations.
    pub(crate) violations: Vec<String>,
}

/// Plays this seed through.
pub(crate) fn play(seed: u64, mutant: Option<Mutant>, shown: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        time::begin();
        let mut dice = Dice::new(seed);
        let pulls = first_pulls(&mut dice);
        let mut scene = Scene::new(dice.throw(), pulls, mutant, Trace::new(shown));
        scene.cluster.ignores_missing_keys = mutant == Some(Mutant::IgnoresPermits);
        scene.protection = Protection::draw(&mut dice);
        protection::enforce(&mut scene);
        if dice.percent(60) {
            queue::draw(&mut scene, &mut dice);
        }
        let scene: Shared = Arc::new(Mutex::new(scene));
        let roster = rosters::draw(&mut dice);
        let last = trouble(&scene, &mut dice, &roster).await;
        calm(&scene, &mut dice, &last).await;
        let scene = lock(&scene);
        Outcome {
            hash: scene.hash(),
            counts: scene.counts.clone(),
            violations: scene.violations.clone(),
        }
    })
}

/// In most worlds they have been approved for long, and can be merged at once.
fn first_pulls(dice: &mut Dice) -> Vec<Pull> {
    let are_settled = dice.percent(70);
    let numbers = 1..=dice.between(0, 6);
    let pull = |number| {
        let mut pull = pulls::fresh(number, dice);
        if are_settled {
            pull.reviews =
                vec![Review::approval("alice", &pull.head), Review::approval("bob", &pull.head)];
        }
        if dice.percent(15) {
            pull.files.push("secret/key".to_owned());
        }
        pull.fork = dice.percent(10);
        pull
    };
    numbers.map(pull).collect()
}

/// Coordinators that overlap, in a world where anything may happen; the roster of the last of them.
async fn trouble(scene: &Shared, dice: &mut Dice, roster: &Roster) -> Roster {
    let mut now = Instant::now();
    let mut roster = Rc::new(roster.clone());
    let clumsy = dice.percent(50);
    let plans = (0..dice.between(2, 10)).map(|who| {
        now += match dice.between(0, 5) {
            0 => Duration::ZERO,
            1 => dice.millis(0, 300),
            2..=3 => dice.seconds(0, 30),
            4 => dice.seconds(30, 300),
            _ => dice.seconds(300, 3_600),
        };
        if dice.percent(20) {
            roster = Rc::new(rosters::again(&roster, dice));
        }
        let chance = if clumsy { 30 } else { 5 };
        Plan {
            who: usize::try_from(who).expect("small"),
            roster: Rc::clone(&roster),
            start: now,
            dry_run: dice.percent(5),
            skew: *dice.pick(&[0, 0, 0, 1, -1, 90, -90, 3_600, -3_600, 86_400, -86_400]),
            dies_at: dice.percent(chance).then(|| dice.between(2, 60)),
            freezes: dice.percent(chance).then(|| (dice.between(2, 60), dice.seconds(1, 900))),
            interrupted_at: dice.percent(chance).then(|| dice.between(2, 60)),
        }
    });
    let plans: Vec<Plan> = plans.collect();
    {
        let mut scene = lock(scene);
        scene.fault_rate = *dice.pick(&[0, 3, 10, 10, 25, 50]);
        scene.cluster.clock_offset = *dice.pick(&[0, 0, 0, 5, -5, 600, -600, 86_400]);
        for _ in plans.iter().filter(|plan| plan.skew != 0) {
            scene.fault(Place::Coordinator, "its clock is wrong, by up to a day");
        }
    }
    let pace = *dice.pick(&[2, 20, 120]);
    let fate = tokio::spawn(befall(Shared::clone(scene), pace));
    crew::run(scene, plans).await;
    fate.abort();
    let _ = fate.await;
    Rc::unwrap_or_clone(roster)
}

/// Things happen, now and then.
async fn befall(scene: Shared, pace: u64) {
    loop {
        let pause = lock(&scene).dice.millis(0, pace * 2_000);
        tokio::time::sleep(pause).await;
        events::happen(&mut lock(&scene));
    }
}

/// Nothing goes wrong any more: the fleet must fill up, eligible pull requests be merged, and then
/// nothing be left to do.
async fn calm(scene: &Shared, dice: &mut Dice, roster: &Roster) {
    events::calm_down(&mut lock(scene));
    tokio::time::sleep(LULL).await;
    events::calm_down(&mut lock(scene));
    let roster = Rc::new(rosters::generous(roster));
    crew::resume(scene, person::WHO, &roster).await;
    for cycle in 0..=CYCLES {
        let who = 1_000 + cycle;
        let plan = Plan {
            who,
            roster: Rc::clone(&roster),
            start: Instant::now() + dice.seconds(1, 60),
            dry_run: false,
            skew: 0,
            dies_at: None,
            freezes: None,
            interrupted_at: None,
        };
        if cycle < CYCLES {
            crew::run(scene, vec![plan]).await;
        } else {
            idle(scene, &roster, plan).await;
        }
    }
}

/// The cycle that finds nothing left to do.
async fn idle(scene: &Shared, roster: &Roster, plan: Plan) {
    let who = plan.who;
    let most = {
        let mut scene = lock(scene);
        for lack in lacks(&mut scene, roster) {
            scene.violate(&format_args!("after {CYCLES} undisturbed cycles {lack}"));
        }
        thrift::most(&mut scene, &rosters::rules(roster))
    };
    crew::run(scene, vec![plan]).await;
    let mut scene = lock(scene);
    let watched = &scene.watched[&who];
    let (writes, excess) = (watched.writes, thrift::excess(&watched.sent, &most));
    if writes > 0 {
        scene.violate(&format_args!("{writes} writes where nothing was left to do"));
    }
    if let Some(excess) = excess {
        scene.violate(&format_args!("requests where nothing was left to do: {excess}"));
    }
}

/// The missing sessions, items and merges.
fn lacks(scene: &mut Scene, roster: &Roster) -> Vec<String> {
    let (mut live, mut live_names) = (BTreeMap::<String, u32>::new(), BTreeSet::new());
    let mut of_items = 0;
    for (name, job) in scene.cluster.namespace().jobs.iter().filter(|(_, job)| is_live_job(job)) {
        live_names.insert(name.clone());
        if !job["metadata"]["annotations"]["coordinator.dev/item"].is_null() {
            of_items += 1;
            continue;
        }
        let role = job["metadata"]["labels"]["coordinator.dev/role"].as_str().unwrap_or_default();
        *live.entry(role.to_owned()).or_default() += 1;
    }
    let total: u32 = of_items + live.values().sum::<u32>();
    let is_capped = roster.platform.max_running.is_some_and(|cap| total >= cap);
    let mut lacks = Vec::new();
    for role in roster.roles.iter().filter(|_| !is_capped) {
        let running = live.get(role.key.as_str()).copied().unwrap_or_default();
        if running < role.count {
            lacks.push(format!("{running} of {} sessions of {} run", role.count, role.key));
        }
    }
    let idle = scene
        .items
        .as_ref()
        .map(|items| Items::idle(items, |session| live_names.contains(session)));
    for id in idle.into_iter().flatten().filter(|_| !is_capped) {
        lacks.push(format!("item {id} may run and does not"));
    }
    let (rules, now) = (rosters::rules(roster), time::seconds());
    let repository = scene.github.repository();
    let on_base = eligible::recently_on_base(repository);
    for pull in repository.pulls.values() {
        let is_due = eligible::since(pull, &rules).is_some_and(|since| since <= now);
        let is_for_people = rules.protects && eligible::is_protected(pull);
        if is_due && !is_for_people && !on_base.contains(&pull.number) {
            lacks.push(format!("#{} is eligible and not merged", pull.number));
        }
    }
    lacks
}
