//! Work items as workflow runs: a source whose store the test sets, the shipped cycle, and the real
//! admission.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::steps::StepName;
use coordinator_core::fleet::{Follows, HoldReason, Inventory, Listing, Want};
use coordinator_core::platform::{CycleId, Platform as _, Start};
use coordinator_core::report::{Report, Spawned};
use coordinator_core::source::Source;
use coordinator_github::{Credentials, Github};
use coordinator_http::Client;
use coordinator_platform_actions::{Actions as Platform, Settings};
use coordinator_roster::{PlatformKind, Roster};
use futures_util::future::join_all;
use serde_json::Value;

use super::Fleet;
use super::invariant::{Dice, trouble};
use crate::contract::assert_conforms;
use testkit::actions::Workflow;
use testkit::actions::life::Admission;
use testkit::tasks::{MAX_ATTEMPTS, TaskState, Tasks};
use testkit::{Fault, Finished, Route, TOKEN};

const DEFAULTS: &str = "backoff_base = \"0s\"\nmin_runtime = \"0s\"";

/// A fleet whose roles are empty, and one source of tasks.
struct Queue {
    fleet: Fleet,
    roster: Roster,
    tasks: Tasks,
}

impl Queue {
    fn new() -> Self {
        Self::of(0)
    }

    /// With a role of `count` slots beside the tasks.
    fn of(count: u32) -> Self {
        let fleet = Fleet::with(count, "", DEFAULTS);
        let variable = |_: &str| None;
        let roster = coordinator_roster::load(&fleet.workplace.roster(), &variable)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let role = &roster.roles[0];
        let tasks = Tasks::new("queue", &role.key, &role.spec);
        Self { fleet, roster, tasks }
    }

    fn platform(&self) -> Platform {
        let PlatformKind::GithubActions(actions) = &self.roster.platform.kind else {
            panic!("the roster has another platform")
        };
        let settings = Settings {
            fleet: self.roster.fleet.clone(),
            longest: self.roster.longest_memory(),
            time_limits: self.roster.time_limits(),
            actions: actions.clone(),
        };
        let client = Client::new().expect("a client can be made");
        let repository = self.roster.repository.as_ref().expect("the roster has one");
        let credentials = Credentials::token(TOKEN).expect("a good token");
        let github = Github::over(client, repository, credentials);
        Platform::new(settings, github.expect("good addresses"))
    }

    async fn cycle(&self) -> Report {
        let cycle = Cycle {
            roster: &self.roster,
            id: CycleId("c1".to_owned()),
            steps: vec![StepName::Inventory, StepName::Spawn],
            sources: vec![self.tasks.clone()],
            dry_run: false,
            platform: Ok(self.platform()),
            github: Err(anyhow::anyhow!("no step needs it")),
            probe: Err(anyhow::anyhow!("no step needs it")),
            clock: SystemTime::now,
            progress: Progress::default(),
        };
        let report = cycle::run(&cycle, &Stop::default()).await;
        assert_conforms(&self.fleet.github);
        report
    }

    async fn list(&self) -> Listing {
        self.platform().list().await.expect("it can be listed")
    }

    /// The source's wants by the platform's current list, and that platform.
    async fn plan(&self) -> (Platform, Vec<Want>) {
        let platform = self.platform();
        let listing = platform.list().await.expect("it can be listed");
        let state = self.tasks.observe(SystemTime::now()).await.expect("it can be read");
        (platform, self.tasks.plan(&state, &Inventory::Known(listing), SystemTime::now()).wants)
    }

    fn open(&self, id: &str) {
        self.tasks.store.borrow_mut().open(id);
    }

    fn state(&self, id: &str) -> Option<TaskState> {
        self.tasks.store.borrow().state(id)
    }

    /// The only run that a runner could take.
    fn queued(&self) -> u64 {
        let queued = self.fleet.queued();
        assert_eq!(queued.len(), 1, "{queued:?}");
        queued[0]
    }

    /// A runner takes the only run that waits for one, it is admitted, and its agent ends so.
    fn runs_and_ends(&self, conclusion: &str) -> u64 {
        let id = self.queued();
        assert_eq!(self.fleet.play(id), Admission::Go);
        self.end(id, conclusion);
        id
    }

