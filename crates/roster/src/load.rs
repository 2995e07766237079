//! From a path to a roster, or to everything that is wrong with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use coordinator_core::fleet::FleetName;
use coordinator_core::section::{LoadContext, Placed, Problem, Time};

use super::alerts::Alerts;
use super::problem::{Lines, Problems};
use super::steps::{self, Health, Merge, RepositorySection};
use super::texts::{self, Unreadable};
use super::{Roster, agents, budget, platform, table};

coordinator_core::section! {
    /// What should run, what may merge, what to watch. Paths are relative to this file.
    #[schemars(extend("required" = ["fleet"]))]
    pub(super) struct Document {
        /// Prefix of every session's name: 1 to 16 characters of a-z and 0-9. Renaming a fleet
        /// leaves its live sessions behind.
        fleet: Option<Placed<FleetName>> = None,
        /// For the whole run; shorter than the interval between two runs.
        deadline: Placed<Time<1000>> = Time::seconds(200).into(),
        platform: platform::Section = platform::Section::default(),
        defaults: agents::Agent = agents::Agent::default(),
        /// One for each kind of agent, in order of service: with a cap, the upper ones win.
        role: Vec<agents::Section> = Vec::new(),
        repository: Option<RepositorySection> = None,
        merge: Merge = Merge::default(),
        /// One for each production endpoint to watch. Default: the health step is not configured.
        health: Vec<Health> = Vec::new(),
        alerts: Alerts = Alerts::default(),
        budget: budget::Section = budget::Section::default(),
    }
}

/// Reads the roster at `path`, its briefs, and from `environment` what its `${NAME}` name.
///
/// All problems of the file come back at once; nothing is changed and no network is used.
pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Roster, Problems> {
    let (absolute, source) =
        read(path).map_err(|(source, problem)| problems(path, source, vec![problem]))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    interpret((&absolute, path), &source, LoadContext { folder, environment })
        .map_err(|list| problems(path, source, list))
}

/// The name that a roster has where none is given.
const FILE: &str = "roster.toml";

/// The roster of the current folder, or of the nearest one above that has one.
pub fn find() -> PathBuf {
    let depth = std::env::current_dir().map_or(0, |folder| folder.components().count());
    let above = (0..depth).map(|up| Path::new(&"../".repeat(up)).join(FILE));
    let mut found = above.filter(|path| path.symlink_metadata().is_ok());
    found.next().unwrap_or_else(|| PathBuf::from(FILE))
}

/// A problem of a valid roster that only its platform can show.
pub fn complaint(path: &Path, problem: Problem) -> Problems {
    complaints(path, vec![problem])
}

/// What is wrong with a valid roster for one command.
pub fn complaints(path: &Path, list: Vec<Problem>) -> Problems {
    let source = read(path).map_or_else(|(source, _)| source, |(_, source)| source);
    problems(path, source, list)
}

fn problems(path: &Path, source: String, list: Vec<Problem>) -> Problems {
    Problems::new(path.to_owned(), source, list)
}

/// `path`: the file, absolute, and as the caller named it.
fn interpret(
    path: (&Path, &Path),
    source: &str,
    around: LoadContext<'_>,
) -> Result<Roster, Vec<Problem>> {
    let (mut document, syntax_errors) = DeTable::parse_recoverable(source);
    let (mut list, mut wrong) = (Vec::new(), BTreeSet::new());
    let roster = table::document(document.get_mut(), &mut wrong, &mut list)
        .and_then(|document| roster(path, document, &wrong, around, &mut list));
    let list = with_syntax(source, &syntax_errors, list);
    roster.filter(|_| list.is_empty()).ok_or(list)
}

