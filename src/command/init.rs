//! `coordinator init`: a starter roster with its briefs, and how to run it every five minutes.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use coordinator_core::fleet::Mode;
use coordinator_roster::shipped;

mod github_actions;
mod kubernetes;
mod local;
mod name;

/// What starts a cycle every five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// A line of a crontab, which is only printed.
    Crontab,
    Systemd,
    /// A `CronJob` on a cluster, where the sessions are Jobs.
    Kubernetes,
    /// A scheduled workflow of the repository, where the sessions are workflow runs.
    GithubActions,
}

/// Which roles the starter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roles {
    /// Builder, reviewer and sentinel, two sessions at a time.
    FirstDay,
    /// The 25 roles of the shipped roster.
    Full,
}

/// What `init` is to write.
#[derive(Debug, Clone, Copy)]
pub struct Starter<'a> {
    pub dir: &'a Path,
    pub schedule: Schedule,
    pub roles: Roles,
    /// The program that the schedule starts: an absolute path.
    pub binary: &'a Path,
    /// The value of PATH, in which the scheduled program finds the agents' commands.
    pub search_path: &'a str,
}

/// Writes the starter, leaves existing files alone, and returns a summary with the next steps.
///
/// Fails when the folder or a file cannot be written.
pub fn run(starter: Starter<'_>) -> Result<String> {
    let dir = starter.dir;
    fs::create_dir_all(dir).with_context(|| format!("create the folder {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("find the folder {}", dir.display()))?;
    let starter = Starter { dir: &dir, ..starter };
    let fleet = name::of_folder(&dir);
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for (path, text) in files(starter, &fleet.name) {
        let into = if write_new(&dir, &path, &text)? { &mut written } else { &mut kept };
        into.push(path);
    }
    let kept_roster = kept.iter().any(|path| path == Path::new("roster.toml"));
    let next = match starter.schedule {
        Schedule::Kubernetes => kubernetes::next(&dir, &fleet.name, starter.roles, kept_roster),
        Schedule::GithubActions => github_actions::next(&dir, kept_roster),
        Schedule::Systemd | Schedule::Crontab => local::next(starter, &fleet.name, kept_roster),
    };
    Ok(summary(&dir, &written, &kept) + &fleet.sentence() + &next)
}

fn files(starter: Starter<'_>, fleet: &str) -> Vec<(PathBuf, String)> {
    let Starter { schedule, roles, .. } = starter;
    let roster = roster(fleet, roles);
    let (roster, preamble) = match schedule {
        Schedule::Kubernetes => (kubernetes::roster(&roster, fleet), shipped::PREAMBLE.to_owned()),
        Schedule::GithubActions => {
            (github_actions::roster(&roster), github_actions::preamble(shipped::PREAMBLE))
        }
        Schedule::Systemd | Schedule::Crontab => (roster, shipped::PREAMBLE.to_owned()),
    };
    let roster = capped(&roster, roles);
    let mut files = vec![("roster.toml".into(), roster), ("briefs/preamble.md".into(), preamble)];
    files.extend(Mode::ALL.map(|mode| {
        (format!("briefs/modes/{}.md", mode.word()).into(), shipped::mode(mode).to_owned())
    }));
    let briefs = briefs(roles).iter();
    files.extend(
        briefs.map(|(key, brief)| (format!("briefs/{key}.md").into(), (*brief).to_owned())),
    );
    match schedule {
        Schedule::Kubernetes => files.extend(kubernetes::manifests(fleet, roles)),
        Schedule::GithubActions => files.extend(github_actions::workflows(fleet)),
        Schedule::Systemd | Schedule::Crontab => files.extend(local::files(starter, fleet)),
    }
    files
}

/// Key and brief of each role.
fn briefs(roles: Roles) -> &'static [(&'static str, &'static str)] {
    match roles {
        Roles::FirstDay => &shipped::STARTER_BRIEFS,
        Roles::Full => &shipped::BRIEFS,
    }
}

/// The shipped roster for this fleet; its pointer to the schema file holds only beside that file.
fn roster(fleet: &str, roles: Roles) -> String {
    let lines = shipped::ROSTER.lines().filter(|line| !line.starts_with("#:schema"));
    let named = lines.map(|line| match line.strip_prefix("fleet = \"demo\"") {
        Some(comment) => format!("fleet = \"{fleet}\"{comment}\n"),
        None => format!("{line}\n"),
    });
    let roster: String = named.collect();
    match roles {
        Roles::Full => roster,
        Roles::FirstDay => {
            let above = roster.split_once("\n# Product:").map_or(&*roster, |(above, _)| above);
            format!("{above}\n{}", shipped::STARTER_ROLES)
        }
    }
}

/// The roster with a budget, and with the cap of a first day.
fn capped(roster: &str, roles: Roles) -> String {
    let bounded = roster.replacen("# [budget]  ", "[budget]    ", 1);
    let bounded = bounded.replacen("# per_day_usd = 20.0 ", "per_day_usd = 20.0   ", 1);
    match roles {
        Roles::Full => bounded,
        Roles::FirstDay => bounded.replacen("max_running = 0 ", "max_running = 2 ", 1),
    }
}

/// The text between two lines of a roster, without them.
fn between<'a>(roster: &'a str, first: &str, last: &str) -> &'a str {
    let below = roster.split_once(&format!("\n{first}\n")).map_or("", |(_, below)| below);
    below.split_once(&format!("\n{last}")).map_or("", |(part, _)| part)
}

/// Whether the file was written: an existing one, a symbolic link included, stays.
fn write_new(dir: &Path, file: &Path, text: &str) -> Result<bool> {
    let path = dir.join(file);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
    }
    let mut new = OpenOptions::new();
    new.write(true).create_new(true);
    #[cfg(unix)]
    if file == Path::new(local::TOKENS) {
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    }
    match new.open(&path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
    }
}

fn summary(dir: &Path, written: &[PathBuf], kept: &[PathBuf]) -> String {
    let mut text = String::new();
    let none = if written.is_empty() { " nothing" } else { "" };
    let _ = writeln!(text, "Wrote to {}:{none}", dir.display());
    list(&mut text, written);
    if !kept.is_empty() {
        text.push_str("Kept, because they exist:\n");
        list(&mut text, kept);
    }
    text
}

fn list(text: &mut String, paths: &[PathBuf]) {
    for path in paths {
        let _ = writeln!(text, "  {}", path.display());
    }
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_starter_differs_from_the_shipped_roster_in_its_name_alone() {
        let starter = roster("shop", Roles::Full);
        assert!(starter.contains("\nfleet = \"shop\""), "{starter}");
        assert!(!starter.contains("demo") && !starter.contains("#:schema"), "{starter}");
    }

    #[test]
    fn a_first_day_has_three_roles_and_two_sessions() {
        let starter = capped(&roster("shop", Roles::FirstDay), Roles::FirstDay);
        assert_eq!(starter.matches("\n[[role]]\n").count(), 3, "{starter}");
        assert!(starter.contains("\nmax_running = 2 "), "{starter}");
        assert!(!starter.contains("ui_builder"), "{starter}");
    }
}
