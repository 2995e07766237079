//! deploy/monitoring and docs/monitoring.md against what the program writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use coordinator::steps::report::alerts::AlertKind;
use serde_json::Value;

use crate::coordinator;
use testkit::workplace::RosterText;
use testkit::{GitHub, Production, Pull, Reply, Repository};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let starts = text.match_indices("coordinator_").map(|(at, _)| &text[at..]);
    starts.map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default().to_owned()).collect()
}

/// The metrics of a cycle with every step, a pull request that waits and a slot that is held.
fn written() -> BTreeSet<String> {
    let draft = Pull { draft: true, ..Pull::eligible(1) };
    let github = GitHub::start(Repository::with([draft]));
    let production = Production::start(Reply::new(503, "busy"));
    let workplace = RosterText::default()
        .platform("max_spawns = 0")
        .merging(&github, "")
        .watching("production", &production.url(), "")
        .role("ui_builder", 1, r#"["true"]"#)
        .write();
    coordinator(&workplace).args(["reconcile", "--metrics-file", "metrics.prom"]).run();
    let text = fs::read_to_string(workplace.path().join("metrics.prom")).expect("written");
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_metric_of_the_monitoring_files_is_one_that_the_program_writes() {
    let written = written();
    assert!(written.len() > 20, "{written:?}");
    for file in
        ["deploy/monitoring/rules.yaml", "deploy/monitoring/rules.test.yaml", "docs/monitoring.md"]
    {
        let named = names(&read(file));
        let unknown: Vec<_> = named.difference(&written).collect();
        assert!(named.len() > 3 && unknown.is_empty(), "{file} names {unknown:?}");
    }
    let dashboard: Value =
        serde_json::from_str(&read("deploy/monitoring/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
    assert!(expressions.len() > 10 && expressions.iter().all(|it| !names(it).is_empty()));
    let named = names(&dashboard.to_string());
    assert_eq!(named.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn each_cause_of_alert_has_a_rule_and_a_row_in_the_manual() {
    let (rules, page) = (read("deploy/monitoring/rules.yaml"), read("docs/monitoring.md"));
    for word in AlertKind::ALL.map(AlertKind::word) {
        let selects = |line: &str| {
            let (_, causes) = line.split_once("cause=")?;
            let causes = causes.trim_start_matches('~').trim_start_matches('"');
            Some(causes.split('"').next()?.split('|').any(|cause| cause == word))
        };
        assert!(rules.lines().filter_map(selects).any(|found| found), "a rule for {word}");
        assert!(page.contains(&format!("\n| `{word}` |")), "docs/monitoring.md: a row for {word}");
    }
}
