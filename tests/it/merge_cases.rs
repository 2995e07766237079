//! The rules of merging, one case a line in `tests/cases/merge.jsonl`, against the real binary.
//!
//! A `decision` has one pull request, and the step merges it or skips it with a reason word. A
//! `scenario` has a whole cycle: how the list answers, several pull requests, the answers to their
//! merge calls. A `message` has the title and body that the squash commit may have. Fields that a
//! case leaves out have the default of `testkit::Pull` or of the roster; `fill` stands for many
//! rows that are alike.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::contract::assert_conforms;
use crate::coordinator;
use testkit::limits::Limits;
use testkit::workplace::RosterText;
use testkit::{Author, Check, Fault, GitHub, Kind, Pull, Repository, Review, Route, commit_id};

/// Two processors are busy with this many: most of a case is waiting.
const AT_ONCE: usize = 6;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    kind: String,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    repo: Value,
    #[serde(default)]
    pr: Pull,
    #[serde(default)]
    list: Value,
    #[serde(default)]
    prs: Vec<Pull>,
    #[serde(default)]
    puts: Vec<Put>,
    #[serde(default)]
    dry_run: bool,
    /// Another command than `reconcile`.
    command: Option<String>,
    #[serde(default)]
    limits: Limits,
    /// Changes after a merge: by the number of the merged pull request and of the changed one.
    #[serde(default)]
    after_merge: BTreeMap<u64, BTreeMap<u64, Map<String, Value>>>,
    #[serde(default)]
    fill: BTreeMap<String, u64>,
    #[serde(default)]
    input: Value,
    expect: Value,
    /// Another word than the expected one is as right.
    #[serde(default)]
    any_reason: bool,
    #[serde(default)]
    expect_requests: BTreeMap<String, usize>,
}

#[derive(Debug, Deserialize)]
struct Put {
    number: u64,
    status: u16,
    #[serde(default)]
    message: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[test]
fn every_case_of_the_merge_rules_holds() {
    let cases: Vec<Case> = include_str!("../cases/merge.jsonl")
        .lines()
        .map(|line| {
            serde_json::from_str(line).unwrap_or_else(|problem| panic!("{problem} in {line}"))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let failures = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = std::panic::catch_unwind(|| case.run());
                        failures.extend(outcome.err().map(|_| case.id.clone()));
                    }
                    failures
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker catches panics"))
            .collect::<Vec<_>>()
    });
    assert!(cases.len() > 150, "only {} cases were read", cases.len());
    assert!(failures.is_empty(), "{} of {} cases fail: {failures:?}", failures.len(), cases.len());
}

impl Case {
    fn run(&self) {
        let github = GitHub::start(self.repository());
        self.script(&github);
        let workplace = RosterText::default().merging(&github, &toml_lines(&self.config)).write();
        let command = self.command.as_deref().unwrap_or("reconcile --only merge");
        let mut arguments: Vec<&str> = command.split(' ').chain(["-o", "json"]).collect();
        arguments.extend(self.dry_run.then_some("--dry-run"));
        let finished = coordinator(&workplace).args(arguments).run();
        let report = finished.json();
        let told = format!("case {}\n{report:#}\n{}", self.id, finished.stderr);
        judge_words(&report, &told);
        match self.kind.as_str() {
            "decision" => self.judge_decision(&github, &report, &told),
            "scenario" => self.judge_scenario(&github, &report, &told),
            "message" => self.judge_message(&github, &told),
            other => panic!("no such kind: {other}"),
        }
        for (kind, most) in &self.expect_requests {
            let seen = match kind.as_str() {
                "list" => github.count(Kind::List),
                "detail" => github.count(Kind::Detail),
                "put" => github.count(Kind::Merge),
                other => panic!("no such count: {other}"),
            };
            assert!(seen <= *most, "{seen} requests of kind {kind}, {most} suffice: {told}");
        }
        assert_conforms(&github);
    }

    fn repository(&self) -> Repository {
        let mut pulls: Vec<Pull> = match self.kind.as_str() {
            "decision" => vec![self.pr.clone()],
            "message" => {
                let number = self.input["number"].as_u64().expect("a message has a number");
                vec![
                    Pull::eligible(number).titled(self.input["title"].as_str().unwrap_or_default()),
                ]
            }
            _ => self
                .prs
                .iter()
                .map(|pull| Pull { reviews: approvals_of(&pull.head), ..pull.clone() })
                .collect(),
        };
        let named: Vec<u64> = pulls.iter().map(|pull| pull.number).collect();
        let others =
            (1..=self.list["count"].as_u64().unwrap_or_default()).filter(|n| !named.contains(n));
        pulls.extend(others.map(|number| Pull { reviews: Vec::new(), ..Pull::eligible(number) }));
        self.fill_up(&mut pulls);
        let mut repository = Repository::with(pulls);
        let flag = |name: &str, default: bool| self.repo[name].as_bool().unwrap_or(default);
        repository.archived = flag("archived", false);
        repository.squash_allowed = flag("squash_allowed", true);
        repository.merge_queue = flag("native_merge_queue", false);
        if let Some(branch) = self.repo["default_branch"].as_str() {
            branch.clone_into(&mut repository.default_branch);
        }
        if let Some(permission) = self.repo.get("viewer_permission") {
            repository.viewer_permission = permission.as_str().map(str::to_owned);
        }
        let bases: Vec<String> = repository.pulls.values().map(|pull| pull.base.clone()).collect();
        for base in bases {
            let commits = repository.branches["main"].clone();
            repository.branches.entry(base).or_insert(commits);
        }
        let headlines = self.repo["base_recent_headlines"].as_array().into_iter().flatten();
        for commit in headlines.rev() {
            let at = commit["at"].as_i64().unwrap_or(-120);
            let headline = commit.as_str().or(commit["headline"].as_str()).expect("a headline");
            repository.commit("main", headline, at);
        }
        repository
    }

