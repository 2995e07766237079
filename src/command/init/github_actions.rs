//! A fleet in the repository's own workflows: the shipped files, with the fleet's name in them.

use std::path::{Path, PathBuf};

use super::{between, shell_word};

macro_rules! shipped {
    ($path:literal) => {
        include_str!(concat!("../../../deploy/github-actions/", $path))
    };
}

/// The coordinator on a schedule, for the fleet `demo`.
const COORDINATOR: &str = shipped!("coordinator.yml");
/// One session; its inputs name the fleet.
const SESSION: &str = shipped!("agent-session.yml");
/// The roster of the example fleet.
const EXAMPLE: &str = shipped!("roster.toml");

/// Where the shipped preamble sends an agent to work, and where the session workflow has a clone
/// for it.
const EMPTY_DIRECTORY: &str = "- Work in a fresh clone of the repository inside your current, \
    empty directory. Never reuse another session's files.\n";
const FRESH_CLONE: &str = "- Your current directory is a fresh clone of the repository, made for \
    this session alone. Work there.\n";

/// Both workflows, where GitHub looks for them.
pub(super) fn workflows(fleet: &str) -> [(PathBuf, String); 2] {
    let coordinator = COORDINATOR
        .replace(
            "put the fleet's name in place of `demo` below",
            &format!("`{fleet}` is the fleet's name"),
        )
        .replace("coord-reconcile-demo", &format!("coord-reconcile-{fleet}"));
    [
        (".github/workflows/coordinator.yml".into(), coordinator),
        (".github/workflows/agent-session.yml".into(), SESSION.to_owned()),
    ]
}

/// The starter, with the example's `[platform]`, `[repository]` and `[merge]` in place of its own.
pub(super) fn roster(starter: &str) -> String {
    let platform = |roster| between(roster, "[platform]", "[defaults]");
    let roster = starter.replacen(platform(starter), platform(EXAMPLE), 1);
    let own = below_defaults(&roster, "# [repository]").to_owned();
    let roster = roster.replacen(&own, below_defaults(EXAMPLE, "[repository]"), 1);
    // The inputs of a run are readable with read access to the repository: the workflow passes the
    // secrets.
    roster.split_inclusive('\n').filter(|line| !line.starts_with("# env = ")).collect()
}

/// From this section on, up to the endpoints.
fn below_defaults<'a>(roster: &'a str, section: &str) -> &'a str {
    let starts = roster.find(&format!("\n{section}"));
    let ends = roster.find("\n# [[health]]");
    starts.zip(ends).and_then(|(start, end)| roster.get(start..end)).unwrap_or_default()
}

/// The preamble, for an agent that finds a clone.
pub(super) fn preamble(shipped: &str) -> String {
    shipped.replacen(EMPTY_DIRECTORY, FRESH_CLONE, 1)
}

/// What to edit, which secrets to set, and the commands. `kept`: the roster was there already.
pub(super) fn next(dir: &Path, kept: bool) -> String {
    let edit = if kept { KEPT } else { EDIT };
    let release = concat!("coordinator-", env!("CARGO_PKG_VERSION"));
    let root = if dir.join(".git").exists() { "" } else { NOT_A_ROOT };
    let dir = shell_word(&dir.to_string_lossy());
    format!(
        "{root}\nNext:\n  \
         1. {edit}  \
         2. cd {dir}\n     \
         coordinator check\n  \
         3. Give the runners the program; FILE is a build of it for them:\n     \
         gh release create {release} --latest=false --notes '' FILE\n     \
         gh variable set COORDINATOR_RELEASE --body {release}\n     \
         gh variable set COORDINATOR_SHA256 --body \"$(sha256sum FILE | cut -d ' ' -f 1)\"\n     \
         # Or take the archive of a release without a copy of your own:\n     \
         # gh variable set COORDINATOR_REPOSITORY\n  \
         4. Set the secrets:\n     \
         gh secret set ANTHROPIC_API_KEY\n     \
         gh secret set AGENT_GITHUB_TOKEN      # the agents' own: pushes branches\n     \
         # The reviewers', of another account: GitHub counts no approval of one's own pull \
         request.\n     \
         gh api --silent --method PUT \
         'repos/{{owner}}/{{repo}}/environments/agent-reviewers'\n     \
         gh secret set AGENT_GITHUB_TOKEN --env agent-reviewers\n  \
         5. Commit the files to the default branch, and push.\n  \
         6. gh workflow run coordinator.yml -f dry_run=true && gh run watch\n\n\
         From then on the schedule starts the cycles. The first one, without waiting for it:\n  \
         gh workflow run coordinator.yml\n"
    )
}

const EDIT: &str = "Edit roster.toml:\n       \
    [repository]  this repository's `owner/repo`\n       \
    [[health]]    the address of production; without it nothing is checked\n";

const KEPT: &str = "Your roster.toml stays as it is. Set in it:\n       \
    [platform]    kind = \"github-actions\"\n       \
    [repository]  this repository's `owner/repo`\n       \
    [merge]       protected_paths = [\".github/*\", \"roster.toml\", \"briefs/*\"]\n";

const NOT_A_ROOT: &str = "\n\
    This folder is not the root of a repository, the only place where GitHub looks for\n\
    .github/workflows. Move the files to the root of yours, or run this command again there.\n";

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_roster::shipped;

    #[test]
    fn the_workflows_differ_from_the_shipped_ones_in_the_fleets_name_alone() {
        let [(_, coordinator), (_, session)] = workflows("shop");
        assert_eq!(session, SESSION);
        assert!(coordinator.contains("\n  group: coord-reconcile-shop\n"), "{coordinator}");
        assert!(!coordinator.contains("demo"), "{coordinator}");
        let differs = coordinator
            .lines()
            .zip(COORDINATOR.lines())
            .filter(|(written, shipped)| written != shipped);
        assert_eq!(differs.count(), 2);
    }

    #[test]
    fn the_roster_differs_from_the_starter_in_platform_repository_and_merge() {
        let roster = roster(shipped::ROSTER);
        for part in [
            "\nkind = \"github-actions\"",
            "\n[platform.github-actions]\nref = \"main\"",
            "\n[repository]\nname = \"owner/repo\"",
            "\n[merge]\nmin_approvals = 1\n\
             protected_paths = [\".github/*\", \"roster.toml\", \"briefs/*\"]",
        ] {
            assert_eq!(roster.matches(part).count(), 1, "{part}\n{roster}");
        }
        let (_, roles) =
            shipped::ROSTER.split_once("\n# [[health]]").expect("the shipped roster has endpoints");
        let roles = roles.split_inclusive('\n').filter(|line| !line.starts_with("# env = "));
        assert!(roster.ends_with(&roles.collect::<String>()), "{roster}");
        assert!(!roster.contains("process") && !roster.contains("${"), "{roster}");
    }

    #[test]
    fn the_preamble_sends_the_agent_to_the_clone_that_the_workflow_made() {
        let preamble = preamble(shipped::PREAMBLE);
        assert!(preamble.contains(FRESH_CLONE), "{preamble}");
        assert!(!preamble.contains("empty directory"), "{preamble}");
    }
}
