//! Claude Code refuses its permission flag to root, unless it is told that root is in a sandbox.

use std::collections::BTreeMap;
use std::env;

use coordinator_core::finding::Finding;
use coordinator_core::fleet::Role;

const FLAGS: [&str; 2] = ["bypassPermissions", "--dangerously-skip-permissions"];
const SANDBOX: &str = "IS_SANDBOX";

pub(super) fn finding(roles: &[Role]) -> Option<Finding> {
    let is_told = env::var_os(SANDBOX).is_some();
    let is_refused = rustix::process::geteuid().is_root() && !is_told;
    let refused: Vec<&Role> = roles.iter().filter(|role| is_refused && asks_as_root(role)).collect();
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
    asks(role.count, role.spec.command.iter().map(String::as_str), &role.spec.env)
}

fn asks<'a>(count: u32, mut command: impl Iterator<Item = &'a str>, env: &BTreeMap<String, String>) -> bool {
    count > 0 && command.any(|argument| FLAGS.contains(&argument)) && !env.contains_key(SANDBOX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(count: u32, command: &[&str], env: &[(&str, &str)]) -> bool {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        asks(count, command.iter().copied(), &env.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn only_a_role_that_runs_with_the_flag_and_without_the_word_is_refused() {
        let flag = ["claude", "--permission-mode", "bypassPermissions"];
        assert!(is_refused(1, &flag, &[]));
        assert!(is_refused(1, &["claude", "--dangerously-skip-permissions"], &[]));
        assert!(!is_refused(1, &flag, &[("IS_SANDBOX", "1")]));
        assert!(!is_refused(1, &["other", "{prompt}"], &[]));
        assert!(!is_refused(0, &flag, &[]));
    }
}
