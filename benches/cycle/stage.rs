//! A world for one cycle: how it is set up, what must have happened in it, and that nothing of it
//! is left.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::scenario::{Counts, Place, Roster, Scenario};
use crate::usage::{self, Usage};
use testkit::kubernetes::trouble;
use testkit::{Fault, GitHub, Kubernetes, Production, Repository, Route, Workplace};

/// The measurements of one cycle.
#[derive(Debug)]
pub(crate) struct Round {
    /// Of the coordinator alone.
    pub(crate) usage: Usage,
    /// From its start to the first request that arrived.
    pub(crate) first_request: Duration,
}

/// How the world answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Before each answer.
    pub(crate) latency: Duration,
    /// Between two merges.
    pub(crate) pause: Duration,
}

/// The folders of the worlds that are over. ext4 makes a new file slowly while thousands were
/// deleted within the last minute, and a cycle makes many: so they go at the end.
#[derive(Debug, Default)]
pub(crate) struct Attic(Vec<Workplace>);

impl Attic {
    /// Removes all files.
    pub(crate) fn clear(self) -> anyhow::Result<()> {
        for workplace in self.0 {
            let folder = workplace.path().to_owned();
            drop(workplace);
            ensure!(!folder.exists(), "{} is still there", folder.display());
        }
        Ok(())
    }
}

/// Sets the scenario up, runs one cycle, sees that it did what it should with no request too many,
/// and ends the agents.
pub(crate) fn round(
    scenario: &Scenario,
    place: Place,
    pace: Pace,
    attic: &mut Attic,
) -> anyhow::Result<Round> {
    let stage = Stage::set(scenario, place, pace)?;
    let played = stage.cycle(scenario, pace);
    let left = stage.end(attic);
    let round = played?;
    left?;
    Ok(round)
}

struct Stage {
    github: GitHub,
    production: Production,
    cluster: Option<Kubernetes>,
    workplace: Workplace,
}

impl Stage {
    fn set(scenario: &Scenario, place: Place, pace: Pace) -> anyhow::Result<Self> {
        let stage = Self {
            github: GitHub::start(Repository::with(scenario.pulls())),
            production: Production::up(),
            cluster: (place == Place::Cluster).then(Kubernetes::start),
            workplace: Workplace::new(""),
        };
        stage.write_briefs()?;
        if scenario.running > 0 {
            stage.write_roster(scenario, scenario.running, pace)?;
            stage.run("reconcile --only spawn")?;
        }
        stage.add_strangers(scenario.strangers);
        stage.expect_agents(scenario.running)?;
        stage.write_roster(scenario, 0, pace)?;
        Ok(stage)
    }