    fn end(&self, id: u64, conclusion: &str) {
        self.fleet.actions(|actions, now| actions.end(id, conclusion, now));
    }

    /// The admission of the only run that waits for a runner, and what it printed.
    fn admission(&self) -> (Admission, Finished) {
        self.admission_of(self.queued())
    }

    fn admission_of(&self, id: u64) -> (Admission, Finished) {
        let run = self.fleet.actions(|actions, now| {
            actions.start(id, now);
            actions.run(id).clone()
        });
        let (admission, step) = self.fleet.admit_step(&run);
        self.fleet.actions(|actions, now| {
            actions.end_admission(id, admission, now);
            if admission == Admission::Go {
                actions.start_agent(id, now);
            }
        });
        (admission, step)
    }

    /// GitHub carries out a dispatch a second time.
    fn dispatched_again(&self, id: u64) -> u64 {
        self.fleet.actions(|actions, now| {
            let inputs = actions.run(id).inputs.clone();
            actions.trigger("agent-session.yml", "main", inputs, now)
        })
    }

    fn later(&self, seconds: i64) {
        self.fleet.github.state().clock_offset += seconds;
    }
}

fn started(report: &Report) -> Vec<(String, u32, u64)> {
    let of = |spawned: &Spawned| {
        let item = spawned.target.item.as_ref().expect("a work item");
        (item.id.clone(), item.counts.attempt, spawned.generation)
    };
    report.spawn.body.spawned.iter().map(of).collect()
}

fn task(id: &str, attempt: u32, generation: u64) -> Vec<(String, u32, u64)> {
    vec![(id.to_owned(), attempt, generation)]
}

fn held(report: &Report) -> Vec<&'static str> {
    report.spawn.body.held.iter().map(|(_, hold)| hold.reason.word()).collect()
}

#[tokio::test]
async fn the_life_of_a_task_started_failed_tried_again_superseded_and_done() {
    let queue = Queue::new();
    queue.open("bd-4jz");
    assert_eq!(started(&queue.cycle().await), task("bd-4jz", 1, 1));
    let report = queue.cycle().await;
    assert_eq!((started(&report), report.inventory.body.sources[0].running), (vec![], Some(1)));
    assert!(report.inventory.body.unmanaged.is_empty());
    queue.runs_and_ends("failure");

    assert_eq!(started(&queue.cycle().await), task("bd-4jz", 2, 2));
    let second = queue.queued();
    // Another cycle that saw the same has dispatched the same attempt; its run waits for the slot.
    queue.dispatched_again(second);
    queue.runs_and_ends("failure");
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    let sentence = "skip: superseded: session 2 of the item ran since this start was planned, and \
        the next cycle plans anew: ";
    assert!(step.stdout.starts_with(sentence), "{}", step.stdout);

    assert_eq!(started(&queue.cycle().await), task("bd-4jz", 3, 3));
    queue.runs_and_ends("success");
    let report = queue.cycle().await;
    assert_eq!(started(&report), []);
    let effects: Vec<_> = report.spawn.body.effects.iter().map(|one| one.report.effect).collect();
    assert_eq!(
        (effects.as_slice(), queue.state("bd-4jz")),
        (&["complete"][..], Some(TaskState::Done))
    );

    let slot = "queue-ibd4jzx4d0d5384fa";
    let titles: Vec<(String, String)> = queue.fleet.actions(|actions, _| {
        let ended = |run: &testkit::actions::Run| {
            let agent = run.job("agent").and_then(|job| job.conclusion.clone());
            (run.title.clone(), agent.unwrap_or_default())
        };
        actions.of_slot(slot).into_iter().map(ended).collect()
    });
    let title = |generation: u64| {
        format!(
            "coord demo {slot} g{generation} \
             cc1;role=ui_builder;attempt={generation};limit=7200;id=bd-4jz"
        )
    };
    let expected = [(1, "failure"), (2, "failure"), (2, "skipped"), (3, "success")];
    assert_eq!(titles, expected.map(|(generation, end)| (title(generation), end.to_owned())));
}

