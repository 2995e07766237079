//! Work items on a plugin: a source whose store the test sets, the shipped cycle, and a plugin that
//! keeps the protocol with real processes.

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use coordinator::cycle::{self, Cycle, Stop};
use coordinator::render::progress::Progress;
use coordinator::steps::StepName;
use coordinator_core::fleet::{Inventory, ItemRun, Listing, Outcome, SlotRecord, Want};
use coordinator_core::platform::{CycleId, Platform, Start, StopAnswer};
use coordinator_core::report::{Report, Spawned, StepOutcome};
use coordinator_core::source::Source;
use coordinator_platform_local::exec::{self, Exec, Purpose};
use coordinator_roster::{PlatformKind, Roster};
use serde_json::{Value, json};

use testkit::Workplace;
use testkit::plugin::{CAPABLE, NOTHING, Plugin, asked, install};
use testkit::tasks::{MAX_ATTEMPTS, TaskState, Tasks};
use testkit::workplace::RosterText;

/// The whole protocol, in POSIX sh.
const PLUGIN: &str = include_str!("plugin_test/plugin.sh");

/// A fleet with one recipe and one source of tasks.
struct Fleet {
    workplace: Workplace,
    roster: Roster,
    tasks: Tasks,
    /// Of each cycle, its own.
    cycles: Cell<u32>,
}

impl Fleet {
    /// Every task's agent runs this shell script.
    fn new(script: &str) -> Self {
        let workplace = workplace(script, "");
        install(&workplace, "plugin.sh", PLUGIN);
        Self::at(workplace)
    }

    /// The same on a plugin of a few lines.
    fn on(plugin: &Plugin, platform: &str) -> Self {
        let workplace = workplace("exit 0", platform);
        plugin.install(&workplace);
        Self::at(workplace)
    }

    fn at(workplace: Workplace) -> Self {
        let home = workplace.path().to_str().expect("a path is text").to_owned();
        let variable = |name: &str| (name == "HOME").then(|| home.clone());
        let mut roster = coordinator_roster::load(&workplace.roster(), &variable)
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        let PlatformKind::Exec(settings) = &mut roster.platform.kind else {
            panic!("the roster has another platform")
        };
        settings.env.insert("XDG_STATE_HOME".to_owned(), home.clone());
        settings.env.insert("HOME".to_owned(), home);
        let role = &roster.roles[0];
        let tasks = Tasks::new("queue", &role.key, &role.spec);
        Self { workplace, roster, tasks, cycles: Cell::new(0) }
    }

