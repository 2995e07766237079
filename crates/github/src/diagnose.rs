//! What the token can do, and what the repository allows: the GitHub part of `doctor`, in one
//! request.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::graphql::{FieldError, Response};
use super::request::shown;
use super::{Credentials, Error, Github, documents};
use coordinator_core::finding::{Finding, clock};
use coordinator_core::merge::LastPushApproval;
use coordinator_core::report::Cause;

/// A token that expires within this time is a warning.
const EXPIRES_SOON: Duration = Duration::from_secs(7 * 24 * 3600);

impl Github {
    /// Whether pull requests can be read and merged. Costs one request, and one more for an App.
    pub async fn diagnose(&self, now: SystemTime, last_push: LastPushApproval) -> Vec<Finding> {
        let repository = self.repository();
        let variables = json!({ "owner": repository.owner, "name": repository.name });
        let response =
            match self.graphql("read the repository", documents::DOCTOR, &variables).await {
                Ok(response) => response,
                Err(error) => return vec![unanswered(&error, self.failure().as_ref())],
            };
        let node = &response.data["repository"];
        let mut findings = vec![identity(&self.credentials, &response)];
        findings.extend(expiry(response.token_expires_at, now));
        let remedy =
            "synchronize it with NTP: GitHub refuses an App's token when the clock is wrong";
        findings.extend(response.date.map(|date| clock("GitHub's", date, now, remedy)));
        findings.extend(response.scopes.as_deref().map(scopes));
        if node.is_null() {
            findings.push(unseen(&repository.full_name(), &response.errors));
            return findings;
        }
        self.note_name(&node["nameWithOwner"]);
        findings.extend(self.renamed_to().map(|name| {
            let what = format!("the repository {} is now `{name}`", repository.full_name());
            Finding::warn(what, "correct `name` in [repository]")
        }));
        findings.push(permission(&node["viewerPermission"]));
        findings.push(readable_checks(&response.errors));
        findings.extend(settings(node));
        findings.push(last_push_rule(node, last_push));
        findings.extend(elsewhere(&response.errors));
        let lacking = self.unavailable().into_iter();
        findings.extend(
            lacking.map(|what| {
                Finding::warn(what, "update GitHub Enterprise Server, or do without it")
            }),
        );
        findings
    }
}

/// A repository that is not shown, with GitHub's message where there is one.
fn unseen(name: &str, errors: &[FieldError]) -> Finding {
    match errors.first().map(FieldError::text) {
        Some(sentence) if is_single_sign_on(&sentence) => {
            Finding::fail(format!("GitHub answered: {sentence}"), SINGLE_SIGN_ON)
        }
        said => {
            let said =
                said.map_or_else(String::new, |sentence| format!("; GitHub answered: {sentence}"));
            Finding::fail(
                format!("{name} does not exist, or the token cannot read it{said}"),
                "correct `name` in [repository], or give the token read access",
            )
        }
    }
}

/// What GitHub did not show beside the checks.
fn elsewhere(errors: &[FieldError]) -> impl Iterator<Item = Finding> {
    let path = CHECKS.map(Value::from);
    let others = errors.iter().filter(move |error| error.below(&path).is_none());
    others.map(|error| {
        let remedy = if is_single_sign_on(&error.text()) {
            SINGLE_SIGN_ON
        } else {
            "give the token read access to it, or do without it"
        };
        Finding::warn(
            format!("some settings could not be read; GitHub answered: {}", error.text()),
            remedy,
        )
    })
}

const SINGLE_SIGN_ON: &str = "authorize the token for the organization's single sign-on";

/// The field whose errors are those of the checks.
const CHECKS: [&str; 3] = ["repository", "defaultBranchRef", "target"];

fn is_single_sign_on(sentence: &str) -> bool {
    sentence.contains("SAML")
}

/// `failure` is why there was no answer at all.
fn unanswered(error: &Error, failure: Option<&Cause>) -> Finding {
    let remedy = match (error, failure) {
        (Error::Failed(why), _) if is_single_sign_on(why) => SINGLE_SIGN_ON,
        (Error::RateLimited(_), _) => {
            "wait until then, or use a GitHub App, which has a limit of its own"
        }
        (Error::Overloaded(_), _) => "try again in a minute",
        (Error::Failed(_), Some(cause)) => unreached(cause),
        (Error::Failed(_), None) => {
            "check the token, and `api_url` and `graphql_url` in [repository]"
        }
    };
    Finding::fail(error.to_string(), remedy)
}

fn unreached(cause: &Cause) -> &'static str {
    match cause {
        Cause::Name => {
            "correct `api_url` and `graphql_url` in [repository], or check this machine's DNS"
        }
        Cause::Proxy(_) => "check the proxy, or list GitHub's host in NO_PROXY",
        Cause::UnusableProxy => "correct the variable where the coordinator is started",
        Cause::Certificate(_) => "until then no token is sent there",
        Cause::Refused | Cause::Unreachable | Cause::Timeout | Cause::Dropped => {
            "check this machine's network, and `api_url` and `graphql_url` in [repository]"
        }
        Cause::NotHttp | Cause::TooManyHeaders | Cause::Redirect | Cause::Other => {
            "check `api_url` and `graphql_url` in [repository]"
        }
    }
}

