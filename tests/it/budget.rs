//! A budget on every platform: what it counts, what it holds back, and who is told.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::coordinator;
use crate::documents::valid;
use testkit::actions::Past;
use testkit::plugin::{CAPABLE, Plugin};
use testkit::workplace::RosterText;
use testkit::{Finished, GitHub, Kubernetes, Program, Repository, Workplace};

/// Free to start again at once.
const OPEN: &str = "backoff_base = \"0s\"\nmin_runtime = \"0s\"\nsession_usd = 2.0";

/// The longest wait for a real process, generous for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

const CYCLE: [&str; 5] = ["reconcile", "--only", "spawn", "-o", "json"];

struct Fleet {
    workplace: Workplace,
    cluster: Option<Kubernetes>,
}

impl Fleet {
    /// `count` builders that run this agent, under this `[budget]`.
    fn of(roster: RosterText, budget: &str, count: u32, agent: &str) -> Self {
        let roster = roster.defaults(OPEN).role("builder", count, agent);
        let workplace = Workplace::new(&format!("{}\n[budget]\n{budget}\n", roster.text()));
        Self { workplace, cluster: None }
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let program = coordinator(&self.workplace).args(arguments.iter().copied());
        match &self.cluster {
            Some(cluster) => program.kubeconfig(cluster),
            None => program,
        }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.program(arguments).run()
    }

    /// Started sessions and held reasons of a cycle, and its report.
    fn cycle(&self) -> (usize, Vec<String>, Value) {
        let report = self.run(&CYCLE).json();
        let spawn = report["steps"]["spawn"].clone();
        let list = |field: &str| spawn[field].as_array().cloned().unwrap_or_default();
        let reason = |held: Value| held["reason"].as_str().unwrap_or_default().to_owned();
        (list("spawned").len(), list("held").into_iter().map(reason).collect(), report)
    }

    fn budget(&self) -> Value {
        valid(self.run(&["budget", "-o", "json"]).json())
    }

    /// The cap of the day: spent, reserved, whether it holds.
    fn day(&self) -> (f64, f64, bool) {
        let cap = self.budget()["caps"][0].clone();
        assert_eq!((&cap["cap"], &cap["window_s"]), (&json!("per_day_usd"), &json!(86_400)));
        let amount = |field: &str| cap[field].as_f64().expect("a number");
        (amount("spent_usd"), amount("reserved_usd"), cap["held"] == true)
    }

