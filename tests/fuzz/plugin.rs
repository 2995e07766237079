//! A plugin's answers. Each case starts it a few times.

use std::fs;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use coordinator::steps::StepName;
use coordinator_core::fleet::Group;
use coordinator_core::report::StepOutcome;
use coordinator_platform_local::exec::{Exec, Purpose, Settings};
use coordinator_roster::PlatformKind;
use tokio::time::Instant;

use super::chance::Chance;
use super::damage::{damaged, written};
use super::stage::{Stage, block_on};
use super::{Verdict, documents, shown};

/// Answers with the content of the file with the operation's name.
const PLUGIN: &str =
    "#!/bin/sh\ncat > /dev/null\ncat \"$ANSWERS/$1\"\nexit \"$(cat \"$ANSWERS/code\")\"\n";

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let stage = Stage::on("kind = \"exec\"\n[platform.exec]\nplugin = \"sh\"");
    // Written by a process of its own: a file that this one has open for writing could not be run.
    let path = stage.folder.path().join("plugin");
    let write = "printf %s \"$1\" > \"$2\" && chmod 700 \"$2\"";
    let made = Command::new("sh").args(["-c", write, "sh", PLUGIN]).arg(path).status();
    assert!(made.expect("a shell starts").success());
    stage
});

/// Reads the capabilities, takes the inventory and starts what is missing.
pub(crate) fn plugin(bytes: &[u8]) -> Verdict {
    let chance = &mut Chance::of(bytes);
    let answers = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(answers.path().join(name), bytes).expect("a file can be written");
    };
    for (operation, document) in [
        ("list", documents::sessions()),
        ("spawn", documents::spawned()),
        ("capabilities", documents::capabilities()),
    ] {
        let document = damaged(chance, document);
        write(operation, &written(chance, &document));
    }
    write("code", [b"0".as_slice(), b"0", b"0", b"1", b"75"][chance.below(5)]);

    let roster = &STAGE.roster;
    let PlatformKind::Exec(exec) = &roster.platform.kind else {
        panic!("the roster has another platform")
    };
    let mut exec = exec.clone();
    exec.plugin = STAGE.folder.path().join("plugin");
    exec.env.insert("ANSWERS".to_owned(), answers.path().to_string_lossy().into_owned());
    let settings = Settings {
        fleet: roster.fleet.clone(),
        repository: None,
        groups: roster.roles.iter().map(|role| Group::from(&role.key)).collect(),
        on_inventory_failure: roster.platform.on_inventory_failure,
        exec,
        secret_names: roster.secret_names.clone(),
    };
    let report = block_on(async {
        let until = Instant::now() + Duration::from_secs(15);
        let platform = Exec::new(settings, Purpose::Start, until, until);
        let steps = [StepName::Inventory, StepName::Spawn];
        STAGE.cycle(&steps, Ok(platform), Err(anyhow::anyhow!("no step needs it"))).await
    });
    shown::check(&report);
    match report.inventory.outcome {
        StepOutcome::Ok => Verdict::Taken,
        StepOutcome::Failed(_) | StepOutcome::Skipped | StepOutcome::NotConfigured => {
            Verdict::Refused
        }
    }
}
