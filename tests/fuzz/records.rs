//! The records of sessions on this machine.

use std::fs;
use std::sync::LazyLock;
use std::time::SystemTime;

use coordinator_core::platform::Platform;
use coordinator_platform_local::process::{Process, Settings};

use super::chance::Chance;
use super::damage::{damaged, written};
use super::stage::{Stage, block_on};
use super::{Verdict, documents, shown};

static STAGE: LazyLock<Stage> = LazyLock::new(|| Stage::on("kind = \"process\""));

/// Names of directories that may be a generation.
const GENERATIONS: [&str; 8] =
    ["1", "2", "9", "0", "01", "18446744073709551615", "18446744073709551616", "work"];

/// Lists, and looks what would start; nothing is started.
pub(crate) fn records(bytes: &[u8]) -> Verdict {
    let chance = &mut Chance::of(bytes);
    let state = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..=chance.below(3) {
        let generation = chance.one_of(&GENERATIONS);
        let home = state.path().join("demo/sessions/builder-s0").join(generation);
        fs::create_dir_all(&home).expect("a folder can be made");
        for (name, document) in documents::record() {
            let document = damaged(chance, document);
            fs::write(home.join(name), written(chance, &document)).expect("a file can be written");
        }
    }
    let settings = Settings {
        fleet: STAGE.roster.fleet.clone(),
        roster: STAGE.roster.path.clone(),
        state_dir: state.path().to_owned(),
        repository: None,
        secret_names: STAGE.roster.secret_names.clone(),
        program: "/nowhere".into(),
    };
    let process = Process::open(settings).expect("the folder is ours");
    let role = &STAGE.roster.roles[0];
    let want = role.wants().next().expect("it has a slot");
    let (listing, start) =
        block_on(async { (process.list().await, process.preview(&want, SystemTime::now()).await) });
    for error in [listing.as_ref().err(), start.as_ref().err()].into_iter().flatten() {
        shown::is_fair(&format!("{error:#}"));
    }
    assert!(listing.is_ok() || start.is_err(), "a slot that cannot be read must not start");
    Verdict::of(&listing)
}
