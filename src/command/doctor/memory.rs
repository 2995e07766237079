//! Does the fleet fit into this machine's memory?

use std::fs;
use std::path::{Path, PathBuf};

use crate::platforms::AnyPlatform;
use crate::render::words::count;
use coordinator_core::finding::Finding;
use coordinator_core::platform::Platform;
use coordinator_roster::Roster;

/// What an idle Claude Code takes.
const AGENT_BYTES: u64 = 190 << 20;

/// `None` where sessions run elsewhere, where the system does not show its memory, and where
/// nothing is left to start.
pub(super) async fn finding(roster: &Roster, platform: &AnyPlatform) -> Option<Finding> {
    let AnyPlatform::Process(process) = platform else { return None };
    let wanted: u32 = roster.roles.iter().map(|role| role.count).sum();
    let wanted = wanted.min(roster.platform.max_running.unwrap_or(u32::MAX));
    // Live sessions have their memory already.
    let listing = process.list().await.ok()?;
    let live = listing.slots.values().filter(|record| record.live.is_some()).count();
    let live = u32::try_from(live).unwrap_or(u32::MAX);
    judge(wanted.saturating_sub(live), live, available(Path::new("/"))?)
}

fn judge(missing: u32, live: u32, available: u64) -> Option<Finding> {
    if missing == 0 {
        return None;
    }
    let needed = AGENT_BYTES.saturating_mul(missing.into());
    let what = format!(
        "{} {} about {} of memory ({} per idle agent); {} is available",
        count(missing.into(), "more session"),
        if missing == 1 { "needs" } else { "need" },
        size(needed),
        size(AGENT_BYTES),
        size(available),
    );
    if needed <= available {
        return Some(Finding::ok(what));
    }
    let fits = available / AGENT_BYTES + u64::from(live);
    let remedy = format!("set `max_running` in [platform] to at most {}", fits.max(1));
    Some(Finding::warn(what, remedy))
}

/// `7.1 GiB`, `190 MiB`.
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1024 {
        format!("{mib} MiB")
    } else {
        format!("{}.{} GiB", mib >> 10, (mib & 1023) * 10 / 1024)
    }
}

/// What this process may still take: the machine's available memory, or less where a control group
/// of version 2 limits it. `root` is `/`.
fn available(root: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let machine = field(&meminfo, "MemAvailable:")? << 10;
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let mount = root.join("sys/fs/cgroup");
    let group: PathBuf = mount.join(own);
    let groups = group.ancestors().take_while(|group| group.starts_with(&mount));
    Some(groups.filter_map(left_in).fold(machine, u64::min))
}

/// The limit of a control group less what is in use and cannot be reclaimed.
fn left_in(group: &Path) -> Option<u64> {
    let read = |name| fs::read_to_string(group.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    let cache = field(&read("memory.stat")?, "inactive_file").unwrap_or_default();
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

/// The number after `name` at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator_core::finding::Grade;

    #[test]
    fn what_does_not_fit_is_a_warning_with_both_numbers_and_the_count_that_fits() {
        let finding = judge(38, 2, 4 << 30).expect("something is missing");
        assert_eq!(finding.grade, Grade::Warn);
        let what = "38 more sessions need about 7.0 GiB of memory (190 MiB per idle agent); \
            4.0 GiB is available";
        assert_eq!(finding.what, what);
        let remedy = "set `max_running` in [platform] to at most 23";
        assert_eq!(finding.remedy.as_deref(), Some(remedy));
        assert_eq!(judge(2, 0, 4 << 30).map(|finding| finding.grade), Some(Grade::Ok));
        assert_eq!(judge(0, 38, 0), None);
    }

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn the_tightest_control_group_above_this_process_counts() {
        let meminfo = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");
        assert_eq!(available(machine(&[meminfo]).path()), Some(8000 << 10));
        let group = [
            meminfo,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/memory.max", "5000000\n"),
            ("sys/fs/cgroup/a/memory.current", "2000000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 500000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
        ];
        assert_eq!(available(machine(&group).path()), Some(3_500_000));
    }
}
