//! What an owner asks about a fleet and does with it, with the command that `docs/operations.md`
//! names, on every platform. The fleet has a builder that runs and a tester that has failed.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::coordinator;
use crate::documents::valid;
use testkit::BEARER;
use testkit::actions::Past;
use testkit::actions::life::Admission;
use testkit::kubernetes::ADMINISTRATOR;
use testkit::plugin::install;
use testkit::pull::Pull;
use testkit::workplace::RosterText;
use testkit::{Finished, GitHub, Kubernetes, Program, Repository, Workplace};

const BUILDER: &str = "builder-s0";
const TESTER: &str = "tester-s0";

/// A failed slot waits beyond the end of the test.
const HOLDS: &str = "min_runtime = \"0s\"\nbackoff_base = \"2h\"\nbackoff_cap = \"2h\"\n";

/// The longest wait for a real process, generous for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A platform under the fleet.
enum Below {
    Machine,
    Cluster(Kubernetes),
    Actions,
    Plugin,
}

struct Fleet {
    below: Below,
    github: GitHub,
    workplace: Workplace,
}

/// One pull request that is ready, one without approval.
fn github() -> GitHub {
    let ready = Pull { branch: Some("builder/login".to_owned()), ..Pull::eligible(5) };
    let waits = Pull { number: 7, reviews: Vec::new(), ..Pull::default() };
    GitHub::start(Repository::with([ready, waits]))
}

fn roles(roster: RosterText, github: &GitHub) -> RosterText {
    let builder = r#"["sh", "-c", "echo what it does now; exec sleep 1000"]"#;
    let tester = r#"["sh", "-c", "echo out of paper; exit 3"]"#;
    let roster = roster.defaults(HOLDS).merging(github, "");
    roster.role("builder", 1, builder).role("tester", 1, tester)
}

impl Fleet {
    fn start(below: Below) -> Self {
        let github = github();
        let roster = match &below {
            Below::Machine => RosterText::default(),
            Below::Cluster(_) => RosterText::kubernetes(""),
            Below::Actions => RosterText::actions(&github, ""),
            Below::Plugin => RosterText::exec(""),
        };
        let workplace = roles(roster, &github).write();
        if matches!(below, Below::Plugin) {
            install(&workplace, "plugin.sh", include_str!("plugin_test/plugin.sh"));
        }
        let fleet = Self { below, github, workplace };
        fleet.fill();
        fleet
    }

    /// The first cycle, and what becomes of its sessions.
    fn fill(&self) {
        if let Below::Actions = self.below {
            let mut state = self.github.state();
            let now = state.now();
            let actions = &mut state.repository().actions;
            let failed = Past { slot: TESTER, conclusion: "failure", ..Past::default() };
            actions.add_past(Past { runtime: 300, ..failed }, now);
            actions.add_live("demo", BUILDER, 600, now);
        }
        self.cycle();
        match &self.below {
            Below::Cluster(cluster) => {
                let mut cluster = cluster.state();
                cluster.run_all();
                cluster.write_log("demo-builder-s0", "what it does now\n");
                cluster.finish("demo-tester-s0", 3, "out of paper");
            }
            Below::Machine | Below::Plugin => self.await_end_of_the_tester(),
            Below::Actions => {}
        }
    }