#[tokio::test]
async fn a_failed_task_is_tried_as_often_as_allowed_and_then_handed_to_a_person() {
    let queue = Queue::new();
    queue.open("7");
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(started(&queue.cycle().await), task("7", attempt, u64::from(attempt)));
        queue.runs_and_ends("failure");
    }
    assert_eq!(started(&queue.cycle().await), []);
    assert_eq!(queue.state("7"), Some(TaskState::NeedsHuman));
    // Opened again it has a new life, whose first session follows the last one of before.
    queue.open("7");
    let next = u64::from(MAX_ATTEMPTS) + 1;
    assert_eq!(started(&queue.cycle().await), task("7", 1, next));
    queue.runs_and_ends("success");
    queue.cycle().await;
    assert_eq!(queue.state("7"), Some(TaskState::Done));
}

#[tokio::test]
async fn item_role_and_attempt_come_back_in_every_list_live_and_ended() {
    let queue = Queue::new();
    queue.open("UPPER case ü");
    for attempt in 1..=2 {
        queue.cycle().await;
        let of = |record: &coordinator_core::fleet::SlotRecord| {
            let of = record.item().expect("it worked on an item").clone();
            (of.item.id, of.item.counts.attempt, of.role.to_string())
        };
        let expected = ("UPPER case ü".to_owned(), attempt, "ui_builder".to_owned());
        let slot = queue.tasks.slot("UPPER case ü");
        assert_eq!(of(&queue.list().await.slots[&slot]), expected);
        queue.runs_and_ends("failure");
        let listing = queue.list().await;
        let record = &listing.slots[&slot];
        assert_eq!(
            (of(record), record.generation, record.live.is_none()),
            (expected, attempt.into(), true)
        );
    }
}

#[tokio::test]
async fn of_overlapping_cycles_one_gets_the_attempt_past_its_admission() {
    let queue = Queue::new();
    queue.open("1");
    // Each looks at the slot's group before any has dispatched.
    queue.fleet.github.script(Route::Group, vec![Fault::late(Duration::from_millis(300)); 3]);
    let reports = join_all((0..3).map(|_| queue.cycle())).await;
    let count: usize = reports.iter().map(|report| started(report).len()).sum();
    assert!(count > 1, "GitHub takes every dispatch");
    let first = queue.runs_and_ends("failure");
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip, "{}", step.stdout);
    assert!(step.stdout.contains(&format!("/runs/{first}")), "{}", step.stdout);
    assert!(queue.fleet.queued().is_empty(), "the third one has made way for the second");
    // A run that was cancelled while it waited has no jobs; a run that has just ended may have none
    // yet.
    queue.later(301);
    assert_eq!(started(&queue.cycle().await)[0].1, 2, "and one attempt is used up");
}

#[tokio::test]
async fn a_start_that_was_planned_before_another_session_ran_is_superseded() {
    let queue = Queue::new();
    queue.open("1");
    let (late, wants) = queue.plan().await;
    queue.cycle().await;
    queue.runs_and_ends("failure");
    // By its own list nothing ran, so it dispatches, and its run compares.
    let cycle = CycleId("late".to_owned());
    let answer = late.start(&wants[0], &cycle, SystemTime::now()).await.expect("it answers");
    assert_eq!(answer, Start::Started { generation: 1 });
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.contains("superseded: session 1 of the item ran"), "{}", step.stdout);
    // By a newer list it does not even dispatch.
    let (newer, _) = queue.plan().await;
    let now = SystemTime::now();
    assert_eq!(newer.preview(&wants[0], now).await.expect("it answers"), Start::Superseded);
    assert_eq!(newer.start(&wants[0], &cycle, now).await.expect("it answers"), Start::Superseded);
    let next = Want { follows: Follows::Generation(1), ..wants[0].clone() };
    let answer = newer.start(&next, &cycle, now).await.expect("it answers");
    assert_eq!(answer, Start::Started { generation: 2 });
}

