//! The declaration itself.

use super::{Fallback, Key, Kind, Section};

mod exec;
mod github_actions;
mod kubernetes;

/// No list of sessions, approvals or merges needs more; beyond it a number is a slip of the finger.
pub(crate) const MOST: u32 = 10_000;

const ANY_NUMBER: Kind = Kind::Number { min: 0, max: MOST };
const ANY_DURATION: Kind = Kind::Duration { min_ms: 0 };

/// The word in front, after tags if there are any, or in brackets at the end; "Draft the notes" is
/// a sentence.
const WORK_IN_PROGRESS: &str = concat!(
    r"'(?i)^(?:\W|\[[^\]]*\]|\([^)]*\))*",
    r"(?:wip\b|draft(?:\s*[:\])}]|\s+[-\u{2013}\u{2014}]\s|\W*$))",
    r"|[\[({]\s*(?:wip|draft)\s*[\])}](?:\W|\[[^\]]*\]|\([^)]*\))*$'",
);

/// The whole file.
pub static ROSTER: Section = Section {
    heading: "",
    doc: "What should run, what may merge, what to watch. Paths are relative to this file.",
    keys: &[
        Key {
            name: "fleet",
            kind: Kind::FleetName,
            default: Fallback::Required,
            doc: "Prefix of every session's name: 1 to 16 characters of a-z and 0-9. Renaming a fleet leaves its live sessions behind.",
        },
        Key {
            name: "deadline",
            kind: Kind::Duration { min_ms: 1000 },
            default: Fallback::Toml(r#""200s""#),
            doc: "For the whole run; shorter than the interval between two runs.",
        },
        Key {
            name: "platform",
            kind: Kind::Section(&PLATFORM),
            default: Fallback::Toml("{}"),
            doc: "Where sessions run, and how many.",
        },
        Key {
            name: "defaults",
            kind: Kind::Section(&DEFAULTS),
            default: Fallback::Toml("{}"),
            doc: "What holds for every role that does not say otherwise.",
        },
        Key {
            name: "role",
            kind: Kind::Sections(&ROLE),
            default: Fallback::Toml("[]"),
            doc: "One for each kind of agent, in order of service: with a cap, the upper ones win.",
        },
        Key {
            name: "repository",
            kind: Kind::Section(&REPOSITORY),
            default: Fallback::Derived("the merge step is not configured"),
            doc: "Whose pull requests may merge.",
        },
        Key {
            name: "merge",
            kind: Kind::Section(&MERGE),
            default: Fallback::Toml("{}"),
            doc: "What may merge.",
        },
        Key {
            name: "health",
            kind: Kind::Sections(&HEALTH),
            default: Fallback::Derived("the health step is not configured"),
            doc: "One for each production endpoint to watch.",
        },
    ],
    inherits: &[],
};

static PLATFORM: Section = Section {
    heading: "[platform]",
    doc: "Where sessions run, and how many.",
    keys: &[
        Key {
            name: "kind",
            kind: Kind::Word(&["process", "kubernetes", "github-actions", "exec"]),
            default: Fallback::Toml(r#""process""#),
            doc: "`process`: local processes that outlive the run; `kubernetes`: Jobs on a cluster; `github-actions`: workflow runs; `exec`: whatever a plugin starts.",
        },
        Key {
            name: "max_running",
            kind: ANY_NUMBER,
            default: Fallback::Toml("0"),
            doc: "Live sessions in the whole fleet; 0 is no cap.",
        },
        Key {
            name: "max_spawns",
            kind: ANY_NUMBER,
            default: Fallback::Toml("50"),
            doc: "Starts per cycle; 0 starts none: the pause switch.",
        },
        Key {
            name: "on_inventory_failure",
            kind: Kind::Word(&["spawn", "skip"]),
            default: Fallback::Toml(r#""spawn""#),
            doc: "What to do when the sessions cannot be listed: `spawn` looks at each slot on its own and starts where it is certainly free, `skip` starts nothing.",
        },
        Key {
            name: "process",
            kind: Kind::Section(&PROCESS),
            default: Fallback::Toml("{}"),
            doc: "Settings of the `process` platform.",
        },
        Key {
            name: "kubernetes",
            kind: Kind::Section(&kubernetes::PLATFORM),
            default: Fallback::Toml("{}"),
            doc: "Settings of the `kubernetes` platform.",
        },
        Key {
            name: "github-actions",
            kind: Kind::Section(&github_actions::PLATFORM),
            default: Fallback::Toml("{}"),
            doc: "Settings of the `github-actions` platform.",
        },
        Key {
            name: "exec",
            kind: Kind::Section(&exec::PLATFORM),
            default: Fallback::Toml("{}"),
            doc: "Settings of the `exec` platform.",
        },
    ],
    inherits: &[],
};

static PROCESS: Section = Section {
    heading: "[platform.process]",
    doc: "Settings of the `process` platform.",
    keys: &[Key {
        name: "state_dir",
        kind: Kind::Path,
        default: Fallback::Derived("`$XDG_STATE_HOME/coordinator`, else `~/.local/state/coordinator`"),
        doc: "Records, logs and work directories, one folder per fleet below it; on a local disk.",
    }],
    inherits: &[],
};

static DEFAULTS: Section = Section {
    heading: "[defaults]",
    doc: "What holds for every role; a role may override each key. `env` is merged, the role's values win.",
    keys: AGENT,
    inherits: &[],
};

/// How agents run: in `[defaults]`, and in a `[[role]]` that differs.
static AGENT: &[Key] = &[
    Key {
        name: "command",
        kind: Kind::Command,
        default: Fallback::Toml(r#"["claude", "-p", "{prompt}", "--permission-mode", "bypassPermissions"]"#),
        doc: "Program and arguments, without a shell. `{prompt}`, `{brief}`, `{role}`, `{slot}` and `{fleet}` are replaced, other braces stay; without `{prompt}` the prompt is standard input, which `kubernetes` does not have: there the agent reads `COORDINATOR_PROMPT`.",
    },
    Key {
        name: "time_limit",
        kind: Kind::Duration { min_ms: 1000 },
        default: Fallback::Toml(r#""2h""#),
        doc: "The platform ends a session that runs longer.",
    },
    Key {
        name: "min_runtime",
        kind: ANY_DURATION,
        default: Fallback::Toml(r#""30s""#),
        doc: "A session shorter than this counts as failed for the backoff.",
    },
    Key {
        name: "min_interval",
        kind: ANY_DURATION,
        default: Fallback::Toml(r#""0s""#),
        doc: "From start to start of one slot: bounds the bill of agents that find nothing to do.",
    },
    Key {
        name: "min_free",
        kind: Kind::Size,
        default: Fallback::Toml(r#""1GiB""#),
        doc: "No local session starts with less free disk space; \"0\" turns the check off.",
    },
    Key {
        name: "backoff_base",
        kind: ANY_DURATION,
        default: Fallback::Toml(r#""60s""#),
        doc: "Wait after the first failure, doubled after each further one; \"0s\" turns the backoff off.",
    },
    Key {
        name: "backoff_cap",
        kind: ANY_DURATION,
        default: Fallback::Toml(r#""1h""#),
        doc: "The longest wait.",
    },
    Key {
        name: "retain",
        kind: ANY_NUMBER,
        default: Fallback::Toml("5"),
        doc: "Logs of local sessions kept per slot; the last 8 records always stay.",
    },
    Key {
        name: "retain_work",
        kind: ANY_NUMBER,
        default: Fallback::Toml("1"),
        doc: "Work directories of local sessions kept per slot.",
    },
    Key {
        name: "env",
        kind: Kind::Variables,
        default: Fallback::Toml("{}"),
        doc: "Added to the agent's environment. `${NAME}` takes a value from the coordinator's own; such a variable is a secret, and only the roles that name it get it; `HOME`, `PATH` and other everyday variables are not. On `kubernetes`, secrets come from `env_from`.",
    },
];

static ROLE: Section = Section {
    heading: "[[role]]",
    doc: "A kind of agent. Each key of `[defaults]` may stand here too.",
    keys: &[
        Key {
            name: "key",
            kind: Kind::RoleKey,
            default: Fallback::Required,
            doc: "Unique: 1 to 28 characters of a-z, 0-9 and `_`, a letter first, no `_` last.",
        },
        Key {
            name: "name",
            kind: Kind::Line,
            default: Fallback::Derived("from the key: `ui_builder` is \"Ui Builder\""),
            doc: "For people.",
        },
        Key {
            name: "count",
            kind: ANY_NUMBER,
            default: Fallback::Toml("1"),
            doc: "Sessions that should be live. Lowering it ends none: the surplus finishes its work.",
        },
        Key { name: "department", kind: Kind::Line, default: Fallback::Toml(r#""""#), doc: "For people." },
        Key {
            name: "mode",
            kind: Kind::Word(&["thinker", "task-driven", "self-directed", "reviewer", "sentinel"]),
            default: Fallback::Toml(r#""self-directed""#),
            doc: "How it finds work: the paragraph of `briefs/modes/<mode>.md` in its prompt.",
        },
        Key {
            name: "brief",
            kind: Kind::Path,
            default: Fallback::Derived("`briefs/<key>.md`"),
            doc: "A file with one or two sentences that say what this agent does.",
        },
        Key {
            name: "kubernetes",
            kind: Kind::Section(&kubernetes::ROLE),
            default: Fallback::Toml("{}"),
            doc: "What differs for this role on the `kubernetes` platform.",
        },
    ],
    inherits: AGENT,
};

static REPOSITORY: Section = Section {
    heading: "[repository]",
    doc: "Whose pull requests may merge.",
    keys: &[
        Key { name: "name", kind: Kind::RepositoryName, default: Fallback::Required, doc: "`owner/repo`." },
        Key {
            name: "api_url",
            kind: Kind::ApiUrl,
            default: Fallback::Toml(r#""https://api.github.com""#),
            doc: "Base of the REST API; GitHub Enterprise: `https://<host>/api/v3`.",
        },
        Key {
            name: "graphql_url",
            kind: Kind::ApiUrl,
            default: Fallback::Derived(
                "`<api_url>/graphql`; for `https://<host>/api/v3`, `https://<host>/api/graphql`",
            ),
            doc: "The GraphQL endpoint.",
        },
    ],
    inherits: &[],
};

static MERGE: Section = Section {
    heading: "[merge]",
    doc: "What may merge: approved by a person with write access, green, and not held back by one of these.",
    keys: &[
        Key {
            name: "enabled",
            kind: Kind::Flag,
            default: Fallback::Toml("true"),
            doc: "`false` turns the step off.",
        },
        Key {
            name: "bases",
            kind: Kind::Lines,
            default: Fallback::Toml("[]"),
            doc: "Branches that may be merged into; empty: the default branch.",
        },
        Key {
            name: "min_approvals",
            kind: Kind::Number { min: 1, max: MOST },
            default: Fallback::Toml("1"),
            doc: "Approvals of the head commit that it takes.",
        },
        Key {
            name: "stale_approvals",
            kind: Kind::Word(&["block", "github"]),
            default: Fallback::Toml(r#""block""#),
            doc: "Approvals of older commits: `block` counts none, `github` counts them when GitHub's own decision is APPROVED.",
        },
        Key {
            name: "last_push_approval",
            kind: Kind::Word(&["github", "require"]),
            default: Fallback::Toml(r#""github""#),
            doc: "`require`: an approval by the author or the committer of the head commit does not count; `github`: the repository's own rules decide.",
        },
        Key {
            name: "trusted_approvers",
            kind: Kind::Lines,
            default: Fallback::Toml("[]"),
            doc: "When set, only these approvals count: `alice`, `reviewer[bot]`.",
        },
        Key {
            name: "allow_bot_approvers",
            kind: Kind::Lines,
            default: Fallback::Toml("[]"),
            doc: "Bots whose approval counts; `reviewer` and `reviewer[bot]` are the same.",
        },
        Key {
            name: "checks",
            kind: Kind::Word(&["all", "required"]),
            default: Fallback::Toml(r#""all""#),
            doc: "Which checks must pass: `all`, or those that GitHub or `required_checks` requires.",
        },
        Key {
            name: "required_checks",
            kind: Kind::Checks,
            default: Fallback::Toml("[]"),
            doc: "These must have succeeded, and not only been skipped: a name, or `{ name, app }` to pin the app.",
        },
        Key {
            name: "ignored_checks",
            kind: Kind::Globs,
            default: Fallback::Toml("[]"),
            doc: "Names of checks that do not count.",
        },
        Key {
            name: "allow_no_checks",
            kind: Kind::Flag,
            default: Fallback::Toml("false"),
            doc: "Merge without a single successful check.",
        },
        Key {
            name: "allow_forks",
            kind: Kind::Flag,
            default: Fallback::Toml("false"),
            doc: "Merge from forks.",
        },
        Key {
            name: "block_labels",
            kind: Kind::Lines,
            default: Fallback::Toml(r#"["do-not-merge", "hold", "wip"]"#),
            doc: "Any of these labels holds a pull request, and so does one below it (`do-not-merge/hold`). Letter case aside, and a space is a hyphen.",
        },
        Key {
            name: "required_labels",
            kind: Kind::Lines,
            default: Fallback::Toml("[]"),
            doc: "All of these labels must be there. Letter case aside, and a space is a hyphen.",
        },
        Key {
            name: "block_title",
            kind: Kind::Pattern,
            default: Fallback::Toml(WORK_IN_PROGRESS),
            doc: "A title that matches, with or without its invisible characters, holds a pull request; \"\" turns it off.",
        },
        Key {
            name: "settle",
            kind: ANY_DURATION,
            default: Fallback::Toml(r#""60s""#),
            doc: "How old the newest approval must be, so that checks had time to appear.",
        },
        Key {
            name: "protected_paths",
            kind: Kind::Globs,
            default: Fallback::Toml("[]"),
            doc: "A pull request that touches one of these is left to people.",
        },
        Key {
            name: "pause",
            kind: ANY_DURATION,
            default: Fallback::Toml(r#""1s""#),
            doc: "Between two merges, as GitHub asks.",
        },
        Key {
            name: "max_merges",
            kind: ANY_NUMBER,
            default: Fallback::Toml("20"),
            doc: "Per cycle; 0 merges none: the pause switch.",
        },
        Key {
            name: "hold_when_down",
            kind: Kind::Flag,
            default: Fallback::Toml("false"),
            doc: "While a `[[health]]` endpoint is down or does not answer, only reverts are merged: title `Revert \"...\"` or label `revert`. Merges wait for the health step of the same run; where that does not run, they are held.",
        },
        Key {
            name: "commit_message",
            kind: Kind::Word(&["title", "repository"]),
            default: Fallback::Toml(r#""title""#),
            doc: "`title`: the sanitised title with its number, no body; `repository`: what the repository's settings make of it.",
        },
    ],
    inherits: &[],
};

static HEALTH: Section = Section {
    heading: "[[health]]",
    doc: "A production endpoint: one GET per cycle, the status decides; a dropped connection is tried once more.",
    keys: &[
        Key { name: "name", kind: Kind::Line, default: Fallback::Required, doc: "Unique; for people." },
        Key {
            name: "url",
            kind: Kind::Url,
            default: Fallback::Required,
            doc: "What to GET; http or https, without credentials.",
        },
        Key {
            name: "expect",
            kind: Kind::Statuses,
            default: Fallback::Derived("any 2xx"),
            doc: "Status codes that say it is up.",
        },
        Key {
            name: "timeout",
            kind: Kind::Duration { min_ms: 1 },
            default: Fallback::Toml(r#""10s""#),
            doc: "For the answer's head, redirects included.",
        },
        Key {
            name: "redirects",
            kind: Kind::Word(&["same-host", "follow", "none"]),
            default: Fallback::Toml(r#""same-host""#),
            doc: "Which redirects are followed, up to 8 in a row: `same-host` those to the host of `url`, whatever scheme, port and leading `www.`; `follow` all; `none` none. One that is not followed is `unexpected`, unless `expect` lists its status.",
        },
    ],
    inherits: &[],
};
