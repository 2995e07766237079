//! The command line: help, completion, names as people write them, and the place of the roster.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::roster::{Folder, Run};

const MACHINE: [&str; 6] =
    ["session-run", "session-exec", "session-agent", "session-admit", "gate", "plugin-test"];

fn run(arguments: &[&str]) -> Run {
    Folder::bare("").run(arguments)
}

/// A fleet of two roles, `ui_builder` with three slots and `sentinel` with one.
fn fleet() -> Folder {
    Folder::with_briefs(
        "fleet = \"demo\"\n[[role]]\nkey = \"ui_builder\"\ncount = 3\n[[role]]\n\
         key = \"sentinel\"\n",
    )
}

#[test]
fn help_has_one_line_of_80_columns_for_each_command() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(help.stdout, @r"
    Keeps a fleet of coding agents at its declared size, and merges what is approved

    Usage: coordinator [OPTIONS] <COMMAND>

    Commands:
      init         Write a starter roster, briefs and deploy files
      check        Validate the roster and its briefs; uses no network
      doctor       Check the setup: tokens, branch rules, platform, endpoints
      reconcile    Run one cycle: inventory, spawn, merge, health, report
      status       Show the fleet at a glance: what runs, what waits, and why
      sessions     List live and ended sessions
      logs         Print what agents write
      history      Show what ended, what it cost, and what was merged
      budget       Show what sessions may cost: caps, spent, reserved
      stop         End live sessions; their slots wait until `retry` or `resume`
      pause        Start no session and merge nothing until `resume`
      resume       End the pause, and let stopped slots go on
      retry        Start a session in a slot at once, whatever failed before
      attach       Go to the agent of a slot
      pulls        List open pull requests with verdict and reason
      prompt       Print the prompt that a session of a role gets
      schema       Print the JSON schema of the roster
      completions  Print a completion script for a shell
      man          Print the manual page
      help         Print help

    Global options:
      -c, --config <FILE>        Roster [default: roster.toml, here or above]
      -o, --output <FORMAT>      Result on stdout: text, json or markdown
      -v, --verbose...           More detail in reports and logs; twice for more
          --color <WHEN>         auto, always or never; NO_COLOR is respected
          --context <NAME>       Kubeconfig context [default: the current one]
          --log-format <FORMAT>  Log on stderr: text or json
          --log-level <LEVEL>    error, warn, info, debug or trace
      -h, --help                 Print help
      -V, --version              Print the version

    `coordinator help --all` lists the options of every command.
    ");
    assert!(help.stdout.lines().all(|line| line.chars().count() <= 80), "{}", help.stdout);
    for command in MACHINE {
        assert!(!help.stdout.contains(command), "{command}");
    }
    assert_eq!(run(&["help"]).stdout, help.stdout);
}

#[test]
fn the_help_of_a_command_names_the_global_options_in_one_line() {
    let help = run(&["pulls", "--help"]);
    assert_eq!(help.code, Some(0), "{}", help.stderr);
    assert!(help.stdout.lines().count() <= 6, "{}", help.stdout);
    assert!(help.stdout.contains("Global options: -c, -o, -v"), "{}", help.stdout);
    assert_eq!(run(&["help", "pulls"]).stdout, help.stdout);
}

