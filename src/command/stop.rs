//! `coordinator stop`: ends live sessions at a person's command. No cycle ends one.

use std::io::{self, IsTerminal, Write};

use super::{Finished, clients, slots};
use crate::cli::{Global, Stop};
use crate::render::Form;
use crate::render::table::View;
use coordinator_core::platform;
use coordinator_roster::Roster;

/// Ends the named sessions, with the platform's grace. Prompts once where stdin is a terminal.
pub async fn run(
    options: &Stop,
    global: &Global,
    roster: &Roster,
    form: Form<'_>,
) -> anyhow::Result<Finished> {
    let mut meant = Vec::new();
    for text in &options.slots {
        meant.extend(slots::meant(roster, text)?.into_iter().take(1));
    }
    let names: Vec<String> = meant.iter().map(coordinator_core::fleet::Slot::name).collect();
    if !options.yes && !confirmed(&names.join(", "))? {
        return Ok(Finished { stdout: "nothing was stopped\n".to_owned(), code: 1 });
    }
    let platform = clients::platform_to_look(roster, global).await?;
    let by = person();
    let (mut lines, mut code) = (Vec::new(), 0);
    for (slot, name) in meant.iter().zip(&names) {
        lines.push(match platform.stop(slot, &by).await {
            Ok(platform::StopAnswer::Asked { .. }) => format!("{name}: stopping"),
            Ok(platform::StopAnswer::NotLive) => format!("{name}: not running"),
            Err(error) => {
                code = 1;
                format!("{name}: {error:#}")
            }
        });
    }
    let view = View { lines, ..View::default() };
    Ok(Finished { stdout: view.text(form.screen, form.secrets), code })
}

/// Prompts on a terminal only: elsewhere the command line is the confirmation.
fn confirmed(names: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    write!(io::stderr(), "stop {names}? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The name under which the end is recorded: `USER`, else the account's name. cron and containers
/// set no `USER`.
fn person() -> String {
    let user = std::env::var("USER").ok().filter(|name| !name.is_empty());
    user.unwrap_or_else(|| {
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        account(&accounts, rustix::process::geteuid().as_raw())
    })
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