    fn write_briefs(&self) -> anyhow::Result<()> {
        let shipped = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        for folder in ["briefs", "briefs/modes"] {
            for entry in fs::read_dir(shipped.join(folder)).context("list the shipped briefs")? {
                let entry = entry.context("list the shipped briefs")?;
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    let name = format!("{folder}/{}", entry.file_name().display());
                    self.workplace.write(&name, fs::read(entry.path()).context("read a brief")?);
                }
            }
        }
        Ok(())
    }

    /// The scenario's roster with other agents, and with a world around it.
    fn write_roster(
        &self,
        scenario: &Scenario,
        max_running: u64,
        pace: Pace,
    ) -> anyhow::Result<()> {
        let (github, production) = (self.github.url(), self.production.url());
        let pause = pace.pause.as_millis();
        let world = format!(
            "[repository]\nname = \"demo/app\"\napi_url = \"{github}\"\n[merge]\n\
             bases = [\"main\"]\npause = \"{pause}ms\"\n\
             [[health]]\nname = \"production\"\nurl = \"{production}\"\n"
        );
        let roster = match scenario.roster {
            Roster::Shipped => self.shipped(max_running)?,
            Roster::Roles(roles) => self.many(roles, max_running),
        };
        self.workplace.write("roster.toml", format!("{roster}\n{world}"));
        Ok(())
    }

    fn shipped(&self, max_running: u64) -> anyhow::Result<String> {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../roster.toml"));
        let shipped = fs::read_to_string(path).context("read the shipped roster")?;
        let (before, command) = shipped.split_once("\ncommand = [").context("find the command")?;
        let (_, after) = command.split_once("]\n").context("find the end of the command")?;
        let shipped = format!("{before}\n{AGENT}\n{after}");
        let line = |line: &str| {
            if line.starts_with("max_running = ") {
                format!("max_running = {max_running}")
            } else if line.starts_with("kind = ") {
                self.kind().to_owned()
            } else {
                line.to_owned()
            }
        };
        Ok(shipped.lines().map(line).collect::<Vec<_>>().join("\n") + "\n" + self.platform())
    }

    fn many(&self, roles: u64, max_running: u64) -> String {
        let (kind, platform) = (self.kind(), self.platform());
        let role = |n| format!("[[role]]\nkey = \"role_{n}\"\nbrief = \"briefs/ui_builder.md\"\n");
        let roles: String = (0..roles).map(role).collect();
        format!(
            "fleet = \"demo\"\n[platform]\n{kind}\nmax_running = {max_running}\n\
             max_spawns = 10000\n{platform}\n\
             [defaults]\n{AGENT}\n{roles}"
        )
    }

    fn kind(&self) -> &'static str {
        if self.cluster.is_some() { "kind = \"kubernetes\"" } else { "kind = \"process\"" }
    }

    fn platform(&self) -> &'static str {
        match self.cluster {
            Some(_) => {
                "[platform.kubernetes]\nimage = \"example.com/agent:1\"\nnamespace = \"agents\"\n"
            }
            None => "",
        }
    }

    /// Finished Jobs of other owners, with their labels.
    fn add_strangers(&self, count: u64) {
        if let Some(cluster) = &self.cluster {
            let mut cluster = cluster.state();
            for number in 0..count {
                cluster.add(&format!("nightly-{number}"), &json!({"app": "nightly"}));
            }
            cluster.journal.clear();
        }
    }

    fn run(&self, arguments: &str) -> anyhow::Result<(String, Usage)> {
        usage::run(&self.workplace, self.cluster.as_ref(), arguments)
    }

    fn cycle(&self, scenario: &Scenario, pace: Pace) -> anyhow::Result<Round> {
        self.github.always(Route::Any, Fault::late(pace.latency));
        self.production.state().reply.delay = pace.latency;
        let first = Arc::new(OnceLock::new());
        let seen = Arc::clone(&first);
        self.github.when(Route::Any, move |_| first_at(&seen));
        if let Some(cluster) = &self.cluster {
            cluster.always(trouble::Route::Any, Fault::late(pace.latency));
            let seen = Arc::clone(&first);
            cluster.when(trouble::Route::Any, move |_| first_at(&seen));
        }
        let (report, usage) = self.run("reconcile --output json")?;
        let report: Value = serde_json::from_str(&report).context("parse the report")?;
        self.expect_requests(scenario, pace, &report)?;
        let merged = self.github.merged().len();
        ensure!(
            merged == usize::try_from(scenario.eligible)?,
            "{merged} pull requests were merged"
        );
        self.expect_agents(scenario.roster.agents())?;
        let first = first.get().context("read the time of the first request")?;
        let first_request = first.duration_since(usage.started_at).unwrap_or_default();
        Ok(Round { usage, first_request })
    }

    /// As the report counts them, and as they arrived.
    fn expect_requests(
        &self,
        scenario: &Scenario,
        pace: Pace,
        report: &Value,
    ) -> anyhow::Result<()> {
        let counted = |api: &str| report["requests"][api].as_u64().unwrap_or_default();
        let reported = Counts {
            github: counted("github"),
            production: counted("health"),
            platform: counted("platform"),
        };
        let place = if self.cluster.is_some() { Place::Cluster } else { Place::Here };
        let fewest = scenario.fewest(place, pace);
        ensure!(reported == fewest, "{reported:?} requests were reported instead of {fewest:?}");
        let arrived = Counts {
            github: self.github.journal().len() as u64,
            production: self.production.state().journal.len() as u64,
            platform: self
                .cluster
                .as_ref()
                .map_or(fewest.platform, |it| it.state().journal.len() as u64),
        };
        ensure!(arrived == fewest, "{arrived:?} requests arrived instead of {fewest:?}");
        Ok(())
    }

    /// Counts live processes, or unfinished Jobs, on the platform itself.
    fn expect_agents(&self, count: u64) -> anyhow::Result<()> {
        let live = if let Some(cluster) = &self.cluster {
            let mut cluster = cluster.state();
            let jobs = cluster.namespace().jobs.iter();
            jobs.filter(|(name, job)| name.starts_with("demo-") && !is_over(job)).count()
        } else {
            let processes = self.workplace.processes().into_iter();
            let names = processes
                .map(|id| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default());
            names.filter(|name| name.trim_end() == "sleep").count()
        };
        ensure!(live == usize::try_from(count)?, "{live} agents are live instead of {count}");
        Ok(())
    }

    fn end(self, attic: &mut Attic) -> anyhow::Result<()> {
        self.workplace.end_processes();
        let left = self.workplace.processes();
        ensure!(left.is_empty(), "processes {left:?} are still there");
        attic.0.push(self.workplace);
        Ok(())
    }
}

const AGENT: &str = "command = [\"sleep\", \"600\"]\nmin_free = \"0\"";

/// Keeps the time of the first request to any server.
fn first_at(seen: &OnceLock<SystemTime>) {
    seen.get_or_init(SystemTime::now);
}

fn is_over(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == "Complete" || condition["type"] == "Failed")
}
