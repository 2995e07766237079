//! Files that are no rosters: always a clear error, never a panic.

use std::fmt::Write as _;
use std::fs;

use proptest::prelude::*;

use super::Folder;

fn refused(folder: &Folder, part: &str) {
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains(part), "{part:?} is missing in\n{}", run.stderr);
    assert!(run.stderr.ends_with(" nothing was changed\n"), "{}", run.stderr);
}

#[test]
fn an_empty_roster_is_refused_with_what_to_do() {
    refused(&Folder::bare(""), "the roster is empty");
    refused(&Folder::bare(" \n\n"), "`coordinator init` writes a starter");
    refused(&Folder::bare("# nothing yet\n"), "the roster has no `fleet`");
}

#[test]
fn a_roster_of_10_mb_is_refused_by_its_size() {
    refused(&Folder::bare(vec![b'#'; 10_000_000]), "the roster is too large: 10000000 bytes");
}

#[test]
fn invalid_utf8_is_refused_with_its_place() {
    refused(&Folder::bare(b"fleet = \"demo\"\n# caf\xe9\n"), "--> roster.toml:2:6");
}

#[test]
fn a_roster_that_is_not_a_file_is_refused() {
    let folder = Folder::bare("");
    fs::remove_file(folder.path().join("roster.toml")).expect("it can be removed");
    refused(&folder, "roster.toml not found in this folder or above");
    fs::create_dir(folder.path().join("roster.toml")).expect("a folder can be made");
    refused(&folder, "the roster is a directory: roster.toml");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_instead_of_waited_for() {
    let folder = Folder::bare("");
    fs::remove_file(folder.path().join("roster.toml")).expect("it can be removed");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("roster.toml")).status();
    assert!(made.expect("mkfifo runs").success());
    refused(&folder, "the roster is not a regular file");
}

#[test]
fn a_file_with_a_mistake_in_every_line_is_cut_short() {
    let mut roster = String::new();
    for index in 0..30_000 {
        let _ = writeln!(roster, "key_{index} = nonsense");
    }
    refused(&Folder::bare(roster), " more\n\n");
}

#[test]
fn control_characters_of_a_roster_do_not_reach_the_terminal() {
    let run = Folder::bare("fleet = \"demo\"\n\"a\u{9b}2J\\u001b[31m\" = 1\n").run(&["check"]);
    assert_eq!(run.code, Some(2));
    assert!(!run.stderr.contains(['\u{1b}', '\u{9b}']), "{:?}", run.stderr);
}

#[test]
fn a_thousand_roles_are_read() {
    let mut roster = "fleet = \"demo\"\n".to_owned();
    for index in 0..1000 {
        let _ = writeln!(roster, "[[role]]\nkey = \"r{index}\"\ncount = 2");
    }
    let folder = Folder::with_briefs(&roster);
    let roles = folder.load().expect("it is valid").roles;
    assert_eq!(roles.len(), 1000);
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("1000 roles, 2000 agents"), "{}", run.stdout);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_make_a_roster_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let told = Folder::bare(bytes).load().expect_err("no random bytes name a fleet");
        prop_assert!(told.ends_with(" nothing was changed\n"), "{told}");
    }

    #[test]
    fn a_damaged_roster_is_read_or_refused_without_a_panic(
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), "[\\[\\]{}=\"'#.\\n\\t a-z0-9-]{0,3}"),
            1..6,
        ),
    ) {
        let mut roster = include_str!("mistakes.toml").to_owned();
        for (at, text) in edits {
            let at = at.index(roster.len());
            roster.replace_range(at..=at, &text);
        }
        if let Err(told) = Folder::bare(roster).load() {
            prop_assert!(told.ends_with(" nothing was changed\n"), "{told}");
        }
    }
}
