//! A fleet on a cluster: the shipped manifests, below an overlay for the user's own.

use std::path::{Path, PathBuf};

use super::{Roles, between, briefs, shell_word};

macro_rules! shipped {
    ($path:literal) => {
        include_str!(concat!("../../../", $path))
    };
}

/// The shipped manifests that are the same for every fleet.
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
pub(super) fn manifests(fleet: &str, roles: Roles) -> Vec<(PathBuf, String)> {
    let overlay = for_fleet(OVERLAY, fleet)
        .replace("- ../../base\n", "- kubernetes\n")
        .replace("- ../../../../briefs\n", "- briefs\n");
    let verbatim = BASE.into_iter().map(|(path, text)| (path.into(), text.to_owned()));
    let (list, text) = BRIEFS;
    let own = [(list.into(), listed(text, roles)), ("kustomization.yaml".into(), overlay)];
    verbatim.chain(own).collect()
}

/// The list of briefs, with those of these roles between the preamble and the modes.
fn listed(shipped: &str, roles: Roles) -> String {
    let entry = |key: &str| format!("      - {key}.md\n");
    let is_of_role = |line: &str| briefs(Roles::Full).iter().any(|(key, _)| entry(key) == line);
    let keys: String = briefs(roles).iter().map(|(key, _)| entry(key)).collect();
    let others = shipped.split_inclusive('\n').filter(|line| !is_of_role(line));
    let list: String = others.collect();
    list.replacen("      - preamble.md\n", &format!("      - preamble.md\n{keys}"), 1)
}

/// Hands the reviewers' token down on a machine.
const REVIEWERS_ENV: &str = "# env = { GH_TOKEN = \"${REVIEWER_GITHUB_TOKEN}\" }";
/// And on a cluster, where a session's secrets come from `env_from` alone.
const REVIEWERS_SECRET: &str = "kubernetes = { env_from = [\"reviewers\"] }";

/// The starter, with the example's `[platform]` in place of its own.
pub(super) fn roster(starter: &str, fleet: &str) -> String {
    let roster = starter.replacen(platform(starter), &for_fleet(platform(EXAMPLE), fleet), 1);
    let roster = roster.replacen(REVIEWERS_ENV, REVIEWERS_SECRET, 1);
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

/// The fleet's namespace. Not its bare name: a product may have a namespace of that name.
fn namespace(fleet: &str) -> String {
    format!("coordinator-{fleet}")
}

/// What to edit, which Secrets to create, and the commands. `kept`: the roster was there already.
pub(super) fn next(dir: &Path, fleet: &str, roles: Roles, kept: bool) -> String {
    let namespace = namespace(fleet);
    let dir = shell_word(&dir.to_string_lossy());
    let logs = match roles {
        _ if kept => "SLOT",
        Roles::FirstDay => "builder-s0",
        Roles::Full => "ui-builder-s0",
    };
    let edit = if kept { kept_roster(&namespace) } else { EDIT.to_owned() };
    format!(
        "\nNext:\n  \
         1. {edit}     \
         Set the coordinator's image in kustomization.yaml.\n  \
         2. cd {dir}\n     \
         coordinator check\n  \
         3. kubectl create namespace {namespace} --save-config\n  \
         4. Create the Secrets; each FILE holds one NAME=value a line:\n     \
         # GITHUB_TOKEN: the coordinator's own, reads pull requests and merges them\n     \
         kubectl -n {namespace} create secret generic coordinator-github \
         --from-env-file=FILE\n     \
         # ANTHROPIC_API_KEY and GH_TOKEN: the agents' own, pushes branches\n     \
         kubectl -n {namespace} create secret generic agents --from-env-file=FILE\n     \
         # GH_TOKEN of another account: GitHub counts no approval of one's own pull request\n     \
         kubectl -n {namespace} create secret generic reviewers --from-env-file=FILE\n  \
         5. kubectl apply -k .\n     \
         coordinator doctor\n  \
         6. The first cycle, without waiting for the schedule, and an agent's log:\n     \
         kubectl -n {namespace} create job --from=cronjob/coordinator first\n     \
         coordinator sessions\n     \
         coordinator logs {logs} --follow\n"
    )
}

const EDIT: &str = "Edit roster.toml:\n       \
    image         the agents', with the agent, git and gh in it\n       \
    [repository]  your `owner/repo`; without it nothing is merged\n       \
    [[health]]    the address of production; without it nothing is checked\n";

fn kept_roster(namespace: &str) -> String {
    format!(
        "Your roster.toml stays as it is. Set in it:\n       \
         [platform]             kind = \"kubernetes\"\n       \
         [platform.kubernetes]  namespace = \"{namespace}\", and the agents' image and env_from\n"
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
        let files = manifests("shop", Roles::Full);
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
        for roles in [Roles::FirstDay, Roles::Full] {
            let list = listed(BRIEFS.1, roles);
            let listed = list.lines().filter_map(|line| line.strip_prefix("      - "));
            let briefs = briefs(roles).iter().map(|(key, _)| format!("{key}.md"));
            let modes =
                coordinator_core::fleet::Mode::ALL.map(|mode| format!("modes/{}.md", mode.word()));
            let expected = ["preamble.md".to_owned()].into_iter().chain(briefs).chain(modes);
            assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
        assert_eq!(listed(BRIEFS.1, Roles::Full), BRIEFS.1);
    }
}
