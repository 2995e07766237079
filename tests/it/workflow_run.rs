//! A cycle inside a workflow run: its summary, its annotations, and nothing in its output that the
//! runner would obey.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{
    Fault, Finished, GitHub, Production, Program, Pull, Reply, Repository, Route, TOKEN, Workplace,
};

const LIMIT: usize = 1 << 20;

/// Whether the runner obeys this line, as github.com/actions/runner decides it, whatever the
/// command's name is.
fn is_obeyed(line: &str) -> bool {
    let newer = line.trim_start().strip_prefix("::").is_some_and(|rest| rest.contains("::"));
    let older = line.split_once("##[").is_some_and(|(_, rest)| rest.contains(']'));
    newer || older
}

fn commands(output: &str) -> Vec<&str> {
    output.split(['\n', '\r']).filter(|line| is_obeyed(line)).collect()
}

fn inside(program: Program) -> Program {
    program.env("GITHUB_ACTIONS", "true")
}

/// Production answers 503, and the one merge is refused in words that look like commands.
fn trouble() -> (GitHub, Production, Workplace) {
    let title = "##[stop-commands]x ::error::y";
    let github = GitHub::start(Repository::with([Pull::eligible(7).titled(title)]));
    let words = format!("no\n::add-mask::a\r\n  ::set-output name=go::true\n##[add-mask]b {TOKEN}");
    github.always(Route::Merge(7), Fault::status(403, &words));
    let production = Production::start(Reply::new(503, "busy"));
    let roster =
        RosterText::default().merging(&github, "").watching("shop, 5%", &production.url(), "");
    (github, production, roster.write())
}

/// A cycle that starts no local session, which a workflow run would end.
const CYCLE: [&str; 3] = ["reconcile", "--only", "merge,health"];

/// A cycle with a summary that holds this already.
fn summarized(before: &[u8], arguments: &[&str]) -> (Finished, String) {
    let (_github, _production, workplace) = trouble();
    workplace.write("summary.md", before);
    let path = workplace.path().join("summary.md");
    let program = coordinator(&workplace).args(CYCLE).args(arguments.iter().copied());
    let finished = inside(program).env("GITHUB_STEP_SUMMARY", &text(&path)).run();
    (finished, fs::read_to_string(path).expect("a summary is text"))
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary folders are UTF-8").to_owned()
}

#[test]
fn the_summary_is_the_report_in_markdown_whatever_the_output_is() {
    for form in ["text", "json", "markdown"] {
        let (finished, summary) = summarized(b"# Before\n", &["-o", form]);
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(summary.starts_with("# Before\n\n### coordinator, demo: broken\n"), "{summary}");
        assert!(!summary.contains(TOKEN), "{summary}");
        assert_eq!(form == "markdown", finished.stdout.starts_with("### "), "{}", finished.stdout);
        assert_eq!(form == "json", serde_json::from_str::<Value>(&finished.stdout).is_ok());
    }
}

#[test]
fn a_summary_never_grows_over_githubs_limit() {
    let (finished, summary) = summarized(&vec![b'x'; LIMIT - 400], &[]);
    assert_eq!(finished.code, Some(1));
    assert!(summary.len() <= LIMIT, "{}", summary.len());
    let (_, added) = summary.split_at(LIMIT - 400);
    assert!(
        added.starts_with("\n### coordinator, demo: broken\n") && added.contains("is cut"),
        "{added}"
    );
    let (_, full) = summarized(&vec![b'x'; LIMIT], &[]);
    assert_eq!(full.len(), LIMIT);
}

#[test]
fn a_summary_that_cannot_be_written_is_a_line_of_the_log_and_no_failure() {
    let production = Production::up();
    let workplace = RosterText::default().watching("production", &production.url(), "").write();
    let absent = text(&workplace.path().join("absent/summary.md"));
    let cycle =
        |path: &str| coordinator(&workplace).args(CYCLE).env("GITHUB_STEP_SUMMARY", path).run();
    let finished = cycle(&absent);
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    assert!(finished.stdout.contains("healthy"), "{}", finished.stdout);
    assert!(
        finished.stderr.contains("cannot add the report to the summary"),
        "{}",
        finished.stderr
    );
    assert_eq!(cycle("").stderr, "", "an empty variable is as good as none");
}

#[test]
fn what_needs_a_person_is_annotated_on_stderr_and_only_for_the_runner() {
    let (_github, _production, workplace) = trouble();
    let finished = inside(coordinator(&workplace).args(CYCLE)).run();
    let annotations = commands(&finished.stderr);
    assert_eq!(annotations[0], "::error title=demo is broken::shop, 5%25 answers 503");
    assert!(
        annotations[1].starts_with("::error title=a merge failed::#7 ##[stop-commands]x"),
        "{annotations:?}"
    );
    assert!(annotations[2].starts_with("::warning title=demo is degraded::"), "{annotations:?}");
    assert!(annotations.len() <= 10, "{annotations:?}");
    let other = coordinator(&workplace).args(CYCLE).env("GITHUB_ACTIONS", "").run();
    assert!(!other.stderr.contains("::error title"), "{}", other.stderr);
}

#[test]
fn a_healthy_cycle_annotates_nothing() {
    let production = Production::up();
    let workplace = RosterText::default().watching("production", &production.url(), "").write();
    let finished = inside(coordinator(&workplace).args(CYCLE)).run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_runner_obeys_no_text_from_github() {
    for form in ["text", "json", "markdown"] {
        for log in ["text", "json"] {
            let (_github, _production, workplace) = trouble();
            let forms = ["-o", form, "-vv", "--log-format", log];
            let finished = inside(coordinator(&workplace).args(CYCLE).args(forms)).run();
            assert_eq!(
                commands(&finished.stdout),
                Vec::<&str>::new(),
                "{form}: {}",
                finished.stdout
            );
            let ours = |line: &&str| {
                line.starts_with("::error title=") || line.starts_with("::warning title=")
            };
            let strange: Vec<&str> =
                commands(&finished.stderr).into_iter().filter(|line| !ours(line)).collect();
            assert_eq!(strange, Vec::<&str>::new(), "{log}: {}", finished.stderr);
        }
    }
}

#[test]
fn a_program_reads_in_a_workflow_run_what_it_reads_elsewhere() {
    let (_github, _production, workplace) = trouble();
    let pulls = |program: Program| program.args(["pulls", "-o", "json"]).run().json();
    let (here, elsewhere) =
        (pulls(inside(coordinator(&workplace))), pulls(coordinator(&workplace)));
    assert_eq!(here, elsewhere);
    assert_eq!(here["pulls"][0]["title"], json!("##[stop-commands]x ::error::y"));
}

#[test]
fn an_error_that_ends_the_command_is_not_a_command_of_the_runner() {
    let workplace =
        Workplace::new("fleet = \"demo\"\n[platform]\nkind = '''\n::add-mask::x\n##[error]y'''\n");
    let finished = inside(coordinator(&workplace).args(CYCLE)).run();
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert_eq!(commands(&finished.stderr), Vec::<&str>::new(), "{}", finished.stderr);
}
