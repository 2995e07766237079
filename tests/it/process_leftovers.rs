//! What an old session left and only its owner can remove. The coordinator runs as an
//! ordinary user: as `nobody` where the tests run as root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::process_fleet::{Fleet, await_true, report};

const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives everything below a directory to the user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).expect("root may give files away");
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            give(&entry.path(), user);
        } else {
            chown(entry.path(), Some(user), Some(user)).expect("root may give files away");
        }
    }
}

/// A fleet of an ordinary user.
fn fleet(defaults: &str, script: &str) -> Fleet {
    let fleet = Fleet::new(defaults, &[("maker", 1, script)]);
    if is_root() {
        // Another user may not reach the folder in which the program was built.
        fs::copy(env!("CARGO_BIN_EXE_coordinator"), fleet.path("coordinator"))
            .expect("copy the program");
        give(&fleet.path(""), NOBODY);
    }
    fleet
}

/// Runs the coordinator as that user.
fn run(fleet: &Fleet, arguments: &[&str]) -> Output {
    if !is_root() {
        return fleet.run(arguments);
    }
    let mut command = Command::new(fleet.path("coordinator"));
    fleet.surround(&mut command);
    command.arg("-c").arg(fleet.path("roster.toml")).args(arguments);
    command.uid(NOBODY).gid(NOBODY).output().expect("run the coordinator")
}

fn reconcile(fleet: &Fleet, arguments: &[&str]) -> Value {
    report(&run(fleet, &[&["reconcile", "-o", "json"], arguments].concat()))
}

fn await_exit(fleet: &Fleet, generation: u32) {
    let exit = fleet.state(&format!("sessions/maker-s0/{generation}/exit.json"));
    await_true("the session's end", || exit.exists());
}

/// Makes the first session's work something that an ordinary user cannot remove.
fn protect(fleet: &Fleet) {
    if is_root() {
        let kept = fleet.state("sessions/maker-s0/1/work/kept");
        give(&kept, 0);
        fs::set_permissions(&kept, Permissions::from_mode(0o755)).expect("set a mode");
    } else {
        let trash = fleet.state(".trash");
        fs::set_permissions(trash, Permissions::from_mode(0o500)).expect("set a mode");
    }
}

#[test]
fn what_cannot_be_removed_is_in_the_report_and_in_doctor_with_path_and_size_until_it_is_gone() {
    let settings = "min_free = \"0\"\nbackoff_base = \"0s\"\nretain_work = 1\n";
    let fleet = fleet(settings, "mkdir kept; echo 123456789 > kept/file");
    assert_eq!(reconcile(&fleet, &[])["steps"]["inventory"]["leftovers"], json!([]));
    await_exit(&fleet, 1);
    protect(&fleet);
    reconcile(&fleet, &[]);
    let record = fleet.state("sessions/maker-s0/leftovers.json");
    await_true("the shim's record", || record.exists());
    await_exit(&fleet, 2);

    let what = "a leftover of an old session cannot be removed: ";
    let doctor = String::from_utf8(run(&fleet, &["doctor"]).stdout).expect("the output is text");
    let joined = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(joined.contains(what) && joined.contains("(at least 10 B)"), "{doctor}");
    let report = reconcile(&fleet, &["--dry-run"]);
    let leftover = &report["steps"]["inventory"]["leftovers"][0];
    assert_eq!(leftover["bytes"], 10, "{report:#}");
    let path = leftover["path"].as_str().expect("a path is text");
    assert!(path.starts_with(&*fleet.state("").to_string_lossy()), "{path}");
    let advice = report["advice"].to_string();
    assert!(advice.contains(path) && advice.contains(what), "{advice}");
    assert_eq!(report["status"], "healthy", "{report:#}");

    fs::remove_dir_all(path).expect("its owner can remove it");
    let report = reconcile(&fleet, &["--dry-run"]);
    assert_eq!(report["steps"]["inventory"]["leftovers"], json!([]));
}
