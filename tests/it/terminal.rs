//! What a person at a terminal gets: progress, widths, local times, and each error once.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use nix::pty::openpty;

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{Fault, GitHub, Production, Pull, Repository, Route, Workplace};

const CLEAR: &str = "\r\u{1b}[2K";
/// Names that are as wide as they are long, and others.
const DEPARTMENT: &str = "部門 👩\u{200d}💻 🇩🇪 e\u{301}";

/// GitHub never lists, and the cycle gives up after two seconds.
fn hanging() -> (GitHub, Workplace) {
    let github = GitHub::start(Repository::with([Pull::eligible(1)]));
    github.always(Route::List, Fault::never());
    let workplace = RosterText::default().deadline("2s").merging(&github, "").write();
    (github, workplace)
}

/// What the command writes to a terminal on stderr, and its stdout.
fn on_terminal(workplace: &Workplace, arguments: &[&str]) -> (String, String) {
    let terminal = openpty(None, None).expect("a terminal");
    let mut command = coordinator(workplace).args(arguments.iter().copied()).into_command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(terminal.slave);
    let child = command.spawn().expect("the binary starts");
    drop(command);
    let (mut bytes, mut screen) = (Vec::new(), File::from(terminal.master));
    // The kernel ends the read with an error once the other side is closed.
    let _ = screen.read_to_end(&mut bytes);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("all output is UTF-8");
    (text(bytes), text(output.stdout))
}

#[test]
fn a_command_that_waits_names_what_for_and_its_error_stands_on_a_line_of_its_own() {
    let (_github, workplace) = hanging();
    let (screen, stdout) = on_terminal(&workplace, &["pulls"]);
    let shown: Vec<&str> = screen.split(CLEAR).collect();
    assert!(shown.contains(&"reading pull requests from 127.0.0.1 ... 1s"), "{screen:?}");
    let error = "error: timed out after 2s (`deadline` in the roster)\r\n";
    assert_eq!(shown.last(), Some(&error), "{screen:?}");
    assert_eq!(stdout, "");
}

#[test]
fn a_cycle_shows_its_steps_and_leaves_the_terminal_clean() {
    let (_github, workplace) = hanging();
    let (screen, stdout) = on_terminal(&workplace, &["reconcile", "--only", "merge"]);
    assert!(screen.contains("running merge ... 1s"), "{screen:?}");
    assert!(screen.ends_with(CLEAR), "{screen:?}");
    assert!(stdout.starts_with("coordinator  demo"), "{stdout}");
}

#[test]
fn without_a_terminal_there_is_no_progress() {
    let (_github, workplace) = hanging();
    let finished = coordinator(&workplace).args(["pulls"]).run();
    assert_eq!(finished.stderr, "error: timed out after 2s (`deadline` in the roster)\n");
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_that_says_why() {
    let github = GitHub::start(Repository::with([Pull::eligible(1)]));
    let workplace = RosterText::default().merging(&github, "").write();
    let cycle: &[&str] = &["reconcile", "--dry-run"];
    for arguments in [cycle, &["sessions"], &["pulls"], &["check"], &["doctor"], &["schema"]] {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let mut command = coordinator(&workplace).args(arguments.iter().copied()).into_command();
        let output = command.stdout(full).output().expect("the binary runs");
        let stderr = String::from_utf8(output.stderr).expect("all output is UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        let error = "error: cannot write the result to standard output: No space left";
        assert!(stderr.contains(error), "{arguments:?}: {stderr}");
    }
}

#[test]
fn one_cause_is_one_message() {
    let github = GitHub::start(Repository::with([Pull::eligible(1)]));
    github.always(Route::List, Fault::status(500, "out of order"));
    let workplace = RosterText::default().merging(&github, "").write();
    let finished = coordinator(&workplace).args(["reconcile", "--only", "merge"]).run();
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert_eq!(finished.stdout.matches("out of order").count(), 1, "{}", finished.stdout);
    assert!(finished.stdout.contains("\nbroken: merge failed"), "{}", finished.stdout);
    assert_eq!(finished.stderr, "");
}

#[test]
fn times_are_local_for_people_and_utc_for_programs() {
    let workplace = RosterText::default().write();
    let run = |form: &str| {
        let cycle = coordinator(&workplace).args(["reconcile", "--only", "health", "-o", form]);
        cycle.env("TZ", "XYZ-5:30").run().stdout
    };
    let (text, markdown, json) = (run("text"), run("markdown"), run("json"));
    let heading = text.lines().next().unwrap_or_default();
    assert!(heading.starts_with("coordinator  demo  20") && heading.ends_with(" XYZ"), "{heading}");
    assert!(markdown.contains(" XYZ, "), "{markdown}");
    assert!(json.contains("Z\",\"duration_ms\"") && !json.contains("XYZ"), "{json}");
}

#[test]
fn every_table_fits_the_width_that_columns_gives() {
    let titled = |number| Pull {
        title: format!("{DEPARTMENT} and more than a few plain words, to fill the line"),
        ..Pull::eligible(number)
    };
    let draft = Pull { draft: true, ..titled(2) };
    let github = GitHub::start(Repository::with([titled(1), draft]));
    let production = Production::up();
    let roster = RosterText::default()
        .merging(&github, "")
        .role("ui_builder", 12, r#"["sh", "-c", "exit 7"]"#)
        .watching("production", &production.url(), "")
        .write();
    let text = std::fs::read_to_string(roster.roster()).expect("the roster is there");
    let text = text.replace("\"Engineering\"", &format!("\"{DEPARTMENT}\""));
    roster.write("roster.toml", text);
    let cycle: &[&str] = &["reconcile", "--skip", "merge"];
    for arguments in [cycle, &["sessions"], &["pulls"], &["check"], &["doctor"]] {
        for columns in [40, 80, 120, 200] {
            let program = coordinator(&roster).args(arguments.iter().copied());
            let finished = program.env("COLUMNS", &columns.to_string()).run();
            let shown = finished.stdout;
            assert!(shown.lines().count() > 3, "{arguments:?}: {shown}{}", finished.stderr);
            for line in shown.lines() {
                let cells = unicode_width::UnicodeWidthStr::width(line);
                assert!(cells <= columns, "{arguments:?} at {columns}: {line}\n{shown}");
            }
        }
    }
}
