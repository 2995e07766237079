//! `[platform.kubernetes]` and `[role.kubernetes]`: defaults, overrides, and where each key
//! arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use coordinator_core::fleet::{Container, Role, RoleKey, Slot};
use coordinator_platform_kubernetes::{KubernetesSettings, Toleration, Workspace};
use coordinator_roster::{PlatformKind, Roster};

use super::Folder;

fn whole(roster: &str) -> Roster {
    Folder::with_briefs(roster).load().unwrap_or_else(|problems| panic!("{problems}"))
}

fn load(roster: &str) -> KubernetesSettings {
    match whole(roster).platform.kind {
        PlatformKind::Kubernetes(settings) => *settings,
        other => panic!("the platform is kubernetes, not {other:?}"),
    }
}

/// The Kubernetes settings of each role.
fn containers(roster: &str) -> BTreeMap<RoleKey, Container> {
    let container = |role: Role| Some((role.key, role.spec.container.clone()?));
    whole(roster).roles.into_iter().filter_map(container).collect()
}

fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    BTreeMap::from(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
}

fn key(text: &str) -> RoleKey {
    RoleKey::parse(text).expect("a valid key")
}

const LEAST: &str = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\n\
    image = \"agent:1\"\n[[role]]\nkey = \"a\"\n";

#[test]
fn an_image_is_all_that_kubernetes_needs() {
    let settings = load(LEAST);
    assert_eq!((settings.namespace, settings.service_account), (None, None));
    assert_eq!(
        (settings.priority_class, settings.runtime_class, settings.queue_name),
        (None, None, None)
    );
    assert!(settings.node_selector.is_empty() && settings.tolerations.is_empty());
    assert!(settings.image_pull_secrets.is_empty() && settings.template.is_none());
    assert_eq!(settings.start_timeout, Duration::from_secs(600));
    assert_eq!(settings.ttl, Duration::from_secs(24 * 60 * 60));
    assert_eq!(settings.workspace, Workspace::EmptyDir { size_limit: None });
    let container = Container {
        image: "agent:1".to_owned(),
        env_from: Vec::new(),
        requests: texts([("cpu", "500m"), ("memory", "1Gi")]),
        limits: texts([("cpu", "1000m"), ("memory", "2Gi")]),
    };
    assert_eq!(containers(LEAST), BTreeMap::from([(key("a"), container)]));
}

#[test]
fn every_key_arrives() {
    let roster = r#"fleet = "demo"
[platform]
kind = "kubernetes"
[platform.kubernetes]
image = "images.example.com:5000/team/agent:1.0"
namespace = "agents"
service_account = "coordinator-session"
env_from = ["model-key", "git.token"]
resources = { requests = { memory = "4Gi" }, limits = { memory = "8Gi", "nvidia.com/gpu" = "1" } }
node_selector = { "kubernetes.io/arch" = "amd64" }
tolerations = [{ key = "dedicated", value = "agents", effect = "NoSchedule" }, {}]
image_pull_secrets = ["registry"]
priority_class = "low"
runtime_class = "gvisor"
queue_name = "agents"
start_timeout = "20m"
ttl = "48h"
workspace = "empty-dir"
workspace_size = "10Gi"
[[role]]
key = "a"
"#;
    let settings = load(roster);
    assert_eq!(settings.namespace.as_deref(), Some("agents"));
    assert_eq!(settings.service_account.as_deref(), Some("coordinator-session"));
    assert_eq!(settings.node_selector, texts([("kubernetes.io/arch", "amd64")]));
    let text = |text: &str| Some(text.to_owned());
    let dedicated =
        Toleration { key: text("dedicated"), value: text("agents"), effect: text("NoSchedule") };
    let everything = Toleration { key: None, value: None, effect: None };
    assert_eq!(settings.tolerations, [dedicated, everything]);
    assert_eq!(settings.image_pull_secrets, ["registry"]);
    assert_eq!(settings.priority_class.as_deref(), Some("low"));
    assert_eq!(settings.runtime_class.as_deref(), Some("gvisor"));
    assert_eq!(settings.queue_name.as_deref(), Some("agents"));
    assert_eq!((settings.start_timeout.as_secs(), settings.ttl.as_secs()), (20 * 60, 48 * 60 * 60));
    assert_eq!(settings.workspace, Workspace::EmptyDir { size_limit: text("10Gi") });
    let containers = containers(roster);
    let container = &containers[&key("a")];
    assert_eq!(container.image, "images.example.com:5000/team/agent:1.0");
    assert_eq!(container.env_from, ["model-key", "git.token"]);
    assert_eq!(container.requests, texts([("memory", "4Gi")]));
    assert_eq!(container.limits, texts([("memory", "8Gi"), ("nvidia.com/gpu", "1")]));
}