#[tokio::test]
async fn a_dispatch_without_an_answer_is_the_attempt_all_the_same_and_is_not_repeated() {
    for fault in [
        Fault::reset().after_applying(),
        Fault::status(504, "We couldn't respond in time").after_applying(),
    ] {
        let queue = Queue::new();
        queue.open("1");
        queue.fleet.github.script(Route::Dispatch, [fault]);
        let report = queue.cycle().await;
        let failed = &report.spawn.body.failed;
        assert!(failed[0].error.contains("it may still have started"), "{}", failed[0].error);
        let report = queue.cycle().await;
        assert_eq!((started(&report), report.inventory.body.sources[0].running), (vec![], Some(1)));
        queue.runs_and_ends("failure");
        assert_eq!(started(&queue.cycle().await), task("1", 2, 2));
    }
}

#[tokio::test]
async fn a_dispatch_that_arrives_after_its_ticket_has_expired_does_not_run() {
    let queue = Queue::new();
    queue.open("1");
    queue.cycle().await;
    let first = queue.queued();
    queue.later(301);
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.contains("its ticket expired"), "{}", step.stdout);
    assert_eq!(started(&queue.cycle().await), task("1", 1, 2), "no attempt was used up");
    queue.runs_and_ends("failure");
    queue.dispatched_again(first);
    assert_eq!(queue.admission().0, Admission::Skip);
}

#[tokio::test]
async fn while_the_list_lags_nothing_runs_twice_and_then_the_fleet_fills() {
    let queue = Queue::new();
    queue.open("1");
    queue.fleet.actions(|actions, _| actions.index.lags = true);
    assert_eq!(started(&queue.cycle().await), task("1", 1, 1));
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.contains("the list of runs does not show this run yet"), "{}", step.stdout);
    queue.fleet.actions(|actions, _| {
        actions.index.lags = false;
        actions.index();
    });
    assert_eq!(started(&queue.cycle().await), task("1", 1, 2));
    queue.runs_and_ends("success");
}

#[tokio::test]
async fn a_session_that_the_plans_list_did_not_show_is_found_however_far_behind_it_was() {
    for seconds in [1, 7_200] {
        let queue = Queue::new();
        queue.open("1");
        queue.open("2");
        queue.cycle().await;
        for id in queue.fleet.queued() {
            assert_eq!(queue.fleet.play(id), Admission::Go);
        }
        queue.fleet.actions(|actions, now| {
            let ids: Vec<u64> = actions.runs.keys().copied().collect();
            for id in ids {
                actions.end(id, "failure", now);
            }
            // The list shows the first run and not yet the second one.
            let newest = actions.runs.keys().last().copied().expect("there are two");
            actions.run(newest).indexed = false;
        });
        queue.later(seconds);
        let report = queue.cycle().await;
        let attempts: BTreeSet<u32> =
            started(&report).iter().map(|(_, attempt, _)| *attempt).collect();
        assert_eq!(attempts, BTreeSet::from([1, 2]), "one task seems never to have run");
        queue.fleet.actions(|actions, _| actions.index());
        for id in queue.fleet.queued() {
            let title = queue.fleet.actions(|actions, _| actions.run(id).title.clone());
            let expected =
                if title.contains("attempt=2") { Admission::Go } else { Admission::Skip };
            assert_eq!(queue.fleet.play(id), expected, "{title} after {seconds} s");
        }
    }
}

#[tokio::test]
async fn generations_that_restart_after_runs_were_deleted_are_distinct_from_the_old_ones() {
    let queue = Queue::new();
    queue.open("1");
    queue.cycle().await;
    let first = queue.runs_and_ends("failure");
    let (late, wants) = queue.plan().await;
    queue.fleet.actions(|actions, _| actions.delete(first));
    assert_eq!(started(&queue.cycle().await), task("1", 1, 1), "nothing is recorded of it");
    queue.runs_and_ends("failure");
    // Planned after the session 1 that is gone, and not after the one that ran since.
    let answer = late.start(&wants[0], &CycleId("late".to_owned()), SystemTime::now()).await;
    assert_eq!(answer.expect("it answers"), Start::Started { generation: 2 });
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.contains("superseded: session 1"), "{}", step.stdout);
}

#[tokio::test]
async fn a_run_that_a_person_reruns_is_not_another_session_and_stays_a_record() {
    let queue = Queue::new();
    queue.open("1");
    queue.cycle().await;
    let id = queue.runs_and_ends("failure");
    queue.fleet.actions(|actions, now| actions.rerun(id, now));
    let (admission, step) = queue.admission();
    assert_eq!((admission, step.code), (Admission::Failed, Some(2)));
    assert!(step.stderr.contains("the coordinator starts its next attempt"), "{}", step.stderr);
    assert_eq!(started(&queue.cycle().await), task("1", 2, 2), "its session was the first attempt");
}

