//! What a roster means: defaults, overrides, and where each key arrives.

use std::path::Path;
use std::time::Duration;

use coordinator_core::fleet::Mode;
use coordinator_core::merge::{CheckMode, CommitMessage, StaleApprovals};
use coordinator_core::plan::OnInventoryFailure;
use coordinator_roster::{PlatformKind, Roster};

use super::Folder;

fn load(roster: &str) -> Roster {
    Folder::with_briefs(roster).load().unwrap_or_else(|problems| panic!("{problems}"))
}

fn state_dir(roster: &Roster) -> &Path {
    match &roster.platform.kind {
        PlatformKind::Process { state_dir } => state_dir,
        other => panic!("not on this machine: {other:?}"),
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_fleet_and_a_role_with_a_brief_are_a_roster() {
    let roster = load("fleet = \"demo\"\n[[role]]\nkey = \"ui_builder\"\n");
    assert_eq!((roster.fleet.as_str(), roster.deadline), ("demo", seconds(200)));
    assert_eq!((roster.platform.max_running, roster.platform.max_spawns), (None, 50));
    assert_eq!(roster.platform.on_inventory_failure, OnInventoryFailure::Spawn);
    assert_eq!(state_dir(&roster), Path::new("/home/someone/.local/state/coordinator"));
    assert!(
        roster.repository.is_none() && roster.health.is_empty() && roster.secret_names.is_empty()
    );

    let [role] = roster.roles.as_slice() else { panic!("one role") };
    assert_eq!((role.name.as_str(), role.count, role.department.as_str()), ("Ui Builder", 1, ""));
    assert_eq!(
        (role.mode, role.spec.brief_path.as_str()),
        (Mode::SelfDirected, "briefs/ui_builder.md")
    );
    let spec = &role.spec;
    assert_eq!(
        spec.command,
        [
            "claude",
            "-p",
            "{prompt}",
            "--output-format",
            "stream-json",
            "--verbose",
            "--permission-mode",
            "bypassPermissions"
        ]
    );
    assert_eq!(
        (spec.time_limit, spec.local.min_free_bytes, spec.local.retain, spec.local.retain_work),
        (seconds(7200), 1 << 30, 5, 1)
    );
    let backoff = spec.backoff;
    assert_eq!((backoff.min_runtime, backoff.min_interval), (seconds(30), Duration::ZERO));
    assert_eq!((backoff.backoff_base, backoff.backoff_cap), (seconds(60), seconds(3600)));
    assert_eq!(spec.brief, "Does one thing.");
}

#[test]
fn the_merge_policy_is_strict_by_default() {
    let merge = load("fleet = \"demo\"\n").merge;
    assert!(merge.enabled && merge.bases.is_empty() && merge.min_approvals == 1);
    assert!(merge.stale_approvals == StaleApprovals::Block && merge.checks == CheckMode::All);
    assert!(merge.trusted_approvers.is_empty() && merge.allow_bot_approvers.is_empty());
    assert!(merge.required_checks.is_empty() && merge.ignored_checks.is_empty());
    assert!(!merge.allow_no_checks && !merge.allow_forks);
    assert_eq!(merge.block_labels, ["do-not-merge", "hold", "wip"]);
    assert!(merge.required_labels.is_empty() && merge.protected_paths.is_none());
    assert_eq!((merge.settle, merge.pause, merge.max_merges), (seconds(60), seconds(1), 20));
    assert_eq!(merge.commit_message, CommitMessage::Title);
    let title = merge.block_title.expect("a pattern");
    for held in ["WIP: x", "[wip] x", "wip] x", "Draft: x", "  wip x"] {
        assert!(title.is_match(held), "{held}");
    }
    for free in ["Wipe the table", "Add a draft: page", "Fix wip label"] {
        assert!(!title.is_match(free), "{free}");
    }
}

/// Every key with a value that is not its default.
const FULL: &str = r#"
fleet = "full"
deadline = "5s"
[platform]
kind = "process"
max_running = 7
max_spawns = 0
on_inventory_failure = "skip"
[platform.process]
state_dir = "~/state"
[defaults]
command = ["agent", ""]
time_limit = "1s"
min_runtime = "2s"
min_interval = "3s"
min_free = "0"
backoff_base = "0s"
backoff_cap = "4s"
retain = 8
retain_work = 9
env = { PLAIN = "$HOME {x} $$", BOTH = "default", SECRET = "a ${TOKEN} b" }
[[role]]
key = "b"
name = "Bee"
count = 0
department = "Hive"
mode = "reviewer"
brief = "texts/bee.md"
[[role]]
key = "c"
command = ["other"]
time_limit = "1h 30m"
min_free = "500MB"
retain = 0
env = { BOTH = "role" }
[repository]
name = "acme/shop.web"
api_url = "https://ghe.example.com/api/v3/"
[merge]
enabled = false
bases = ["main", "release"]
min_approvals = 2
stale_approvals = "github"
trusted_approvers = ["alice", "reviewer[bot]"]
allow_bot_approvers = ["one[bot]", "two"]
checks = "required"
required_checks = ["build", { name = "test", app = "github-actions" }]
ignored_checks = ["codecov/*"]
allow_no_checks = true
allow_forks = true
block_labels = []
required_labels = ["ready"]
block_title = ""
settle = "0s"
protected_paths = [".github/*"]
pause = "0s"
max_merges = 0
commit_message = "repository"
[[health]]
name = "production"
url = "http://127.0.0.1:8080/healthz"
expect = [200, 204]
timeout = "250ms"
"#;

fn full() -> Roster {
    let folder = Folder::with_briefs(FULL);
    folder.write("texts/bee.md", "Hums.");
    folder.load().unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_key_about_sessions_arrives() {
    let roster = full();
    assert_eq!((roster.fleet.as_str(), roster.deadline), ("full", seconds(5)));
    assert_eq!((roster.platform.max_running, roster.platform.max_spawns), (Some(7), 0));
    assert_eq!(roster.platform.on_inventory_failure, OnInventoryFailure::Skip);
    assert_eq!(state_dir(&roster), Path::new("/home/someone/state"));

    let [bee, other] = roster.roles.as_slice() else { panic!("two roles") };
    assert_eq!((bee.key.as_str(), bee.name.as_str(), bee.count), ("b", "Bee", 0));
    assert_eq!((bee.department.as_str(), bee.mode), ("Hive", Mode::Reviewer));
    assert_eq!((bee.spec.brief_path.as_str(), bee.spec.brief.as_str()), ("texts/bee.md", "Hums."));
    assert_eq!(bee.spec.command, ["agent", ""]);
    assert_eq!((bee.spec.time_limit, bee.spec.local.min_free_bytes), (seconds(1), 0));
    assert_eq!((bee.spec.local.retain, bee.spec.local.retain_work), (8, 9));
    let backoff = bee.spec.backoff;
    assert_eq!((backoff.min_runtime, backoff.min_interval), (seconds(2), seconds(3)));
    assert_eq!((backoff.backoff_base, backoff.backoff_cap), (Duration::ZERO, seconds(4)));

    assert_eq!(other.spec.command, ["other"]);
    assert_eq!(
        (other.spec.time_limit, other.spec.local.min_free_bytes),
        (seconds(5400), 500_000_000)
    );
    assert_eq!(
        (other.spec.local.retain, other.spec.local.retain_work),
        (0, 9),
        "what a role does not set it inherits"
    );
}

#[test]
fn variables_are_replaced_merged_and_remembered_as_secrets() {
    let roster = full();
    let [bee, other] = roster.roles.as_slice() else { panic!("two roles") };
    assert_eq!(bee.spec.env["PLAIN"], "$HOME {x} $$", "`${{NAME}}` alone is special");
    assert_eq!(bee.spec.env["SECRET"], "a s3cret-value b");
    assert_eq!(
        (bee.spec.env["BOTH"].as_str(), other.spec.env["BOTH"].as_str()),
        ("default", "role")
    );
    assert!(roster.secret_names.iter().eq(["TOKEN"]));
}

#[test]
fn every_key_about_merging_and_health_arrives() {
    let roster = full();
    let repository = roster.repository.expect("it is configured");
    assert_eq!((repository.owner.as_str(), repository.name.as_str()), ("acme", "shop.web"));
    let merge = roster.merge;
    assert!(!merge.enabled && merge.allow_no_checks && merge.allow_forks);
    assert_eq!(merge.bases, ["main", "release"]);
    assert_eq!((merge.min_approvals, merge.stale_approvals), (2, StaleApprovals::Github));
    assert_eq!(merge.trusted_approvers, ["alice", "reviewer[bot]"]);
    assert_eq!(merge.allow_bot_approvers, ["one", "two"]);
    assert_eq!(merge.checks, CheckMode::Required);
    let checks: Vec<_> =
        merge.required_checks.iter().map(|c| (c.name.as_str(), c.app.as_deref())).collect();
    assert_eq!(checks, [("build", None), ("test", Some("github-actions"))]);
    assert!(
        merge.ignored_checks.is_match("codecov/patch") && !merge.ignored_checks.is_match("build")
    );
    assert!(merge.block_labels.is_empty() && merge.block_title.is_none());
    assert_eq!(merge.required_labels, ["ready"]);
    let protected = merge.protected_paths.expect("a set");
    assert!(protected.is_match(".github/workflows/ci.yml"), "`*` crosses `/`");
    assert_eq!((merge.settle, merge.pause, merge.max_merges), (Duration::ZERO, Duration::ZERO, 0));
    assert_eq!(merge.commit_message, CommitMessage::Repository);

    let [endpoint] = roster.health.as_slice() else { panic!("one endpoint") };
    assert_eq!(
        (endpoint.name.as_str(), endpoint.url.as_str()),
        ("production", "http://127.0.0.1:8080/healthz")
    );
    assert_eq!(
        (endpoint.expect.as_slice(), endpoint.timeout),
        ([200, 204].as_slice(), Duration::from_millis(250))
    );
}

#[test]
fn the_graphql_address_follows_from_the_rest_address() {
    let url = |lines: &str| {
        let roster = load(&format!("fleet = \"demo\"\n[repository]\nname = \"a/b\"\n{lines}\n"));
        roster.repository.expect("it is configured").graphql_url
    };
    assert_eq!(url(""), "https://api.github.com/graphql");
    assert_eq!(url("api_url = \"http://127.0.0.1:9/\""), "http://127.0.0.1:9/graphql");
    assert_eq!(
        url("api_url = \"https://ghe.example.com/api/v3\""),
        "https://ghe.example.com/api/graphql"
    );
    assert_eq!(url("graphql_url = \"https://x.example.com/g\""), "https://x.example.com/g");
}

#[test]
fn a_file_beside_the_roster_replaces_the_built_in_text() {
    let roster = "fleet = \"demo\"\n[[role]]\nkey = \"a\"\nmode = \"thinker\"\n[repository]\n\
        name = \"acme/shop\"\n";
    let folder = Folder::with_briefs(roster);
    let prompt = |folder: &Folder| folder.load().expect("it is valid").roles[0].spec.prompt.clone();
    let built_in = prompt(&folder);
    assert!(
        built_in.contains("fresh clone") && built_in.contains("never write code"),
        "{built_in}"
    );
    folder.write("briefs/preamble.md", "Be kind.");
    folder.write("briefs/modes/thinker.md", "Think.");
    insta::assert_snapshot!("prompt", prompt(&folder));
}

#[test]
fn a_shared_text_that_cannot_be_read_is_refused() {
    let folder = Folder::with_briefs("fleet = \"demo\"\n[[role]]\nkey = \"a\"\n");
    folder.write("briefs/preamble.md", [0xff]);
    let told = folder.load().expect_err("it is not UTF-8");
    assert!(
        told.contains("briefs/preamble.md is not UTF-8") && told.contains("remove it"),
        "{told}"
    );
}
