//! What comes with the program: the default roster and its schema.

use std::collections::BTreeMap;
use std::path::Path;

use coordinator_core::fleet::Mode;
use coordinator_roster::{Roster, reference};

use super::Folder;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Roster {
    coordinator_roster::load(&root().join("roster.toml"), &|name| {
        (name == "HOME").then(|| "/home/someone".to_owned())
    })
    .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

#[test]
fn the_shipped_fleet_has_25_roles_and_38_agents_in_10_departments() {
    let roster = shipped();
    let mut departments: BTreeMap<&str, (usize, u32)> = BTreeMap::new();
    for role in &roster.roles {
        let department = departments.entry(&role.department).or_default();
        *department = (department.0 + 1, department.1 + role.count);
    }
    let expected = [
        ("Code Health", (3, 3)),
        ("Engineering", (3, 9)),
        ("Gates", (2, 5)),
        ("Growth", (4, 6)),
        ("Infrastructure", (1, 1)),
        ("Performance", (3, 3)),
        ("Product", (3, 3)),
        ("Quality", (2, 4)),
        ("Security", (2, 2)),
        ("Standards", (2, 2)),
    ];
    assert!(
        departments.iter().map(|(name, sizes)| (*name, *sizes)).eq(expected),
        "{departments:?}"
    );
    assert_eq!(roster.roles.len(), 25);
    assert_eq!(roster.roles.iter().map(|role| role.count).sum::<u32>(), 38);
}

#[test]
fn each_shipped_role_has_the_mode_of_its_work() {
    let roster = shipped();
    let in_mode = |mode: Mode| roster.roles.iter().filter(|role| role.mode == mode).count();
    assert_eq!(Mode::ALL.map(in_mode), [4, 4, 15, 1, 1]);
}

#[test]
fn the_shipped_fleet_cannot_run_up_a_bill_or_merge_unasked() {
    let roster = shipped();
    assert!(roster.roles.iter().all(|role| role.spec.backoff.min_interval.as_secs() == 30 * 60));
    assert!(roster.repository.is_none() && roster.health.is_empty());
}

#[test]
fn a_shipped_brief_is_one_or_two_sentences() {
    for role in &shipped().roles {
        let brief = &role.spec.brief;
        let sentences = brief.matches(['.', '?', '!']).count();
        assert!((1..=2).contains(&sentences) && brief.len() < 300, "{}: {brief}", role.key);
    }
}

#[test]
fn check_shows_the_shipped_roster_as_a_table() {
    let folder = Folder::bare("");
    let roster = root().join("roster.toml");
    let run = folder.run(&["check", "--config", &roster.to_string_lossy()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!("check", run.stdout);
}

#[test]
fn check_in_json_names_the_contract() {
    let folder =
        Folder::with_briefs("fleet = \"demo\"\n[[role]]\nkey = \"ui_builder\"\ncount = 3\n");
    let run = folder.run(&["check", "-o", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let document: serde_json::Value = serde_json::from_str(&run.stdout).expect("stdout is JSON");
    insta::assert_json_snapshot!("check_json", document);
}

#[test]
fn the_modes_of_the_schema_are_the_modes_of_the_program() {
    let schema = reference::schema();
    let words = schema["properties"]["role"]["items"]["properties"]["mode"]["enum"].clone();
    assert_eq!(words, serde_json::json!(Mode::ALL.map(Mode::word)));
}