    fn await_ends(&self, sessions: usize) {
        let until = Instant::now() + PATIENCE;
        let ended = || {
            let history = self.run(&["history", "-o", "json"]).json();
            history["sessions"].as_array().map_or(0, Vec::len)
        };
        while ended() < sessions {
            assert!(Instant::now() < until, "the agents have not ended");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.workplace.end_processes();
    }
}

/// An agent that does not end.
const SLEEPER: &str = r#"["sh", "-c", "exec sleep 1000"]"#;

#[test]
fn a_day_s_cap_holds_what_does_not_fit_and_everybody_is_told() {
    let fleet = Fleet::of(RosterText::default(), "per_day_usd = 5.0", 3, SLEEPER);
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (2, vec!["budget".to_owned()]), "{report:#}");
    let spawn = &report["steps"]["spawn"];
    assert_eq!(spawn["budget_overshoot_usd"], 4.0, "what an overlapping cycle may add");
    let detail = spawn["held"][0]["detail"].as_str().expect("a sentence");
    assert!(detail.starts_with("per_day_usd = $5.00 has no room for $2.00"), "{detail}");
    assert_eq!(report["status"], "degraded");
    assert_eq!(fleet.run(&CYCLE).code, Some(0));
    assert_eq!(fleet.run(&[&CYCLE[..], &["--strict"]].concat()).code, Some(1));
    assert_eq!(fleet.day(), (0.0, 4.0, true));
    let shown = fleet.run(&["budget"]).stdout;
    assert!(shown.contains("per_day_usd") && shown.contains("holds until"), "{shown}");
    let status = valid(fleet.run(&["status", "-o", "json"]).json());
    assert_eq!(status["groups"][0]["slots"][2]["reason"], "budget", "{status:#}");
    let text = fleet.run(&["reconcile", "--only", "spawn"]).stdout;
    assert!(text.contains("per_day_usd: $0.00 spent and $4.00 reserved of $5.00"), "{text}");
    let file = fleet.workplace.path().join("metrics.prom");
    let name = file.to_str().expect("temporary folders are UTF-8");
    fleet.run(&["reconcile", "--only", "spawn", "--metrics-file", name]);
    let metrics = fs::read_to_string(&file).expect("the metrics were written");
    for sample in [
        "coordinator_cost_usd{fleet=\"demo\",role=\"builder\"} 4",
        "coordinator_budget_held{fleet=\"demo\"} 1",
        "coordinator_alert{fleet=\"demo\",cause=\"budget_holds\"} 1",
    ] {
        assert!(metrics.contains(sample), "{metrics}");
    }
    let refused = fleet.run(&["retry", "builder-s2"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("budget: per_day_usd"), "{}", refused.stderr);
    let unstarted = fleet.run(&["logs", "builder-s2"]);
    assert!((unstarted.stdout + &unstarted.stderr).contains("budget"), "why it has not run");
    // A raised limit is seen by the next cycle.
    let roster = fs::read_to_string(fleet.workplace.roster()).expect("the roster");
    fleet.workplace.write("roster.toml", roster.replace("5.0", "6.0"));
    assert_eq!(fleet.cycle().0, 1);
    // A person ends one, whose cost is unknown.
    fleet.run(&["stop", "builder-s0", "-y"]);
    assert_eq!(fleet.day(), (2.0, 4.0, false), "its slot waits for the person, not for money");
}

/// JSON within a text of TOML.
fn quoted(value: &Value) -> String {
    value.to_string().replace('"', "\\\"")
}

#[test]
fn what_an_agent_s_program_printed_counts_and_its_own_word_never_makes_it_cheaper() {
    let line = json!({"type": "result", "subtype": "success", "is_error": false,
        "session_id": "s1", "num_turns": 1, "result": "ok", "total_cost_usd": 0.5,
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let file = quoted(&json!({"status": "done", "usage": {"cost_usd": 0.01}}));
    let agent = |printed: &str| {
        let script = format!("echo '{printed}'; echo '{file}' >$COORDINATOR_RESULT");
        format!("[\"sh\", \"-c\", \"{script}\"]\nagent = \"claude\"")
    };
    let first = json!({"type": "system", "subtype": "init", "session_id": "s1"});
    let measured = Fleet::of(
        RosterText::default(),
        "per_day_usd = 5.0",
        1,
        &agent(&format!("{}'; echo '{}", quoted(&first), quoted(&line))),
    );
    let claimed = Fleet::of(RosterText::default(), "per_day_usd = 5.0", 1, &agent("no JSON"));
    for (fleet, spent) in [(measured, 0.5), (claimed, 2.0)] {
        assert_eq!(fleet.cycle().0, 1);
        fleet.await_ends(1);
        assert_eq!(fleet.day(), (spent, 2.0, false), "and the next one would start");
    }
}

#[test]
fn sessions_in_an_hour_are_bounded() {
    let agent = r#"["true"]"#;
    let fleet = Fleet::of(RosterText::default(), "sessions_per_hour = 2", 1, agent);
    for sessions in 1..=2 {
        assert_eq!(fleet.cycle().0, 1);
        fleet.await_ends(sessions);
    }
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["rate".to_owned()]), "{report:#}");
    assert_eq!(report["status"], "healthy", "it is a pace, and nothing is wrong");
    assert_eq!(fleet.budget()["sessions_per_hour"], json!({"limit": 2, "used": 2}));
}

#[test]
fn local_records_that_cannot_be_read_hold_everything_under_a_cap() {
    let fleet = Fleet::of(RosterText::default(), "per_day_usd = 100.0", 1, r#"["true"]"#);
    fleet.cycle();
    fleet.await_ends(1);
    let records = fleet.workplace.path().join("state/coordinator/demo/sessions/builder-s0/1");
    fs::write(records.join("exit.json"), "{").expect("the record is there");
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["unknown".to_owned()]), "{report:#}");
}