    fn platform(&self) -> Exec {
        let PlatformKind::Exec(exec) = &self.roster.platform.kind else {
            panic!("the roster has another platform")
        };
        let settings = exec::Settings {
            fleet: self.roster.fleet.clone(),
            repository: None,
            groups: vec![self.tasks.group.clone()],
            on_inventory_failure: self.roster.platform.on_inventory_failure,
            exec: exec.clone(),
            secret_names: self.roster.secret_names.clone(),
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        Exec::new(settings, Purpose::Start, until, until)
    }

    async fn cycle(&self) -> Report {
        self.cycles.set(self.cycles.get() + 1);
        let cycle = Cycle {
            roster: &self.roster,
            id: CycleId(format!("c{}", self.cycles.get())),
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

    async fn record(&self, id: &str) -> SlotRecord {
        self.list().await.slots.remove(&self.tasks.slot(id)).unwrap_or_default()
    }

    /// The task's record once none of its sessions is live.
    async fn ended(&self, id: &str) -> SlotRecord {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let record = self.record(id).await;
            if record.live.is_none() {
                return record;
            }
            assert!(Instant::now() < end, "{id} does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn open(&self, id: &str) {
        self.tasks.store.borrow_mut().open(id);
    }

    fn state(&self, id: &str) -> Option<TaskState> {
        self.tasks.store.borrow().state(id)
    }

    /// A cycle that lists and plans one start, and then sleeps while others run the attempt.
    async fn planned(&self) -> (Exec, Want) {
        let platform = self.platform();
        let sessions = Inventory::Known(platform.list().await.expect("it can be listed"));
        let state = self.tasks.observe(SystemTime::now()).await.expect("it can be read");
        let mut plan = self.tasks.plan(&state, &sessions, SystemTime::now());
        assert_eq!(plan.wants.len(), 1, "one task should start");
        (platform, plan.wants.remove(0))
    }

    /// The tmux plugin's register of a task.
    fn register(&self, id: &str) -> PathBuf {
        let slot = self.tasks.slot(id).session_name(&self.roster.fleet);
        self.workplace.path().join(format!("coordinator-tmux/{slot}/register.json"))
    }

    fn request(&self) -> Value {
        let request =
            std::fs::read_to_string(self.workplace.path().join("request")).expect("a request");
        serde_json::from_str(&request).expect("JSON")
    }
}

fn text(script: &str, platform: &str) -> RosterText {
    let roster = RosterText::exec("timeout = \"30s\"").platform(platform);
    let roster = roster.defaults("backoff_base = \"0s\"\nmin_runtime = \"0s\"\n");
    roster.role("builder", 0, &format!("[\"sh\", \"-c\", {script:?}]"))
}

fn workplace(script: &str, platform: &str) -> Workplace {
    text(script, platform).write()
}

fn started(report: &Report) -> Vec<(String, u32, u64)> {
    let of = |spawned: &Spawned| {
        let item = spawned.target.item.as_ref().expect("a work item");
        (item.id.clone(), item.counts.attempt, spawned.generation)
    };
    report.spawn.body.spawned.iter().map(of).collect()
}

fn held(report: &Report) -> Vec<(&'static str, &str)> {
    let held = report.spawn.body.held.iter();
    held.map(|(_, hold)| (hold.reason.word(), hold.detail.as_str())).collect()
}

/// A plugin that announces `items` and saves the request of each spawn.
fn saving(list: &str) -> Plugin {
    Plugin {
        capabilities: format!("echo '{}'", CAPABLE.replace("\"logs\"", "\"items\":true,\"logs\"")),
        list: list.to_owned(),
        spawn: "printf '%s' \"$request\" > \"$HOME/request\"; echo \
            '{\"ok\":true,\"result\":\"created\"}'"
            .to_owned(),
        ..Plugin::default()
    }
}

#[tokio::test]
async fn a_task_runs_once_and_is_done_when_its_agent_ends_well() {
    let fleet = Fleet::new("exit 0");
    fleet.open("bd-4jz");
    assert_eq!(started(&fleet.cycle().await), [("bd-4jz".to_owned(), 1, 1)]);
    fleet.ended("bd-4jz").await;
    assert_eq!(started(&fleet.cycle().await), []);
    assert_eq!(fleet.state("bd-4jz"), Some(TaskState::Done));
    let report = fleet.cycle().await;
    assert_eq!((started(&report).len(), report.inventory.body.sources[0].items), (0, 0));
}

#[tokio::test]
async fn a_failed_task_is_tried_as_often_as_allowed_and_its_counts_come_back_in_every_list() {
    let fleet = Fleet::new("exit 3");
    fleet.open("UPPER \"case\"");
    for attempt in 1..=MAX_ATTEMPTS {
        let expected = ("UPPER \"case\"".to_owned(), attempt, u64::from(attempt));
        assert_eq!(started(&fleet.cycle().await), [expected]);
        let record = fleet.ended("UPPER \"case\"").await;
        let run = record.history.last().expect("it ended");
        let of = run.item.as_ref().expect("it worked on an item");
        assert_eq!((of.item.id.as_str(), of.item.counts.attempt), ("UPPER \"case\"", attempt));
        assert_eq!(
            (of.role.as_str(), run.exit_code, record.generation),
            ("builder", Some(3), attempt.into())
        );
    }
    assert_eq!(started(&fleet.cycle().await), []);
    assert_eq!(fleet.state("UPPER \"case\""), Some(TaskState::NeedsHuman));
}

#[tokio::test]
async fn a_start_that_was_planned_before_another_session_ran_is_refused_by_the_plugin() {
    let fleet = Fleet::new("exit 1");
    fleet.open("1");
    let (slow, late) = fleet.planned().await;
    assert_eq!(started(&fleet.cycle().await).len(), 1);
    fleet.ended("1").await;
    let (cycle, now) = (CycleId("late".to_owned()), SystemTime::now());
    assert_eq!(slow.preview(&late, now).await.expect("it answers"), Start::Superseded);
    assert_eq!(slow.start(&late, &cycle, now).await.expect("it answers"), Start::Superseded);
    assert_eq!(fleet.record("1").await.generation, 1, "nothing started");
    assert_eq!(started(&fleet.cycle().await), [("1".to_owned(), 2, 2)]);
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
async fn a_session_whose_answer_was_lost_is_found_and_counts_as_the_attempt() {
    let workplace = workplace("sleep 0.2; exit 1", "");
    install(&workplace, "real.sh", PLUGIN);
    let lossy = "#!/bin/sh\n\
        [ \"$1\" = spawn ] && mkdir \"$HOME/lost\" 2>/dev/null || exec \"$HOME/real.sh\" \"$@\"\n\
        \"$HOME/real.sh\" \"$@\" >/dev/null\n\
        exit 1\n";
    install(&workplace, "plugin.sh", lossy);
    let fleet = Fleet::at(workplace);
    fleet.open("1");
    let report = fleet.cycle().await;
    let failed = &report.spawn.body.failed;
    assert!(failed.len() == 1 && failed[0].error.contains("may still have started"), "{failed:?}");
    assert_eq!(fleet.ended("1").await.generation, 1, "it did");
    assert_eq!(started(&fleet.cycle().await), [("1".to_owned(), 2, 2)]);
}

#[tokio::test]
async fn a_plugin_that_cannot_run_work_items_safely_never_sees_one() {
    let all = CAPABLE.replace("\"logs\"", "\"items\":true,\"logs\"");
    for (capabilities, why) in [
        (CAPABLE.to_owned(), "`items`"),
        (all.replace("\"history\":true,", ""), "`history`"),
        (all.replace("\"create\",\"blind_spawn\":true", "\"none\""), "`slot_exclusive`"),
    ] {
        let plugin = Plugin { capabilities: format!("echo '{capabilities}'"), ..Plugin::default() };
        let fleet = Fleet::on(&plugin, "on_inventory_failure = \"skip\"");
        fleet.open("1");
        let report = fleet.cycle().await;
        let [("unsupported", detail)] = held(&report)[..] else { panic!("{:?}", held(&report)) };
        assert!(detail.contains(why), "{detail}");
        assert_eq!(asked(&fleet.workplace, "spawn"), 0);
    }
}

#[tokio::test]
async fn a_spawn_request_names_the_item_and_the_session_that_it_follows() {
    let fleet = Fleet::on(&saving(NOTHING), "");
    fleet.open("7");
    assert_eq!(started(&fleet.cycle().await), [("7".to_owned(), 1, 1)]);
    let request = fleet.request();
    let slot = json!({ "group": "queue", "item": "7", "name": "demo-queue-i7" });
    assert_eq!((&request["slot"], &request["follows"]), (&slot, &json!(0)));
    let item = json!({
        "role": "builder", "id": "7", "attempt": 1, "context_restarts": 0, "reworks": 0,
        "uncounted": 0,
        "cost_usd": 0.0,
    });
    assert_eq!(request["item"], item);
    assert_eq!(request["idempotency_key"], "demo/queue/i7/1");
    let spec = &request["spec"];
    assert_eq!((&spec["session"], &spec["role"]), (&json!("demo-queue-i7"), &json!("builder")));
    let env = &spec["env"];
    assert_eq!(
        (&env["COORDINATOR_SOURCE"], &env["COORDINATOR_ITEM"], &env["COORDINATOR_ATTEMPT"]),
        (&json!("queue"), &json!("7"), &json!("1"))
    );
}

#[tokio::test]
async fn a_generation_without_a_session_is_followed_and_counts_as_no_attempt() {
    let list = concat!(
        r#"echo '{"ok":true,"complete":true,"sessions":[],"items":[{"#,
        r#""slot":{"group":"queue","item":"7","name":"demo-queue-i7"},"generation":3}]}'"#
    );
    let fleet = Fleet::on(&saving(list), "");
    fleet.open("7");
    assert_eq!(started(&fleet.cycle().await), [("7".to_owned(), 1, 4)]);
    let request = fleet.request();
    assert_eq!((&request["follows"], &request["generation"]), (&json!(3), &json!(4)));
}

#[tokio::test]
async fn without_an_inventory_no_item_starts() {
    let fleet = Fleet::on(&saving("refuse unavailable 'it is asleep'"), "");
    fleet.open("1");
    let report = fleet.cycle().await;
    assert!(
        matches!(report.inventory.outcome, StepOutcome::Failed(_)),
        "{:?}",
        report.inventory.outcome
    );
    assert_eq!(held(&report).iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), ["unknown"]);
    let blind = fleet.platform();
    let state = fleet.tasks.observe(SystemTime::now()).await.expect("it can be read");
    let plan = fleet.tasks.plan(&state, &Inventory::Unknown, SystemTime::now());
    let answer = blind.start(&plan.wants[0], &CycleId("c1".to_owned()), SystemTime::now()).await;
    assert!(matches!(answer, Ok(Start::Held(_))), "{answer:?}");
    assert_eq!(asked(&fleet.workplace, "spawn"), 0);
}

#[tokio::test]
async fn a_stopped_session_ends_and_is_listed_with_the_person_who_stopped_it() {
    let fleet = Fleet::new("exec sleep 600");
    fleet.open("1");
    assert_eq!(started(&fleet.cycle().await).len(), 1);
    let (platform, slot) = (fleet.platform(), fleet.tasks.slot("1"));
    let stopping = platform.stop(&slot, "alice").await.expect("it answers");
    assert_eq!(stopping, StopAnswer::Asked { generation: Some(1) });
    let record = fleet.ended("1").await;
    let run = record.history.last().expect("it ended");
    assert_eq!((run.outcome, run.detail.as_deref()), (Outcome::Stopped, Some("stopped by alice")));
    assert_eq!(platform.stop(&slot, "alice").await.expect("it answers"), StopAnswer::NotLive);
}

#[tokio::test]
async fn a_plugin_without_stop_gets_no_stop_request() {
    let capabilities = format!("echo '{}'", CAPABLE.replace("\"stop\":true,", ""));
    let fleet = Fleet::on(&Plugin { capabilities, ..Plugin::default() }, "");
    let error =
        fleet.platform().stop(&fleet.tasks.slot("1"), "alice").await.expect_err("it cannot");
    assert!(error.to_string().contains("cannot stop a session"), "{error}");
    assert_eq!(asked(&fleet.workplace, "stop"), 0);
}

/// Runs until its time limit, or fails in its first attempt.
const AGENT: &str =
    "case $COORDINATOR_ITEM in long) exec sleep 600;; esac; sleep 1; [ $COORDINATOR_ATTEMPT = 2 ]";

#[expect(clippy::print_stdout, reason = "the suite prints an item's life")]
fn print(line: &str) {
    println!("{line}");
}

fn shown(what: &str, record: &SlotRecord) {
    let attempt = |of: &ItemRun| of.item.counts.attempt;
    let live =
        record.live.as_ref().map(|live| (live.state.word(), live.item.as_ref().map(attempt)));
    print(&format!("{what}: generation {}, live {live:?}", record.generation));
    for run in &record.history {
        let attempt = run.item.as_ref().map(attempt);
        let (outcome, code, detail) = (run.outcome.word(), run.exit_code, &run.detail);
        print(&format!(
            "  generation {} attempt {attempt:?} {outcome} {code:?} {detail:?}",
            run.generation
        ));
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file can be read")
}

/// The plugin's operation, past the coordinator.
fn plugin(fleet: &Fleet, operation: &str, request: &Value) -> Value {
    let mut command = Command::new(fleet.workplace.path().join("plugin.sh"));
    command.arg(operation).env("XDG_STATE_HOME", fleet.workplace.path()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(request.to_string().as_bytes()).expect("it reads");
    drop(stdin);
    serde_json::from_slice(&child.wait_with_output().expect("it ends").stdout).expect("JSON")
}

/// A fleet's tmux server, which a failed test must not leave behind.
struct Server {
    name: String,
}

impl Server {
    fn kill(&self) -> bool {
        let mut command = Command::new("tmux");
        command
            .args(["-L", &self.name, "kill-server"])
            .env_remove("TMUX_TMPDIR")
            .stderr(Stdio::null());
        command.status().expect("tmux starts").success()
    }

    fn socket(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/tmux-{}/{}", rustix::process::getuid().as_raw(), self.name))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // It is gone when the test got as far as that.
        let _ = std::fs::remove_file(self.socket());
    }
}

fn on_tmux(number: u32) -> (Server, Fleet) {
    let name = format!("ti{number}x{:x}", std::process::id());
    let server = Server { name: format!("coordinator-{name}") };
    let workplace = text(AGENT, "").fleet(&name).write();
    install(&workplace, "plugin.sh", include_str!("../../deploy/plugins/tmux"));
    let mut fleet = Fleet::at(workplace);
    let PlatformKind::Exec(settings) = &mut fleet.roster.platform.kind else {
        panic!("the roster has another platform")
    };
    // What finds Python may depend on it.
    settings.env.remove("HOME");
    (server, fleet)
}

#[tokio::test]
#[ignore = "needs tmux: .ci/suites/plugins.sh runs it"]
async fn an_item_lives_on_tmux() {
    let (server, fleet) = on_tmux(1);
    fleet.open("bd-4jz");
    let (slow, late) = fleet.planned().await;
    assert_eq!(started(&fleet.cycle().await), [("bd-4jz".to_owned(), 1, 1)]);
    shown("started", &fleet.record("bd-4jz").await);
    let record = fleet.ended("bd-4jz").await;
    shown("failed", &record);
    assert_eq!(record.history[0].exit_code, Some(1));
    let cycle = CycleId("late".to_owned());
    let answer = slow.start(&late, &cycle, SystemTime::now()).await.expect("it answers");
    print(&format!("the start that was planned before: {answer:?}"));
    assert_eq!(answer, Start::Superseded);
    let (one, two) = tokio::join!(fleet.cycle(), fleet.cycle());
    let both = [started(&one), started(&two)].concat();
    print(&format!("two cycles at once start {both:?}"));
    assert_eq!(both, [("bd-4jz".to_owned(), 2, 2)]);
    shown("ended", &fleet.ended("bd-4jz").await);
    assert_eq!(started(&fleet.cycle().await), []);
    print(&format!("the task: {:?}", fleet.state("bd-4jz")));
    assert_eq!(fleet.state("bd-4jz"), Some(TaskState::Done));
    forget(&fleet, &server);
}

#[tokio::test]
#[ignore = "needs tmux: .ci/suites/plugins.sh runs it"]
async fn an_item_is_remembered_whatever_becomes_of_tmux() {
    let (server, fleet) = on_tmux(2);
    fleet.open("long");
    let (slow, late) = fleet.planned().await;
    assert_eq!(started(&fleet.cycle().await), [("long".to_owned(), 1, 1)]);
    let stopping =
        fleet.platform().stop(&fleet.tasks.slot("long"), "alice").await.expect("it answers");
    assert_eq!(stopping, StopAnswer::Asked { generation: Some(1) });
    let record = fleet.ended("long").await;
    shown("stopped", &record);
    let run = &record.history[0];
    assert_eq!((run.outcome, run.detail.as_deref()), (Outcome::Stopped, Some("stopped by alice")));
    assert!(fleet.platform().release(&fleet.tasks.slot("long")).await.expect("it is written"));
    // A start that died between its register and its session: a generation, and no attempt.
    let register = fleet.register("long");
    let mut of: Value = serde_json::from_str(&read(&register)).expect("JSON");
    let fields = of.as_object_mut().expect("an object");
    fields.retain(|name, _| name != "began" && name != "ended");
    fields.extend([("generation".to_owned(), json!(2)), ("id".to_owned(), json!("died"))]);
    std::fs::write(&register, of.to_string()).expect("a file can be written");
    shown("after a start that died", &fleet.record("long").await);
    assert_eq!(started(&fleet.cycle().await), [("long".to_owned(), 2, 3)]);
    // Before its agent begins, nothing has been attempted.
    let end = Instant::now() + Duration::from_secs(60);
    while !read(&register).contains("\"began\"") {
        assert!(Instant::now() < end, "the session does not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(server.kill(), "a server ran");
    let record = fleet.ended("long").await;
    shown("without a server", &record);
    let run = record.history.last().expect("it is remembered");
    let of = run.item.as_ref().expect("it worked on an item");
    assert_eq!((record.generation, of.item.counts.attempt, run.disrupted), (3, 2, true));
    let cycle = CycleId("late".to_owned());
    let answer = slow.start(&late, &cycle, SystemTime::now()).await.expect("it answers");
    assert_eq!(answer, Start::Superseded, "the register outlives the server");
    fleet.open("other");
    assert_eq!(started(&fleet.cycle().await).len(), 2);
    fleet.ended("other").await;
    fleet.tasks.store.borrow_mut().tasks.remove("other");
    let long_ago = SystemTime::now() - Duration::from_secs(31 * 24 * 3600);
    let forgotten = fleet.register("other");
    let file = std::fs::File::open(&forgotten).expect("there is a register");
    file.set_modified(long_ago).expect("a time can be set");
    fleet.open("third");
    assert_eq!(started(&fleet.cycle().await), [("third".to_owned(), 1, 1)]);
    assert!(
        !forgotten.exists() && register.exists(),
        "an item is forgotten after 30 days, and no other"
    );
    let request = json!({ "fleet": fleet.roster.fleet.as_str() });
    assert_eq!(plugin(&fleet, "forget", &request)["error"]["code"], "conflict", "one is live");
    fleet.platform().stop(&fleet.tasks.slot("long"), "alice").await.expect("it answers");
    for id in ["long", "third"] {
        fleet.ended(id).await;
    }
    forget(&fleet, &server);
}

/// Has the plugin forget a fleet whose sessions have ended.
fn forget(fleet: &Fleet, server: &Server) {
    let request = json!({ "fleet": fleet.roster.fleet.as_str() });
    assert_eq!(plugin(fleet, "forget", &request), json!({ "ok": true }));
    let end = Instant::now() + Duration::from_secs(20);
    while !fleet.workplace.processes().is_empty() {
        assert!(Instant::now() < end, "neither sessions nor the server stay");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!server.socket().exists());
}