#[test]
fn help_all_lists_the_options_of_every_command() {
    let help = run(&["help", "--all"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for part in ["Usage: coordinator logs [OPTIONS] [SLOT]", "--metrics-file", "--try-agent"] {
        assert!(help.stdout.contains(part), "{part:?} is missing in\n{}", help.stdout);
    }
    assert_eq!(help.stdout.matches("--log-level").count(), 1, "{}", help.stdout);
    for command in MACHINE {
        assert!(!help.stdout.contains(command), "{command}");
    }
}

#[test]
fn commands_of_programs_work_and_are_never_suggested() {
    let typo = run(&["session"]);
    assert_eq!(typo.code, Some(2));
    assert!(typo.stderr.contains("'sessions'"), "{}", typo.stderr);
    for typed in ["session", "gat", "plugin-tes", "session-admi"] {
        let typo = run(&[typed]);
        for command in MACHINE {
            assert!(!typo.stderr.contains(&format!("'{command}'")), "{}", typo.stderr);
        }
    }
    let help = run(&["plugin-test", "--help"]);
    assert_eq!(help.code, Some(0), "{}", help.stderr);
    assert!(help.stdout.contains("coordinator plugin-test [OPTIONS] <PATH>"), "{}", help.stdout);
}

#[test]
fn the_manual_page_has_the_commands_for_people() {
    let page = run(&["man"]);
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    for part in [".TH coordinator 1", "coordinator\\-reconcile(1)", "\\-\\-config"] {
        assert!(page.stdout.contains(part), "{part:?} is missing in\n{}", page.stdout);
    }
    for command in MACHINE {
        assert!(!page.stdout.contains(&command.replace('-', "\\-")), "{command}");
    }
    let page = run(&["man", "logs"]);
    assert!(page.stdout.contains("\\-\\-follow"), "{}", page.stdout);
    let unknown = run(&["man", "log"]);
    assert_eq!(unknown.code, Some(2));
    assert_eq!(unknown.stderr, "error: no command named `log`; did you mean `logs`?\n");
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(script.stdout.contains("COORDINATOR_COMPLETE"), "{shell}: {}", script.stdout);
    }
}

/// What bash offers after these words, the last one being completed.
fn completed(folder: &Folder, words: &[&str]) -> Vec<String> {
    let mut program = folder.command(&["--", "coordinator"]);
    program.args(words).env("COORDINATOR_COMPLETE", "bash").env("_CLAP_IFS", "\n");
    program.env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    let run = Run::of(&mut program);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    run.stdout.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn slots_and_roles_are_completed_from_the_roster() {
    let folder = fleet();
    let slots = ["ui-builder-s0", "ui-builder-s1", "ui-builder-s2"];
    assert_eq!(completed(&folder, &["logs", "ui"]), slots);
    assert_eq!(completed(&folder, &["stop", "sent"]), ["sentinel-s0"]);
    assert_eq!(completed(&folder, &["reconcile", "--role", "u"]), ["ui_builder"]);
    assert_eq!(completed(&folder, &["prompt", "s"]), ["sentinel"]);
    assert_eq!(completed(&folder, &["sess"]), ["sessions"]);
    assert!(completed(&folder, &["session-"]).is_empty());
}

#[test]
fn bash_completes_with_the_printed_script() {
    let folder = fleet();
    let script = folder.run(&["completions", "bash"]).stdout;
    let bin = Path::new(env!("CARGO_BIN_EXE_coordinator")).parent().expect("a folder");
    let typed = "COMP_WORDS=(coordinator logs ui); COMP_CWORD=2; COMP_TYPE=9; \
        COMP_LINE='coordinator logs ui'; _clap_complete_coordinator coordinator ui logs; \
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &format!("{script}\n{typed}")]).current_dir(folder.path());
    bash.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let run = Run::of(&mut bash);
    assert!(run.stdout.contains("ui-builder-s2"), "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn the_roster_is_looked_for_in_the_folders_above() {
    let folder = fleet();
    let below = folder.path().join("src/deep");
    fs::create_dir_all(&below).expect("a folder can be made");
    let from = |dir: &Path, arguments: &[&str]| Run::of(folder.command(arguments).current_dir(dir));
    let check = from(&below, &["check"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    assert!(check.stdout.contains("fleet demo: 2 roles, 4 agents"), "{}", check.stdout);
    let exact = from(&below, &["check", "--config", "roster.toml"]);
    assert_eq!(exact.code, Some(2), "{}", exact.stdout);
    let variable = Run::of(
        folder.command(&["check"]).current_dir(&below).env("COORDINATOR_CONFIG", "other.toml"),
    );
    assert!(variable.stderr.contains("other.toml not found\n"), "{}", variable.stderr);
    let empty = tempfile::tempdir().expect("a temporary folder");
    let none = from(empty.path(), &["check"]);
    assert_eq!(none.code, Some(2), "{}", none.stdout);
    let message = "error: roster.toml not found in this folder or above\n";
    assert!(none.stderr.starts_with(message), "{}", none.stderr);
}

#[test]
fn a_hyphen_and_an_underscore_are_alike_wherever_a_slot_or_a_role_is_named() {
    let folder = fleet();
    for role in ["ui-builder", "ui_builder"] {
        let run = folder.run(&["reconcile", "--dry-run", "--role", role, "-o", "json"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{role}");
        assert_eq!(run.stdout.matches("\"demo-ui-builder-s").count(), 3, "{}", run.stdout);
    }
    for slot in ["ui-builder-s1", "ui_builder_s1", "demo-ui-builder-s1", "demo_ui_builder-s1"] {
        let run = folder.run(&["logs", slot]);
        assert!(run.stdout.starts_with("ui-builder-s1 has not run yet; "), "{}", run.stdout);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    let only = folder.run(&["logs", "sentinel"]);
    assert!(only.stdout.starts_with("sentinel-s0 has not run yet; "), "{}", only.stdout);
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_one() {
    let folder = fleet();
    for (arguments, message) in [
        (["logs", "ui-bulder"], "no slot named `ui-bulder`; did you mean `ui-builder-s0`?"),
        (["stop", "sentinal"], "no slot named `sentinal`; did you mean `sentinel-s0`?"),
        (["logs", "zzz"], "no slot named `zzz`; `coordinator sessions` lists the slots"),
        (
            ["logs", "ui-builder"],
            "`ui-builder` has 3 slots; name one of ui-builder-s0 ui-builder-s1 ui-builder-s2",
        ),
        (["prompt", "UI-Builder"], "no role named `UI-Builder`; did you mean `ui_builder`?"),
        (["reconcile", "--role=zzz"], "no role named `zzz`; `coordinator check` lists the roles"),
    ] {
        let run = folder.run(&arguments);
        // The platform may have a slot that the roster lacks; a role is always the roster's.
        let code = if ["logs", "stop"].contains(&arguments[0]) { 1 } else { 2 };
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{arguments:?}");
        assert_eq!(run.stderr, format!("error: {message}\n"));
    }
}

#[test]
fn a_quiet_cycle_prints_only_what_was_done_or_is_wrong() {
    let folder = fleet();
    let quiet = |arguments: &[&str]| {
        let run = folder.run(&[&["reconcile", "--quiet"], arguments].concat());
        (run.code, run.stdout, run.stderr)
    };
    let silence = (Some(0), String::new(), String::new());
    assert_eq!(quiet(&["--skip", "spawn"]), silence);
    assert_eq!(quiet(&["--skip", "spawn", "-o", "json"]), silence);
    let (code, report, _) = quiet(&["--dry-run"]);
    assert_eq!(code, Some(0));
    assert!(report.contains("ui_builder"), "what would be started: {report}");
    folder.write("roster.toml", "fleet = \"demo\"\n[repository]\nname = \"acme/shop\"\n");
    let broken = folder.run(&["reconcile", "--quiet", "--only", "merge"]);
    assert_eq!(broken.code, Some(1), "{}", broken.stdout);
    assert!(broken.stdout.contains("GITHUB_TOKEN"), "{}", broken.stdout);
}

#[test]
fn a_misspelt_placeholder_is_refused_and_other_braces_stay() {
    let with = |command: &str| {
        let roster = format!(
            "fleet = \"demo\"\n[defaults]\ncommand = {command}\n[[role]]\nkey = \"alpha\"\n"
        );
        Folder::with_briefs(&roster).run(&["check"])
    };
    let refused = with(r#"["agent", "{promt}"]"#);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    for part in ["unknown placeholder `{promt}` in `command`", "did you mean `{prompt}`?", "3:11"] {
        assert!(refused.stderr.contains(part), "{part:?} is missing in\n{}", refused.stderr);
    }
    for command in [
        r#"["sh", "-c", "echo {x} ${ROLE}", "{prompt}"]"#,
        r#"["agent", '{"a": 1}', "{{promt}}", "{max_turns}"]"#,
    ] {
        let run = with(command);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{command}");
    }
}

#[test]
fn examples_that_init_wrote_are_warnings_of_check() {
    let folder = Folder::with_briefs("fleet = \"demo\"\n[repository]\nname = \"owner/repo\"\n");
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warning = "warning: `name` in [repository] is still the example `owner/repo`\n";
    assert!(run.stderr.starts_with(warning), "{}", run.stderr);
}
