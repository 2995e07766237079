//! The real agent as a session of the real coordinator: Claude Code, the shipped default command, a
//! model on loopback. Runs by name alone (`bash .ci/suites/agent.sh`): the agent is not part of a
//! build.
#![cfg(target_os = "linux")]

mod fleet;
mod model;

use coordinator_core::agent::{Profile, Tally};
use coordinator_core::fleet::Usd;
use fleet::{Fleet, TOKEN};
use hyper::StatusCode;
use model::{Model, Script};

#[test]
fn a_session_that_ends_well_leaves_its_work_and_is_recorded_as_succeeded() {
    let command = "printf %s \"$COORDINATOR_SLOT\" > made-by-agent.txt && env > environment.txt";
    let model = Model::start(Script::Work { command });
    let fleet = Fleet::new("works", &model, "60s");

    let report = fleet.reconcile();
    assert_eq!(report["steps"]["spawn"]["spawned"][0]["slot"], fleet.session(), "{report}");
    let session = fleet.finished();

    assert_eq!(session["outcome"], "succeeded", "{session}\n{}", fleet.log());
    assert_eq!(session["exit_code"], 0, "{session}");
    assert!(fleet.file("made-by-agent.txt").is_some(), "no file was made:\n{}", fleet.log());
    assert!(fleet.log().contains("Done: one file written."), "{}", fleet.log());
    let environment = fleet.file("environment.txt").expect("the tool call writes it");
    assert!(
        environment.contains(&format!("COORDINATOR_SLOT={}\n", fleet.session())),
        "{environment}"
    );
    assert!(!environment.contains(TOKEN), "the coordinator's token reached the agent");
    assert!(
        model.has_received("Writes the file that the test looks for."),
        "the brief did not reach the model"
    );
    assert_eq!(fleet.survivors(), Vec::<String>::new());
}

#[test]
fn the_log_of_a_session_is_readable_and_shows_what_it_used() {
    let model = Model::start(Script::Work { command: "echo made by the agent" });
    let fleet = Fleet::new("watched", &model, "60s");

    fleet.reconcile();
    fleet.finished();

    let readable = fleet.readable_log();
    for line in [
        "-- session began with ",
        "> Bash: echo made by the agent\n  made by the agent\n",
        "\nDone: one file written.\n",
        "\n== succeeded, 2 turns, ",
    ] {
        assert!(readable.contains(line), "no {line:?} in:\n{readable}");
    }
    let mut tally = Tally::new(Profile::Claude);
    tally.read(fleet.log().as_bytes());
    assert!(tally.agent_session().is_some_and(|id| id.len() == 36), "{}", fleet.log());
    let usage = tally.finish().expect("it used something").usage;
    assert_eq!((usage.turns, usage.output_tokens.is_some()), (Some(2), true), "{usage:?}");
    assert!(usage.cost_usd.is_some_and(|cost| cost > Usd::default()), "{usage:?}");
}

#[test]
fn the_history_has_what_a_session_used_and_its_conversation_can_be_taken_up_again() {
    let command =
        "printf '{\"status\":\"done\",\"reason\":\"the form works\"}' > $COORDINATOR_RESULT";
    let model = Model::start(Script::Work { command });
    let fleet = Fleet::new("resumed", &model, "60s");

    fleet.reconcile();
    fleet.finished();

    let history = fleet.coordinator(&["history", "-o", "json"]);
    let session = &history["sessions"][0];
    assert_eq!(
        (&session["outcome"], &session["reason"]),
        (&"succeeded".into(), &"the form works".into())
    );
    assert_eq!(session["usage"]["turns"], 2, "{history:#}");
    assert!(session["usage"]["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{history:#}");
    assert_eq!(history["totals"]["unknown_cost"], 0, "{history:#}");

    let said = fleet.in_shell(&model, &format!("{} -p 'And what now?'", fleet.attach().trim()));
    assert!(said.contains("Done: one file written."), "{said}");
    assert!(
        model.has_received_both("And what now?", "Writes the file that the test looks for."),
        "it is another conversation"
    );
}

#[test]
fn what_a_session_cost_counts_and_a_cap_holds_the_next_one_until_it_is_raised() {
    let model = Model::start(Script::Work { command: "echo done" });
    let fleet = Fleet::new("capped", &model, "60s");

    fleet.capped(&model, 2.0);
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["spawn"]["spawned"].as_array().map(Vec::len), Some(1), "{report:#}");
    let session = fleet.finished();
    assert_eq!(session["outcome"], "succeeded", "{}", fleet.log());

    let cap = fleet.coordinator(&["budget", "-o", "json"])["caps"][0].clone();
    let spent = cap["spent_usd"].as_f64().expect("a number");
    assert!(spent > 0.0 && spent < 2.0, "{cap:#}");
    assert_eq!(cap["held"], true, "{cap:#}");
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "budget", "{report:#}");

    fleet.capped(&model, 4.0);
    let report = fleet.reconcile();
    assert_eq!(report["steps"]["spawn"]["spawned"].as_array().map(Vec::len), Some(1), "{report:#}");
    fleet.finished();
}

#[test]
fn an_agent_that_runs_is_seen_in_status_and_stopped_for_good_until_its_slot_goes_on() {
    let model = Model::start(Script::WorkThenHang { command: "echo on" });
    let fleet = Fleet::new("stopped", &model, "600s");

    fleet.reconcile();
    fleet.await_log("> Bash: echo on\n");
    let slot = |status: &serde_json::Value| status["groups"][0]["slots"][0].clone();
    let status = fleet.coordinator(&["status", "-o", "json"]);
    assert_eq!(slot(&status)["state"], "running", "{status:#}");
    let stopped = fleet.run(&["stop", "builder-s0", "-y"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(fleet.survivors(), Vec::<String>::new());

    let report = fleet.reconcile();
    assert_eq!(report["steps"]["spawn"]["held"][0]["reason"], "stopped", "{report:#}");
    let retried = fleet.run(&["retry", "builder-s0"]);
    assert!(retried.status.success() && fleet.is_running(), "{retried:?}");
}

#[test]
fn a_session_with_an_api_error_is_recorded_as_failed_and_backs_off() {
    let model = Model::start(Script::Refuse {
        status: StatusCode::UNAUTHORIZED,
        kind: "authentication_error",
    });
    let fleet = Fleet::new("refused", &model, "60s");

    fleet.reconcile();
    let session = fleet.finished();
    let report = fleet.reconcile();

    assert_eq!(session["outcome"], "failed", "{session}\n{}", fleet.log());
    assert_eq!(session["exit_code"], 1, "{session}");
    assert!(fleet.log().contains("401"), "the log lacks the reason: {}", fleet.log());
    let spawn = &report["steps"]["spawn"];
    assert_eq!(spawn["held"][0]["reason"], "backoff", "{report}");
    assert_eq!(spawn["spawned"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn a_session_that_hangs_is_ended_at_its_time_limit_with_all_that_it_started() {
    let command = "setsid sleep 3600 </dev/null >/dev/null 2>&1 & echo started > made-by-agent.txt";
    let model = Model::start(Script::WorkThenHang { command });
    let fleet = Fleet::new("hangs", &model, "15s");

    fleet.reconcile();
    assert!(fleet.is_running(), "nothing outlives the cycle that started it:\n{}", fleet.log());
    let session = fleet.finished();

    assert_eq!(session["outcome"], "timed_out", "{session}\n{}", fleet.log());
    assert!(
        fleet.file("made-by-agent.txt").is_some(),
        "it hung before it worked:\n{}",
        fleet.log()
    );
    assert_eq!(fleet.survivors(), Vec::<String>::new());
}