#[test]
fn a_damaged_record_that_is_not_among_the_newest_counts_as_the_most() {
    let fleet = Fleet::of(RosterText::default(), "per_day_usd = 100.0", 1, r#"["true"]"#);
    for sessions in 1..=10 {
        assert_eq!(fleet.cycle().0, 1);
        fleet.await_ends(sessions);
    }
    let records = fleet.workplace.path().join("state/coordinator/demo/sessions/builder-s0/1");
    fs::write(records.join("exit.json"), "{").expect("the record is there");
    assert_eq!(fleet.day(), (20.0, 2.0, false));
    let history = fleet.run(&["history"]);
    assert!(history.stdout.contains("not read: record"), "{}", history.stdout);
}

fn on_a_cluster(settings: &str, budget: &str, count: u32) -> Fleet {
    let mut fleet = Fleet::of(RosterText::kubernetes(settings), budget, count, r#"["agent"]"#);
    fleet.cluster = Some(Kubernetes::start());
    fleet
}

const SLOT: &str = "demo-builder-s0";

#[test]
fn on_a_cluster_a_day_adds_up_over_replaced_jobs_lost_pods_and_the_ttl() {
    let fleet = on_a_cluster("", "per_day_usd = 21.0", 1);
    let cluster = fleet.cluster.as_ref().expect("it is there");
    // More than a Job's own history has.
    for session in 0..10 {
        let (started, held, report) = fleet.cycle();
        assert_eq!((started, held.len()), (1, 0), "session {session}: {report:#}");
        let mut state = cluster.state();
        state.run_all();
        state.advance(600);
        state.finish(SLOT, 0, "");
        if session % 2 == 0 {
            state.lose_pod(SLOT);
        }
    }
    let (started, held, _) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["budget".to_owned()]), "20 + 2 is more than 21");
    assert_eq!(fleet.day(), (20.0, 0.0, true), "nine in the ledger, one in its Job");
    // The Job goes with its TTL when it has left the window, as the ledger's sessions before it.
    cluster.state().advance(24 * 3600 - 5_300);
    let (started, _, report) = fleet.cycle();
    assert_eq!(started, 1, "the first one has left: {report:#}");
    assert!(fleet.day().0 < 20.0);
    cluster.state().run_all();
    cluster.state().finish(SLOT, 0, "");
    cluster.state().remove(SLOT);
    cluster.state().advance(7_000);
    assert_eq!(fleet.day(), (0.0, 2.0, false), "a person removed the last one's Job");
}

#[test]
fn on_a_cluster_a_ledger_that_cannot_be_read_and_a_short_ttl_hold_everything() {
    let fleet = on_a_cluster("", "per_day_usd = 90.0", 1);
    let cluster = fleet.cluster.as_ref().expect("it is there");
    cluster.state().revoke("list", "configmaps");
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["budget".to_owned()]), "{report:#}");
    let unknown = fleet.budget()["unknown"].clone();
    assert!(unknown.as_str().is_some_and(|why| why.contains("ledger")), "{unknown}");
    assert_eq!(fleet.run(&["budget"]).code, Some(1));
    let short = on_a_cluster("ttl = \"20h\"\n", "per_day_usd = 90.0", 1);
    let (started, held, report) = short.cycle();
    assert_eq!((started, held), (0, vec!["budget".to_owned()]), "{report:#}");
    let checked = short.run(&["check"]);
    assert!(checked.stderr.contains("forgets sessions within 24 h"), "{}", checked.stderr);
}

#[test]
fn a_garbled_ledger_holds_everything_under_a_cap() {
    let fleet = on_a_cluster("", "per_day_usd = 90.0", 1);
    let cluster = fleet.cluster.as_ref().expect("it is there");
    for _ in 0..2 {
        fleet.cycle();
        cluster.state().run_all();
        cluster.state().finish(SLOT, 0, "");
    }
    {
        let mut state = cluster.state();
        let maps = &mut state.namespace().config_maps;
        let ledger = maps.values_mut().find(|map| map["data"][SLOT].is_string());
        ledger.expect("the ledger has the first session")["data"][SLOT] = json!("[{");
    }
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["budget".to_owned()]), "{report:#}");
}