fn identity(credentials: &Credentials, response: &Response) -> Finding {
    let login = response.data["viewer"]["login"].as_str().map(shown);
    match (credentials, login) {
        (Credentials::App(_), Some(login)) => {
            Finding::ok(format!("signed in as the GitHub App {login}"))
        }
        (Credentials::App(_), None) => Finding::ok("signed in as a GitHub App"),
        (Credentials::Token(_), Some(login)) => Finding::ok(format!("signed in as {login}")),
        (Credentials::Token(_), None) => Finding::ok("the token is valid"),
    }
}

fn expiry(expires_at: Option<SystemTime>, now: SystemTime) -> Option<Finding> {
    let expires_at = expires_at?;
    let day = humantime::format_rfc3339_seconds(expires_at);
    let soon = expires_at.duration_since(now).unwrap_or_default() < EXPIRES_SOON;
    Some(if soon {
        Finding::warn(format!("the token expires at {day}"), "create a new one before that")
    } else {
        Finding::ok(format!("the token is valid until {day}"))
    })
}

/// Only classic tokens show their scopes.
fn scopes(scopes: &str) -> Finding {
    let has = |wanted| scopes.split(',').any(|scope| scope.trim() == wanted);
    if scopes.is_empty() || has("repo") || has("public_repo") {
        return Finding::ok(format!(
            "scopes of the token: {}",
            if scopes.is_empty() { "none" } else { scopes }
        ));
    }
    Finding::fail(
        format!("the token has the scopes {scopes}, none of which lets it merge"),
        "give it the scope `repo` (`public_repo` for a public repository)",
    )
}

fn permission(word: &Value) -> Finding {
    match word.as_str() {
        Some("ADMIN") => Finding::warn(
            "the token has admin rights, which bypass branch protection",
            "use an account with write access only: \
             the coordinator follows every rule, another holder of the token may not",
        ),
        Some("WRITE" | "MAINTAIN") => Finding::ok("the token may merge"),
        Some(word) => Finding::fail(
            format!(
                "nothing can be merged: the token has only `{}` access",
                shown(word).to_lowercase()
            ),
            "give its account write access to the repository",
        ),
        None => Finding::ok(
            "not checked: the token's permissions, which GitHub does not show for Apps and Actions",
        ),
    }
}

fn readable_checks(errors: &[FieldError]) -> Finding {
    let path = CHECKS.map(Value::from);
    match errors.iter().find(|error| error.below(&path).is_some()) {
        None => Finding::ok("checks can be read"),
        Some(error) => Finding::fail(
            format!("checks cannot be read: {}", error.text()),
            "use a GitHub App with read access to checks and commit statuses, or a classic token: \
             fine-grained tokens cannot read checks",
        ),
    }
}

fn settings(node: &Value) -> Vec<Finding> {
    let is = |field: &str, value: bool| node[field] == Value::Bool(value);
    let mut findings = Vec::new();
    if !is("isArchived", false) {
        findings.push(Finding::fail(
            "nothing can be merged: the repository is archived",
            "unarchive it, or set `enabled = false` in [merge]",
        ));
    }
    findings.push(if is("squashMergeAllowed", true) {
        Finding::ok("squash merges are allowed")
    } else {
        Finding::fail(
            "nothing can be merged: the repository does not allow squash merges",
            "allow them in its settings",
        )
    });
    if !node["mergeQueue"].is_null() {
        findings.push(Finding::fail(
            "nothing can be merged: the default branch accepts merges only from its merge queue",
            "turn the queue off, or use it and set `enabled = false` in [merge]",
        ));
    }
    if is_strict(node) {
        findings.push(Finding::warn(
            "a rule requires up-to-date branches: \
             after each merge the other pull requests are behind",
            "have agents update their branches, or relax the rule",
        ));
    }
    if is("deleteBranchOnMerge", false) {
        findings.push(Finding::warn(
            "GitHub does not delete merged branches",
            "turn on \"Automatically delete head branches\" in the settings of the repository",
        ));
    }
    findings
}

fn is_strict(node: &Value) -> bool {
    has_rule(node, "strictRequiredStatusChecksPolicy")
}

/// Whether a rule of the default branch has this parameter on.
fn has_rule(node: &Value, parameter: &str) -> bool {
    let rules = node["defaultBranchRef"]["rules"]["nodes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    rules.iter().any(|rule| rule["parameters"][parameter] == Value::Bool(true))
}

/// Can the last pusher approve alone? The classic protection of a branch is visible to admin tokens
/// only.
fn last_push_rule(node: &Value, last_push: LastPushApproval) -> Finding {
    const PARAMETER: &str = "requireLastPushApproval";
    let protection = &node["defaultBranchRef"]["branchProtectionRule"][PARAMETER];
    if has_rule(node, PARAMETER) || *protection == Value::Bool(true) {
        return Finding::ok("GitHub requires an approval by an account other than the last pusher");
    }
    match last_push {
        LastPushApproval::Require => Finding::ok(
            "an approval by an account that made the head commit does not count \
             (`last_push_approval`)",
        ),
        LastPushApproval::Github => Finding::warn(
            "the last pusher of a pull request can approve it: GitHub shows no rule against that",
            "set `last_push_approval = \"require\"` in [merge], or turn on \
             \"Require approval of the most recent reviewable push\" for the branch",
        ),
    }
}
