//! `coordinator init`: a starter roster with its briefs, and how to run it every five minutes.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use toml::de::DeTable;

use coordinator_core::fleet::{FleetName, Mode};
use coordinator_roster::shipped;

mod github_actions;
mod kubernetes;
mod schedule;

/// What starts a cycle every five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// A line of a crontab, which is only printed.
    Crontab,
    /// A systemd timer.
    Systemd,
    /// A `CronJob` on a cluster, where the sessions are Jobs.
    Kubernetes,
    /// A scheduled workflow of the repository, where the sessions are workflow runs.
    GithubActions,
}

/// How this program is started.
#[derive(Debug)]
pub struct Program<'a> {
    /// The binary, absolute.
    pub binary: &'a Path,
    /// Where commands are looked up: the value of PATH.
    pub search_path: &'a str,
}

/// Writes the starter into `dir`, leaves alone what is there already, and says what it did.
///
/// Fails when the folder or a file cannot be written.
pub fn run(dir: &Path, schedule: Schedule, program: &Program<'_>) -> Result<String> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create the folder {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("cannot find the folder {}", dir.display()))?;
    let fleet = fleet_of_roster(&dir).unwrap_or_else(|| fleet_of_folder(&dir));
    let mut written = Vec::new();
    let mut kept = Vec::new();
    for (path, text) in files(&dir, &fleet, schedule, program) {
        let into = if write_new(&dir.join(&path), &text)? { &mut written } else { &mut kept };
        into.push(path);
    }
    let kept_roster = kept.iter().any(|path| path == Path::new("roster.toml"));
    let next = match schedule {
        Schedule::Kubernetes => kubernetes::next(&dir, &fleet, kept_roster),
        Schedule::GithubActions => github_actions::next(&dir, kept_roster),
        Schedule::Systemd => next(&dir, program) + &schedule::enable(&dir),
        Schedule::Crontab => next(&dir, program),
    };
    Ok(summary(&dir, &written, &kept) + &next)
}

fn files(dir: &Path, fleet: &str, schedule: Schedule, program: &Program<'_>) -> Vec<(PathBuf, String)> {
    let roster = match schedule {
        Schedule::Kubernetes => kubernetes::roster(&roster(fleet), fleet),
        Schedule::GithubActions => github_actions::roster(&roster(fleet)),
        Schedule::Systemd | Schedule::Crontab => roster(fleet),
    };
    let preamble = match schedule {
        Schedule::GithubActions => github_actions::preamble(shipped::PREAMBLE),
        Schedule::Kubernetes | Schedule::Systemd | Schedule::Crontab => shipped::PREAMBLE.to_owned(),
    };
    let mut files = vec![("roster.toml".into(), roster), ("briefs/preamble.md".into(), preamble)];
    let modes = Mode::ALL.into_iter();
    files.extend(
        modes.map(|mode| (format!("briefs/modes/{}.md", mode.word()).into(), shipped::mode(mode).to_owned())),
    );
    let briefs = shipped::BRIEFS.into_iter();
    files.extend(briefs.map(|(key, brief)| (format!("briefs/{key}.md").into(), brief.to_owned())));
    match schedule {
        Schedule::Kubernetes => files.extend(kubernetes::manifests(fleet)),
        Schedule::GithubActions => files.extend(github_actions::workflows(fleet)),
        Schedule::Systemd => {
            files.push(("coordinator.service".into(), schedule::service(dir, program)));
            files.push(("coordinator.timer".into(), schedule::TIMER.to_owned()));
        }
        Schedule::Crontab => {}
    }
    files
}

/// The shipped roster for this fleet; its pointer to the schema file holds only beside that file.
fn roster(fleet: &str) -> String {
    let lines = shipped::ROSTER.lines().filter(|line| !line.starts_with("#:schema"));
    let named = lines.map(|line| match line.strip_prefix("fleet = \"demo\"") {
        Some(comment) => format!("fleet = \"{fleet}\"{comment}\n"),
        None => format!("{line}\n"),
    });
    named.collect()
}

/// What stands between two lines of a roster, both left out.
fn between<'a>(roster: &'a str, first: &str, last: &str) -> &'a str {
    let below = roster.split_once(&format!("\n{first}\n")).map_or("", |(_, below)| below);
    below.split_once(&format!("\n{last}")).map_or("", |(part, _)| part)
}

/// The fleet of a roster that is there already.
fn fleet_of_roster(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join("roster.toml")).ok()?;
    let roster = DeTable::parse(&text).ok()?;
    let name = roster.get_ref().get("fleet")?.get_ref().as_str()?;
    FleetName::parse(name).ok().map(|fleet| fleet.as_str().to_owned())
}

/// The folder's name as far as a fleet may bear it.
fn fleet_of_folder(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let cleaned: String = name.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    if cleaned.is_empty() { "fleet".to_owned() } else { cleaned }
}

/// Whether the file was written: what is there already, a symbolic link included, stays.
fn write_new(path: &Path, text: &str) -> Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", path.display())),
    }
}

fn summary(dir: &Path, written: &[PathBuf], kept: &[PathBuf]) -> String {
    let mut text = String::new();
    let none = if written.is_empty() { " nothing" } else { "" };
    let _ = writeln!(text, "Wrote to {}:{none}", dir.display());
    list(&mut text, written);
    if !kept.is_empty() {
        text.push_str("Kept, because they were there already:\n");
        list(&mut text, kept);
    }
    text
}

fn list(text: &mut String, paths: &[PathBuf]) {
    for path in paths {
        let _ = writeln!(text, "  {}", path.display());
    }
}

fn next(dir: &Path, program: &Program<'_>) -> String {
    let config = schedule::shell_word(&dir.join("roster.toml").to_string_lossy());
    format!(
        "\nNext:\n  \
         1. In roster.toml, name your [repository] and your [[health]] endpoint, and set the counts you want.\n  \
         2. export GITHUB_TOKEN=...\n  \
         3. coordinator doctor --config {config}\n  \
         4. coordinator reconcile --dry-run --config {config}\n\n\
         Every five minutes, with `crontab -e` (GITHUB_TOKEN must be set there, too):\n  {}\n",
        schedule::crontab(dir, program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_named_after_its_folder_as_far_as_that_goes() {
        let names = [("shop", "shop"), ("My Shop_2", "myshop2"), ("äöü", "fleet"), ("", "fleet")];
        for (folder, fleet) in names {
            assert_eq!(fleet_of_folder(&Path::new("/").join(folder)), fleet);
        }
        assert_eq!(fleet_of_folder(Path::new("/a-very-long-name-of-a-folder")), "averylongnameofa");
    }

    #[test]
    fn the_starter_differs_from_the_shipped_roster_in_its_name_alone() {
        let starter = roster("shop");
        assert!(starter.contains("\nfleet = \"shop\""), "{starter}");
        assert!(!starter.contains("demo") && !starter.contains("#:schema"), "{starter}");
    }
}