#[test]
fn a_role_replaces_what_it_names_and_keeps_the_rest() {
    let platform = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\n\
        image = \"agent:1\"\nenv_from = [\"shared\"]\nworkspace = \"claim\"\n";
    let roles = "[[role]]\nkey = \"a\"\n[[role]]\nkey = \"b\"\n[role.kubernetes]\n\
        image = \"other:2\"\nenv_from = []\nresources.limits = { memory = \"16Gi\" }\n[[role]]\n\
        key = \"c\"\n";
    let settings = load(&format!("{platform}{roles}"));
    assert_eq!(settings.workspace, Workspace::Claim);
    let containers = containers(&format!("{platform}{roles}"));
    let [a, b, c] = ["a", "b", "c"].map(|role| &containers[&key(role)]);
    assert_eq!(a, c);
    assert_eq!(
        (a.image.as_str(), a.env_from.as_slice()),
        ("agent:1", ["shared".to_owned()].as_slice())
    );
    assert_eq!((b.image.as_str(), b.env_from.len()), ("other:2", 0));
    assert_eq!((&b.requests, &b.limits), (&a.requests, &texts([("memory", "16Gi")])));
}

#[test]
fn each_role_may_bring_its_own_image_and_then_the_platform_needs_none() {
    let role =
        |key: &str| format!("[[role]]\nkey = \"{key}\"\n[role.kubernetes]\nimage = \"{key}:1\"\n");
    let platform = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n";
    let containers = containers(&format!("{platform}{}{}", role("a"), role("b")));
    let images: Vec<_> = containers.values().map(|container| container.image.as_str()).collect();
    assert_eq!(images, ["a:1", "b:1"]);
}

#[test]
fn a_fleet_on_this_machine_may_keep_its_cluster_s_settings() {
    let section = "[platform.kubernetes]\nnamespace = \"agents\"\n";
    let role = "[[role]]\nkey = \"a\"\nenv = { KEY = \"${TOKEN}\" }\nbackoff_cap = \"48h\"\n";
    let roster = Folder::with_briefs(&format!("fleet = \"demo\"\n{section}{role}")).load();
    let roster = roster.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(matches!(roster.platform.kind, PlatformKind::Process { .. }));
    assert_eq!(roster.roles[0].spec.env["KEY"], "s3cret-value");
}

#[test]
fn a_pod_needs_no_home() {
    let folder = Folder::with_briefs(LEAST);
    let loaded = coordinator_roster::load(&folder.path().join("roster.toml"), &|_| None);
    assert!(loaded.is_ok(), "{:?}", loaded.map(drop));
}

#[test]
fn a_thousand_roles_with_their_own_images_are_read() {
    let mut roster = "fleet = \"demo\"\n[platform]\nkind = \"kubernetes\"\n".to_owned();
    for index in 0..1000 {
        let _ = writeln!(
            roster,
            "[[role]]\nkey = \"r{index}\"\n[role.kubernetes]\nimage = \"agent:{index}\""
        );
    }
    assert_eq!(containers(&roster).len(), 1000);
}

#[test]
fn check_shows_where_the_fleet_runs_and_with_which_images() {
    let totals = |roster: &str| {
        let run = Folder::with_briefs(roster).run(&["check"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let line = run.stdout.lines().find(|line| line.starts_with("runs "));
        line.unwrap_or_else(|| panic!("{}", run.stdout)).to_owned()
    };
    assert_eq!(totals("fleet = \"demo\"\n"), "runs    on this machine");
    assert_eq!(totals(LEAST), "runs    as Jobs in the context's namespace, image agent:1");
    let more = "[[role]]\nkey = \"b\"\n[role.kubernetes]\nimage = \"other:2\"\n\
        [platform.kubernetes]\nnamespace = \"agents\"\nimage = \"agent:1\"\n[platform]\n\
        kind = \"kubernetes\"\n[[role]]\nkey = \"c\"\n";
    assert_eq!(
        totals(&format!("fleet = \"demo\"\n{more}")),
        "runs    as Jobs in namespace agents, image agent:1, other:2"
    );
}

/// Scenario 34: names at their limits.
#[test]
fn every_name_that_a_roster_allows_is_a_name_for_one_job_alone() {
    let longest = format!("r{}", "_y".repeat(13) + "z");
    let roles = ["dev", "dev_1", "dev_1_s1", "dev_s1", "s1", "a", longest.as_str()];
    let rows = roles.map(|key| format!("[[role]]\nkey = \"{key}\"\n")).concat();
    let platform =
        "[platform]\nkind = \"kubernetes\"\n[platform.kubernetes]\nimage = \"agent:1\"\n";
    let folder = Folder::with_briefs(&format!("fleet = \"abcdefgh01234567\"\n{platform}{rows}"));
    let roster = folder.load().unwrap_or_else(|problems| panic!("{problems}"));
    let mut names = BTreeSet::new();
    for role in &roster.roles {
        for index in [0, 1, 11, 9999] {
            let name = Slot::of_role(&role.key, index).session_name(&roster.fleet);
            assert!(name.len() <= 52, "{name}");
            assert!(
                name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{name}"
            );
            assert_eq!(
                Slot::parse(&roster.fleet, &name),
                Some(Slot::of_role(&role.key, index)),
                "{name}"
            );
            assert!(names.insert(name));
        }
    }
    assert_eq!(longest.len(), 28);
    assert_eq!(names.iter().map(String::len).max(), Some(51));
}
