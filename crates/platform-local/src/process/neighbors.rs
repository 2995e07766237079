//! Fleets on this machine that share the name of this one, or its roster file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Settings;
use super::directory::{Directory, names};
use super::proc;
use super::record::Record;
use super::scan::SlotScan;
use coordinator_core::finding::Finding;
use coordinator_core::fleet::FleetName;

/// Nothing where this fleet is the only one of its name and of its roster.
pub(super) fn findings(settings: &Settings) -> Vec<Finding> {
    let own_user = rustix::process::geteuid().as_raw();
    let other_users = of_other_users(Path::new("/proc"), settings.fleet.as_str(), own_user);
    let other_users = other_users.into_iter().map(|user| {
        let what = format!("user {user} runs a fleet `{}` on this machine too", settings.fleet);
        Finding::warn(what, "give one of them another `fleet`, or stop one: both do the same work")
    });
    let other_rosters = other_rosters(settings).into_iter().map(|roster| {
        let what = format!("{} runs the fleet `{}` too", roster.display(), settings.fleet);
        Finding::warn(what, "give each roster a `fleet` of its own")
    });
    let former_names = former_names(settings).into_iter().map(|(fleet, live)| {
        let sessions =
            if live == 1 { "1 live session".to_owned() } else { format!("{live} live sessions") };
        Finding::warn(
            format!("{sessions} of the fleet `{fleet}`, this roster's former name"),
            format!(
                "let them finish, or stop them: set `fleet = \"{fleet}\"` again and run \
                 `coordinator stop`"
            ),
        )
    });
    other_users.chain(other_rosters).chain(former_names).collect()
}

/// Roster files other than ours that exist and whose session is the newest of some slot. A file
/// that is gone was moved.
fn other_rosters(settings: &Settings) -> BTreeSet<PathBuf> {
    let scans = scans(settings.directory());
    let rosters = scans.filter_map(|scan| scan.records.into_iter().next_back());
    let rosters = rosters.map(|Record { start, .. }| start.roster);
    rosters.filter(|roster| *roster != settings.roster && roster.exists()).collect()
}

/// Other fleets with live sessions that this roster file started, and how many.
fn former_names(settings: &Settings) -> BTreeMap<FleetName, usize> {
    let fleets = names(&settings.state_dir).unwrap_or_default();
    let fleets = fleets.iter().filter_map(|name| FleetName::parse(name.to_str()?).ok());
    let others = fleets.filter(|fleet| *fleet != settings.fleet);
    let counted = others.map(|fleet| {
        let is_ours = |scan: &SlotScan| {
            scan.holder().is_some_and(|record| record.start.roster == settings.roster)
        };
        let live = scans(Directory::new(&settings.state_dir, &fleet)).filter(is_ours).count();
        (fleet, live)
    });
    counted.filter(|(_, live)| *live > 0).collect()
}

/// The slots of a fleet with their newest record; what cannot be read is left out.
fn scans(directory: Directory) -> impl Iterator<Item = SlotScan> {
    let boot_id = proc::boot_id();
    let slots = directory.slots().unwrap_or_default().into_iter();
    slots.filter_map(move |slot| SlotScan::read(&directory, slot, 1, &boot_id).ok())
}

/// Users other than `own` with a shim of a fleet of this name. Their state directories are closed
/// to us; a shim's arguments name its session's folder.
fn of_other_users(processes: &Path, fleet: &str, own: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir(processes).into_iter().flatten().flatten();
    let users = entries.filter_map(|entry| {
        let user = entry.metadata().ok()?.uid();
        if user == own {
            return None;
        }
        let arguments = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let mut arguments = arguments.split('\0').skip(1);
        let home =
            arguments.next().filter(|stage| *stage == "session-run").and(arguments.next())?;
        // <state_dir>/<fleet>/sessions/<slot>/<generation>
        let root = Path::new(home).ancestors().nth(3)?;
        (root.file_name()? == fleet).then_some(user)
    });
    users.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_of_another_user_is_found_by_the_arguments_of_its_shims() {
        let processes = tempfile::tempdir().expect("a directory");
        let entries = [
            ("7", "coordinator\0session-run\0/srv/bob/state/demo/sessions/qa-s0/1\0"),
            ("8", "vim\0session-run\0"),
            ("self", ""),
        ];
        for (name, arguments) in entries {
            let folder = processes.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            fs::write(folder.join("cmdline"), arguments).expect("a file");
        }
        let uid = fs::metadata(processes.path()).expect("it exists").uid();
        let of = |fleet, own| of_other_users(processes.path(), fleet, own);
        assert_eq!(of("demo", uid + 1), BTreeSet::from([uid]));
        assert_eq!(of("other", uid + 1), BTreeSet::new());
        assert_eq!(of("demo", uid), BTreeSet::new());
    }
}
