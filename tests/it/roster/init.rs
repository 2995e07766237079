//! `coordinator init`: a starter that works, and nothing lost.

use std::fs;

use super::{Folder, Run};

fn init(arguments: &[&str]) -> (Folder, Run) {
    let folder = Folder::bare("not a roster");
    let run = folder.run(&[&["init", "My Shop"], arguments].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    (folder, run)
}

#[test]
fn a_starter_is_valid_and_named_after_its_folder() {
    let (folder, run) = init(&[]);
    for part in [
        "  roster.toml\n",
        "  briefs/sentinel.md\n",
        "\nFleet: myshop (a fleet's name has only a-z and 0-9)\n",
        "env           twice, under [defaults] and `reviewer`",
        "coordinator doctor",
        "reconcile --quiet --strict --config",
    ] {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    let check = folder.run(&["check", "--config", "My Shop/roster.toml"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    assert!(check.stdout.contains("fleet myshop: 3 roles, 3 agents"), "{}", check.stdout);
    let dir = folder.path().join("My Shop");
    assert!(!dir.join("coordinator-myshop.service").exists(), "it was not asked for");
}

#[test]
fn the_starter_runs_two_sessions_of_builder_reviewer_and_sentinel() {
    let (folder, _) = init(&[]);
    let config = ["--config", "My Shop/roster.toml"];
    let run = folder.run(&[&["reconcile", "--dry-run", "-o", "json"], &config[..]].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("it is JSON");
    let spawned = report["steps"]["spawn"]["spawned"].as_array().expect("a list");
    let slots: Vec<_> = spawned.iter().map(|start| start["slot"].as_str()).collect();
    assert_eq!(slots, [Some("myshop-builder-s0"), Some("myshop-reviewer-s0")]);
}

#[test]
fn the_starter_bounds_each_session_and_the_day() {
    let (folder, _) = init(&[]);
    let config = ["--config", "My Shop/roster.toml"];
    let budget = folder.run(&[&["budget", "-o", "json"], &config[..]].concat());
    let budget: serde_json::Value = serde_json::from_str(&budget.stdout).expect("it is JSON");
    assert_eq!(budget["caps"][0]["limit_usd"], 20.0, "{budget:#}");
    let check = folder.run(&[&["check"], &config[..]].concat());
    assert!(check.stdout.contains("--max-budget-usd 2\n"), "{}", check.stdout);
}

#[test]
fn init_full_writes_all_roles_and_briefs() {
    let (folder, run) = init(&["--full"]);
    assert!(run.stdout.contains("  briefs/ui_builder.md\n"), "{}", run.stdout);
    let check = folder.run(&["check", "--config", "My Shop/roster.toml"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""));
    assert!(check.stdout.contains("fleet myshop: 25 roles, 38 agents"), "{}", check.stdout);
}

#[test]
fn two_folders_get_two_fleets_also_where_their_names_begin_alike() {
    let folder = Folder::bare("not a roster");
    let fleet = |dir: &str| {
        let run = folder.run(&["init", dir]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let line = run.stdout.lines().find_map(|line| line.strip_prefix("Fleet: "));
        let line = line.unwrap_or_else(|| panic!("no fleet in {}", run.stdout)).to_owned();
        let (name, why) = line.split_once(' ').unwrap_or((&line, ""));
        (name.to_owned(), why.to_owned())
    };
    let (api, why) = fleet("internal-platform-api");
    let (web, _) = fleet("internal-platform-web");
    assert!(api.starts_with("internalpla") && api != web, "{api} {web}");
    assert!(why.contains("cut to 16 characters"), "{why}");
    assert_eq!(fleet("my-shop").0, "myshop");
    let (other, why) = fleet("my_shop");
    assert!(other.starts_with("myshop") && other != "myshop", "{other}");
    assert!(why.contains("a folder beside this one"), "{why}");
}

#[cfg(unix)]
#[test]
fn the_file_of_the_tokens_names_each_one_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = init(&[]);
    let file = folder.path().join("My Shop/coordinator.env");
    let mode = fs::metadata(&file).expect("it was written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(file).expect("it is text");
    for name in ["GITHUB_TOKEN", "AGENT_GITHUB_TOKEN", "REVIEWER_GITHUB_TOKEN"] {
        assert!(text.contains(&format!("\n#{name}=\n")), "{name} is missing in\n{text}");
    }
    assert_eq!(folder.read("My Shop/.gitignore"), "coordinator.env\n");
}

/// Runs what `init` printed for the crontab, as cron does.
fn run_as_cron(folder: &Folder, printed: &str) -> Run {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("*/5 * * * * "));
    let line = line.expect("a crontab line").replace("\\%", "%");
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]).current_dir("/").env_clear().env("HOME", folder.path());
    Run::of(&mut shell)
}

#[test]
fn the_crontab_line_prints_nothing_until_there_is_trouble() {
    let (folder, run) = init(&[]);
    let roster = folder.read("My Shop/roster.toml").replace("max_spawns = 50", "max_spawns = 0");
    folder.write("My Shop/roster.toml", &roster);
    let quiet = run_as_cron(&folder, &run.stdout);
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
    folder.write("My Shop/roster.toml", roster.replace("fleet = ", "flet = "));
    let trouble = run_as_cron(&folder, &run.stdout);
    assert!(trouble.stdout.contains("did you mean `fleet`?"), "{}", trouble.stdout);
}

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let folder = Folder::bare("fleet = \"mine\"\n");
    folder.write("briefs/sentinel.md", "Mine.");
    let run = folder.run(&["init"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let kept =
        run.stdout.split_once("Kept, because they exist:").expect("a line lists what was kept").1;
    assert!(kept.starts_with("\n  roster.toml\n  briefs/sentinel.md\n"), "{kept}");
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).expect("it is there");
    assert_eq!(
        (read("roster.toml").as_str(), read("briefs/sentinel.md").as_str()),
        ("fleet = \"mine\"\n", "Mine.")
    );
    assert!(read("briefs/preamble.md").contains("fresh clone"));
}

#[test]
fn init_twice_changes_nothing() {
    let (folder, _) = init(&["--systemd"]);
    let again = folder.run(&["init", "My Shop", "--systemd"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stdout.starts_with("Wrote to ") && again.stdout.contains(": nothing\n"),
        "{}",
        again.stdout
    );
}

#[cfg(unix)]
#[test]
fn init_does_not_write_through_a_symbolic_link() {
    let folder = Folder::bare("");
    folder.write("elsewhere/target", "Mine.");
    fs::create_dir(folder.path().join("shop")).expect("a folder can be made");
    let link = folder.path().join("shop/roster.toml");
    std::os::unix::fs::symlink("../elsewhere/target", link).expect("a link can be made");
    assert_eq!(folder.run(&["init", "shop"]).code, Some(0));
    let target = fs::read_to_string(folder.path().join("elsewhere/target")).expect("it is there");
    assert_eq!(target, "Mine.");
}

#[test]
fn systemd_files_start_this_program_and_leave_agents_alive() {
    let (folder, run) = init(&["--systemd"]);
    let dir = folder.path().canonicalize().expect("it is there").join("My Shop");
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("it was written");
    let service = read("coordinator-myshop.service");
    let start = format!(
        "ExecStart=\"{}\" reconcile --config \"{}/roster.toml\"\n",
        env!("CARGO_BIN_EXE_coordinator"),
        dir.display()
    );
    for part in [
        start.as_str(),
        "Type=oneshot\n",
        "KillMode=process\n",
        "Environment=\"PATH=/usr/bin:/bin\"\n",
    ] {
        assert!(service.contains(part), "{part:?} is missing in\n{service}");
    }
    assert!(read("coordinator-myshop.timer").contains("OnCalendar=*:0/5\nPersistent=true\n"));
    assert!(
        run.stdout.contains("systemctl --user enable --now coordinator-myshop.timer"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_with_its_path() {
    let folder = Folder::bare("");
    let run = folder.run(&["init", "roster.toml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("create the folder roster.toml: File exists"), "{}", run.stderr);
}

#[test]
fn two_fleets_have_two_pairs_of_units() {
    let folder = Folder::bare("not a roster");
    for fleet in ["one", "two"] {
        let run = folder.run(&["init", "--systemd", fleet]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for kind in ["service", "timer"] {
            let unit = folder.read(&format!("{fleet}/coordinator-{fleet}.{kind}"));
            assert!(unit.contains(&format!("of the fleet {fleet}")), "{unit}");
        }
    }
}

#[test]
fn the_prompt_of_a_role_is_printed_as_its_session_gets_it() {
    let (folder, _) = init(&[]);
    let prompt = |role: &str| {
        let run = folder.run(&["prompt", role, "--config", "My Shop/roster.toml"]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        run.stdout
    };
    let text = prompt("sentinel");
    for part in ["You are Sentinel (role `sentinel`) in the fleet `myshop`", "Guards production"] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(!text.contains("{prompt}"), "{text}");
}

#[test]
fn the_prompt_is_the_argument_that_carries_it() {
    let roster = r#"
        fleet = "demo"
        [[role]]
        key = "ui_builder"
        count = 3
        command = ["agent", "{slot}", "In {slot}: {prompt}"]
    "#;
    let folder = Folder::with_briefs(&roster.replace("        ", ""));
    let run = folder.run(&["prompt", "ui-builder", "--slot", "2"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.starts_with("In demo-ui-builder-s2: # Your session\n"), "{}", run.stdout);
    let run = folder.run(&["prompt", "ui-bilder"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    let expected = "error: no role named `ui-bilder`; did you mean `ui_builder`?\n";
    assert_eq!(run.stderr, expected);
}
