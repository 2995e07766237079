//! The whole main job on loopback, without an account: `cargo run -p demo`.
//!
//! A fake GitHub and a production endpoint listen on 127.0.0.1; the agents are small real
//! processes; the program is the real one: called with arguments, this binary is `coordinator`.
//! Four cycles: a cold start, a converged one, an agent that was killed, production that is down.

#![allow(clippy::print_stdout, reason = "the output of a demo is its purpose")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use testkit::workplace::RosterText;
use testkit::{
    Author, Check, GitHub, Production, Program, Pull, Reply, Repository, Review, Workplace,
};

/// An agent that only waits; `exec` makes it one process.
const AGENT: &str = r#"["sh", "-c", "echo \"I am $COORDINATOR_SLOT\"; exec sleep 60"]"#;
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<ExitCode> {
    if env::args_os().len() > 1 {
        return Ok(coordinator::run());
    }
    let demo = Demo::start(env::current_exe().context("find this program")?)?;
    let played = demo.play();
    let swept = demo.sweep();
    played.and(swept)?;
    Ok(ExitCode::SUCCESS)
}

struct Demo {
    binary: PathBuf,
    github: GitHub,
    production: Production,
    workplace: Workplace,
}

impl Demo {
    fn start(binary: PathBuf) -> anyhow::Result<Self> {
        let github = GitHub::start(Repository::with(pulls()));
        let production = Production::up();
        let workplace = RosterText::default()
            .role("ui_builder", 3, AGENT)
            .role("code_reviewer", 2, AGENT)
            .role("sentinel", 1, AGENT)
            .merging(&github, "")
            .watching("production", &production.url(), "")
            .write();
        // Without this the slot of a killed agent would back off for a minute.
        let roster = fs::read_to_string(workplace.roster()).context("read the roster")?;
        workplace.write("roster.toml", format!("{roster}\n[defaults]\nbackoff_base = \"0s\"\n"));
        Ok(Self { binary, github, production, workplace })
    }

    fn play(&self) -> anyhow::Result<()> {
        scene(
            "A cold start: three roles with six agents, and two pull requests approved and green.",
            "6 started, 2 merged, 3 open, and a reason beside each of the other three",
        );
        let first = self.reconcile()?;
        ensure!(first == 0 && self.count_live()? == 6, "six agents should be live");
        ensure!(self.github.merged() == [7, 9], "#7 and #9 should be merged");

        scene(
            "The same again: nothing to do, so nothing is done.",
            "nothing started, nothing merged, and three requests in all",
        );
        ensure!(self.reconcile()? == 0, "a converged cycle is healthy");
        ensure!(self.github.merge_calls().len() == 2, "a second cycle merges nothing");

        let agent = self
            .processes()?
            .first()
            .and_then(|one| one["agent"].as_i64())
            .context("find an agent")?;
        scene(
            &format!("An agent dies: kill -9 {agent}. The next cycle fills its slot."),
            "1 started: the slot of the agent that was killed",
        );
        kill("KILL", agent)?;
        await_that("the killed agent is gone", || Ok(self.count_live()? == 5))?;
        ensure!(
            self.reconcile()? == 0 && self.count_live()? == 6,
            "the slot should be filled again"
        );

        scene(
            "Production answers 503. The cycle reports it and touches nothing.",
            "broken, the merges that may have caused it, and exit code 1",
        );
        self.production.state().reply = Reply::new(503, "down");
        ensure!(self.reconcile()? == 1, "production that is down is broken: exit code 1");
        Ok(())
    }

    /// Runs a cycle, prints its output, and returns its exit code.
    fn reconcile(&self) -> anyhow::Result<i32> {
        println!("$ coordinator reconcile");
        let run = self.program().args(["reconcile"]).run();
        println!("{}{}", run.stderr, run.stdout);
        run.code.context("the coordinator was ended by a signal")
    }

    fn live(&self) -> anyhow::Result<Vec<Value>> {
        let listed = self.program().args(["sessions", "-o", "json"]).run().json();
        let sessions = listed["sessions"].as_array().context("read the sessions")?;
        Ok(sessions.iter().filter(|session| session["state"] != "finished").cloned().collect())
    }

    /// A session counts until the last of its processes is gone.
    fn count_live(&self) -> anyhow::Result<usize> {
        Ok(self.live()?.len())
    }

    /// The processes of the live sessions; one that is just ending has no record any more.
    fn processes(&self) -> anyhow::Result<Vec<Value>> {
        self.live()?.iter().filter_map(|session| session["log"].as_str()).map(processes).collect()
    }

    /// Stops every agent, as a person would: a SIGTERM to the process that keeps it.
    fn sweep(&self) -> anyhow::Result<()> {
        for session in self.processes()? {
            kill("TERM", session["shim"].as_i64().context("find a session's process")?)?;
        }
        await_that("all agents are gone", || Ok(self.count_live()? == 0))
    }

    fn program(&self) -> Program {
        Program::new(&self.binary, &self.workplace)
    }
}

/// The processes that the record beside this log names.
fn processes(log: &str) -> anyhow::Result<Value> {
    let record =
        fs::read(Path::new(log).with_file_name("start.json")).context("read a session's record")?;
    let record: Value = serde_json::from_slice(&record).context("parse a session's record")?;
    Ok(serde_json::json!({ "shim": record["shim"]["pid"], "agent": record["agent"]["pid"] }))
}

fn pulls() -> [Pull; 5] {
    let pending = Check::CheckRun {
        name: "build".to_owned(),
        app: "github-actions".to_owned(),
        workflow: Some("ci".to_owned()),
        event: "pull_request".to_owned(),
        run: 1,
        id: 1,
        status: "IN_PROGRESS".to_owned(),
        conclusion: None,
        required: false,
    };
    let unreviewed = Pull { reviews: Vec::new(), ..Pull::eligible(12) };
    let asked =
        Review { state: "CHANGES_REQUESTED".to_owned(), ..Review::approval("alice", "h13") };
    [
        Pull::eligible(7).titled("Add login form"),
        Pull { checks: vec![pending], ..Pull::eligible(8) }.titled("Rename config keys"),
        Pull { author: Some(Author::user("agent-b")), ..Pull::eligible(9) }
            .titled("Fix the flaky parser test"),
        unreviewed.titled("Bump serde"),
        Pull { reviews: vec![asked], ..Pull::eligible(13) }.titled("Move handlers"),
    ]
}

fn kill(signal: &str, pid: i64) -> anyhow::Result<()> {
    let status = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()
        .context("run kill")?;
    ensure!(status.success(), "no process {pid}");
    Ok(())
}

fn await_that(what: &str, holds: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < end, "still not true after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Announces an act, and what its report shows.
fn scene(what: &str, look_at: &str) {
    println!("--- {what}\n    Look at: {look_at}.\n");
}
