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
    for part in
        ["  roster.toml\n", "  briefs/sentinel.md\n", "coordinator doctor", "*/5 * * * * PATH="]
    {
        assert!(run.stdout.contains(part), "{part:?} is missing in\n{}", run.stdout);
    }
    let check = folder.run(&["check", "--config", "My Shop/roster.toml"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    assert!(check.stdout.contains("fleet myshop: 25 roles, 38 agents"), "{}", check.stdout);
    assert!(
        !folder.path().join("My Shop/coordinator.service").exists(),
        "no unit without --systemd"
    );
}

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let folder = Folder::bare("fleet = \"mine\"\n");
    folder.write("briefs/sentinel.md", "Mine.");
    let run = folder.run(&["init"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let kept = run
        .stdout
        .split_once("Kept, because they were there already:")
        .expect("a line lists what was kept")
        .1;
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
    let service = read("coordinator.service");
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
    assert!(read("coordinator.timer").contains("OnCalendar=*:0/5\nPersistent=true\n"));
    assert!(
        run.stdout.contains("systemctl --user enable --now coordinator.timer"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_with_its_path() {
    let folder = Folder::bare("");
    let run = folder.run(&["init", "roster.toml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("cannot create the folder roster.toml"), "{}", run.stderr);
}

#[test]
fn every_shell_gets_a_completion_script() {
    let folder = Folder::bare("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = folder.run(&["completions", shell]);
        assert_eq!(run.code, Some(0), "{shell}: {}", run.stderr);
        assert!(run.stdout.contains("reconcile"), "{shell}");
    }
}