    fn fill_up(&self, pulls: &mut Vec<Pull>) {
        for (what, times) in &self.fill {
            let numbers = 0..*times;
            match what.as_str() {
                "green_checks" => {
                    let rows = numbers.map(|n| Check::run(&format!("c{n}"), n + 1, "SUCCESS"));
                    let at = 1.min(pulls[0].checks.len());
                    pulls[0].checks.splice(at..at, rows);
                }
                "approvals" => {
                    pulls[0]
                        .reviews
                        .extend(numbers.map(|n| Review::approval(&format!("r{n}"), "h1")));
                }
                "comments" => pulls[0].reviews.extend(numbers.map(|n| Review {
                    state: "COMMENTED".to_owned(),
                    ..Review::approval(&format!("r{n}"), "h1")
                })),
                "files" => {
                    drop(pulls[0].files.splice(0..0, numbers.map(|n| format!("src/f{n}.rs"))));
                }
                "drafts" => {
                    pulls.extend(numbers.map(|n| Pull { draft: true, ..Pull::eligible(n + 1) }));
                }
                other => panic!("nothing to fill: {other}"),
            }
        }
    }

    fn script(&self, github: &GitHub) {
        if let Some(status) = self.list["status"].as_u64().filter(|status| *status != 200) {
            let status = u16::try_from(status).expect("an HTTP status");
            github.always(Route::GraphQl, Fault::status(status, "Server Error"));
        }
        if let Some(name) = self.repo["renamed_to"].as_str() {
            github.state().rename(name);
        }
        github.state().limits = self.limits.clone();
        for (merged, changes) in self.after_merge.clone() {
            github.when(Route::Merge(merged), move |state| {
                for (number, fields) in changes {
                    let pull = state.repository().pulls.get_mut(&number).expect("it is there");
                    change(pull, fields);
                }
            });
        }
        for put in &self.puts {
            let fault = if put.status == 200 { Fault::none() } else { put.fault() };
            github.script(Route::Merge(put.number), [fault]);
        }
    }

    fn judge_decision(&self, github: &GitHub, report: &Value, told: &str) {
        let number = self.pr.number;
        let word = self.expect.as_str().expect("a decision expects a word");
        if word != "merge" {
            let expected = BTreeMap::from([(number, word.to_owned())]);
            let given = reasons(report);
            let is_as_right = self.any_reason && given.keys().eq(expected.keys());
            assert!(given == expected || is_as_right, "{expected:?}: {told}");
            assert_eq!(github.merge_calls(), Vec::<u64>::new(), "{told}");
            return;
        }
        assert_eq!(numbers(report), [number], "{told}");
        assert_eq!(github.merge_calls(), [number], "{told}");
        let call = merge_body(github, number);
        assert_eq!(
            (&call["sha"], &call["merge_method"]),
            (&json!(commit_id(&self.pr.head)), &json!("squash"))
        );
        assert_eq!(github.merged(), [number], "{told}");
    }

    fn judge_scenario(&self, github: &GitHub, report: &Value, told: &str) {
        let calls = github.merge_calls();
        for (key, wanted) in self.expect.as_object().expect("a scenario expects an object") {
            match key.as_str() {
                "step" => assert_eq!(&report["steps"]["merge"]["outcome"], wanted, "{told}"),
                "merged" if self.dry_run => assert_eq!(json!(github.merged()), *wanted, "{told}"),
                "merged" | "would_merge" => assert_eq!(json!(numbers(report)), *wanted, "{told}"),
                "puts" => assert_eq!(json!(calls.len()), *wanted, "{told}"),
                "puts_per_pr" => each(wanted, |number, wanted| {
                    let seen = calls.iter().filter(|call| **call == number).count();
                    assert_eq!(json!(seen), *wanted, "#{number}: {told}");
                }),
                "skipped" => each(wanted, |number, wanted| {
                    let reason = reasons(report).get(&number).cloned();
                    assert_eq!(json!(reason), *wanted, "#{number}: {told}");
                }),
                "put_body" => each(wanted, |number, wanted| {
                    let body = merge_body(github, number);
                    let head = wanted["sha"].as_str().map(commit_id);
                    assert_eq!(body["sha"], json!(head), "{told}");
                    assert_eq!(body["merge_method"], wanted["merge_method"], "{told}");
                }),
                "status" => {
                    let words = wanted.as_array().into_iter().flatten();
                    assert!(words.into_iter().any(|word| *word == report["status"]), "{told}");
                }
                "open" => assert_eq!(&report["steps"]["merge"]["open"], wanted, "{told}"),
                "says" => assert!(has_words(wanted, told), "{wanted} is missing: {told}"),
                "total_requests_max" => {
                    assert!(json!(github.journal().len()).as_u64() <= wanted.as_u64(), "{told}");
                }
                "total_requests" => assert_eq!(json!(github.journal().len()), *wanted, "{told}"),
                other => panic!("nothing expects {other}"),
            }
        }
    }

