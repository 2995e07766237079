//! Whether local sessions can be kept on this machine: where it runs, the place for their records,
//! the disk, the agents' programs.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use coordinator_core::finding::Finding;
use coordinator_core::fleet::{Leftover, Role};

/// Claude Code refuses these flags to root, unless [`SANDBOX`] is set.
const ROOT_FLAGS: [&str; 2] = ["bypassPermissions", "--dangerously-skip-permissions"];
const SANDBOX: &str = "IS_SANDBOX";

/// One finding per requirement, met or not.
pub(super) fn findings(roles: &[Role], roster: &Path, state_dir: &Path) -> Vec<Finding> {
    let mut findings = vec![platform(state_dir)];
    findings.extend(disk(roles, state_dir));
    findings.extend(programs(roles, roster));
    findings.extend(refused_as_root(roles));
    findings
}

fn platform(state_dir: &Path) -> Finding {
    let shown = state_dir.display();
    if let Some(refusal) = refusal(state_dir) {
        return Finding::fail(refusal, "run the coordinator elsewhere");
    }
    let nearest = nearest(state_dir);
    match access(nearest, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if nearest.is_dir() => Finding::ok(format!("local sessions can be kept in {shown}")),
        Ok(()) => Finding::fail(
            format!("{} is not a directory", nearest.display()),
            "set `state_dir` in [platform.process]",
        ),
        Err(error) => Finding::fail(
            format!("local sessions cannot be kept in {shown}: {}: {error}", nearest.display()),
            "let this user write there, or set `state_dir` in [platform.process]",
        ),
    }
}

/// What no later session can remove.
pub(super) fn leftovers(leftovers: &[Leftover]) -> Option<Finding> {
    Leftover::describe(leftovers).map(|(what, remedy)| Finding::warn(what, remedy))
}

fn disk(roles: &[Role], state_dir: &Path) -> Option<Finding> {
    let wanted = running(roles)
        .map(|role| role.spec.local.min_free_bytes)
        .max()
        .filter(|bytes| *bytes > 0)?;
    let nearest = nearest(state_dir);
    let disk = statvfs(nearest).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!("{} MiB are free at {}", free >> 20, nearest.display());
    Some(if free >= wanted {
        Finding::ok(what)
    } else {
        let remedy =
            format!("free some: `min_free` holds sessions back below {} MiB", wanted >> 20);
        Finding::warn(what, remedy)
    })
}

/// One finding per program and search path, however many roles share it.
fn programs(roles: &[Role], roster: &Path) -> Vec<Finding> {
    let mut programs: BTreeMap<(&str, OsString), Vec<&str>> = BTreeMap::new();
    for role in running(roles) {
        let program = role.spec.command.first().map_or("", String::as_str);
        programs.entry((program, search_path(role))).or_default().push(role.key.as_str());
    }
    let home = roster.parent().unwrap_or(Path::new("/"));
    let findings =
        programs.iter().map(|((program, path), roles)| program_finding(program, path, home, roles));
    findings.collect()
}

fn program_finding(program: &str, search_path: &OsStr, home: &Path, roles: &[&str]) -> Finding {
    let roles = match roles {
        [role] => format!("role {role}"),
        roles => format!("{} roles", roles.len()),
    };
    let remedy =
        "install it for the user that runs the coordinator, or set `command` in the roster";
    if program.contains('{') {
        return Finding::ok(format!(
            "agent command depends on the slot and was not looked up: {program} ({roles})"
        ));
    }
    match find(program, search_path, home) {
        Some(path) if is_executable(&path) => {
            Finding::ok(format!("agent command found: {} ({roles})", path.display()))
        }
        Some(path) => Finding::fail(
            format!("agent command is not executable: {} ({roles})", path.display()),
            "run `chmod +x` on it",
        ),
        None if is_path(program) => {
            Finding::fail(format!("agent command not found: {program} ({roles})"), remedy)
        }
        None => Finding::fail(
            format!("agent command not found: no `{program}` on PATH ({roles})"),
            remedy,
        ),
    }
}

