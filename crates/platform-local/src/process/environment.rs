//! What a session gets: its command line and its environment. Pure.

use std::ffi::OsString;
use std::path::{MAIN_SEPARATOR, Path};

use super::Settings;
use coordinator_core::environment::{Identity, passed_on};
use coordinator_core::fleet::{SessionSpec, Want};
use coordinator_core::placeholders::command;

/// The coordinator's environment less everything secret, plus what the role adds, plus the session's names.
pub(crate) fn environment(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    identity: Identity<'_>,
    cwd: &Path,
    spec: &SessionSpec,
    settings: &Settings,
) -> Vec<(OsString, OsString)> {
    let kept = passed_on(inherited, &settings.secret_names);
    let role = spec.env.iter().map(|(name, value)| (name.into(), value.into()));
    let own = identity.variables().into_iter().map(|(name, value)| (name.into(), value.into()));
    let directory = [("PWD".into(), cwd.into())];
    kept.chain(directory).chain(role).chain(own).collect()
}

/// The command of one slot. A program with a `/` in it is a path, and paths are relative to the roster.
pub(crate) fn argv(want: &Want, settings: &Settings) -> Vec<String> {
    let mut argv = command(want, &settings.fleet);
    if let (Some(program), Some(directory)) = (argv.first_mut(), settings.roster.parent())
        && program.contains(MAIN_SEPARATOR)
    {
        *program = directory.join(&*program).to_string_lossy().into_owned();
    }
    argv
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use coordinator_core::fleet::{FleetName, Follows, RoleKey, Slot};

    fn settings() -> Settings {
        Settings {
            fleet: FleetName::parse("demo").expect("a valid name"),
            roster: PathBuf::from("/etc/fleet/roster.toml"),
            state_dir: PathBuf::from("/nowhere"),
            repository: Some("acme/app".to_owned()),
            secret_names: BTreeSet::from(["MODEL_KEY".to_owned()]),
            program: PathBuf::from("/nowhere"),
        }
    }

    fn spec(command: &[&str]) -> SessionSpec {
        SessionSpec {
            command: command.iter().map(ToString::to_string).collect(),
            prompt: "do {brief} now".to_owned(),
            brief: "build {slot}".to_owned(),
            env: BTreeMap::from([("MODEL_KEY".to_owned(), "k3y".to_owned())]),
            time_limit: Duration::from_secs(60),
            ..SessionSpec::default()
        }
    }

    fn role() -> RoleKey {
        RoleKey::parse("ui_builder").expect("a valid key")
    }

    fn want(spec: SessionSpec) -> Want {
        let slot = Slot::of_role(&role(), 2);
        Want { slot, role: role(), spec: Arc::new(spec), item: None, follows: Follows::Anything }
    }

    fn environment_of(inherited: &[(&str, &str)], spec: &SessionSpec) -> BTreeMap<String, String> {
        let settings = settings();
        let identity = Identity {
            fleet: &settings.fleet,
            slot: &Slot::of_role(&role(), 2),
            role: &role(),
            item: None,
            generation: 4,
            cycle: "18f-1",
            prompt: &spec.prompt,
            repository: settings.repository.as_deref(),
        };
        let inherited = inherited.iter().map(|(name, value)| (name.into(), value.into()));
        environment(inherited, identity, Path::new("/state/work"), spec, &settings)
            .into_iter()
            .map(|(name, value)| {
                let text = |part: OsString| part.into_string().expect("the test has only text");
                (text(name), text(value))
            })
            .collect()
    }

    #[test]
    fn placeholders_are_replaced_in_a_single_pass() {
        let spec = spec(&["agent", "-p", "{prompt}", "{brief}|{role}|{slot}|{fleet}", "{}{x}{{fleet}", "{"]);
        let expected = [
            "agent",
            "-p",
            "do {brief} now",
            "build {slot}|ui_builder|demo-ui-builder-s2|demo",
            "{}{x}{demo",
            "{",
        ];
        assert_eq!(argv(&want(spec), &settings()), expected);
    }

    #[test]
    fn a_program_path_is_relative_to_the_roster_and_a_bare_name_is_not() {
        for (program, expected) in
            [("./agent", "/etc/fleet/./agent"), ("/bin/agent", "/bin/agent"), ("agent", "agent")]
        {
            assert_eq!(argv(&want(spec(&[program])), &settings()), [expected]);
        }
    }

    #[test]
    fn no_secret_of_the_coordinator_reaches_a_session_that_does_not_name_it() {
        let inherited =
            ["GITHUB_TOKEN", "GH_TOKEN", "GITHUB_APP_PRIVATE_KEY", "GITHUB_PAT", "REDIS_URL", "MODEL_KEY"];
        let inherited = inherited.map(|name| (name, "t"));
        let mut without = spec(&["agent"]);
        without.env.clear();
        let environment = environment_of(&inherited, &without);
        assert!(!environment.values().any(|value| value == "t"), "{environment:?}");
    }

    #[test]
    fn a_role_gets_the_secret_that_it_names() {
        let environment = environment_of(&[("MODEL_KEY", "other")], &spec(&["agent"]));
        assert_eq!(environment.get("MODEL_KEY").map(String::as_str), Some("k3y"));
    }

    #[test]
    fn the_session_knows_its_names_and_nothing_of_an_outer_session() {
        let inherited = [
            ("PATH", "/bin"),
            ("PWD", "/home"),
            ("COORDINATOR_CONFIG", "outer"),
            ("COORDINATOR_SLOT", "outer"),
        ];
        let environment = environment_of(&inherited, &spec(&["agent"]));
        let expected = [
            ("COORDINATOR_FLEET", "demo"),
            ("COORDINATOR_GENERATION", "4"),
            ("COORDINATOR_PROMPT", "do {brief} now"),
            ("COORDINATOR_REPOSITORY", "acme/app"),
            ("COORDINATOR_ROLE", "ui_builder"),
            ("COORDINATOR_SESSION", "demo-ui-builder-s2-g4-18f-1"),
            ("COORDINATOR_SLOT", "demo-ui-builder-s2"),
            ("MODEL_KEY", "k3y"),
            ("PATH", "/bin"),
            ("PWD", "/state/work"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(environment, BTreeMap::from(expected));
    }
}