    fn judge_message(&self, github: &GitHub, told: &str) {
        let mut state = github.state();
        let commits = &state.repository().branches["main"];
        assert_eq!(commits.len(), 2, "one merge: {told}");
        let title = commits[1].message.lines().next().unwrap_or_default().to_owned();
        for (key, wanted) in self.expect.as_object().expect("a message expects an object") {
            let texts: Vec<&str> =
                wanted.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            match (key.as_str(), wanted.as_str().unwrap_or_default()) {
                ("commit_title", wanted) => assert_eq!(title, wanted, "{told}"),
                ("commit_title_suffix", wanted) => {
                    assert!(title.ends_with(wanted), "{title:?} {told}");
                }
                ("commit_title_not_contains", _) => {
                    let message = commits[1].message.to_lowercase();
                    let contains = texts.iter().find(|text| message.contains(&text.to_lowercase()));
                    assert_eq!(contains, None, "{title:?} {told}");
                }
                (other, _) => panic!("nothing expects {other}"),
            }
        }
    }
}

impl Put {
    fn fault(&self) -> Fault {
        self.headers.iter().fold(
            Fault::status(self.status, &self.message),
            |fault, (name, value)| {
                let relative =
                    value.strip_prefix('+').and_then(|seconds| seconds.parse::<u64>().ok());
                let now = std::time::SystemTime::UNIX_EPOCH
                    .elapsed()
                    .expect("the clock is past 1970")
                    .as_secs();
                fault.header(
                    name,
                    relative.map_or_else(|| value.clone(), |seconds| (now + seconds).to_string()),
                )
            },
        )
    }
}

fn approvals_of(head: &str) -> Vec<Review> {
    vec![Review { author: Some(Author::user("alice")), ..Review::approval("alice", head) }]
}

/// In every case: no pull request has the number 0.
fn judge_words(report: &Value, told: &str) {
    assert!(!told.contains("#0"), "{told}");
    for key in ["merged", "skipped", "failed"] {
        let rows = report["steps"]["merge"][key].as_array().into_iter().flatten();
        assert!(rows.into_iter().all(|row| row["number"] != 0), "{told}");
    }
}

/// Each of the words is somewhere in the output.
fn has_words(words: &Value, told: &str) -> bool {
    words.as_array().into_iter().flatten().all(|word| told.contains(word.as_str().expect("words")))
}

fn change(pull: &mut Pull, fields: Map<String, Value>) {
    for (field, value) in fields {
        let read = "a field of a pull request";
        match field.as_str() {
            "labels" => pull.labels = serde_json::from_value(value).expect(read),
            "reviews" => pull.reviews = serde_json::from_value(value).expect(read),
            "checks" => pull.checks = serde_json::from_value(value).expect(read),
            "draft" => pull.draft = serde_json::from_value(value).expect(read),
            other => panic!("no such field: {other}"),
        }
    }
}

fn each(wanted: &Value, judge: impl Fn(u64, &Value)) {
    for (number, wanted) in wanted.as_object().expect("an object by number") {
        judge(number.parse().expect("a pull request's number"), wanted);
    }
}

fn numbers(report: &Value) -> Vec<u64> {
    let merged = report["steps"]["merge"]["merged"].as_array();
    merged.into_iter().flatten().filter_map(|pull| pull["number"].as_u64()).collect()
}

/// Reason words of everything that was not merged.
fn reasons(report: &Value) -> BTreeMap<u64, String> {
    let step = &report["steps"]["merge"];
    let rows = ["skipped", "failed"].into_iter().filter_map(|key| step[key].as_array()).flatten();
    rows.filter_map(|row| Some((row["number"].as_u64()?, row["reason"].as_str()?.to_owned())))
        .collect()
}

fn merge_body(github: &GitHub, number: u64) -> Value {
    let journal = github.journal();
    let call = journal.iter().find(|entry| entry.pull() == Some(number));
    call.unwrap_or_else(|| panic!("no merge call for #{number}")).body.clone()
}

/// The lines of a TOML table: strings, numbers, flags and lists look as in JSON, tables within do
/// not.
fn toml_lines(table: &Map<String, Value>) -> String {
    fn toml(value: &Value) -> String {
        match value {
            Value::Object(table) => {
                let pairs: Vec<String> =
                    table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", "))
            }
            leaf => leaf.to_string(),
        }
    }
    let lines: Vec<String> =
        table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
    lines.join("\n")
}
