//! Plugins of the exec platform, written in POSIX sh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::workplace::{RosterText, Workplace};

/// What the plugins of these tests say of themselves, unless a test wants something else.
pub const CAPABLE: &str = r#"{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create","blind_spawn":true,"history":true,"stop":true,"logs":true,"dry_run":true}"#;

/// Nobody refuses a second session.
pub const OPEN: &str = r#"{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"none","history":true,"logs":false}"#;

/// An answer to `list` with no session in it.
pub const NOTHING: &str = r#"echo '{"ok":true,"complete":true,"sessions":[]}'"#;

/// A plugin's operations as shell text. `$HOME` is the workplace, and `$request` what was asked.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub capabilities: String,
    pub list: String,
    pub spawn: String,
    pub logs: String,
    pub stop: String,
}

impl Default for Plugin {
    /// A folder below `store` is a session: `mkdir` is the lock.
    fn default() -> Self {
        Self {
            capabilities: format!("echo '{CAPABLE}'"),
            list: "list".to_owned(),
            spawn: "case $request in *'\"dry_run\":true'*) result=created; [ ! -d \"$HOME/store/$slot\" ] || result=exists;;\n\
                 *) mkdir \"$HOME/store/$slot\" 2>/dev/null && result=created || result=exists;; esac\n\
                 echo \"{\\\"ok\\\":true,\\\"result\\\":\\\"$result\\\"}\""
                .to_owned(),
            logs: r#"printf '%s' '{"ok":true,"text":"what it wrote\n","truncated":false}'"#.to_owned(),
            stop: "rmdir \"$HOME/store/$slot\" && echo '{\"ok\":true,\"result\":\"stopping\"}'".to_owned(),
        }
    }
}

impl Plugin {
    /// One that lists so.
    pub fn listing(script: &str) -> Self {
        Self { list: script.to_owned(), ..Self::default() }
    }

    /// One that finds no session and spawns so.
    pub fn spawning(script: &str) -> Self {
        Self { list: NOTHING.to_owned(), spawn: script.to_owned(), ..Self::default() }
    }

    fn text(&self) -> String {
        let Self { capabilities, list, spawn, logs, stop } = self;
        format!(
            "#!/bin/sh\n\
             echo \"$1\" >> \"$HOME/journal\"\n\
             mkdir -p \"$HOME/store\"\n\
             list() {{\n\
               sessions=\n\
               for folder in \"$HOME\"/store/*/; do\n\
                 [ -d \"$folder\" ] || continue\n\
                 name=$(basename \"$folder\"); index=${{name#*-}}; index=${{index%%-*}}\n\
                 sessions=\"$sessions,{{\\\"id\\\":\\\"$name\\\",\\\"slot\\\":{{\\\"role\\\":\\\"${{name%%-*}}\\\",\\\"index\\\":$index}},\\\"generation\\\":1,\\\"state\\\":\\\"running\\\"}}\"\n\
               done\n\
               echo \"{{\\\"ok\\\":true,\\\"complete\\\":true,\\\"sessions\\\":[${{sessions#,}}]}}\"\n\
             }}\n\
             refuse() {{ echo \"{{\\\"ok\\\":false,\\\"error\\\":{{\\\"code\\\":\\\"$1\\\",\\\"message\\\":\\\"$2\\\"}}}}\"; exit 1; }}\n\
             read_request() {{\n\
               request=$(cat)\n\
               slot=$(printf '%s' \"$request\" | sed -n 's/^.\"slot\":{{\"role\":\"\\([a-z_]*\\)\",\"index\":\\([0-9]*\\)}}.*/\\1-\\2/p')\n\
             }}\n\
             case $1 in\n\
             capabilities) {capabilities}\n;;\n\
             list) {list}\n;;\n\
             spawn) read_request; {spawn}\n;;\n\
             logs) read_request; {logs}\n;;\n\
             stop) read_request; {stop}\n;;\n\
             esac\n"
        )
    }

    /// Puts it into this workplace, whose roster names it `plugin.sh`.
    pub fn install(&self, workplace: &Workplace) {
        install(workplace, "plugin.sh", &self.text());
    }

    /// A workplace of this roster, with this plugin.
    pub fn at(&self, roster: &RosterText) -> Workplace {
        let workplace = roster.write();
        self.install(&workplace);
        workplace
    }
}

/// Puts a program into a workplace.
pub fn install(workplace: &Workplace, name: &str, text: &str) {
    // A file that this process has open for writing could not be run, were another test to start a
    // program meanwhile.
    workplace.write("plugin.txt", text);
    let path = workplace.path().join(name);
    copy(&workplace.path().join("plugin.txt"), &path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).stdin(Stdio::null()).status();
    assert!(status.expect("cp starts").success());
}

/// The sessions that the default plugin has.
pub fn sessions(workplace: &Workplace) -> Vec<String> {
    let all = fs::read_dir(workplace.path().join("store")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        all.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// How often the plugin was asked for this operation.
pub fn asked(workplace: &Workplace, operation: &str) -> usize {
    let journal = fs::read_to_string(workplace.path().join("journal")).unwrap_or_default();
    journal.lines().filter(|line| *line == operation).count()
}
