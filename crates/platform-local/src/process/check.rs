//! Whether local sessions can be kept on this machine: the place for their records, the disk, the
//! agents' programs.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::{refusal, root};
use coordinator_core::finding::Finding;
use coordinator_core::fleet::Role;

/// What stands in the way, and what does not.
pub(super) fn findings(roles: &[Role], roster: &Path, state_dir: &Path) -> Vec<Finding> {
    let mut findings = vec![platform(state_dir)];
    findings.extend(disk(roles, state_dir));
    findings.extend(programs(roles, roster));
    findings.extend(root::finding(roles));
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
            format!("{} is no directory", nearest.display()),
            "set `state_dir` in [platform.process]",
        ),
        Err(error) => Finding::fail(
            format!("local sessions cannot be kept in {shown}: {}: {error}", nearest.display()),
            "let this user write there, or set `state_dir` in [platform.process]",
        ),
    }
}

fn disk(roles: &[Role], state_dir: &Path) -> Option<Finding> {
    let wanted =
        running(roles).map(|role| role.spec.local.min_free_bytes).max().filter(|bytes| *bytes > 0)?;
    let nearest = nearest(state_dir);
    let disk = statvfs(nearest).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!("{} MiB are free at {}", free >> 20, nearest.display());
    Some(if free >= wanted {
        Finding::ok(what)
    } else {
        let remedy = format!("free some: `min_free` holds sessions back below {} MiB", wanted >> 20);
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
    let remedy = "install it for the user that runs the coordinator, or set `command` in the roster";
    if program.contains('{') {
        return Finding::ok(format!("`{program}` of {roles} depends on the slot: not looked up"));
    }
    match find(program, search_path, home) {
        Some(path) if is_executable(&path) => {
            Finding::ok(format!("the agent of {roles} is {}", path.display()))
        }
        Some(path) => Finding::fail(format!("{} is not executable", path.display()), "make it so"),
        None if is_path(program) => Finding::fail(format!("no file {program}, the agent of {roles}"), remedy),
        None => Finding::fail(format!("no command `{program}` on PATH, the agent of {roles}"), remedy),
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
    let candidates: Vec<_> =
        directories.map(|directory| directory.join(program)).filter(|path| path.is_file()).collect();
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
        let check =
            |program, path: &Path| program_finding(program, path.as_os_str(), home.path(), &["qa", "dev"]);
        let found = Finding::ok(format!("the agent of 2 roles is {}", home.path().join("agent").display()));
        assert_eq!(check("agent", home.path()), found);
        assert_eq!(check("./agent", Path::new("")).grade, Grade::Ok, "a path is relative to the roster");
        let absent = check("claude", home.path());
        assert_eq!(
            (absent.grade, absent.what.as_str()),
            (Grade::Fail, "no command `claude` on PATH, the agent of 2 roles")
        );
        assert_eq!(check("agent", Path::new("relative")).grade, Grade::Fail);
        assert!(check("notes", home.path()).what.ends_with("notes is not executable"));
        assert_eq!(check("agent-{role}", home.path()).grade, Grade::Ok);
    }

    #[test]
    fn a_place_for_sessions_need_not_exist_but_must_be_a_directory() {
        let home = home();
        assert_eq!(platform(&home.path().join("not/yet")).grade, Grade::Ok);
        let file = platform(&home.path().join("agent/state"));
        assert_eq!(file.grade, Grade::Fail, "{file:?}");
    }
}
