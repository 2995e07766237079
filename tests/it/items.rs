//! Work items on local processes: a source whose store the test sets, the shipped cycle, and the
//! real binary as the keeper of each session.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::steps::StepName;
use coordinator_core::fleet::{Follows, Inventory, Listing, Want};
use coordinator_core::platform::{CycleId, Platform, Start};
use coordinator_core::report::{Report, Spawned};
use coordinator_core::source::{EffectOutcome, Source};
use coordinator_platform_local::process::{self, Process};
use coordinator_roster::Roster;

use testkit::Workplace;
use testkit::tasks::{MAX_ATTEMPTS, TaskState, Tasks};
use testkit::workplace::RosterText;

/// A fleet with one recipe and one source of tasks.
struct Fleet {
    workplace: Workplace,
    roster: Roster,
    tasks: Tasks,
}

impl Fleet {
    /// Every task's agent runs this shell script.
    fn new(script: &str) -> Self {
        let defaults = "backoff_base = \"0s\"\nmin_runtime = \"0s\"\n";
        let command = format!("[\"sh\", \"-c\", {script:?}]");
        let workplace =
            RosterText::default().defaults(defaults).role("builder", 0, &command).write();
        let home = workplace.path().to_str().expect("a path is text").to_owned();
        let variable = |name: &str| (name == "HOME").then(|| home.clone());
        let roster = coordinator_roster::load(&workplace.roster(), &variable)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let role = &roster.roles[0];
        let tasks = Tasks::new("queue", &role.key, &role.spec);
        Self { workplace, roster, tasks }
    }

    fn platform(&self) -> Process {
        Process::open(process::Settings {
            fleet: self.roster.fleet.clone(),
            roster: self.roster.path.clone(),
            state_dir: self.workplace.path().join("state"),
            repository: None,
            secret_names: self.roster.secret_names.clone(),
            program: PathBuf::from(env!("CARGO_BIN_EXE_coordinator")),
        })
        .expect("the folder is ours")
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
        cycle::run(&cycle, &Stop::default()).await
    }

    async fn list(&self) -> Listing {
        self.platform().list().await.expect("it can be listed")
    }

    /// Waits until no session of the task is live.
    async fn ended(&self, id: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let listing = self.list().await;
            let record = listing.slots.get(&self.tasks.slot(id));
            if record.is_none_or(|record| record.live.is_none()) {
                return;
            }
            assert!(Instant::now() < end, "{id} does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn open(&self, id: &str) {
        self.tasks.store.borrow_mut().open(id);
    }

    /// Whether folder and lock of the task `1` are left after a sweep in `hours` hours, when the
    /// source has the items `present`.
    async fn swept(&self, hours: u64, present: &[&str]) -> (bool, bool) {
        let slots: BTreeSet<_> = present.iter().map(|id| self.tasks.slot(id)).collect();
        let now = SystemTime::now() + Duration::from_secs(hours * 3600);
        self.platform().sweep(&slots, &BTreeSet::from([self.tasks.group.clone()]), now).await;
        let (folder, lock) = self.files("1");
        (folder.exists(), lock.exists())
    }

    /// The folder of a task's records, and its lock.
    fn files(&self, id: &str) -> (PathBuf, PathBuf) {
        let (state, name) = (self.workplace.path().join("state/demo"), self.tasks.slot(id).name());
        (state.join("sessions").join(&name), state.join("slots").join(format!("{name}.lock")))
    }

    fn state(&self, id: &str) -> Option<TaskState> {
        self.tasks.store.borrow().state(id)
    }
}

fn started(report: &Report) -> Vec<(String, u32, u64)> {
    let of = |spawned: &Spawned| {
        let item = spawned.target.item.as_ref().expect("a work item");
        (item.id.clone(), item.counts.attempt, spawned.generation)
    };
    report.spawn.body.spawned.iter().map(of).collect()
}

fn held(report: &Report) -> Vec<&'static str> {
    report.spawn.body.held.iter().map(|(_, hold)| hold.reason.word()).collect()
}

