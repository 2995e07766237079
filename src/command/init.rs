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

/// Starts the service every five minutes, and once after a time in which the machine slept.
const TIMER: &str = "\
[Unit]
Description=A coordinator cycle every five minutes

[Timer]
OnCalendar=*:0/5
Persistent=true

[Install]
WantedBy=timers.target
";

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

/// Writes the starter into `dir`, leaves alone what is there already, and returns a summary. The
/// program that the schedule starts is `binary`, an absolute path; it finds commands in
/// `search_path`, the value of PATH.
///
/// Fails when the folder or a file cannot be written.
pub fn run(dir: &Path, schedule: Schedule, binary: &Path, search_path: &str) -> Result<String> {
    fs::create_dir_all(dir)
        .with_context(|| format!("cannot create the folder {}", dir.display()))?;
    let dir =
        dir.canonicalize().with_context(|| format!("cannot find the folder {}", dir.display()))?;
    let fleet = fleet_of_roster(&dir).unwrap_or_else(|| fleet_of_folder(&dir));
    let mut written = Vec::new();
    let mut kept = Vec::new();
    for (path, text) in files(&dir, &fleet, schedule, binary, search_path) {
        let into = if write_new(&dir.join(&path), &text)? { &mut written } else { &mut kept };
        into.push(path);
    }
    let kept_roster = kept.iter().any(|path| path == Path::new("roster.toml"));
    let next = match schedule {
        Schedule::Kubernetes => kubernetes::next(&dir, &fleet, kept_roster),
        Schedule::GithubActions => github_actions::next(&dir, kept_roster),
        Schedule::Systemd => next(&dir, binary, search_path) + &enable(&dir),
        Schedule::Crontab => next(&dir, binary, search_path),
    };
    Ok(summary(&dir, &written, &kept) + &next)
}

fn files(
    dir: &Path,
    fleet: &str,
    schedule: Schedule,
    binary: &Path,
    search_path: &str,
) -> Vec<(PathBuf, String)> {
    let roster = match schedule {
        Schedule::Kubernetes => kubernetes::roster(&roster(fleet), fleet),
        Schedule::GithubActions => github_actions::roster(&roster(fleet)),
        Schedule::Systemd | Schedule::Crontab => roster(fleet),
    };
    let preamble = match schedule {
        Schedule::GithubActions => github_actions::preamble(shipped::PREAMBLE),
        Schedule::Kubernetes | Schedule::Systemd | Schedule::Crontab => {
            shipped::PREAMBLE.to_owned()
        }
    };
    let mut files = vec![("roster.toml".into(), roster), ("briefs/preamble.md".into(), preamble)];
    let modes = Mode::ALL.into_iter();
    files.extend(modes.map(|mode| {
        (format!("briefs/modes/{}.md", mode.word()).into(), shipped::mode(mode).to_owned())
    }));
    let briefs = shipped::BRIEFS.into_iter();
    files.extend(briefs.map(|(key, brief)| (format!("briefs/{key}.md").into(), brief.to_owned())));
    match schedule {
        Schedule::Kubernetes => files.extend(kubernetes::manifests(fleet)),
        Schedule::GithubActions => files.extend(github_actions::workflows(fleet)),
        Schedule::Systemd => {
            files.push(("coordinator.service".into(), service(dir, binary, search_path)));
            files.push(("coordinator.timer".into(), TIMER.to_owned()));
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
            file.write_all(text.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
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

fn next(dir: &Path, binary: &Path, search_path: &str) -> String {
    let config = shell_word(&dir.join("roster.toml").to_string_lossy());
    format!(
        "\nNext:\n  \
         1. In roster.toml, name your [repository] and your [[health]] endpoint, and set the counts you want.\n  \
         2. export GITHUB_TOKEN=...\n  \
         3. coordinator doctor --config {config}\n  \
         4. coordinator reconcile --dry-run --config {config}\n\n\
         Every five minutes, with `crontab -e` (GITHUB_TOKEN must be set there, too):\n  {}\n",
        crontab(dir, binary, search_path)
    )
}

/// One cycle. Two at once do no harm, so nothing guards against it.
fn service(dir: &Path, binary: &Path, search_path: &str) -> String {
    let argument = |path: &Path| unit_word(&path.to_string_lossy()).replace('$', "$$");
    let (binary, roster) = (argument(binary), argument(&dir.join("roster.toml")));
    let credentials = dir.join("coordinator.env").to_string_lossy().replace('%', "%%");
    let search_path = unit_word(&format!("PATH={search_path}"));
    format!(
        "\
[Unit]
Description=A coordinator cycle

[Service]
Type=oneshot
ExecStart={binary} reconcile --config {roster}
Environment={search_path}
# GITHUB_TOKEN=... and what the roster names as ${{NAME}}, readable for you alone. It may be absent.
EnvironmentFile=-{credentials}
# Agents outlive the cycle that starts them.
KillMode=process
TimeoutStartSec=300
# A rate limit put off what was left to do.
SuccessExitStatus=75
"
    )
}

/// The crontab line, with the PATH that found the agents here.
fn crontab(dir: &Path, binary: &Path, search_path: &str) -> String {
    let search_path = shell_word(search_path);
    let binary = shell_word(&binary.to_string_lossy());
    let roster = shell_word(&dir.join("roster.toml").to_string_lossy());
    // To cron, `%` is a line break.
    let command =
        format!("PATH={search_path} {binary} reconcile --config {roster}").replace('%', "\\%");
    format!("*/5 * * * * {command}")
}

/// How the service and the timer are put to work.
fn enable(dir: &Path) -> String {
    let file = |name: &str| shell_word(&dir.join(name).to_string_lossy());
    let (service, timer) = (file("coordinator.service"), file("coordinator.timer"));
    format!(
        "\nOr with systemd (credentials in coordinator.env, one NAME=value a line):\n  \
         systemctl --user link {service} {timer}\n  \
         systemctl --user enable --now coordinator.timer\n  \
         loginctl enable-linger    # agents go on when you log out\n"
    )
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as one word of a unit file, in which `%`, `\` and `"` mean something.
fn unit_word(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
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

    const BINARY: &str = "/opt/my tools/coordinator";

    #[test]
    fn the_crontab_line_survives_spaces_quotes_and_percent_signs() {
        let line = crontab(Path::new("/srv/100%/it's"), BINARY.as_ref(), "/usr/bin:/bin");
        let expected = r"*/5 * * * * PATH=/usr/bin:/bin '/opt/my tools/coordinator' reconcile --config '/srv/100\%/it'\''s/roster.toml'";
        assert_eq!(line, expected);
    }

    #[test]
    fn the_service_leaves_agents_alive_and_quotes_its_paths() {
        let unit = service(Path::new("/srv/100%"), BINARY.as_ref(), "/usr/bin:/bin");
        assert!(unit.contains("\nKillMode=process\n"), "{unit}");
        let start =
            "ExecStart=\"/opt/my tools/coordinator\" reconcile --config \"/srv/100%%/roster.toml\"";
        assert!(unit.contains(start), "{unit}");
    }
}
