//! Plugins of the exec platform, written in POSIX sh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::workplace::{RosterText, Workplace};

/// The answer to `capabilities` of a plugin that can do all that roster slots need: the default.
pub const CAPABLE: &str = concat!(
    r#"{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"create","blind_spawn":true,"#,
    r#""history":true,"stop":true,"logs":true,"dry_run":true}"#
);

/// The answer to `capabilities` of a plugin that does not refuse a second session of a slot.
pub const OPEN: &str = concat!(
    r#"{"ok":true,"protocol":[1],"name":"test","slot_exclusive":"none","history":true,"#,
    r#""logs":false}"#
);

/// An answer to `list` with no session in it.
pub const NOTHING: &str = r#"echo '{"ok":true,"complete":true,"sessions":[]}'"#;

/// Creates the slot's folder; in a dry run it only looks whether the folder exists.
const SPAWN: &str = r#"case $request in
*'"dry_run":true'*) result=created; [ ! -d "$HOME/store/$slot" ] || result=exists;;
*) mkdir "$HOME/store/$slot" 2>/dev/null && result=created || result=exists;;
esac
echo "{\"ok\":true,\"result\":\"$result\"}""#;

/// Shell functions: `list` prints the folders below `store`, `refuse CODE MESSAGE` an error, and
/// `read_request` sets `$request` and `$slot`.
const FUNCTIONS: &str = r#"list() {
  sessions=
  for folder in "$HOME"/store/*/; do
    [ -d "$folder" ] || continue
    name=$(basename "$folder"); index=${name#*-}; index=${index%%-*}
    place="{\"role\":\"${name%%-*}\",\"index\":$index}"
    session="\"id\":\"$name\",\"slot\":$place,\"generation\":1,\"state\":\"running\""
    sessions="$sessions,{$session}"
  done
  echo "{\"ok\":true,\"complete\":true,\"sessions\":[${sessions#,}]}"
}
refuse() {
  echo "{\"ok\":false,\"error\":{\"code\":\"$1\",\"message\":\"$2\"}}"
  exit 1
}
read_request() {
  request=$(cat)
  pattern='."slot":{"role":"\([a-z_]*\)","index":\([0-9]*\)}.*'
  slot=$(printf '%s' "$request" | sed -n "s/^$pattern/\1-\2/p")
}"#;

/// A plugin's operations as shell text. `$HOME` is the workplace, and `$request` the request.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub capabilities: String,
    pub list: String,
    pub spawn: String,
    pub logs: String,
    pub stop: String,
    pub attach: String,
}

impl Default for Plugin {
    /// A folder below `store` is a session: `mkdir` is the lock.
    fn default() -> Self {
        Self {
            capabilities: format!("echo '{CAPABLE}'"),
            list: "list".to_owned(),
            spawn: SPAWN.to_owned(),
            logs: r#"printf '%s' '{"ok":true,"text":"what it wrote\n","truncated":false}'"#
                .to_owned(),
            stop: r#"rmdir "$HOME/store/$slot" && echo '{"ok":true,"result":"stopping"}'"#
                .to_owned(),
            attach: "refuse unsupported 'no'".to_owned(),
        }
    }
}

impl Plugin {
    /// A plugin with this script as its `list`.
    pub fn listing(script: &str) -> Self {
        Self { list: script.to_owned(), ..Self::default() }
    }

    /// A plugin without sessions, with this script as its `spawn`.
    pub fn spawning(script: &str) -> Self {
        Self { list: NOTHING.to_owned(), spawn: script.to_owned(), ..Self::default() }
    }

    fn text(&self) -> String {
        let Self { capabilities, list, spawn, logs, stop, attach } = self;
        format!(
            "#!/bin/sh\n\
             echo \"$1\" >> \"$HOME/journal\"\n\
             mkdir -p \"$HOME/store\"\n\
             {FUNCTIONS}\n\
             case $1 in\n\
             capabilities) {capabilities}\n;;\n\
             list) {list}\n;;\n\
             spawn) read_request; {spawn}\n;;\n\
             logs) read_request; {logs}\n;;\n\
             stop) read_request; {stop}\n;;\n\
             attach) read_request; {attach}\n;;\n\
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

/// How often the plugin was called with this operation.
pub fn asked(workplace: &Workplace, operation: &str) -> usize {
    let journal = fs::read_to_string(workplace.path().join("journal")).unwrap_or_default();
    journal.lines().filter(|line| *line == operation).count()
}
