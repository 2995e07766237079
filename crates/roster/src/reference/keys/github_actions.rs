//! `[platform.github-actions]`.

use crate::reference::forms::{BRANCH, WORKFLOW};
use crate::reference::{Fallback, Key, Kind, Section};

pub(super) static PLATFORM: Section = Section {
    heading: "[platform.github-actions]",
    doc: "Settings of the `github-actions` platform; the workflow is in the repository that `[repository]` names.",
    keys: &[
        Key {
            name: "workflow",
            kind: Kind::Formed(&WORKFLOW),
            default: Fallback::Toml(r#""agent-session.yml""#),
            doc: "File name of the session workflow.",
        },
        Key {
            name: "ref",
            kind: Kind::Formed(&BRANCH),
            default: Fallback::Toml(r#""main""#),
            doc: "The branch whose workflow file and code the sessions run.",
        },
        Key {
            name: "ticket",
            kind: Kind::Duration { min_ms: 60_000 },
            default: Fallback::Toml(r#""5m""#),
            doc: "How long a dispatched run may wait for its turn. One that starts later skips itself: the fleet has moved on.",
        },
        Key {
            name: "start_timeout",
            kind: Kind::Duration { min_ms: 60_000 },
            default: Fallback::Toml(r#""15m""#),
            doc: "A run that waits longer for a runner is reported.",
        },
        Key {
            name: "max_requests",
            kind: Kind::Number { min: 10, max: super::MOST },
            default: Fallback::Toml("80"),
            doc: "Requests per cycle: the built-in token has 1,000 an hour for the whole repository. A list takes one per 100 runs, a start two.",
        },
    ],
    inherits: &[],
};