#[test]
fn on_github_actions_every_session_counts_as_the_most_that_it_may_cost() {
    let github = GitHub::start(Repository::with([]));
    let fleet = Fleet::of(RosterText::actions(&github, ""), "per_day_usd = 7.0", 2, r#"["agent"]"#);
    {
        let mut state = github.state();
        let now = state.now();
        let actions = &mut state.repository().actions;
        let past = |generation, ended| Past {
            slot: "builder-s0",
            generation,
            ended,
            runtime: 900,
            ..Past::default()
        };
        actions.add_past(past(1, 25 * 3600), now);
        actions.add_past(past(2, 20 * 3600), now);
        let last = actions.add_past(past(3, 10 * 3600), now);
        let end = json!({"coordinator_end": 1, "usage": {"cost_usd": 0.1, "measured": true}});
        let agent = actions.run(last).jobs.last_mut().expect("the agent's job");
        agent.annotations.push(("coordinator-end".to_owned(), end.to_string()));
    }
    let (started, held, report) = fleet.cycle();
    assert_eq!(
        (started, held),
        (1, vec!["budget".to_owned()]),
        "4 + 2, and 2 too many: {report:#}"
    );
    assert!(report["steps"]["spawn"]["held"][0]["until"].is_string(), "{report:#}");
    let history = fleet.run(&["history", "--since", "15h", "-o", "json"]).json();
    let usage = &history["sessions"][0]["usage"];
    assert_eq!(usage["cost_usd"], 0.1, "its annotation is shown, and proves nothing: {history:#}");
}

#[test]
fn a_plugin_s_usage_counts_and_one_without_history_holds_everything() {
    let session = json!({"id": "a", "slot": {"role": "builder", "index": 0}, "generation": 1,
        "state": "finished", "outcome": "success", "exit_code": 0, "started_at": "NOW",
        "finished_at": "NOW", "result": {"usage": {"cost_usd": 0.5, "measured": true}}});
    let answer = json!({"ok": true, "complete": true, "sessions": [session]});
    let list = format!("echo '{answer}' | sed \"s/NOW/$(date -u +%FT%TZ)/g\"");
    let fleet = Fleet::of(RosterText::exec(""), "per_day_usd = 3.0", 1, r#"["agent"]"#);
    Plugin { list, ..Plugin::default() }.install(&fleet.workplace);
    assert_eq!(fleet.day(), (0.5, 2.0, false));
    let forgetful = CAPABLE.replace(r#""history":true,"#, "");
    let plugin = Plugin { capabilities: format!("echo '{forgetful}'"), ..Plugin::default() };
    plugin.install(&fleet.workplace);
    let (started, held, report) = fleet.cycle();
    assert_eq!((started, held), (0, vec!["budget".to_owned()]), "{report:#}");
    let checked = fleet.run(&["check"]);
    assert!(checked.stderr.contains("forgets sessions within 24 h"), "{}", checked.stderr);
}

#[test]
fn a_cap_needs_a_price_and_a_command_that_names_the_price_has_one() {
    let check = |defaults: &str, command: &str, budget: &str| {
        let roster = RosterText::default().defaults(defaults).role("builder", 1, command);
        let workplace = Workplace::new(&format!("{}\n[budget]\n{budget}\n", roster.text()));
        let finished = coordinator(&workplace).args(["check"]).run();
        (finished.code, finished.stderr)
    };
    let plain = r#"["agent"]"#;
    let (code, said) = check("", plain, "per_day_usd = 20");
    assert!(code == Some(2) && said.contains("needs a `session_usd` of `builder`"), "{said}");
    let capped = r#"["agent", "--max-budget-usd", "{budget}"]"#;
    let (code, said) = check("", capped, "");
    assert!(code == Some(2) && said.contains("uses `{budget}`"), "{said}");
    assert_eq!(check("session_usd = 2.5", capped, "per_day_usd = 20").0, Some(0));
    for (budget, what) in [
        ("per_day_usd = -1", "0 to 1000000"),
        ("per_day_usd = \"20\"", "a number of dollars"),
        ("per_role = { nobody = 2.0 }", "names `nobody`, which is not a role"),
        ("per_source = { nothing = 2.0 }", "which is not a source"),
        ("per_item = { nothing = 2.0 }", "which is not a source of work items"),
        ("per_days_usd = 2.0", "per_day_usd"),
    ] {
        let (code, said) = check("session_usd = 2", plain, budget);
        assert!(code == Some(2) && said.contains(what), "{budget}: {said}");
    }
    assert_eq!(check("session_usd = 2", plain, "per_source = { roster = 9 }").0, Some(0));
}

#[test]
fn an_agent_is_told_the_most_that_it_may_cost() {
    let agent = r#"["sh", "-c", "echo at most {budget}"]"#;
    let fleet = Fleet::of(RosterText::default(), "per_day_usd = 5.0", 1, agent);
    fleet.cycle();
    fleet.await_ends(1);
    assert_eq!(fleet.run(&["logs", "builder-s0"]).stdout, "at most 2\n");
}