#[tokio::test]
async fn a_task_runs_once_and_is_done_when_its_agent_ends_well() {
    let fleet = Fleet::new("exit 0");
    fleet.open("bd-4jz");
    assert_eq!(started(&fleet.cycle().await), [("bd-4jz".to_owned(), 1, 1)]);
    fleet.ended("bd-4jz").await;
    let report = fleet.cycle().await;
    assert_eq!(started(&report), []);
    let effects = &report.spawn.body.effects;
    assert_eq!(
        effects.iter().map(|one| one.report.outcome).collect::<Vec<_>>(),
        [EffectOutcome::Written]
    );
    assert_eq!(fleet.state("bd-4jz"), Some(TaskState::Done));
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), report.inventory.body.sources[0].items), (0, 0));
}

#[tokio::test]
async fn a_failed_task_is_tried_as_often_as_allowed_and_then_handed_to_a_person() {
    let fleet = Fleet::new("exit 3");
    fleet.open("7");
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(started(&fleet.cycle().await), [("7".to_owned(), attempt, u64::from(attempt))]);
        fleet.ended("7").await;
    }
    assert_eq!(started(&fleet.cycle().await), []);
    assert_eq!(fleet.state("7"), Some(TaskState::NeedsHuman));
    let report = fleet.cycle().await;
    let source = &report.inventory.body.sources[0];
    assert_eq!(
        (source.source.as_str(), source.needs_human, source.waiting.get("needs_human")),
        ("queue", 1, Some(&1))
    );
}

#[tokio::test]
async fn item_attempt_and_counts_come_back_in_every_list_live_and_ended() {
    let fleet = Fleet::new(
        "printf '%s %s %s' \"$COORDINATOR_SOURCE\" \"$COORDINATOR_ITEM\" \
         \"$COORDINATOR_ATTEMPT\"; cat; exit 1",
    );
    fleet.open("UPPER case");
    for attempt in 1..=2 {
        fleet.cycle().await;
        fleet.ended("UPPER case").await;
        let listing = fleet.list().await;
        let record = &listing.slots[&fleet.tasks.slot("UPPER case")];
        let run = record.history.last().expect("it ended");
        let of = run.item.as_ref().expect("it worked on an item");
        assert_eq!(
            (of.item.id.as_str(), of.item.counts.attempt, of.role.as_str()),
            ("UPPER case", attempt, "builder")
        );
        assert_eq!(record.generation, u64::from(attempt));
    }
    let name = fleet.tasks.slot("UPPER case").name();
    let log = fleet.workplace.path().join(format!("state/demo/sessions/{name}/2/output.log"));
    let log = std::fs::read_to_string(&log).expect("the log is there");
    assert!(log.starts_with("queue UPPER case 2"), "{log}");
}

#[tokio::test]
async fn a_start_that_was_planned_before_another_session_ran_does_not_happen() {
    let fleet = Fleet::new("exit 1");
    fleet.open("1");
    // Planned by a cycle that then sleeps, while others run the attempt.
    let state = fleet.tasks.observe(SystemTime::now()).await.expect("it can be read");
    let stale = fleet.tasks.plan(&state, &Inventory::Known(fleet.list().await), SystemTime::now());
    let [late] = stale.wants.as_slice() else { panic!("one task should start") };
    fleet.cycle().await;
    fleet.ended("1").await;
    let (platform, cycle) = (fleet.platform(), CycleId("late".to_owned()));
    let now = SystemTime::now();
    assert_eq!(platform.preview(late, now).await.expect("it answers"), Start::Superseded);
    assert_eq!(platform.start(late, &cycle, now).await.expect("it answers"), Start::Superseded);
    assert_eq!(fleet.list().await.slots[&late.slot].generation, 1, "nothing started");
    let next = Want { follows: Follows::Generation(1), ..late.clone() };
    let answer = platform.start(&next, &cycle, SystemTime::now()).await.expect("it answers");
    assert_eq!(answer, Start::Started { generation: 2 });
}

#[tokio::test]
async fn a_live_session_of_a_task_is_neither_doubled_nor_unmanaged() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    assert_eq!(started(&fleet.cycle().await).len(), 1);
    let report = fleet.cycle().await;
    assert_eq!((started(&report), held(&report)), (vec![], vec![]));
    let body = &report.inventory.body;
    assert!(body.unmanaged.is_empty(), "{:?}", body.unmanaged);
    assert_eq!(body.sources[0].running, Some(1));
}