fn roster(
    (path, named): (&Path, &Path),
    document: Document,
    wrong: &BTreeSet<String>,
    around: LoadContext<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Roster> {
    let mut agents = agents::read(&document, around, problems);
    let health = steps::endpoints(&document.health, problems);
    document.merge.check_hold(!document.health.is_empty(), problems);
    let platform = platform::settings(&document, &mut agents, wrong, around, problems);
    let alerts = document.alerts.settings(document.repository.is_some(), around, problems);
    let budget = document.budget.budget(&agents.roles, problems);
    Some(Roster {
        path: path.to_owned(),
        named: named.to_owned(),
        fleet: document.fleet?.value,
        deadline: document.deadline.get(),
        platform: platform?,
        roles: agents.roles,
        repository: document.repository.as_ref().and_then(RepositorySection::repository),
        merge: document.merge.policy(problems),
        health,
        alerts,
        budget,
        secret_names: agents.secret_names,
        missing: agents.missing.into_list(),
    })
}

/// The file's place, independent of how it was reached, and its text.
fn read(path: &Path) -> Result<(PathBuf, String), (String, Problem)> {
    let whole_file = |message: String| (String::new(), Problem::new(message, None));
    let shown = path.display();
    let source = texts::roster(path).map_err(|unreadable| match unreadable {
        Unreadable::Missing => {
            let place = if path == Path::new(FILE) { " in this folder or above" } else { "" };
            let (source, problem) = whole_file(format!("{shown} not found{place}"));
            (
                source,
                problem.hint("name it with --config, or write a starter with `coordinator init`"),
            )
        }
        Unreadable::Bad(why) => whole_file(format!("the roster {why}: {shown}")),
        Unreadable::NotUtf8 { text, at } => {
            let problem = Problem::new("the roster is not UTF-8", Some(at..at + 1));
            (text, problem.label("this byte is not text").hint("save the file as UTF-8"))
        }
    })?;
    if source.trim().is_empty() {
        let (source, problem) = whole_file("the roster is empty".to_owned());
        return Err((
            source,
            problem.hint("it needs at least `fleet`; `coordinator init` writes a starter"),
        ));
    }
    // The folder without symbolic links, so that every way to it names the same roster; the file's
    // own name as it is, because a mounted configuration swaps what it points to.
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = parent.canonicalize();
    let folder = folder.map_err(|error| {
        whole_file(format!("the roster's folder cannot be found: {error}: {shown}"))
    })?;
    Ok((path.file_name().map(|name| folder.join(name)).unwrap_or(folder), source))
}

/// Adds what is not TOML. Other problems of these lines may be consequences of it and are left out.
fn with_syntax(source: &str, errors: &[toml::de::Error], mut list: Vec<Problem>) -> Vec<Problem> {
    let lines = Lines::of(source);
    let spans = errors.iter().filter_map(toml::de::Error::span);
    let broken: BTreeSet<_> = spans.map(|span| lines.line(span.start)).collect();
    list.retain(|problem| {
        problem.span.as_ref().is_none_or(|span| !broken.contains(&lines.line(span.start)))
    });
    list.extend(errors.iter().map(|error| syntax(source, error)));
    list
}

fn syntax(source: &str, error: &toml::de::Error) -> Problem {
    let text = error.span().and_then(|span| source.get(span)).unwrap_or_default();
    match error.message() {
        "duplicate key" => Problem::new(format!("duplicate key `{text}`"), error.span())
            .label("it is set above already"),
        message => Problem::new(message, error.span()).label("this is not valid TOML"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlatformKind;

    fn shipped() -> Roster {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../roster.toml"));
        load(path, &|name| (name == "HOME").then(|| "/home/someone".to_owned()))
            .unwrap_or_else(|problems| panic!("{}", problems.render(false)))
    }

    #[test]
    fn the_shipped_roster_is_valid_and_has_25_roles_and_38_instances() {
        let roster = shipped();
        assert_eq!(roster.roles.len(), 25);
        assert_eq!(roster.roles.iter().map(|role| role.count).sum::<u32>(), 38);
        let PlatformKind::Process { state_dir } = roster.platform.kind else {
            panic!("local processes")
        };
        assert_eq!(state_dir, Path::new("/home/someone/.local/state/coordinator"));
    }
}