    fn await_end_of_the_tester(&self) {
        let until = Instant::now() + PATIENCE;
        while self.json(&["history"])["sessions"] == json!([]) {
            assert!(Instant::now() < until, "the tester's agent has not ended");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// As the person who runs the commands, where the platform knows persons.
    fn program(&self, arguments: &[&str]) -> Program {
        let program = coordinator(&self.workplace).args(arguments.iter().copied());
        let program = program.env("USER", "alice");
        let Below::Cluster(cluster) = &self.below else { return program };
        self.workplace.write("person.yaml", cluster.kubeconfig().replace(BEARER, ADMINISTRATOR));
        let file = self.workplace.path().join("person.yaml");
        program.env("KUBECONFIG", file.to_str().expect("temporary folders are UTF-8"))
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.program(arguments).run()
    }

    /// What a command that must succeed prints.
    fn ask(&self, arguments: &[&str]) -> String {
        let finished = self.run(arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}\n{}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    fn json(&self, arguments: &[&str]) -> Value {
        valid(self.run(&[arguments, &["-o", "json"]].concat()).json())
    }

    /// A cycle, whose new sessions then run.
    fn cycle(&self) -> Value {
        let report = self.run(&["reconcile", "-o", "json"]).json();
        match &self.below {
            Below::Cluster(cluster) => cluster.state().run_all(),
            Below::Actions => self.admit(),
            Below::Machine | Below::Plugin => {}
        }
        report
    }

    /// As `session-admit` decides: a run that only says that its slot goes on has no ticket.
    fn admit(&self) {
        let mut state = self.github.state();
        let now = state.now();
        let actions = &mut state.repository().actions;
        for id in actions.queued() {
            actions.start(id, now);
            if actions.run(id).inputs["expires_at"].starts_with("1970") {
                actions.end_admission(id, Admission::Skip, now);
                continue;
            }
            actions.end_admission(id, Admission::Go, now);
            actions.start_agent(id, now);
        }
    }

    /// `builder` 0, `tester` 1.
    fn slot(&self, group: usize) -> Value {
        self.json(&["status"])["groups"][group]["slots"][0].clone()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.workplace.end_processes();
    }
}

fn words(values: [&Value; 2]) -> [&str; 2] {
    values.map(|value| value.as_str().unwrap_or_default())
}

/// Each question in the order of the page.
fn ask_everything(fleet: &Fleet) {
    // What is this agent doing?
    let log = fleet.run(&["logs", BUILDER]);
    // GitHub has no log of a job that still runs, but a page.
    let is_shown = match fleet.below {
        Below::Actions => log.stderr.contains("/actions/runs/"),
        Below::Machine | Below::Cluster(_) | Below::Plugin => {
            log.stdout.contains("what it does now")
        }
    };
    assert!(is_shown, "{}{}", log.stdout, log.stderr);
    // Why is this slot empty?
    let tester = fleet.slot(1);
    assert_eq!(words([&tester["state"], &tester["reason"]]), ["waiting", "backoff"], "{tester:#}");
    assert!(tester["until"].is_string(), "{tester:#}");
    assert!(fleet.ask(&["status", "-v"]).contains("backoff"));
    // Why is this pull request not merged?
    assert!(fleet.ask(&["pulls"]).contains("not_approved"));
    // What happened last night, and what did it cost?
    let history = fleet.json(&["history", "--since", "12h"]);
    let session = &history["sessions"][0];
    assert_eq!(words([&session["slot"], &session["outcome"]]), ["demo-tester-s0", "failed"]);
    let cost = (&history["totals"]["cost_usd"], &history["totals"]["unknown_cost"]);
    assert_eq!(cost, (&json!(0.0), &json!(1)), "an unknown cost is not 0");
    let merge = &history["merges"][0];
    assert_eq!((&merge["number"], &merge["role"]), (&json!(5), &json!("builder")), "{history:#}");
    // Let me talk to it.
    attach(fleet);
    // Stop everything.
    let said = fleet.ask(&["stop", "--all", "-y", "-m", "enough"]);
    assert!(said.contains("builder-s0: stopped"), "{said}");
    let report = fleet.cycle();
    assert_eq!(report["steps"]["spawn"]["spawned"], json!([]), "{report:#}");
    assert!(report["paused"].is_object() && report["status"] == "healthy", "{report:#}");
    let builder = fleet.slot(0);
    assert_eq!(words([&builder["reason"], &builder["outcome"]]), ["stopped", "stopped"]);
    let refused = fleet.run(&["retry", TESTER]);
    assert!(refused.code == Some(1) && refused.stderr.contains("paused"), "{}", refused.stderr);
    // Go on.
    fleet.ask(&["resume"]);
    if let Below::Actions = fleet.below {
        fleet.admit();
    }
    let report = fleet.cycle();
    let spawned = &report["steps"]["spawn"]["spawned"];
    assert_eq!(spawned.as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(spawned[0]["slot"], "demo-builder-s0", "the tester still backs off");
    // Try this one again.
    let said = fleet.ask(&["retry", TESTER]);
    assert!(said.contains(TESTER) && said.contains("started"), "{said}");
    // Who tells me when something is wrong?
    let metrics = fleet.workplace.path().join("metrics.prom");
    let file = metrics.to_str().expect("temporary folders are UTF-8");
    fleet.ask(&["reconcile", "--metrics-file", file]);
    let metrics = std::fs::read_to_string(&metrics).expect("the metrics were written");
    assert!(metrics.contains("coordinator_alert{fleet=\"demo\",cause="), "{metrics}");
}

fn attach(fleet: &Fleet) {
    let finished = fleet.run(&["attach", BUILDER]);
    let said = finished.stdout + &finished.stderr;
    let expected = match fleet.below {
        // The agent is none that could be resumed; the tests of agents have one that can.
        Below::Machine => "coordinator logs builder-s0",
        Below::Cluster(_) => "kubectl -n agents exec -it demo-builder-s0",
        Below::Actions => "/actions/runs/",
        Below::Plugin => "cannot attach",
    };
    assert!(said.contains(expected), "{said}");
}

#[test]
fn each_question_has_its_command_on_this_machine() {
    ask_everything(&Fleet::start(Below::Machine));
}

#[test]
fn each_question_has_its_command_on_a_cluster() {
    ask_everything(&Fleet::start(Below::Cluster(Kubernetes::start())));
}

#[test]
fn each_question_has_its_command_on_github_actions() {
    ask_everything(&Fleet::start(Below::Actions));
}

#[test]
fn each_question_has_its_command_on_a_plugin() {
    ask_everything(&Fleet::start(Below::Plugin));
}
