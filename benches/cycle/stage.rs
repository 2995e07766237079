//! A world for one cycle: how it is set up, what must have happened in it, and that nothing of it is left.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::usage::{self, Usage};
use crate::world::{Check, Fault, GitHub, Production, Pull, Repository, Review, Route, Workplace};

/// Instances of the shipped roster.
const DESIRED: u64 = 38;
/// Pull requests that one request can read without being too big for GitHub.
const PAGE: u64 = 50;

/// A state of the world before a cycle.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// In the table.
    pub(crate) name: &'static str,
    /// Live agents.
    pub(crate) running: u64,
    /// Open pull requests.
    pub(crate) open: u64,
    /// Those of them that are approved and green.
    pub(crate) eligible: u64,
}

/// Requests per API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// To GitHub.
    pub(crate) github: u64,
    /// To production.
    pub(crate) production: u64,
    /// Listing the sessions, and starting one.
    pub(crate) platform: u64,
}

impl Scenario {
    /// What no cycle can do without: a list of everything, and one request for each change.
    pub(crate) fn floor(&self) -> Counts {
        Counts {
            github: self.open.div_ceil(PAGE) + self.eligible,
            production: 1,
            platform: 1 + DESIRED - self.running,
        }
    }

    /// The eligible ones are spread over the list; the others are held for three different reasons.
    fn pulls(&self) -> impl Iterator<Item = Pull> {
        (1..=self.open).map(|number| {
            let pull = Pull::eligible(number).titled(&format!("Rename the settings of module {number}"));
            let is_eligible = number * self.eligible / self.open > (number - 1) * self.eligible / self.open;
            if is_eligible { pull } else { held(pull) }
        })
    }
}

fn held(pull: Pull) -> Pull {
    match pull.number % 3 {
        0 => Pull { reviews: Vec::new(), ..pull },
        1 => Pull { checks: vec![Check::run("build", 1, "FAILURE")], ..pull },
        _ => {
            let review = Review::approval("bob", &pull.head);
            let asked = Review { state: "CHANGES_REQUESTED".to_owned(), ..review };
            Pull { reviews: vec![pull.reviews[0].clone(), asked], ..pull }
        }
    }
}

/// Sets the scenario up, runs one cycle, sees that it did what it should with no request too many, and clears away.
pub(crate) fn round(scenario: &Scenario, latency: Duration) -> anyhow::Result<Usage> {
    let stage = Stage::set(scenario)?;
    let played = stage.cycle(scenario, latency);
    let left = stage.clear();
    let usage = played?;
    left?;
    Ok(usage)
}

struct Stage {
    github: GitHub,
    production: Production,
    workplace: Workplace,
}

impl Stage {
    fn set(scenario: &Scenario) -> anyhow::Result<Self> {
        let github = GitHub::start(Repository::with(scenario.pulls()));
        let stage = Self { github, production: Production::up(), workplace: Workplace::new("") };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["briefs", "briefs/modes"] {
            for entry in fs::read_dir(shipped.join(folder)).context("list the shipped briefs")? {
                let entry = entry.context("list the shipped briefs")?;
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    let name = format!("{folder}/{}", entry.file_name().display());
                    stage.workplace.write(&name, fs::read(entry.path()).context("read a brief")?);
                }
            }
        }
        if scenario.running > 0 {
            stage.write_roster(scenario.running)?;
            usage::run(&stage.workplace, "reconcile --only spawn")?;
        }
        stage.expect_agents(scenario.running)?;
        stage.write_roster(0)?;
        Ok(stage)
    }

    /// The shipped roster with other agents, and with a world around it.
    fn write_roster(&self, max_running: u64) -> anyhow::Result<()> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("roster.toml");
        let shipped = fs::read_to_string(path).context("read the shipped roster")?;
        let line = |line: &str| {
            if line.starts_with("command = ") {
                "command = [\"sleep\", \"600\"]\nmin_free = \"0\"".to_owned()
            } else if line.starts_with("max_running = ") {
                format!("max_running = {max_running}")
            } else {
                line.to_owned()
            }
        };
        let lines: Vec<String> = shipped.lines().map(line).collect();
        let (github, production) = (self.github.url(), self.production.url());
        let world = format!(
            "[repository]\nname = \"demo/app\"\napi_url = \"{github}\"\n[merge]\nbases = [\"main\"]\npause = \"0s\"\n\
             [[health]]\nname = \"production\"\nurl = \"{production}\"\n"
        );
        self.workplace.write("roster.toml", format!("{}\n{world}", lines.join("\n")));
        Ok(())
    }

    fn cycle(&self, scenario: &Scenario, latency: Duration) -> anyhow::Result<Usage> {
        self.github.always(Route::Any, Fault::late(latency));
        self.production.state().reply.delay = latency;
        let (report, usage) = usage::run(&self.workplace, "reconcile --output json")?;
        let report: Value = serde_json::from_str(&report).context("parse the report")?;
        let counted = |api: &str| report["requests"][api].as_u64().unwrap_or_default();
        let reported = Counts {
            github: counted("github"),
            production: counted("health"),
            platform: counted("platform"),
        };
        let floor = scenario.floor();
        ensure!(reported == floor, "{reported:?} requests were reported instead of {floor:?}");
        let seen = (self.github.journal().len(), self.production.state().journal.len());
        let needed = (usize::try_from(floor.github)?, usize::try_from(floor.production)?);
        ensure!(seen == needed, "GitHub and production saw {seen:?} requests instead of {needed:?}");
        let merged = self.github.merged().len();
        ensure!(merged == usize::try_from(scenario.eligible)?, "{merged} pull requests were merged");
        self.expect_agents(DESIRED)?;
        Ok(usage)
    }

    /// Counts processes, whatever the coordinator says of them.
    fn expect_agents(&self, count: u64) -> anyhow::Result<()> {
        let processes = self.workplace.processes().into_iter();
        let names = processes.map(|id| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default());
        let live = names.filter(|name| name.trim_end() == "sleep").count();
        ensure!(live == usize::try_from(count)?, "{live} agents are live instead of {count}");
        Ok(())
    }

    /// Ends the agents and removes all files.
    fn clear(self) -> anyhow::Result<()> {
        let folder = self.workplace.path().to_owned();
        self.workplace.end_processes();
        let left = self.workplace.processes();
        ensure!(left.is_empty(), "processes {left:?} are still there");
        drop(self);
        ensure!(!folder.exists(), "{} is still there", folder.display());
        Ok(())
    }
}
