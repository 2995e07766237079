//! The person who runs a command, and what they are asked.

use std::io::{self, IsTerminal, Write};

/// The name under which a person's act is recorded: `USER`, else the account's name. cron and
/// containers set no `USER`.
pub(super) fn person() -> String {
    let user = std::env::var("USER").ok().filter(|name| !name.is_empty());
    user.unwrap_or_else(|| {
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        account(&accounts, rustix::process::geteuid().as_raw())
    })
}

/// Prompts on a terminal only: elsewhere the command line is the confirmation.
pub(super) fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The name of the account with this user id, by the lines of `/etc/passwd`.
fn account(accounts: &str, user_id: u32) -> String {
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user_id)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("user {user_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_without_a_name_is_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nodd\nalice:x:1000:1000::/home/someone/:\n";
        assert_eq!(account(accounts, 1000), "alice");
        assert_eq!(account(accounts, 7), "user 7");
    }
}
