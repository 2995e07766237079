//! What `${NAME}` does to the environment of sessions, and to commands that start none.

use serde_json::{Value, json};

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Finished, GitHub, Kubernetes, Production, Repository, Workplace};

const UNSET: &str = "env = { X = \"${NOT_SET}\" }";

/// One role that names a variable that is not set, in a fleet with everything else.
fn with_a_missing_variable(github: &GitHub, production: &Production) -> RosterText {
    let roster =
        RosterText::default().merging(github, "").watching("production", &production.url(), "");
    roster.role("alpha", 1, &format!("[\"/bin/true\"]\n{UNSET}"))
}

fn run(workplace: &Workplace, arguments: &[&str]) -> Finished {
    coordinator(workplace).args(arguments.iter().copied()).run()
}

#[test]
fn a_missing_variable_stops_no_command_that_only_reads() {
    let (github, production) = (GitHub::start(Repository::with([])), Production::up());
    let workplace = with_a_missing_variable(&github, &production).write();
    for arguments in [&["sessions"][..], &["pulls"]] {
        let finished = run(&workplace, arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
        assert!(!finished.stderr.contains("NOT_SET"), "{arguments:?}: {}", finished.stderr);
    }
    let logs = run(&workplace, &["logs", "alpha-s0"]);
    assert_ne!(logs.code, Some(2), "{}", logs.stderr);
    assert!(!logs.stderr.contains("NOT_SET"), "{}", logs.stderr);

    let doctor = run(&workplace, &["doctor"]);
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    let line =
        doctor.stdout.lines().find(|line| line.contains("NOT_SET")).expect("it is a finding");
    assert!(
        line.starts_with("fail ") && line.contains("set it where the coordinator is started"),
        "{line}"
    );
}

#[test]
fn check_warns_of_a_missing_variable_and_names_the_place() {
    let (github, production) = (GitHub::start(Repository::with([])), Production::up());
    let workplace = with_a_missing_variable(&github, &production).write();
    let finished = run(&workplace, &["check"]);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("warning: environment variable `NOT_SET` is not set"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("roster.toml:") && finished.stderr.ends_with("1 warning\n"),
        "{}",
        finished.stderr
    );
    assert!(finished.stdout.contains("alpha"), "the roster is valid: {}", finished.stdout);
    let document = run(&workplace, &["check", "-o", "json"]).json();
    assert_eq!(document["problems"], json!([]));
    assert!(
        document["warnings"][0]["message"].as_str().is_some_and(|it| it.contains("NOT_SET")),
        "{document}"
    );
    assert!(document["warnings"][0]["line"].is_number(), "{document}");
}

#[test]
fn reconcile_refuses_a_missing_variable_only_where_a_step_that_runs_needs_it() {
    let (github, production) = (GitHub::start(Repository::with([])), Production::up());
    let beside = with_a_missing_variable(&github, &production).role("beta", 1, "[\"/bin/true\"]");
    let workplace =
        beside.role("none", 0, "[\"/bin/true\"]\nenv = { X = \"${NEVER_USED}\" }").write();
    for arguments in
        [&["reconcile"][..], &["reconcile", "--only", "spawn"], &["reconcile", "--role", "alpha"]]
    {
        let finished = run(&workplace, arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            finished.stderr.contains("error: environment variable `NOT_SET` is not set"),
            "{}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("NEVER_USED"), "{}", finished.stderr);
    }
    assert!(!workplace.path().join("state").exists(), "nothing was touched");
    assert!(production.state().journal.is_empty());
    for arguments in [
        &["reconcile", "--only", "merge,health"][..],
        &["reconcile", "--only", "inventory"],
        &["reconcile", "--skip", "spawn"],
        &["reconcile", "--only", "spawn", "--role", "beta"],
    ] {
        let finished = run(&workplace, arguments);
        assert_eq!(finished.code, Some(0), "{arguments:?}: {}", finished.stderr);
    }
    let rehearsal = run(&workplace, &["reconcile", "--dry-run", "-o", "json"]);
    assert_eq!(rehearsal.code, Some(0), "{}", rehearsal.stderr);
    assert!(
        rehearsal.stderr.contains("WARN") && rehearsal.stderr.contains("`NOT_SET`"),
        "{}",
        rehearsal.stderr
    );
    let would = rehearsal.json()["steps"]["spawn"]["spawned"].as_array().map(Vec::len);
    assert!(would >= Some(1), "{}", rehearsal.stdout);
}

#[test]
fn a_default_that_a_role_replaces_is_missed_by_the_others_alone() {
    let roster = RosterText::default()
        .defaults("min_free = \"0\"\nenv = { X = \"${NOT_SET}\" }")
        .role("alpha", 1, "[\"/bin/true\"]\nenv = { X = \"mine\" }");
    assert_eq!(run(&roster.write(), &["reconcile"]).code, Some(0));
    let both = roster.role("beta", 1, "[\"/bin/true\"]").write();
    assert_eq!(run(&both, &["reconcile", "--role", "alpha"]).code, Some(0));
    assert_eq!(run(&both, &["reconcile"]).code, Some(2));
}

#[test]
fn a_plugin_that_lacks_its_variable_is_only_read_from() {
    let workplace = RosterText::exec(UNSET).write();
    let answer = "#!/bin/sh\ncat >/dev/null\n[ -z \"${X+set}\" ] || exit 9\n\
                  echo '{\"protocol\": 1, \"exclusive\": true, \"history\": true, \
                  \"sessions\": []}'\n";
    workplace.write("plugin.sh", answer);
    let plugin = workplace.path().join("plugin.sh");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(plugin, mode).expect("it is there");
    for arguments in [&["reconcile"][..], &["reconcile", "--only", "inventory"]] {
        assert_eq!(run(&workplace, arguments).code, Some(2), "{arguments:?}");
    }
    let sessions = run(&workplace, &["sessions"]);
    assert_ne!(sessions.code, Some(2), "{}", sessions.stderr);
    assert!(!sessions.stderr.contains("NOT_SET"), "{}", sessions.stderr);
}

#[test]
fn everyday_variables_may_be_copied_to_where_no_secret_may() {
    let cluster = Kubernetes::start();
    let roster =
        RosterText::kubernetes("").role("worker", 1, "[\"agent\"]\nenv = { TZ = \"${TZ}\" }");
    let workplace = roster.write();
    let program = coordinator(&workplace).kubeconfig(&cluster).env("TZ", "Europe/Berlin");
    let finished = program.args(["reconcile", "--only", "spawn", "-o", "json"]).run();
    assert_eq!(
        finished.json()["steps"]["spawn"]["spawned"].as_array().map(Vec::len),
        Some(1),
        "{}",
        finished.stderr
    );
}

#[cfg(target_os = "linux")]
mod sessions {
    use super::*;
    use crate::process_fleet::{Fleet, OPEN};

    const SHOW: &str = "env >\"$WITNESS/$COORDINATOR_ROLE.draft\"; mv \
        \"$WITNESS/$COORDINATOR_ROLE.draft\" \"$WITNESS/$COORDINATOR_ROLE\"";

    /// The variable as the agent of `role` saw it.
    fn seen(fleet: &Fleet, role: &str, variable: &str) -> Option<String> {
        fleet.await_end(&format!("{role}-s0"));
        let all = fleet.witness(role);
        let value = all.lines().find_map(|line| line.strip_prefix(&format!("{variable}=")))?;
        Some(value.to_owned())
    }

    #[test]
    fn everyday_variables_stay_in_every_session_although_a_role_names_them() {
        let fleet = Fleet::new(OPEN, &[("other", 1, SHOW), ("alpha", 1, SHOW)]);
        let roster = std::fs::read_to_string(fleet.path("roster.toml")).expect("the roster");
        // The last role is `alpha`.
        let env =
            "env = { PATH = \"${HOME}/.local/bin:${PATH}\", KEY = \"${LC_ALL}-${MODEL_KEY}\" }\n";
        std::fs::write(fleet.path("roster.toml"), roster + env).expect("write the roster");
        let path = std::env::var("PATH").expect("a search path");
        let home = fleet.path("").display().to_string().trim_end_matches('/').to_owned();
        let variables =
            [("LC_ALL", "C.UTF-8"), ("MODEL_KEY", "s3cret"), ("REDIS_URL", "redis://:pw@host")];
        let output =
            fleet.command(&["reconcile", "--only", "spawn", "-o", "json"]).envs(variables).output();
        let output = output.expect("run the coordinator");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        assert_eq!(seen(&fleet, "alpha", "PATH"), Some(format!("{home}/.local/bin:{path}")));
        assert_eq!(seen(&fleet, "other", "PATH"), Some(path));
        assert_eq!(seen(&fleet, "alpha", "KEY").as_deref(), Some("C.UTF-8-s3cret"));
        for role in ["alpha", "other"] {
            assert_eq!(seen(&fleet, role, "HOME").as_deref(), Some(home.as_str()), "{role}");
            assert_eq!(seen(&fleet, role, "LC_ALL").as_deref(), Some("C.UTF-8"), "{role}");
            assert_eq!(seen(&fleet, role, "REDIS_URL"), None, "{role}");
            assert_eq!(
                seen(&fleet, role, "MODEL_KEY"),
                None,
                "a secret is for the roles that name it: {role}"
            );
        }
    }

    #[test]
    fn doctor_looks_a_command_up_where_the_session_will_and_masks_no_everyday_value() {
        let roster = RosterText::default()
            .role("alpha", 1, "[\"agent\"]\nenv = { PATH = \"${HOME}/.local/bin:${PATH}\" }")
            .role("beta", 1, "[\"agent\"]");
        let workplace = roster.write();
        workplace.write(".local/bin/agent", "#!/bin/sh\n");
        let agent = workplace.path().join(".local/bin/agent");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&agent, mode).expect("it is there");
        let finished = run(&workplace, &["doctor", "-o", "json"]);
        let findings: Vec<Value> = finished.json()["findings"].as_array().expect("a list").clone();
        let of = |role: &str| {
            let mut all = findings.iter();
            all.find(|it| it["what"].as_str().is_some_and(|what| what.contains(role)))
                .expect("one for each role")
        };
        assert_eq!(
            of("role alpha")["what"],
            format!("agent command found: {} (role alpha)", agent.display())
        );
        assert_eq!(of("role beta")["grade"], "fail", "{}", finished.stdout);
        assert!(!finished.stdout.contains("***"), "{}", finished.stdout);

        let cycle =
            run(&workplace, &["reconcile", "--only", "spawn", "--role", "alpha", "-o", "json"]);
        let spawned = cycle.json()["steps"]["spawn"]["spawned"].as_array().map(Vec::len);
        assert_eq!(spawned, Some(1), "the session finds it there: {}", cycle.stdout);
    }
}
