//! What a cycle does beside its sessions: `[repository]`, `[merge]` and `[[health]]`.

use std::collections::BTreeSet;

use globset::{GlobSet, GlobSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use coordinator_core::endpoint::{Endpoint, Redirects};
use coordinator_core::merge::{
    CheckMode, CommitMessage, LastPushApproval, MergePolicy, RequiredCheck, StaleApprovals,
};
use coordinator_core::pull::Repository;
use coordinator_core::section::{
    ApiUrl, Count, Glob, Line, Pattern, Placed, Problem, RepositoryName, Text, Time, Url, quoted,
};

/// The word in front, after tags if there are any, or in brackets at the end; "Draft the notes" is
/// a sentence.
const WORK_IN_PROGRESS: &str = concat!(
    r"(?i)^(?:\W|\[[^\]]*\]|\([^)]*\))*",
    r"(?:wip\b|draft(?:\s*[:\])}]|\s+[-\u{2013}\u{2014}]\s|\W*$))",
    r"|[\[({]\s*(?:wip|draft)\s*[\])}](?:\W|\[[^\]]*\]|\([^)]*\))*$",
);

coordinator_core::section! {
    /// The repository with the pull requests to merge. Default: no merge step.
    #[schemars(extend("required" = ["name"]))]
    pub(super) struct RepositorySection {
        /// `owner/repo`.
        name: Option<RepositoryName> = None,
        /// Base of the REST API; GitHub Enterprise: `https://<host>/api/v3`.
        api_url: ApiUrl = "https://api.github.com".into(),
        /// The GraphQL endpoint. Default: `<api_url>/graphql`; for `https://<host>/api/v3`,
        /// `https://<host>/api/graphql`.
        graphql_url: Option<ApiUrl> = None,
    }
}

impl RepositorySection {
    /// `None` without a name.
    pub(super) fn repository(&self) -> Option<Repository> {
        let api_url = self.api_url.trim_end_matches('/');
        let graphql_url =
            self.graphql_url.as_ref().map_or_else(|| graphql_url(api_url), ToString::to_string);
        Repository::named(self.name.as_ref()?, api_url, &graphql_url).ok()
    }
}

/// GitHub Enterprise Server keeps REST under `/api/v3` and GraphQL beside it
/// (<https://docs.github.com/en/enterprise-server/graphql/guides/managing-enterprise-accounts>).
fn graphql_url(api_url: &str) -> String {
    match api_url.strip_suffix("/api/v3") {
        Some(host) => format!("{host}/api/graphql"),
        None => format!("{api_url}/graphql"),
    }
}

coordinator_core::section! {
    /// Rules for merging. Beside them, a merge needs an approval from an account with write access,
    /// and passing checks.
    pub(super) struct Merge {
        /// `false` turns the step off.
        enabled: bool = true,
        /// Branches that may be merged into; empty: the default branch.
        bases: Vec<Text> = Vec::new(),
        /// Approvals of the head commit that a merge needs.
        min_approvals: Count<1> = Count::of(1),
        /// Approvals of older commits: `block` counts none, `github` counts them when GitHub's own
        /// decision is APPROVED.
        stale_approvals: StaleApprovals = StaleApprovals::Block,
        /// `require`: an approval by the author or the committer of the head commit does not count;
        /// `github`: the repository's own rules decide.
        last_push_approval: LastPushApproval = LastPushApproval::Github,
        /// When set, only these approvals count: `alice`, `reviewer[bot]`.
        trusted_approvers: Vec<Text> = Vec::new(),
        /// Bots whose approval counts; `reviewer` and `reviewer[bot]` are the same.
        allow_bot_approvers: Vec<Text> = Vec::new(),
        /// Which checks must pass: `all`, or those that GitHub or `required_checks` requires.
        checks: CheckMode = CheckMode::All,
        /// These must have succeeded, and not only been skipped: a name, or `{ name, app }` to pin
        /// the app.
        required_checks: Vec<Check> = Vec::new(),
        /// Names of checks that do not count.
        ignored_checks: Placed<Vec<Glob>> = Placed::default(),
        /// Merge without a single successful check.
        allow_no_checks: bool = false,
        /// Merge from forks.
        allow_forks: bool = false,
        /// Any of these labels holds a pull request, and so does one below it
        /// (`do-not-merge/hold`). Case is ignored, and a space is a hyphen.
        block_labels: Vec<Text> = ["do-not-merge", "hold", "wip"].map(Text::from).to_vec(),
        /// A pull request needs all of these labels. Case is ignored, and a space is a hyphen.
        required_labels: Vec<Text> = Vec::new(),
        /// A title that matches, with or without its invisible characters, holds a pull request;
        /// "" turns it off.
        block_title: Pattern = Pattern::of(WORK_IN_PROGRESS),
        /// How old the newest approval must be, so that checks had time to appear.
        settle: Time = Time::seconds(60),
        /// A pull request that changes one of these paths must be merged by a person.
        protected_paths: Placed<Vec<Glob>> = Placed::default(),
        /// Pause between two merges, as GitHub's documentation recommends.
        pause: Time = Time::seconds(1),
        /// Merges per cycle; 0 merges none: the pause switch.
        max_merges: Count = Count::of(20),
        /// While a `[[health]]` endpoint is down or does not answer, only reverts are merged: title
        /// `Revert "..."` or label `revert`. Merges wait for the health step of the same run; where
        /// that does not run, they are held.
        hold_when_down: Placed<bool> = false.into(),
        /// `title`: the sanitised title with its number, no body; `repository`: what the
        /// repository's settings make of it.
        commit_message: CommitMessage = CommitMessage::Title,
    }
}

impl Merge {
    pub(super) fn policy(self, problems: &mut Vec<Problem>) -> MergePolicy {
        let texts = |texts: Vec<Text>| texts.into_iter().map(String::from).collect::<Vec<_>>();
        let bots = texts(self.allow_bot_approvers);
        MergePolicy {
            enabled: self.enabled,
            bases: texts(self.bases),
            min_approvals: self.min_approvals.get(),
            stale_approvals: self.stale_approvals,
            last_push_approval: self.last_push_approval,
            trusted_approvers: texts(self.trusted_approvers),
            allow_bot_approvers: bots.iter().map(|login| bare(login)).collect(),
            checks: self.checks,
            required_checks: self.required_checks.into_iter().filter_map(Check::required).collect(),
            ignored_checks: set(&self.ignored_checks, problems),
            allow_no_checks: self.allow_no_checks,
            allow_forks: self.allow_forks,
            block_labels: texts(self.block_labels),
            required_labels: texts(self.required_labels),
            block_title: self.block_title.regex,
            settle: self.settle.get(),
            protected_paths: Some(set(&self.protected_paths, problems))
                .filter(|set| !set.is_empty()),
            pause: self.pause.get(),
            max_merges: self.max_merges.get(),
            hold_when_down: *self.hold_when_down,
            commit_message: self.commit_message,
        }
    }

    /// What `hold_when_down` waits for must be there.
    pub(super) fn check_hold(&self, is_watched: bool, problems: &mut Vec<Problem>) {
        if *self.hold_when_down && !is_watched {
            let message = "`hold_when_down` without a [[health]] would hold every merge";
            let problem = Problem::new(message, self.hold_when_down.span.clone());
            problems.push(problem.hint("add a [[health]] with the address of production"));
        }
    }
}

fn bare(login: &str) -> String {
    login.strip_suffix("[bot]").unwrap_or(login).to_owned()
}

/// An entry of `required_checks`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[schemars(title = "check")]
#[serde(untagged, expecting = "write a list of names, or of { name = \"...\", app = \"...\" }")]
pub(super) enum Check {
    Name(Text),
    Pinned {
        /// The exact name of a check, as in `{ name = "...", app = "..." }`.
        #[schemars(required)]
        name: Option<Text>,
        /// Only a check run of this app counts (its slug).
        app: Option<Text>,
    },
}

impl Check {
    /// `None` without a name.
    fn required(self) -> Option<RequiredCheck> {
        let (name, app) = match self {
            Self::Name(name) => (name, None),
            Self::Pinned { name, app } => (name?, app),
        };
        Some(RequiredCheck { name: name.into(), app: app.map(String::from) })
    }
}

/// All of them at once.
fn set(globs: &Placed<Vec<Glob>>, problems: &mut Vec<Problem>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in globs.iter() {
        set.add(glob.0.clone());
    }
    set.build().unwrap_or_else(|error| {
        problems.push(Problem::new(format!("bad globs: {error}"), globs.span.clone()));
        GlobSet::empty()
    })
}

coordinator_core::section! {
    /// A production endpoint: one GET per cycle, the status decides; a dropped connection is tried
    /// once more.
    #[schemars(extend("required" = ["name", "url"]))]
    pub(super) struct Health {
        /// Unique; the name in reports.
        name: Option<Placed<Line>> = None,
        /// The URL to GET: http or https, without credentials.
        url: Option<Url> = None,
        /// Status codes of an endpoint that is up. Default: any 2xx.
        #[schemars(title = "list of status codes")]
        expect: Vec<Count<100, 599>> = Vec::new(),
        /// Timeout of the response headers, redirects included.
        timeout: Time<1> = Time::seconds(10),
        /// Which redirects are followed, up to 8 in a row: `same-host` those to the host of `url`,
        /// whatever scheme, port and leading `www.`; `follow` all; `none` none. One that is not
        /// followed is `unexpected`, unless `expect` lists its status.
        redirects: Redirects = Redirects::SameHost,
    }
}

impl Health {
    fn endpoint(&self) -> Option<Endpoint> {
        let expect = self.expect.iter().map(|code| u16::try_from(code.get()).ok());
        Some(Endpoint {
            name: self.name.as_ref()?.to_string(),
            url: self.url.as_ref()?.to_string(),
            expect: expect.collect::<Option<_>>()?,
            timeout: self.timeout.get(),
            redirects: self.redirects,
        })
    }
}

/// The endpoints that can be read.
pub(super) fn endpoints(sections: &[Health], problems: &mut Vec<Problem>) -> Vec<Endpoint> {
    let mut names = BTreeSet::new();
    for name in sections.iter().filter_map(|section| section.name.as_ref()) {
        let problem = |message: String| Problem::new(message, name.span.clone());
        if name.trim().is_empty() {
            problems.push(
                problem("an endpoint has an empty `name`".to_owned())
                    .label("write the name that reports should show"),
            );
        } else if !names.insert(&name.value) {
            let message = format!("endpoint {} is defined twice", quoted(name));
            problems.push(problem(message).label("give each endpoint a name of its own"));
        }
    }
    sections.iter().filter_map(Health::endpoint).collect()
}
