//! `coordinator init --github-actions`: a fleet for the repository's own workflows, named after its
//! folder or its roster.

use std::fs;
use std::path::Path;

use super::{Folder, Run};

const FILES: [&str; 2] =
    [".github/workflows/coordinator.yml", ".github/workflows/agent-session.yml"];

fn init(folder: &Folder, dir: &str) -> Run {
    let run = folder.run(&["init", "--github-actions", dir]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    run
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/github-actions").join(name);
    fs::read_to_string(path).expect("it is shipped")
}

#[test]
fn a_fleet_of_workflow_runs_is_named_after_its_folder() {
    let folder = Folder::bare("not a roster");
    let run = init(&folder, "My Shop");
    for (file, part) in [
        ("roster.toml", "\nfleet = \"myshop\""),
        ("roster.toml", "\nkind = \"github-actions\""),
        ("roster.toml", "\n[platform.github-actions]\n"),
        (FILES[0], "\n  group: coord-reconcile-myshop\n"),
        ("briefs/preamble.md", "is a fresh clone of the repository"),
    ] {
        let text = folder.read(&format!("My Shop/{file}"));
        assert!(text.contains(part), "{part:?} is missing in {file}\n{text}");
    }
    for part in [
        "  .github/workflows/coordinator.yml\n",
        "gh variable set COORDINATOR_SHA256 ",
        "gh variable set COORDINATOR_REPOSITORY",
        "gh secret set ANTHROPIC_API_KEY\n",
        "gh workflow run coordinator.yml -f dry_run=true",
        "not the root of a repository",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("crontab"), "GitHub starts the cycles: {}", run.stdout);
}

#[test]
fn the_session_workflow_is_the_shipped_one() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    assert_eq!(folder.read(&format!("shop/{}", FILES[1])), shipped("agent-session.yml"));
}

#[test]
fn a_session_has_the_name_the_lock_and_the_inputs_that_the_coordinator_uses() {
    let session = shipped("agent-session.yml");
    for line in [
        "run-name: \"coord ${{ inputs.fleet }} ${{ inputs.slot }} g${{ inputs.generation }} \
         c${{ inputs.cycle }}${{ inputs.item }}\"\n",
        "concurrency:\n  group: \"coord-${{ inputs.fleet }}-${{ inputs.slot }}\"\n  \
         cancel-in-progress: false\n",
        "  admit:\n    name: admit\n",
        "  agent:\n    name: agent\n    needs: admit\n    if: needs.admit.outputs.go == 'true'\n",
        "    timeout-minutes: ${{ fromJSON(inputs.time_limit_minutes) }}\n",
        "        run: coordinator session-admit\n",
        "        run: exec coordinator session-agent\n",
    ] {
        assert_eq!(session.matches(line).count(), 1, "{line:?} in\n{session}");
    }
    let inputs: Vec<&str> = session
        .lines()
        .filter_map(|line| line.strip_prefix("      ")?.split_once(": { description: "))
        .map(|(name, _)| name)
        .collect();
    let sent =
        "fleet slot role generation cycle expires_at brief_ref time_limit_minutes task_json item";
    assert_eq!(inputs.join(" "), sent);
}

#[test]
fn the_rosters_for_workflow_runs_are_valid() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    let check = folder.run(&["check", "--config", "shop/roster.toml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stdout.contains("fleet shop: 3 roles, 3 agents"), "{}", check.stdout);
    let folder = Folder::with_briefs(&shipped("roster.toml"));
    let check = folder.run(&["check"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stdout.contains("fleet example: 2 roles"), "{}", check.stdout);
}

#[test]
fn existing_files_stay_and_the_roster_names_the_fleet() {
    let folder = Folder::bare("fleet = \"mine\"\n");
    folder.write(FILES[1], "mine");
    fs::create_dir(folder.path().join(".git")).expect("a folder can be made");
    let run = init(&folder, ".");
    assert_eq!(
        (folder.read("roster.toml").as_str(), folder.read(FILES[1]).as_str()),
        ("fleet = \"mine\"\n", "mine")
    );
    assert!(folder.read(FILES[0]).contains("\n  group: coord-reconcile-mine\n"));
    for part in [
        "they exist:\n  roster.toml\n",
        "  .github/workflows/agent-session.yml\n",
        "kind = \"github-actions\"\n",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("not the root of a repository"), "{}", run.stdout);
}

#[test]
fn init_twice_changes_nothing() {
    let folder = Folder::bare("not a roster");
    init(&folder, "shop");
    let read =
        || ["roster.toml", FILES[0], FILES[1]].map(|file| folder.read(&format!("shop/{file}")));
    let first = read();
    let again = init(&folder, "shop");
    assert!(again.stdout.contains(": nothing\n"), "{}", again.stdout);
    assert_eq!(read(), first);
}

#[test]
fn a_fleet_is_run_by_one_of_systemd_a_cluster_and_github() {
    let folder = Folder::bare("");
    for other in ["--systemd", "--kubernetes"] {
        let run = folder.run(&["init", "--github-actions", other, "shop"]);
        assert_eq!(run.code, Some(2), "{}", run.stdout);
        assert!(run.stderr.contains("cannot be used with"), "{}", run.stderr);
    }
    assert!(!folder.path().join("shop").exists());
}
