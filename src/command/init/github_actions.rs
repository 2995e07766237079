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
const EMPTY_DIRECTORY: &str = "- Work in a fresh clone of the repository inside your current, empty directory. Never reuse another session's files.\n";
const FRESH_CLONE: &str = "- Your current directory is a fresh clone of the repository, made for this session alone. Work there.\n";

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
    // The inputs of a run can be read by everybody who can read the repository: secrets are the
    // workflow's to give.
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

/// What is left to do on GitHub; `kept`: the roster was there already.
pub(super) fn next(dir: &Path, kept: bool) -> String {
    let config = shell_word(&dir.join("roster.toml").to_string_lossy());
    let first = if kept {
        "In your roster.toml, set `kind = \"github-actions\"` under [platform] and name your [repository], and list\n     \
         `.github/*`, `roster.toml` and `briefs/*` in `protected_paths` under [merge].\n"
    } else {
        "In roster.toml, name your [repository] and your [[health]] endpoint, and set the counts you want.\n"
    };
    let release = concat!("coordinator-", env!("CARGO_PKG_VERSION"));
    let root = if dir.join(".git").exists() {
        ""
    } else {
        "\nThis folder is no repository's root, the only place where GitHub looks for .github/workflows: move what was\n\
         written to the root of yours, or run this again there.\n"
    };
    format!(
        "{root}\nNext:\n  \
         1. {first}  \
         2. coordinator check --config {config}\n  \
         3. gh release create {release} --latest=false --notes '' FILE    # the program for the runners, see the README\n     \
         gh variable set COORDINATOR_RELEASE --body {release}\n     \
         gh variable set COORDINATOR_SHA256 --body \"$(sha256sum FILE | cut -d ' ' -f 1)\"\n     \
         # Or an archive of a release, without a copy: gh variable set COORDINATOR_REPOSITORY, see docs/releasing.md\n  \
         4. gh secret set ANTHROPIC_API_KEY\n     \
         gh secret set AGENT_GITHUB_TOKEN                          # what agents push with\n     \
         gh api --silent --method PUT 'repos/{{owner}}/{{repo}}/environments/agent-reviewers'\n     \
         gh secret set AGENT_GITHUB_TOKEN --env agent-reviewers    # another account's: nobody approves their own work\n  \
         5. Commit the files to the default branch, and push.\n  \
         6. gh workflow run coordinator.yml -f dry_run=true && gh run watch\n\n\
         From then on the schedule starts the cycles. The first one, without waiting for it:\n  \
         gh workflow run coordinator.yml\n"
    )
}

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
            "\n[merge]\nmin_approvals = 1\nprotected_paths = [\".github/*\", \"roster.toml\", \"briefs/*\"]",
        ] {
            assert_eq!(roster.matches(part).count(), 1, "{part}\n{roster}");
        }
        let (_, roles) =
            shipped::ROSTER.split_once("\n# [[health]]").expect("the shipped roster has endpoints");
        assert!(roster.ends_with(roles), "{roster}");
        assert!(!roster.contains("process") && !roster.contains("${"), "{roster}");
    }

    #[test]
    fn the_preamble_sends_the_agent_to_the_clone_that_the_workflow_made() {
        let preamble = preamble(shipped::PREAMBLE);
        assert!(preamble.contains(FRESH_CLONE), "{preamble}");
        assert!(!preamble.contains("empty directory"), "{preamble}");
    }
}