/// As the session will look for it: paths are relative to the roster, and the role's own PATH
/// counts.
fn find(program: &str, search_path: &OsStr, home: &Path) -> Option<PathBuf> {
    if is_path(program) {
        return Some(home.join(program)).filter(|path| path.is_file());
    }
    // A relative directory would be sought in the session's fresh, empty work directory.
    let directories = env::split_paths(search_path).filter(|directory| directory.is_absolute());
    let candidates: Vec<_> = directories
        .map(|directory| directory.join(program))
        .filter(|path| path.is_file())
        .collect();
    let executable = candidates.iter().find(|path| is_executable(path));
    executable.or(candidates.first()).cloned()
}

fn is_path(program: &str) -> bool {
    program.contains(MAIN_SEPARATOR)
}

fn is_executable(path: &Path) -> bool {
    access(path, Access::EXEC_OK).is_ok()
}

fn search_path(role: &Role) -> OsString {
    match role.spec.env.get("PATH") {
        Some(path) => path.into(),
        None => env::var_os("PATH").unwrap_or_default(),
    }
}

fn running(roles: &[Role]) -> impl Iterator<Item = &Role> {
    roles.iter().filter(|role| role.count > 0)
}

/// The directory itself, or the one in which it would be made.
fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path)
}

fn refused_as_root(roles: &[Role]) -> Option<Finding> {
    let is_refused = rustix::process::geteuid().is_root() && env::var_os(SANDBOX).is_none();
    let needs_sandbox =
        |role: &&Role| is_refused && needs_sandbox(&role.spec.command, &role.spec.env);
    let refused: Vec<&Role> = running(roles).filter(needs_sandbox).collect();
    let first = refused.first()?;
    let whose = match refused.len() {
        1 => format!("role {}", first.key),
        roles => format!("{roles} roles"),
    };
    let what =
        format!("this is root, and Claude Code refuses root the flag in the command of {whose}");
    let remedy = format!(
        "run the coordinator as a user of its own; or, in a container, set `env = {{ {SANDBOX} = \
        \"1\" }}` under [defaults]"
    );
    Some(Finding::warn(what, remedy))
}

fn needs_sandbox(command: &[String], env: &BTreeMap<String, String>) -> bool {
    command.iter().any(|argument| ROOT_FLAGS.contains(&argument.as_str()))
        && !env.contains_key(SANDBOX)
}

/// Why the process platform must not be used here; `None` when it may. A configuration error:
/// nothing was touched.
pub fn refusal(state_dir: &Path) -> Option<String> {
    let host = Host {
        pid: std::process::id(),
        is_github_actions: env::var("GITHUB_ACTIONS").is_ok_and(|mark| mark == "true"),
        file_system: file_system(state_dir),
    };
    refusal_of(&host, state_dir)
}

