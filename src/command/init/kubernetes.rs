//! A fleet on a cluster: the shipped manifests, below an overlay for the user's own.

use std::path::{Path, PathBuf};

use super::{between, shell_word};

macro_rules! shipped {
    ($path:literal) => {
        include_str!(concat!("../../../", $path))
    };
}

/// What is the same for every fleet, as it is shipped.
const BASE: [(&str, &str); 8] = [
    ("kubernetes/kustomization.yaml", shipped!("deploy/kubernetes/base/kustomization.yaml")),
    ("kubernetes/namespace.yaml", shipped!("deploy/kubernetes/base/namespace.yaml")),
    ("kubernetes/access.yaml", shipped!("deploy/kubernetes/base/access.yaml")),
    ("kubernetes/cronjob.yaml", shipped!("deploy/kubernetes/base/cronjob.yaml")),
    ("kubernetes/admission.yaml", shipped!("deploy/kubernetes/base/admission.yaml")),
    ("kubernetes/network.yaml", shipped!("deploy/kubernetes/base/network.yaml")),
    ("kubernetes/quota.yaml", shipped!("deploy/kubernetes/base/quota.yaml")),
    ("kubernetes/roster.toml", shipped!("deploy/kubernetes/base/roster.toml")),
];

/// The list of briefs, beside them.
const BRIEFS: (&str, &str) = ("briefs/kustomization.yaml", shipped!("briefs/kustomization.yaml"));

/// The overlay of the example fleet, and its roster.
const OVERLAY: &str = shipped!("deploy/kubernetes/overlays/example/kustomization.yaml");
const EXAMPLE: &str = shipped!("deploy/kubernetes/overlays/example/roster.toml");

/// The manifests, to be applied with `kubectl apply -k`.
pub(super) fn manifests(fleet: &str) -> Vec<(PathBuf, String)> {
    let overlay = for_fleet(OVERLAY, fleet)
        .replace("- ../../base\n", "- kubernetes\n")
        .replace("- ../../../../briefs\n", "- briefs\n");
    let verbatim =
        BASE.into_iter().chain([BRIEFS]).map(|(path, text)| (path.into(), text.to_owned()));
    verbatim.chain([("kustomization.yaml".into(), overlay)]).collect()
}

/// The starter, with the example's `[platform]` in place of its own.
pub(super) fn roster(starter: &str, fleet: &str) -> String {
    let roster = starter.replacen(platform(starter), &for_fleet(platform(EXAMPLE), fleet), 1);
    // On a cluster a session's secrets come from `env_from` alone.
    roster.split_inclusive('\n').filter(|line| !line.starts_with("# env = ")).collect()
}

fn platform(roster: &str) -> &str {
    between(roster, "[platform]", "[defaults]")
}

fn for_fleet(example: &str, fleet: &str) -> String {
    example
        .replace("coordinator-example", &namespace(fleet))
        .replace(
            "coordinator.dev/fleet: \"example\"",
            &format!("coordinator.dev/fleet: \"{fleet}\""),
        )
        .replace("The fleet `example`", &format!("The fleet `{fleet}`"))
}

/// Where the fleet lives. Not its bare name: a product of the same name may have that namespace.
fn namespace(fleet: &str) -> String {
    format!("coordinator-{fleet}")
}

/// How the fleet gets onto the cluster; `kept`: the roster was there already.
pub(super) fn next(dir: &Path, fleet: &str, kept: bool) -> String {
    let namespace = namespace(fleet);
    let config = shell_word(&dir.join("roster.toml").to_string_lossy());
    let folder = shell_word(&dir.to_string_lossy());
    let own = format!(
        "In your roster.toml, set `kind = \"kubernetes\"`, and in [platform.kubernetes] `namespace = \"{namespace}\"`\n     \
         and the agents' `image` and `env_from`.\n"
    );
    let starter = "In roster.toml, name the agents' image, your [repository] and your [[health]] endpoint, and set the\n     \
                   counts you want.\n";
    let first = if kept { &own } else { starter };
    format!(
        "\nNext:\n  \
         1. {first}     \
         In kustomization.yaml, name the coordinator's image.\n  \
         2. coordinator check --config {config}\n  \
         3. kubectl create namespace {namespace} --save-config\n  \
         4. kubectl -n {namespace} create secret generic coordinator-github --from-env-file=FILE    # GITHUB_TOKEN=...\n  \
         5. kubectl -n {namespace} create secret generic agents --from-env-file=FILE    # ANTHROPIC_API_KEY=... GH_TOKEN=...\n  \
         6. kubectl apply -k {folder}\n\n\
         The first cycle, without waiting for it:\n  \
         kubectl -n {namespace} create job --from=cronjob/coordinator first\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_roster::shipped;

    #[test]
    fn every_manifest_of_the_base_is_written_as_it_is_shipped() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/base");
        let names = std::fs::read_dir(shipped).expect("the base is there");
        let mut names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
        let mut written: Vec<_> =
            BASE.map(|(path, _)| Path::new(path).file_name().expect("a name").to_owned()).into();
        names.sort();
        written.sort();
        assert_eq!(written, names);
    }

    #[test]
    fn the_overlay_names_the_fleet_and_nothing_of_the_example() {
        let files = manifests("shop");
        let (_, overlay) =
            files.iter().find(|(path, _)| path == Path::new("kustomization.yaml")).expect("it");
        for part in
            ["namespace: coordinator-shop\n", "fleet: \"shop\"\n", "\n  - kubernetes\n  - briefs\n"]
        {
            assert!(overlay.contains(part), "{part:?} is missing in\n{overlay}");
        }
        let rest = overlay.replace("images.example.com", "");
        assert!(!rest.contains("example") && !rest.contains(".."), "{overlay}");
    }

    #[test]
    fn the_roster_differs_from_the_starter_in_its_platform_and_its_secrets() {
        let roster = roster(shipped::ROSTER, "shop");
        for part in [
            "kind = \"kubernetes\"",
            "namespace = \"coordinator-shop\"",
            "image = \"images.example.com/agents:1\"",
        ] {
            assert_eq!(roster.matches(part).count(), 1, "{part}\n{roster}");
        }
        for line in shipped::ROSTER
            .lines()
            .filter(|line| !line.starts_with("kind = ") && !line.starts_with("# env = "))
        {
            assert!(
                roster.lines().any(|written| written == line),
                "{line:?} is missing in\n{roster}"
            );
        }
        assert!(!roster.contains("process") && !roster.contains("${"), "{roster}");
    }

    #[test]
    fn every_brief_is_listed_beside_the_briefs() {
        let listed: Vec<_> =
            BRIEFS.1.lines().filter_map(|line| line.strip_prefix("      - ")).collect();
        let briefs = shipped::BRIEFS.map(|(key, _)| format!("{key}.md"));
        let modes =
            coordinator_core::fleet::Mode::ALL.map(|mode| format!("modes/{}.md", mode.word()));
        let expected = ["preamble.md".to_owned()].into_iter().chain(briefs).chain(modes);
        assert_eq!(listed, expected.collect::<Vec<_>>());
    }
}
