//! How to run a cycle every five minutes: a crontab line, a systemd service and timer.

use std::path::Path;

use super::Program;

/// Starts the service every five minutes, and once after a time in which the machine slept.
pub(super) const TIMER: &str = "\
[Unit]
Description=A coordinator cycle every five minutes

[Timer]
OnCalendar=*:0/5
Persistent=true

[Install]
WantedBy=timers.target
";

/// One cycle. Two at once do no harm, so nothing guards against it.
pub(super) fn service(dir: &Path, program: &Program<'_>) -> String {
    let argument = |path: &Path| unit_word(&path.to_string_lossy()).replace('$', "$$");
    let (binary, roster) = (argument(program.binary), argument(&dir.join("roster.toml")));
    let credentials = dir.join("coordinator.env").to_string_lossy().replace('%', "%%");
    let search_path = unit_word(&format!("PATH={}", program.search_path));
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
pub(super) fn crontab(dir: &Path, program: &Program<'_>) -> String {
    let search_path = shell_word(program.search_path);
    let binary = shell_word(&program.binary.to_string_lossy());
    let roster = shell_word(&dir.join("roster.toml").to_string_lossy());
    // To cron, `%` is a line break.
    let command = format!("PATH={search_path} {binary} reconcile --config {roster}").replace('%', "\\%");
    format!("*/5 * * * * {command}")
}

/// How the service and the timer are put to work.
pub(super) fn enable(dir: &Path) -> String {
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
pub(super) fn shell_word(text: &str) -> String {
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

    fn program() -> Program<'static> {
        Program { binary: Path::new("/opt/my tools/coordinator"), search_path: "/usr/bin:/bin" }
    }

    #[test]
    fn the_crontab_line_survives_spaces_quotes_and_percent_signs() {
        let line = crontab(Path::new("/srv/100%/it's"), &program());
        let expected = r"*/5 * * * * PATH=/usr/bin:/bin '/opt/my tools/coordinator' reconcile --config '/srv/100\%/it'\''s/roster.toml'";
        assert_eq!(line, expected);
    }

    #[test]
    fn the_service_leaves_agents_alive_and_quotes_its_paths() {
        let unit = service(Path::new("/srv/100%"), &program());
        assert!(unit.contains("\nKillMode=process\n"), "{unit}");
        let start = "ExecStart=\"/opt/my tools/coordinator\" reconcile --config \"/srv/100%%/roster.toml\"";
        assert!(unit.contains(start), "{unit}");
    }
}
