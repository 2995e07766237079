//! `[platform.exec]`.

use crate::reference::{Fallback, Key, Kind, Section};

pub(super) static PLATFORM: Section = Section {
    heading: "[platform.exec]",
    doc: "Settings of the `exec` platform.",
    keys: &[
        Key {
            name: "plugin",
            kind: Kind::Path,
            default: Fallback::Derived("required when `kind = \"exec\"`"),
            doc: "The program that starts and lists sessions. Without a `/` it is looked up in PATH.",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration { min_ms: 1000 },
            default: Fallback::Toml(r#""30s""#),
            doc: "For one operation of the plugin. Whatever it has started by then is ended, sessions aside.",
        },
        Key {
            name: "env",
            kind: Kind::Variables,
            default: Fallback::Toml("{}"),
            doc: "Variables for the plugin; `\"${NAME}\"` takes a value from the coordinator's environment, such as a key of the vendor's. It gets no other secret.",
        },
        Key {
            name: "state_dir",
            kind: Kind::Path,
            default: Fallback::Derived("`$XDG_STATE_HOME/coordinator`, else `~/.local/state/coordinator`"),
            doc: "Where a plugin that cannot refuse a second session is locked: one run at a time on this machine.",
        },
    ],
    inherits: &[],
};