struct Host {
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

fn refusal_of(host: &Host, state_dir: &Path) -> Option<String> {
    let elsewhere = "local sessions would be killed when this run ends";
    if host.is_github_actions {
        return Some(format!(
            "the process platform does not work under GitHub Actions: {elsewhere}"
        ));
    }
    if host.pid == 1 {
        return Some(format!(
            "the process platform does not work as PID 1 of a container: {elsewhere}; start the \
            container with an init (`docker run --init`)"
        ));
    }
    match host.file_system {
        FileSystem::Local => None,
        FileSystem::Shared(kind) => Some(format!(
            "{} is on {kind}, where file locks cannot be trusted; set `state_dir` to a local disk",
            state_dir.display()
        )),
    }
}

/// That of the nearest directory that exists; one that cannot be read fails the first start.
#[cfg(target_os = "linux")]
fn file_system(path: &Path) -> FileSystem {
    let found = path.ancestors().find_map(|path| rustix::fs::statfs(path).ok());
    // f_type is signed or unsigned, 32 or 64 bits wide, by architecture; the numbers fit into 32
    // bits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "only the low 32 bits count"
    )]
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
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use coordinator_core::finding::Grade;

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a directory");
        for (name, mode) in [("agent", 0o755), ("notes", 0o644)] {
            let path = home.path().join(name);
            fs::write(&path, "").expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        }
        home
    }

    #[test]
    fn a_program_is_found_as_the_session_will_find_it() {
        let home = home();
        let check = |program, path: &Path| {
            program_finding(program, path.as_os_str(), home.path(), &["qa", "dev"])
        };
        let found = Finding::ok(format!(
            "agent command found: {} (2 roles)",
            home.path().join("agent").display()
        ));
        assert_eq!(check("agent", home.path()), found);
        assert_eq!(
            check("./agent", Path::new("")).grade,
            Grade::Ok,
            "a path is relative to the roster"
        );
        let absent = check("claude", home.path());
        assert_eq!(
            (absent.grade, absent.what.as_str()),
            (Grade::Fail, "agent command not found: no `claude` on PATH (2 roles)")
        );
        assert_eq!(check("agent", Path::new("relative")).grade, Grade::Fail);
        assert!(check("notes", home.path()).what.contains("not executable: "));
        assert_eq!(check("agent-{role}", home.path()).grade, Grade::Ok);
    }

    #[test]
    fn a_place_for_sessions_need_not_exist_but_must_be_a_directory() {
        let home = home();
        assert_eq!(platform(&home.path().join("not/yet")).grade, Grade::Ok);
        let file = platform(&home.path().join("agent/state"));
        assert_eq!(file.grade, Grade::Fail, "{file:?}");
    }

    #[test]
    fn only_a_role_with_the_flag_and_without_the_variable_is_refused() {
        let needs = |command: &[&str], env: &[(&str, &str)]| {
            let owned = |text: &&str| (*text).to_owned();
            let env = env.iter().map(|(name, value)| (owned(name), owned(value)));
            needs_sandbox(&command.iter().map(owned).collect::<Vec<_>>(), &env.collect())
        };
        let flag = ["claude", "--permission-mode", "bypassPermissions"];
        assert!(needs(&flag, &[]));
        assert!(needs(&["claude", "--dangerously-skip-permissions"], &[]));
        assert!(!needs(&flag, &[("IS_SANDBOX", "1")]));
        assert!(!needs(&["other", "{prompt}"], &[]));
    }

    fn refused(host: &Host) -> Option<String> {
        refusal_of(host, Path::new("/state"))
    }

    fn laptop() -> Host {
        Host { pid: 4711, is_github_actions: false, file_system: FileSystem::Local }
    }

    #[test]
    fn a_laptop_may_run_sessions() {
        assert_eq!(refused(&laptop()), None);
    }

    #[test]
    fn a_host_that_would_kill_the_sessions_is_refused() {
        let runner = refused(&Host { is_github_actions: true, ..laptop() });
        assert!(runner.is_some_and(|why| why.contains("GitHub Actions")));
        let container = refused(&Host { pid: 1, ..laptop() });
        assert!(container.is_some_and(|why| why.contains("--init")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_with_emulated_locks_is_refused_by_name() {
        for (f_type, name) in
            [(0x6969, "NFS"), (0xFF53_4D42, "SMB"), (0x6573_5546, "FUSE"), (0x0102_1997, "9p")]
        {
            let why = refused(&Host { file_system: of_type(f_type), ..laptop() });
            assert!(
                why.is_some_and(|why| why.contains(name) && why.contains("state_dir")),
                "{name}"
            );
        }
        for (f_type, name) in [(0xEF53, "ext4"), (0x0102_1994, "tmpfs"), (0x794C_7630, "overlayfs")]
        {
            assert_eq!(of_type(f_type), FileSystem::Local, "{name}");
        }
    }
}
