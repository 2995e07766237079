//! `coordinator session-agent` and `coordinator session-admit` as steps of the session workflow:
//! what they read, and how they end.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Program, Workplace};

fn task(command: &Value) -> Value {
    json!({
        "version": 1, "command": command, "prompt": "do {brief}\nnow\n", "brief": "build {slot}",
        "env": { "MODEL": "large", "COORDINATOR_ROLE": "forged" }, "time_limit_s": 7200,
        "restraint": { "backoff_base_s": 60, "backoff_cap_s": 3600, "min_runtime_s": 30,
            "min_interval_s": 0 },
    })
}

/// The environment of the step, as the workflow sets it.
fn step(workplace: &Workplace, command: &str, task: &Value) -> Program {
    coordinator(workplace)
        .args([command])
        .without_env("COORDINATOR_CONFIG")
        .env("COORDINATOR_FLEET", "demo")
        .env("COORDINATOR_SLOT", "ui-builder-s2")
        .env("COORDINATOR_ROLE", "ui_builder")
        .env("COORDINATOR_GENERATION", "4")
        .env("COORDINATOR_CYCLE", "18f-1")
        .env("COORDINATOR_EXPIRES_AT", "2026-01-01T00:05:00Z")
        .env("COORDINATOR_TASK", &task.to_string())
        .env("GITHUB_REPOSITORY", "octo/demo")
        .env("GITHUB_ACTIONS", "true")
}

fn agent(workplace: &Workplace, command: &Value) -> Program {
    step(workplace, "session-agent", &task(command))
}

/// What the agent wrote, of the stdout of a step; the runner obeys nothing of it.
fn written(stdout: &str) -> &str {
    let (first, rest) = stdout.split_once('\n').expect("commands are stopped");
    let token = first.strip_prefix("::stop-commands::").expect("commands are stopped");
    let (written, own) = rest.split_once(&format!("\n::{token}::\n")).expect("and resumed");
    assert!(own.starts_with("::notice title=coordinator-end::{") && own.lines().count() == 1);
    written
}

/// The end in the annotation of the step.
fn end_of_step(stdout: &str) -> Value {
    let last = stdout.lines().last().expect("it wrote its end");
    let message = last.strip_prefix("::notice title=coordinator-end::").expect("it has its title");
    serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"))
}

fn workplace() -> Workplace {
    RosterText::default().write()
}

#[test]
fn the_agent_gets_its_placeholders_filled_once_and_no_shell() {
    let words = json!([
        "/usr/bin/printf",
        "%s|",
        "{prompt}",
        "{brief}",
        "{role}",
        "{slot}",
        "{fleet}",
        "{x}",
        "$HOME `id`;"
    ]);
    let finished = agent(&workplace(), &words).run();
    let expected =
        "do {brief}\nnow\n|build {slot}|ui_builder|demo-ui-builder-s2|demo|{x}|$HOME `id`;|";
    assert_eq!(
        (finished.code, written(&finished.stdout)),
        (Some(0), expected),
        "{}",
        finished.stderr
    );
}

#[test]
fn the_agents_environment_names_the_session_and_has_the_jobs_secrets_but_not_the_task() {
    let finished =
        agent(&workplace(), &json!(["/usr/bin/env"])).env("GITHUB_TOKEN", "the-jobs-own").run();
    let mut names: Vec<&str> =
        written(&finished.stdout).lines().filter(|line| line.starts_with("COORDINATOR_")).collect();
    names.sort_unstable();
    let at = names.iter().position(|name| name.starts_with("COORDINATOR_RESULT="));
    names.remove(at.expect("the agent may write a result"));
    let expected = [
        "COORDINATOR_FLEET=demo",
        "COORDINATOR_GENERATION=4",
        "COORDINATOR_PROMPT=do {brief}",
        "COORDINATOR_REPOSITORY=octo/demo",
        "COORDINATOR_ROLE=ui_builder",
        "COORDINATOR_SESSION=demo-ui-builder-s2-g4-18f-1",
        "COORDINATOR_SLOT=demo-ui-builder-s2",
    ];
    assert_eq!(names, expected, "{}", finished.stderr);
    for line in ["GITHUB_TOKEN=the-jobs-own", "MODEL=large"] {
        assert!(finished.stdout.lines().any(|found| found == line), "{line}\n{}", finished.stdout);
    }
}

