//! A fleet on this machine: the tokens' file, systemd units, a crontab line, and what to do next.

use std::path::{Path, PathBuf};

use super::{Roles, Schedule, Starter, shell_word};

/// The file with the tokens: only its owner may read it.
pub(super) const TOKENS: &str = "coordinator.env";

/// Starts the service every five minutes, and once after a time in which the machine slept.
const TIMER: &str = "\
[Unit]
Description=A coordinator cycle of the fleet FLEET every five minutes

[Timer]
OnCalendar=*:0/5
Persistent=true

[Install]
WantedBy=timers.target
";

/// Read by `sh` and by systemd alike.
const TOKENS_TEMPLATE: &str = "\
# Tokens of the fleet FLEET, one NAME=value a line. Only you can read this file; keep it out of git.

# The coordinator's own: reads pull requests and merges them. Name it in no `env`.
#GITHUB_TOKEN=

# The agents': pushes branches, opens issues and pull requests. `env` in [defaults] passes it on.
#AGENT_GITHUB_TOKEN=

# The reviewer's, of another account: GitHub counts no approval of one's own pull request.
#REVIEWER_GITHUB_TOKEN=

# The agent's, where it is not logged in on this machine.
#ANTHROPIC_API_KEY=
";

/// The tokens' file, and for systemd the units, named after the fleet.
pub(super) fn files(starter: Starter<'_>, fleet: &str) -> Vec<(PathBuf, String)> {
    let mut files = vec![
        (TOKENS.into(), TOKENS_TEMPLATE.replace("FLEET", fleet)),
        (".gitignore".into(), format!("{TOKENS}\n")),
    ];
    if starter.schedule == Schedule::Systemd {
        let [service_file, timer_file] = units(fleet);
        files.push((service_file.into(), service(starter, fleet)));
        files.push((timer_file.into(), TIMER.replace("FLEET", fleet)));
    }
    files
}

fn units(fleet: &str) -> [String; 2] {
    ["service", "timer"].map(|kind| format!("coordinator-{fleet}.{kind}"))
}

/// What to edit, which tokens to provide, and the commands. `kept`: the roster was there already.
pub(super) fn next(starter: Starter<'_>, fleet: &str, kept: bool) -> String {
    let edit = if kept { KEPT.to_owned() } else { edit(starter.roles) };
    let dir = shell_word(&starter.dir.to_string_lossy());
    let logs = match starter.roles {
        _ if kept => "SLOT",
        Roles::FirstDay => "builder-s0",
        Roles::Full => "ui-builder-s0",
    };
    let schedule = match starter.schedule {
        Schedule::Systemd => enable(starter.dir, fleet),
        _ => format!(
            "Every five minutes: add this line with `crontab -e`. It mails only trouble.\n  {}\n",
            crontab(starter)
        ),
    };
    format!(
        "\nNext:\n  \
         1. {edit}  \
         2. Write the tokens into {TOKENS}; its comments explain each.\n  \
         3. Check the setup:\n       \
         cd {dir}\n       \
         set -a; . ./{TOKENS}; set +a\n       \
         coordinator check\n       \
         coordinator doctor\n       \
         coordinator reconcile --dry-run\n  \
         4. Run a cycle, and watch an agent:\n       \
         coordinator reconcile\n       \
         coordinator sessions\n       \
         coordinator logs {logs} --follow\n\n\
         {schedule}"
    )
}

const KEPT: &str = "Your roster.toml stays as it is; `coordinator schema` describes its keys.\n";

fn edit(roles: Roles) -> String {
    let reviewer = match roles {
        Roles::FirstDay => "reviewer",
        Roles::Full => "code_reviewer",
    };
    format!(
        "Edit roster.toml; the lines are there, behind a `#`:\n       \
         [repository]  your `owner/repo`; without it nothing is merged\n       \
         [[health]]    the address of production; without it nothing is checked\n       \
         env           twice, under [defaults] and `{reviewer}`: each gets its own token\n     \
         Describe your product in briefs/preamble.md: every agent gets that text.\n"
    )
}

/// One cycle. Two at once do no harm, so it needs no lock.
fn service(starter: Starter<'_>, fleet: &str) -> String {
    let argument = |path: &Path| unit_word(&path.to_string_lossy()).replace('$', "$$");
    let binary = argument(starter.binary);
    let roster = argument(&starter.dir.join("roster.toml"));
    let tokens = starter.dir.join(TOKENS).to_string_lossy().replace('%', "%%");
    let search_path = unit_word(&format!("PATH={}", starter.search_path));
    format!(
        "\
[Unit]
Description=A coordinator cycle of the fleet {fleet}

[Service]
Type=oneshot
ExecStart={binary} reconcile --config {roster}
Environment={search_path}
# The tokens. The file may be absent.
EnvironmentFile=-{tokens}
# Agents outlive the cycle that starts them.
KillMode=process
TimeoutStartSec=300
# A rate limit put off what was left to do.
SuccessExitStatus=75
"
    )
}

/// The crontab line, with the PATH that found the agents here. cron mails whatever a command
/// prints: this one prints the report of a cycle that failed or is degraded.
fn crontab(starter: Starter<'_>) -> String {
    let path = |path: &Path| shell_word(&path.to_string_lossy());
    let tokens = path(&starter.dir.join(TOKENS));
    let (binary, roster) = (path(starter.binary), path(&starter.dir.join("roster.toml")));
    let search_path = shell_word(starter.search_path);
    let command = format!(
        "report=$(set -a; . {tokens}; PATH={search_path} {binary} reconcile --quiet --strict \
         --config {roster} 2>&1) || echo \"$report\""
    );
    // To cron, `%` is a line break.
    format!("*/5 * * * * {}", command.replace('%', "\\%"))
}

/// How the service and the timer are put to work.
fn enable(dir: &Path, fleet: &str) -> String {
    let [service, timer] = units(fleet);
    let file = |name: &str| shell_word(&dir.join(name).to_string_lossy());
    format!(
        "Every five minutes, with systemd:\n  \
         systemctl --user link {} {}\n  \
         systemctl --user enable --now {timer}\n  \
         loginctl enable-linger    # agents keep running after you log out\n",
        file(&service),
        file(&timer)
    )
}

/// The text as one word of a unit file, in which `%`, `\` and `"` mean something.
fn unit_word(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starter(dir: &str) -> Starter<'_> {
        Starter {
            dir: Path::new(dir),
            schedule: Schedule::Systemd,
            roles: Roles::FirstDay,
            binary: Path::new("/opt/my tools/coordinator"),
            search_path: "/usr/bin:/bin",
        }
    }

    #[test]
    fn the_crontab_line_survives_spaces_quotes_and_percent_signs() {
        let line = crontab(starter("/srv/100%/it's"));
        let expected = concat!(
            r"*/5 * * * * report=$(set -a; . '/srv/100\%/it'\''s/coordinator.env'; ",
            r"PATH=/usr/bin:/bin '/opt/my tools/coordinator' reconcile --quiet --strict ",
            r#"--config '/srv/100\%/it'\''s/roster.toml' 2>&1) || echo "$report""#,
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn the_service_leaves_agents_alive_and_quotes_its_paths() {
        let unit = service(starter("/srv/100%"), "shop");
        assert!(unit.contains("\nKillMode=process\n"), "{unit}");
        let start =
            "ExecStart=\"/opt/my tools/coordinator\" reconcile --config \"/srv/100%%/roster.toml\"";
        assert!(unit.contains(start), "{unit}");
    }
}
