//! Processes as `/proc` shows them. Without it (macOS) nothing is known of any.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// A process, distinct from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// In clock ticks since the boot; `None` where the system has no `/proc`.
    pub(crate) starttime: Option<u64>,
}

impl ProcessId {
    pub(crate) fn of(pid: i32) -> Self {
        Self { pid, starttime: stat(pid).map(|stat| stat.starttime) }
    }

    /// Whether this very process still runs, in the boot that it started in. A zombie does not.
    pub(crate) fn is_alive(self) -> bool {
        let is_it = |stat: &Stat| Some(stat.starttime) == self.starttime && !stat.has_ended;
        self.starttime.is_none() || stat(self.pid).as_ref().is_some_and(is_it)
    }
}

/// Identity of this boot of the machine; empty where the system has no `/proc`.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Own children, zombies included.
pub(crate) fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_pid();
    let is_child = |pid: &i32| stat(*pid).is_some_and(|stat| stat.ppid == own);
    pids().filter(is_child).filter_map(Pid::from_raw).collect()
}

/// A process of this user with `COORDINATOR_SESSION=<session>`. Agents in most languages close
/// inherited descriptors, the lock included, before they start a child; the environment stays.
pub(crate) fn find_session(session: &str) -> Option<i32> {
    let wanted = format!("COORDINATOR_SESSION={session}");
    let uid = rustix::process::geteuid().as_raw();
    pids().find(|pid| {
        let directory = Path::new("/proc").join(pid.to_string());
        let is_ours = fs::metadata(&directory).is_ok_and(|metadata| metadata.uid() == uid);
        is_ours
            && fs::read(directory.join("environ")).is_ok_and(|environ| {
                environ.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
            })
    })
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Stat {
    ppid: i32,
    starttime: u64,
    has_ended: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields 3, 4 and 22 of proc(5). The second field is the command, which may contain anything, `)`
/// included.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X");
    let ppid = fields.next()?.parse().ok()?;
    let starttime = fields.nth(17)?.parse().ok()?;
    Some(Stat { ppid, starttime, has_ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_cannot_forge_a_start_time() {
        let text = "7 (a) R 1 (b) S 42 7 7 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 987654 0 0 \
            18446744073709551615";
        let stat = parse_stat(text).expect("a line as the kernel writes it");
        assert_eq!((stat.ppid, stat.starttime, stat.has_ended), (42, 987_654, false));
    }

    #[test]
    fn a_pid_that_a_stranger_reuses_is_not_the_process() {
        let own = ProcessId::of(rustix::process::getpid().as_raw_pid());
        assert!(own.is_alive());
        let stranger = ProcessId { starttime: own.starttime.map(|ticks| ticks + 1), ..own };
        assert_eq!(stranger.is_alive(), own.starttime.is_none());
    }
}