#[tokio::test]
async fn a_workflow_of_an_older_version_runs_roles_and_refuses_items() {
    let queue = Queue::of(1);
    queue.fleet.actions(|actions, _| *actions.sessions() = Workflow::of_sessions_before_items());
    queue.open("1");
    queue.open("2");
    let report = queue.cycle().await;
    assert_eq!((started(&report), held(&report)), (vec![], vec!["unsupported"; 2]));
    assert!(report.spawn.body.failed.is_empty());
    assert_eq!(queue.fleet.cycle().slots("spawned"), ["ui-builder-s0"]);
    let detail = &report.spawn.body.held[0].1.detail;
    assert!(detail.contains("renew it with `coordinator init --github-actions`"), "{detail}");
    let run = queue.queued();
    assert_eq!(queue.fleet.play(run), Admission::Go);
    let title = queue.fleet.actions(|actions, _| actions.run(run).title.clone());
    assert!(title.starts_with("coord demo ui-builder-s0 g1 c") && !title.contains(';'), "{title}");
}

#[tokio::test]
async fn a_run_whose_title_does_not_carry_the_item_is_not_admitted() {
    let queue = Queue::new();
    queue.open("1");
    queue.fleet.actions(|actions, _| {
        actions.sessions().run_name = Workflow::of_sessions_before_items().run_name;
    });
    queue.cycle().await;
    let (admission, step) = queue.admission();
    assert_eq!(admission, Admission::Skip);
    assert!(step.stdout.contains("does not name its session and work item"), "{}", step.stdout);
}

#[tokio::test]
async fn inputs_that_do_not_belong_together_are_refused() {
    let queue = Queue::new();
    queue.open("1");
    queue.cycle().await;
    let id = queue.queued();
    let run = queue.fleet.actions(|actions, now| {
        actions.start(id, now);
        actions.run(id).clone()
    });
    let without_item = {
        let mut task: Value = serde_json::from_str(&run.inputs["task_json"]).expect("JSON");
        task.as_object_mut().expect("an object").remove("item");
        task["version"] = 1.into();
        task.to_string()
    };
    for (name, value) in [
        ("slot", "queue-i2"),
        ("slot", "ui-builder-s0"),
        ("generation", "0"),
        ("task_json", without_item.as_str()),
    ] {
        let mut run = run.clone();
        run.inputs.insert(name.to_owned(), value.to_owned());
        let (admission, step) = queue.fleet.admit_step(&run);
        assert_eq!((admission, step.code), (Admission::Failed, Some(2)), "{name}: {}", step.stdout);
    }
}

#[tokio::test]
async fn without_an_inventory_no_item_starts() {
    let queue = Queue::new();
    queue.open("1");
    queue.fleet.github.always(Route::Runs, Fault::status(502, "Bad Gateway"));
    let report = queue.cycle().await;
    assert_eq!((held(&report), queue.fleet.queued()), (vec![HoldReason::Unknown.word()], vec![]));
}

const STEPS: usize = 60;

/// Sessions that the seeds together must have seen.
const MIN_SESSIONS: u32 = 20;

/// The decisions of the admissions.
#[derive(Debug, Default)]
struct Admitted {
    /// The generation of the newest session of each slot.
    newest: BTreeMap<String, u64>,
    sessions: u32,
    /// Runs that were not admitted because another session had run.
    superseded: u32,
}

/// A runner takes the run. Where it is admitted, it follows the very session that was the last to
/// be admitted.
fn play(queue: &Queue, id: u64, admitted: &mut Admitted) {
    let run = queue.fleet.actions(|actions, _| actions.run(id).clone());
    let (admission, step) = queue.admission_of(id);
    if admission != Admission::Go {
        admitted.superseded += u32::from(step.stdout.contains("superseded"));
        return;
    }
    admitted.sessions += 1;
    let (_, slot) = run.slot().expect("it is a session's");
    let task: Value = serde_json::from_str(&run.inputs["task_json"]).expect("JSON");
    let last = admitted.newest.insert(slot.to_owned(), run.generation().expect("a number"));
    assert_eq!(task["item"]["follows"], last.unwrap_or(0), "{}", run.title);
}