#[tokio::test]
async fn of_overlapping_cycles_one_starts_the_attempt() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    let (one, two, three) = tokio::join!(fleet.cycle(), fleet.cycle(), fleet.cycle());
    let count = [one, two, three].iter().map(|report| started(report).len()).sum::<usize>();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_source_runs_no_more_sessions_at_once_than_it_allows() {
    let mut fleet = Fleet::new("exec sleep 600");
    fleet.tasks.max_concurrent = Some(2);
    for id in ["1", "2", "3"] {
        fleet.open(id);
    }
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), held(&report)), (2, vec!["concurrency"]));
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), held(&report)), (0, vec!["concurrency"]));
}

#[tokio::test]
async fn an_unreadable_source_starts_nothing_and_loses_nothing() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    fleet.tasks.store.borrow_mut().broken = Some("the database is locked".to_owned());
    let report = fleet.cycle().await;
    assert_eq!(started(&report), []);
    let source = &report.inventory.body.sources[0];
    assert_eq!(
        (source.outcome.word(), source.outcome.error()),
        ("failed", Some("the database is locked"))
    );
    assert_eq!(report.status.word(), "broken");
    fleet.tasks.store.borrow_mut().broken = None;
    assert_eq!(started(&fleet.cycle().await).len(), 1);
}

#[tokio::test]
async fn without_an_inventory_no_item_starts() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    let sessions = fleet.workplace.path().join("state/demo/sessions");
    std::fs::create_dir_all(&sessions).expect("a folder can be made");
    let slot = sessions.join(fleet.tasks.slot("1").name()).join("1");
    std::fs::create_dir_all(&slot).expect("a folder can be made");
    std::fs::write(slot.join("start.json"), "garbage").expect("a file can be written");
    let report = fleet.cycle().await;
    assert_eq!(held(&report), ["unknown"], "{:?}", report.inventory.outcome);
}

const THERE: (bool, bool) = (true, true);

#[tokio::test]
async fn the_records_of_an_item_go_two_days_after_it_has_left_its_source() {
    let fleet = Fleet::new("exit 0");
    fleet.open("1");
    fleet.open("2");
    fleet.cycle().await;
    fleet.ended("1").await;
    fleet.ended("2").await;
    // Both are done: this cycle finds them gone from their source.
    fleet.cycle().await;
    fleet.cycle().await;
    assert!(fleet.files("1").0.join("left.json").exists(), "a cycle sweeps");
    assert_eq!(fleet.swept(47, &["2"]).await, THERE);
    assert_eq!(fleet.swept(49, &["2"]).await, (false, false));
    assert!(
        fleet.files("2").0.exists() && !fleet.files("2").0.join("left.json").exists(),
        "it came back"
    );
    let listing = fleet.list().await;
    assert_eq!(listing.slots.keys().cloned().collect::<Vec<_>>(), [fleet.tasks.slot("2")]);
    // The slot works as a new one.
    fleet.open("1");
    fleet.tasks.store.borrow_mut().tasks.get_mut("1").expect("it is there").since = 0;
    assert_eq!(started(&fleet.cycle().await), [("1".to_owned(), 1, 1)]);
}

#[tokio::test]
async fn nothing_is_removed_while_a_session_of_the_item_holds_its_slot() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    fleet.cycle().await;
    for hours in [0, 49, 1000] {
        assert_eq!(fleet.swept(hours, &[]).await, THERE);
    }
    assert!(!fleet.files("1").0.join("left.json").exists());
    let record = fleet.list().await.slots.remove(&fleet.tasks.slot("1")).expect("it is remembered");
    assert!(record.live.is_some());
}

#[tokio::test]
async fn an_item_that_comes_back_starts_where_it_was() {
    let fleet = Fleet::new("exit 1");
    fleet.open("1");
    fleet.cycle().await;
    fleet.ended("1").await;
    assert_eq!(fleet.swept(0, &[]).await, THERE);
    assert!(fleet.files("1").0.join("left.json").exists());
    assert_eq!(started(&fleet.cycle().await), [("1".to_owned(), 2, 2)]);
    assert!(!fleet.files("1").0.join("left.json").exists(), "it is not counted as gone any more");
    fleet.ended("1").await;
    assert_eq!(fleet.swept(49, &[]).await, THERE, "the two days begin anew");
}

#[tokio::test]
async fn a_source_that_was_not_read_whole_loses_nothing() {
    let fleet = Fleet::new("exit 1");
    fleet.open("1");
    fleet.cycle().await;
    fleet.ended("1").await;
    fleet.tasks.store.borrow_mut().broken = Some("locked".to_owned());
    fleet.cycle().await;
    assert!(!fleet.files("1").0.join("left.json").exists());
}
