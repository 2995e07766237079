//! The report's forms, seen from outside: hostile titles in all of them, and the metrics file.

use std::fs;

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{GitHub, Production, Pull, Repository};

const HOSTILE: &str =
    "\u{1b}[31mred\u{7} @everyone <img src=x> `x` | [a](https://evil.example) \u{202e} [skip ci]";

fn hostile_world() -> (GitHub, RosterText) {
    let title = HOSTILE.to_owned();
    let pull =
        |number| Pull { number, title: title.clone(), draft: number == 8, ..Pull::default() };
    let github = GitHub::start(Repository::with([pull(7), pull(8)]));
    let roster = RosterText::default().merging(&github, "").deadline("60s");
    (github, roster)
}

#[test]
fn a_hostile_title_reaches_no_terminal_page_or_program_unharmed() {
    for form in ["text", "markdown", "json"] {
        let (github, roster) = hostile_world();
        let arguments = ["reconcile", "--only", "merge", "-o", form, "--color", "never", "-vv"];
        let finished = coordinator(&roster.write()).args(arguments).run();
        assert_eq!(github.merged(), [7], "{}", finished.stderr);
        for output in [&finished.stdout, &finished.stderr] {
            let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!output.contains(odd), "{form}: {output:?}");
        }
        assert!(finished.stdout.contains("red"), "{}", finished.stdout);
        if form == "markdown" {
            for sign in ["<img", "@everyone", "`x`", "](", "https://evil"] {
                assert!(!finished.stdout.contains(sign), "{sign} in {}", finished.stdout);
            }
        }
    }
}

#[test]
fn colour_is_used_only_when_it_is_wanted() {
    let (_github, roster) = hostile_world();
    let workplace = roster.write();
    let run = |arguments: &[&str]| {
        let all = ["reconcile", "--only", "merge", "--dry-run"].iter().chain(arguments).copied();
        coordinator(&workplace).args(all).run().stdout.contains('\u{1b}')
    };
    assert!(!run(&[]), "a pipe is not a terminal");
    assert!(!run(&["--color", "never"]));
    assert!(run(&["--color", "always"]));
}

#[test]
fn the_metrics_file_speaks_of_the_cycle_and_a_missing_folder_is_refused_before_it() {
    let production = Production::up();
    let workplace = RosterText::default().watching("production", &production.url(), "").write();
    let metrics = ["reconcile", "--only", "health", "--metrics-file"];
    let refused =
        coordinator(&workplace).args(metrics.iter().copied().chain(["absent/x.prom"])).run();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("absent"), "{}", refused.stderr);
    assert!(production.state().journal.is_empty(), "nothing was touched");

    let finished =
        coordinator(&workplace).args(metrics.iter().copied().chain(["coordinator.prom"])).run();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let text =
        fs::read_to_string(workplace.path().join("coordinator.prom")).expect("it was written");
    assert!(
        text.contains("coordinator_endpoint_up{fleet=\"demo\",endpoint=\"production\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("coordinator_status{fleet=\"demo\",status=\"healthy\"} 1\n"), "{text}");
    assert!(!text.contains("step=\"merge\""), "{text}");
}
