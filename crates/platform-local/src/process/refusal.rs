//! Where local sessions cannot live.

use std::env;
use std::path::Path;

/// Why the process platform must not be used here; `None` when it may. A configuration error: nothing was touched.
pub fn refusal(state_dir: &Path) -> Option<String> {
    let surroundings = Surroundings {
        pid: std::process::id(),
        is_github_actions: env::var("GITHUB_ACTIONS").is_ok_and(|mark| mark == "true"),
        file_system: file_system(state_dir),
    };
    judge(&surroundings, state_dir)
}

struct Surroundings {
    pid: u32,
    is_github_actions: bool,
    file_system: FileSystem,
}

#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    Local,
    /// `flock` is emulated there, or not kept between machines (flock(2)).
    Shared(&'static str),
}

fn judge(surroundings: &Surroundings, state_dir: &Path) -> Option<String> {
    let elsewhere = "local sessions would be killed when this run ends";
    if surroundings.is_github_actions {
        return Some(format!("the process platform does not work under GitHub Actions: {elsewhere}"));
    }
    if surroundings.pid == 1 {
        return Some(format!(
            "the process platform does not work as PID 1 of a container: {elsewhere}; start the container with an init (`docker run --init`)"
        ));
    }
    match surroundings.file_system {
        FileSystem::Local => None,
        FileSystem::Shared(kind) => Some(format!(
            "{} is on {kind}, where file locks cannot be trusted; set `state_dir` to a local disk",
            state_dir.display()
        )),
    }
}

/// Of the nearest directory that exists; what cannot be asked is left to the first start.
#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> FileSystem {
    let found = path.ancestors().find_map(|path| rustix::fs::statfs(path).ok());
    // f_type is signed or unsigned, 32 or 64 bits wide, by architecture; the numbers fit into 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only the low 32 bits count")]
    found.map_or(FileSystem::Local, |found| of_type(found.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> FileSystem {
    FileSystem::Local
}

/// The numbers are those of statfs(2).
#[cfg(target_os = "linux")]
fn of_type(f_type: u32) -> FileSystem {
    match f_type {
        0x0000_6969 => FileSystem::Shared("NFS"),
        0x0000_517B | 0xFF53_4D42 | 0xFE53_4D42 => FileSystem::Shared("SMB"),
        0x6573_5546 => FileSystem::Shared("FUSE"),
        0x0102_1997 => FileSystem::Shared("9p"),
        0x00C3_6400 => FileSystem::Shared("Ceph"),
        0x5346_414F | 0x6B41_4653 => FileSystem::Shared("AFS"),
        _ => FileSystem::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(surroundings: &Surroundings) -> Option<String> {
        judge(surroundings, Path::new("/state"))
    }

    fn laptop() -> Surroundings {
        Surroundings { pid: 4711, is_github_actions: false, file_system: FileSystem::Local }
    }

    #[test]
    fn a_laptop_may_run_sessions() {
        assert_eq!(refused(&laptop()), None);
    }

    #[test]
    fn whoever_would_kill_the_sessions_is_refused() {
        let runner = refused(&Surroundings { is_github_actions: true, ..laptop() });
        assert!(runner.is_some_and(|why| why.contains("GitHub Actions")));
        let container = refused(&Surroundings { pid: 1, ..laptop() });
        assert!(container.is_some_and(|why| why.contains("--init")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_with_emulated_locks_is_refused_by_name() {
        for (f_type, name) in
            [(0x6969, "NFS"), (0xFF53_4D42, "SMB"), (0x6573_5546, "FUSE"), (0x0102_1997, "9p")]
        {
            let why = refused(&Surroundings { file_system: of_type(f_type), ..laptop() });
            assert!(why.is_some_and(|why| why.contains(name) && why.contains("state_dir")), "{name}");
        }
        for (f_type, name) in [(0xEF53, "ext4"), (0x0102_1994, "tmpfs"), (0x794C_7630, "overlayfs")] {
            assert_eq!(of_type(f_type), FileSystem::Local, "{name}");
        }
    }
}