/// A session of task `bd-4jz`, its second attempt.
fn of_item(workplace: &Workplace, command: &Value) -> Program {
    let mut task = task(command);
    task["version"] = json!(2);
    task["item"] = json!({
        "role": "ui_builder", "id": "bd-4jz", "attempt": 2, "context_restarts": 0, "reworks": 0,
        "uncounted": 0, "cost_usd": 0.5, "follows": 3, "follows_run": 17, "since_s": 1_767_225_600,
    });
    step(workplace, "session-agent", &task).env("COORDINATOR_SLOT", "queue-ibd4jzx4d0d5384fa")
}

#[test]
fn the_environment_of_a_work_item_names_source_item_and_attempt() {
    let workplace = workplace();
    let words = json!(["/usr/bin/printf", "%s|", "{item}", "{slot}", "{role}"]);
    let finished = of_item(&workplace, &words).run();
    let expected = "bd-4jz|demo-queue-ibd4jzx4d0d5384fa|ui_builder|";
    assert_eq!(
        (finished.code, written(&finished.stdout)),
        (Some(0), expected),
        "{}",
        finished.stderr
    );
    let environment =
        of_item(&workplace, &json!(["/usr/bin/env"])).env("GITHUB_TOKEN", "the-jobs-own");
    let finished = environment.run();
    for line in [
        "COORDINATOR_SOURCE=queue",
        "COORDINATOR_ITEM=bd-4jz",
        "COORDINATOR_ATTEMPT=2",
        "COORDINATOR_ROLE=ui_builder",
        "COORDINATOR_SESSION=demo-queue-ibd4jzx4d0d5384fa-g4-18f-1",
    ] {
        assert!(finished.stdout.lines().any(|found| found == line), "{line}\n{}", finished.stdout);
    }
}

#[test]
fn the_agent_of_a_work_item_starts_once_and_for_its_own_slot_and_role_alone() {
    let workplace = workplace();
    for (name, value, words) in [
        ("GITHUB_RUN_ATTEMPT", "2", "the coordinator starts its next attempt"),
        ("COORDINATOR_ROLE", "code_reviewer", "another role's"),
        ("COORDINATOR_SLOT", "queue-i7", "not about this slot and generation"),
        ("COORDINATOR_GENERATION", "3", "not about this slot and generation"),
    ] {
        let finished = of_item(&workplace, &json!(["/usr/bin/env"])).env(name, value).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(finished.stderr.contains(words), "{}", finished.stderr);
    }
    // A role's run may be started again: its slot's lock is all that it needs.
    let again = agent(&workplace, &json!(["/bin/true"])).env("GITHUB_RUN_ATTEMPT", "2").run();
    assert_eq!(again.code, Some(0), "{}", again.stderr);
}

