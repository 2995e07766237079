//! Claude Code refuses its permission flag to root, unless it is told that root is in a sandbox.

use std::env;

use crate::finding::Finding;
use crate::fleet::Role;
use crate::roster::Roster;

const FLAGS: [&str; 2] = ["bypassPermissions", "--dangerously-skip-permissions"];
const SANDBOX: &str = "IS_SANDBOX";

pub(super) fn finding(roster: &Roster) -> Option<Finding> {
    let is_told = env::var_os(SANDBOX).is_some();
    let is_refused = rustix::process::geteuid().is_root() && !is_told;
    let refused: Vec<&Role> = roster.roles.iter().filter(|role| is_refused && asks_as_root(role)).collect();
    let first = refused.first()?;
    let what = match refused.len() {
        1 => format!(
            "this is root, and Claude Code refuses root the flag in the command of role {}",
            first.key
        ),
        roles => {
            format!("this is root, and Claude Code refuses root the flag in the command of {roles} roles")
        }
    };
    let remedy = format!(
        "run the coordinator as a user of its own; or, in a container, set `env = {{ {SANDBOX} = \"1\" }}` under [defaults]"
    );
    Some(Finding::warn(what, remedy))
}

fn asks_as_root(role: &Role) -> bool {
    let asks = role.spec.command.iter().any(|argument| FLAGS.contains(&argument.as_str()));
    role.count > 0 && asks && !role.spec.env.contains_key(SANDBOX)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::roster;

    fn asking(lines: &str) -> Vec<bool> {
        let home = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(home.path().join(name), text).expect("a file");
        write("brief.md", "Do one thing.");
        write(
            "roster.toml",
            &format!("fleet = \"demo\"\n[[role]]\nkey = \"dev\"\nbrief = \"brief.md\"\n{lines}\n"),
        );
        let path: &Path = &home.path().join("roster.toml");
        let roster = roster::load(path, &|name| (name == "HOME").then(|| "/tmp".to_owned()));
        let roster = roster.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
        roster.roles.iter().map(asks_as_root).collect()
    }

    #[test]
    fn only_a_role_that_runs_with_the_flag_and_without_the_word_is_refused() {
        assert_eq!(asking(""), [true]);
        assert_eq!(asking("command = [\"claude\", \"--dangerously-skip-permissions\"]"), [true]);
        assert_eq!(asking("env = { IS_SANDBOX = \"1\" }"), [false]);
        assert_eq!(asking("command = [\"other\", \"{prompt}\"]"), [false]);
        assert_eq!(asking("count = 0"), [false]);
    }
}