async fn step(queue: &Queue, dice: &mut Dice, admitted: &mut Admitted) {
    let fleet = &queue.fleet;
    match dice.roll(13) {
        0..=2 => {
            // Some of them are killed at once.
            let cycles = (0..=dice.roll(3)).map(|_| {
                let patience =
                    [3, 10, 30, 60_000, 60_000][usize::try_from(dice.roll(5)).expect("small")];
                tokio::time::timeout(Duration::from_millis(patience), queue.cycle())
            });
            let cycles: Vec<_> = cycles.collect();
            join_all(cycles).await;
        }
        3..=7 => {
            if let Some(id) = dice.pick(&fleet.queued()) {
                play(queue, id, admitted);
            }
        }
        8 | 9 => {
            let live = fleet.actions(|actions, _| {
                actions
                    .runs
                    .values()
                    .filter(|run| run.is_admitted())
                    .map(|run| run.id)
                    .collect::<Vec<_>>()
            });
            let conclusion =
                dice.pick(&["success", "failure", "timed_out"]).expect("there are some");
            if let Some(id) = dice.pick(&live) {
                queue.end(id, conclusion);
            }
        }
        10 => trouble(fleet, dice),
        11 => fleet.actions(|actions, _| {
            actions.index.lags = dice.roll(3) == 0;
            actions.index();
        }),
        _ => {
            // A dispatch arrives late, or twice.
            let ids = fleet.actions(|actions, _| {
                actions.runs.keys().rev().take(4).copied().collect::<Vec<_>>()
            });
            if let Some(id) = dice.pick(&ids) {
                queue.dispatched_again(id);
            }
        }
    }
    for id in ["1", "2", "3"] {
        if queue.state(id) != Some(TaskState::Open) && dice.roll(3) == 0 {
            queue.open(id);
        }
    }
    queue.later(dice.pick(&[1, 1, 1, 1, 1, 5, 20, 70, 150, 2_000]).expect("there are some"));
}

/// Without faults every open task has a session within three cycles, and the next one plans
/// nothing.
async fn settles(queue: &Queue, admitted: &mut Admitted) {
    {
        let mut state = queue.fleet.github.state();
        state.faults = testkit::fault::Faults::default();
        state.repository().actions.index.lags = false;
        state.repository().actions.index();
    }
    for cycle in 0..4 {
        for id in ["1", "2", "3"] {
            if queue.state(id) != Some(TaskState::Open) {
                assert!(cycle < 2, "a task was judged by a session that did not end");
                queue.open(id);
            }
        }
        queue.later(301);
        // Runs that are late are turned away first, so that their slots are free.
        while let Some(id) = queue.fleet.queued().first().copied() {
            play(queue, id, admitted);
        }
        queue.cycle().await;
        while let Some(id) = queue.fleet.queued().first().copied() {
            play(queue, id, admitted);
        }
    }
    let report = queue.cycle().await;
    let running = report.inventory.body.sources[0].running;
    assert_eq!((running, started(&report)), (Some(3), vec![]), "{:?}", held(&report));
}

#[tokio::test]
async fn whatever_happens_each_session_of_a_task_follows_the_one_that_it_was_planned_after() {
    let mut admitted = Admitted::default();
    for seed in 1..=4_u64 {
        let (queue, mut dice) = (Queue::new(), Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed)));
        admitted.newest.clear();
        for id in ["1", "2", "3"] {
            queue.open(id);
        }
        for _ in 0..STEPS {
            step(&queue, &mut dice, &mut admitted).await;
            let breaches = queue.fleet.actions(|actions, _| actions.take_breaches());
            assert!(breaches.is_empty(), "seed {seed}: {breaches:?}");
        }
        settles(&queue, &mut admitted).await;
    }
    let has_seen_much = admitted.sessions > MIN_SESSIONS && admitted.superseded > 0;
    assert!(has_seen_much, "{admitted:?}");
}