#[test]
fn the_prompt_is_standard_input_unless_the_command_takes_it_and_leaves_no_file() {
    let workplace = workplace();
    let temporary = workplace.path().join("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    let path = temporary.to_str().expect("temporary folders are UTF-8");
    let read = |words: Value| {
        let finished = agent(&workplace, &words).env("TMPDIR", path).run();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        written(&finished.stdout).to_owned()
    };
    assert_eq!(read(json!(["/bin/cat"])), "do {brief}\nnow\n");
    assert_eq!(read(json!(["/bin/sh", "-c", "cat; true", "{prompt}"])), "");
    assert_eq!(std::fs::read_dir(&temporary).expect("a folder").count(), 0);
}

#[test]
fn the_agents_exit_code_is_that_of_the_step() {
    assert_eq!(agent(&workplace(), &json!(["/bin/sh", "-c", "exit 7"])).run().code, Some(7));
}

#[test]
fn what_the_agent_leaves_is_an_annotation_and_a_summary_of_the_run() {
    let workplace = workplace();
    let script = r#"echo "::notice title=coordinator-end::{\"coordinator_end\":1}"
        printf '{"status":"blocked","reason":"<b>@octo</b> ::error::x"}' >"$COORDINATOR_RESULT"
        exit 3"#;
    let summary = workplace.path().join("summary.md");
    let finished = agent(&workplace, &json!(["/bin/sh", "-c", script]))
        .env("GITHUB_STEP_SUMMARY", summary.to_str().expect("temporary folders are UTF-8"))
        .run();
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(written(&finished.stdout).starts_with("::notice"), "{}", finished.stdout);
    let end = end_of_step(&finished.stdout);
    assert_eq!((&end["coordinator_end"], &end["status"]), (&json!(1), &json!("blocked")));
    let summary = std::fs::read_to_string(summary).expect("the page of the run has a summary");
    assert!(summary.contains("exit code 3") && summary.contains("blocked: "), "{summary}");
    assert!(!summary.contains("<b>") && !summary.contains("@octo"), "{summary}");
    // Outside of a workflow nothing is added to what the agent writes.
    let plain = agent(&workplace, &json!(["/bin/echo", "x"])).without_env("GITHUB_ACTIONS").run();
    assert_eq!((plain.code, plain.stdout.as_str()), (Some(0), "x\n"), "{}", plain.stderr);
}

#[test]
fn an_agent_of_a_workflow_run_that_stalls_is_ended_and_its_end_says_so() {
    let workplace = workplace();
    let mut task = task(&json!(["/bin/sleep", "600"]));
    task["stall_timeout_ms"] = json!(50);
    let finished = step(&workplace, "session-agent", &task).run();
    assert_eq!(finished.code, Some(124), "{}", finished.stderr);
    assert_eq!(end_of_step(&finished.stdout)["stalled"], json!("no output for 50ms"));
}

#[test]
fn a_missing_or_unrunnable_program_has_the_exit_code_of_a_shell() {
    let workplace = workplace();
    let write = |name: &str, text: &str, mode| {
        workplace.write(name, text);
        let path = workplace.path().join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its mode");
    };
    write("notes", "text", 0o644);
    write("orphan", "#!/no/such/interpreter\n", 0o755);
    for (program, code, words) in [
        ("no-such-agent", 127, "no command `no-such-agent` on PATH; install it in the job `agent`"),
        ("./no-such-agent", 127, "`./no-such-agent` not found in the working directory"),
        ("./orphan", 127, "the interpreter of ./orphan is missing"),
        ("./notes", 126, "`./notes` is not executable"),
    ] {
        let finished = agent(&workplace, &json!([program])).run();
        assert_eq!(finished.code, Some(code), "{}", finished.stderr);
        assert!(
            finished.stderr.starts_with("error: ") && finished.stderr.contains(words),
            "{}",
            finished.stderr
        );
        assert_eq!(finished.stdout, "");
    }
}

#[test]
fn inputs_that_are_none_are_a_usage_error_of_either_step() {
    let workplace = workplace();
    let good = task(&json!(["/usr/bin/env"]));
    for command in ["session-agent", "session-admit"] {
        let whole = || {
            let workflow = "octo/demo/.github/workflows/agent-session.yml@refs/heads/main";
            step(&workplace, command, &good)
                .env("GITHUB_RUN_ID", "7")
                .env("GITHUB_WORKFLOW_REF", workflow)
        };
        for (name, value) in [
            ("COORDINATOR_FLEET", "De-mo"),
            ("COORDINATOR_SLOT", "demo_ui"),
            ("COORDINATOR_SLOT", "x\n::error::obeyed"),
            ("COORDINATOR_GENERATION", "0"),
            ("COORDINATOR_TASK", "{}"),
            ("COORDINATOR_TASK", r#"{"version":2}"#),
        ] {
            let finished = whole().env(name, value).run();
            assert_eq!(
                finished.code,
                Some(2),
                "{command} {name}={value}: {}{}",
                finished.stdout,
                finished.stderr
            );
            assert!(finished.stderr.contains(name), "{command}: {}", finished.stderr);
            assert!(
                !finished.stderr.lines().any(|line| line.starts_with("::")),
                "{}",
                finished.stderr
            );
        }
        let absent = whole().without_env("COORDINATOR_TASK").run();
        assert_eq!((absent.code, absent.stdout.as_str()), (Some(2), ""), "{}", absent.stderr);
    }
    let forged =
        agent(&workplace, &json!(["/usr/bin/env"])).env("COORDINATOR_ROLE", "code_reviewer").run();
    assert_eq!(forged.code, Some(2), "a slot is of one role: {}", forged.stderr);
    for (name, value) in [
        ("COORDINATOR_EXPIRES_AT", "soon"),
        ("GITHUB_RUN_ID", "x"),
        ("GITHUB_WORKFLOW_REF", "x"),
        ("GITHUB_REPOSITORY", "x"),
    ] {
        let workflow = "octo/demo/.github/workflows/agent-session.yml@refs/heads/main";
        let admit = step(&workplace, "session-admit", &good)
            .env("GITHUB_RUN_ID", "7")
            .env("GITHUB_WORKFLOW_REF", workflow);
        let finished = admit.env(name, value).run();
        assert_eq!(finished.code, Some(2), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(name), "{}", finished.stderr);
    }
}

#[test]
fn an_admission_that_cannot_reach_github_skips_and_sets_its_outputs() {
    let workplace = workplace();
    let output = workplace.path().join("outputs");
    let admit = |expires_at: &str| {
        step(&workplace, "session-admit", &task(&json!(["/usr/bin/env"])))
            .env("COORDINATOR_EXPIRES_AT", expires_at)
            .env("GITHUB_RUN_ID", "7")
            .env(
                "GITHUB_WORKFLOW_REF",
                "octo/demo/.github/workflows/agent-session.yml@refs/heads/main",
            )
            .env("GITHUB_API_URL", "http://127.0.0.1:1")
            .env("GITHUB_GRAPHQL_URL", "http://127.0.0.1:1/graphql")
            .env("GITHUB_OUTPUT", output.to_str().expect("temporary folders are UTF-8"))
            .run()
    };
    let finished = admit("9999-01-01T00:00:00Z");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(
        finished.stdout.starts_with("skip: the history of the slot is not known: "),
        "{}",
        finished.stdout
    );
    let told = std::fs::read_to_string(&output).expect("the outputs are there");
    assert!(
        told.starts_with("go=false\nreason=the history") && told.lines().count() == 2,
        "{told}"
    );
    let finished = admit("2026-01-01T00:05:00Z");
    assert!(finished.stdout.starts_with("skip: its ticket expired"), "{}", finished.stdout);
    let told = std::fs::read_to_string(&output).expect("the outputs are there");
    assert_eq!(told.lines().count(), 4, "a step appends to its outputs: {told}");
}

#[test]
fn an_admission_without_a_token_is_a_mistake_of_the_workflow() {
    let workplace = workplace();
    let admit = step(&workplace, "session-admit", &task(&json!(["/usr/bin/env"])))
        .env("GITHUB_RUN_ID", "7")
        .env("GITHUB_WORKFLOW_REF", "octo/demo/.github/workflows/agent-session.yml@refs/heads/main")
        .without_env("GITHUB_TOKEN");
    let finished = admit.run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("give the step GITHUB_TOKEN"), "{}", finished.stderr);
}

#[test]
fn the_former_name_of_session_admit_still_works_and_logs_the_new_one() {
    let workplace = workplace();
    let finished = |command: &str| {
        let output = workplace.path().join(format!("outputs-{command}"));
        let finished = step(&workplace, command, &task(&json!(["/usr/bin/env"])))
            .env("GITHUB_RUN_ID", "7")
            .env(
                "GITHUB_WORKFLOW_REF",
                "octo/demo/.github/workflows/agent-session.yml@refs/heads/main",
            )
            .env("GITHUB_API_URL", "http://127.0.0.1:1")
            .env("GITHUB_GRAPHQL_URL", "http://127.0.0.1:1/graphql")
            .env("GITHUB_OUTPUT", output.to_str().expect("temporary folders are UTF-8"))
            .run();
        (finished, std::fs::read_to_string(&output).expect("the outputs are there"))
    };
    let (now, outputs) = finished("session-admit");
    let (former, former_outputs) = finished("gate");
    assert_eq!((now.code, &now.stdout, &outputs), (former.code, &former.stdout, &former_outputs));
    assert!(former_outputs.starts_with("go=false\nreason=its ticket expired"), "{former_outputs}");
    let sentence = "`coordinator gate` is now `coordinator session-admit`";
    assert!(former.stderr.contains(sentence), "{}", former.stderr);
    assert!(!now.stderr.contains(sentence), "{}", now.stderr);
    let by_hand = coordinator(&workplace).args(["gate"]).run();
    assert_eq!(by_hand.code, Some(2), "outside of a workflow run: {}", by_hand.stderr);
    let help = coordinator(&workplace).args(["help"]).run().stdout;
    assert!(!help.contains("gate") && !help.contains("session-admit"), "{help}");
}
