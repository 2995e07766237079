//! Are builders and reviewers two accounts? GitHub lets no account approve its own pull request, so
//! with one account nothing is ever merged without a person.

use std::collections::BTreeMap;

use anyhow::anyhow;
use futures_util::future::join_all;

use crate::render::words::count;
use coordinator_core::finding::Finding;
use coordinator_core::fleet::{Mode, Role};
use coordinator_core::merge::approval::may_approve;
use coordinator_core::merge::{LastPushApproval, MergePolicy};
use coordinator_core::pull::Permission;
use coordinator_github::{Account, Credentials, Github};
use coordinator_http::{Client, variable};
use coordinator_roster::{PlatformKind, Roster};

/// The variables that `gh` reads, in its order.
const TOKENS: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

/// Compares the accounts of the tokens that the roster gives to its roles. Each distinct token is
/// sent once, to the API of [repository] only.
pub(super) async fn findings(roster: &Roster, client: &anyhow::Result<Client>) -> Vec<Finding> {
    let (authors, reviewers) = (acting(roster, opens_pulls), acting(roster, reviews));
    if reviewers.is_empty() {
        return vec![Finding::ok("people review: no role has mode = \"reviewer\"")];
    }
    if authors.is_empty() {
        return Vec::new();
    }
    let mut by_token: BTreeMap<&str, Vec<&Role>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for role in authors.iter().chain(&reviewers).copied() {
        match token(role) {
            Some(token) => by_token.entry(token).or_default().push(role),
            None => unknown.push(role),
        }
    }
    if !unknown.is_empty() {
        return vec![not_checked(roster, &unknown)];
    }
    let asked = by_token.iter().map(async |(token, roles)| {
        let account = account(roster, client, token).await;
        account.map(|account| (*token, account)).map_err(|error| refused(roles, &error))
    });
    let accounts: Result<BTreeMap<&str, Account>, Finding> =
        join_all(asked).await.into_iter().collect();
    match accounts {
        Err(finding) => vec![finding],
        Ok(accounts) => {
            let of = |roles: &[&Role]| {
                let found = roles.iter().filter_map(|role| accounts.get(token(role)?).cloned());
                distinct(found)
            };
            judge(&of(&authors), &of(&reviewers), &roster.merge)
        }
    }
}

/// Roles that get the token with which the coordinator merges, so that an agent can merge by
/// itself.
pub(super) fn shared_token(roster: &Roster) -> Option<Finding> {
    let own = variable("GITHUB_TOKEN").filter(|token| !token.trim().is_empty())?;
    let gets_it = |role: &&Role| role.spec.env.values().any(|value| value.trim() == own.trim());
    let roles: Vec<&Role> = roster.roles.iter().filter(gets_it).collect();
    (!roles.is_empty()).then(|| {
        Finding::warn(
            format!("the `env` of {} has the coordinator's own GITHUB_TOKEN", named(&roles)),
            "give the agents a token of another account; with this one they can merge",
        )
    })
}

fn acting(roster: &Roster, does: impl Fn(Mode) -> bool) -> Vec<&Role> {
    roster.roles.iter().filter(|role| role.count > 0 && does(role.mode)).collect()
}

fn reviews(mode: Mode) -> bool {
    mode == Mode::Reviewer
}

/// A thinker writes issues; a sentinel opens reverts.
fn opens_pulls(mode: Mode) -> bool {
    matches!(mode, Mode::TaskDriven | Mode::SelfDirected | Mode::Sentinel)
}

fn token(role: &Role) -> Option<&str> {
    let values = TOKENS.iter().filter_map(|name| role.spec.env.get(*name));
    values.map(|value| value.trim()).find(|value| !value.is_empty())
}

async fn account(
    roster: &Roster,
    client: &anyhow::Result<Client>,
    token: &str,
) -> anyhow::Result<Account> {
    let client = client.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let repository = roster.repository.as_ref().ok_or_else(|| anyhow!("no [repository]"))?;
    let github = Github::over(client.clone(), repository, Credentials::token(token)?)?;
    Ok(github.account().await?)
}

fn refused(roles: &[&Role], error: &anyhow::Error) -> Finding {
    Finding::fail(
        format!("the GitHub token of {} does not work: {error:#}", named(roles)),
        "correct its variable where the coordinator is started",
    )
}

fn not_checked(roster: &Roster, unknown: &[&Role]) -> Finding {
    let source = match roster.platform.kind {
        PlatformKind::Kubernetes(_) => "comes from a Secret of the cluster",
        PlatformKind::GithubActions(_) => "comes from the session workflow",
        PlatformKind::Process { .. } | PlatformKind::Exec(_) => "is not in the roster's `env`",
    };
    Finding::note(
        format!(
            "not checked: whether builders and reviewers are two GitHub accounts: \
             the token of {} {source}",
            named(unknown)
        ),
        "run `gh api user` with the token of each: \
         an account cannot approve its own pull requests",
    )
}

/// "role qa", or how many.
fn named(roles: &[&Role]) -> String {
    match roles {
        [role] => format!("role {}", role.key),
        roles => count(roles.len() as u64, "role"),
    }
}

fn distinct(accounts: impl Iterator<Item = Account>) -> Vec<Account> {
    let mut distinct: Vec<Account> = Vec::new();
    for account in accounts {
        if !distinct.contains(&account) {
            distinct.push(account);
        }
    }
    distinct
}

/// Whether the reviewers' approvals are enough to merge what the authors open.
fn judge(authors: &[Account], reviewers: &[Account], policy: &MergePolicy) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        reviewers.iter().filter_map(|reviewer| ineffective(reviewer, policy)).collect();
    if !findings.is_empty() {
        return findings;
    }
    let needed = policy.min_approvals as usize;
    for author in authors {
        let others = reviewers.iter().filter(|reviewer| reviewer.actor != author.actor).count();
        if others >= needed {
            continue;
        }
        findings.push(if others == 0 {
            self_review(author, policy)
        } else {
            let what = format!(
                "`min_approvals` is {needed}, but only {} other than `{}` reviews",
                count(others as u64, "account"),
                author.actor
            );
            Finding::warn(what, "lower `min_approvals` in [merge], or add a reviewer's account")
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("builders and reviewers are different GitHub accounts"));
    }
    findings
}

fn self_review(author: &Account, policy: &MergePolicy) -> Finding {
    let rule = match policy.last_push_approval {
        LastPushApproval::Require => ", and `last_push_approval` forbids it too",
        LastPushApproval::Github => "",
    };
    Finding::warn(
        format!(
            "builders and reviewers are one GitHub account, `{}`: \
             it cannot approve its own pull requests{rule}, so agents never get one merged",
            author.actor
        ),
        "give the roles with mode = \"reviewer\" the token of a second account with write access, \
         in their `env`",
    )
}

/// Why no approval of this reviewer counts.
fn ineffective(reviewer: &Account, policy: &MergePolicy) -> Option<Finding> {
    let actor = &reviewer.actor;
    if reviewer.permission == Permission::ReadOnly {
        return Some(Finding::warn(
            format!("approvals by `{actor}` do not count: the account has no write access"),
            "give the account write access to the repository",
        ));
    }
    let key = if policy.trusted_approvers.is_empty() {
        "allow_bot_approvers"
    } else {
        "trusted_approvers"
    };
    (!may_approve(actor, policy)).then(|| {
        Finding::warn(
            format!("approvals by `{actor}` do not count: `{key}` does not list the account"),
            format!("add \"{actor}\" to `{key}` in [merge]"),
        )
    })
}
