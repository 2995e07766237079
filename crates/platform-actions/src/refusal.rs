//! Why GitHub did not start a run, and what to do about it. Pure.

use super::ActionsSettings;
use coordinator_core::pull::Repository;

/// Whether the workflow refused a dispatch because it has no input `item`: it was written before
/// there were work items.
pub(super) fn takes_no_items(status: u16, message: &str) -> bool {
    status == 422 && message.to_lowercase().contains("unexpected inputs") && message.contains("\"item\"")
}

/// A definite refusal of a dispatch, in one sentence.
pub(super) fn refusal(
    status: u16,
    message: &str,
    settings: &ActionsSettings,
    repository: &Repository,
) -> String {
    let ActionsSettings { workflow, git_ref, .. } = settings;
    let Repository { owner, name, .. } = repository;
    let said = match message {
        "" => format!("GitHub answered {status}"),
        message => format!("GitHub answered {status}: {message}"),
    };
    let has = |part: &str| message.to_lowercase().contains(part);
    let remedy = match status {
        300..=399 => "the repository has moved: correct `name` in [repository]".to_owned(),
        401 => "the token is wrong, expired or revoked".to_owned(),
        403 => format!("the token needs `actions: write` in {owner}/{name}"),
        404 => format!(
            "there is no {workflow} in {owner}/{name}, or the token may not see it: write it with \
             `coordinator init --github-actions` and merge it into the default branch"
        ),
        422 if has("disabled") => format!("enable {workflow} in the repository's Actions tab"),
        422 if has("no ref found") => {
            format!("there is no branch {git_ref}: correct `ref` in [platform.github-actions]")
        }
        422 if has("input") || has("workflow_dispatch") => format!(
            "{workflow} on {git_ref} does not fit this coordinator: renew it with `coordinator init --github-actions`"
        ),
        _ => "the run was not started".to_owned(),
    };
    format!("could not start a run of {workflow}: {said}; {remedy}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_workflow_without_the_input_for_items_is_told_from_other_refusals() {
        assert!(takes_no_items(422, "Unexpected inputs provided: [\"item\"]"));
        for (status, message) in [
            (422, "Unexpected inputs provided: [\"slot\"]"),
            (422, "Required input 'item' not provided"),
            (404, "Unexpected inputs provided: [\"item\"]"),
        ] {
            assert!(!takes_no_items(status, message), "{status} {message}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let settings = ActionsSettings {
            workflow: "agent-session.yml".to_owned(),
            git_ref: "main".to_owned(),
            ticket: Duration::from_secs(300),
            start_timeout: Duration::from_secs(900),
            max_requests: 80,
        };
        let repository = Repository {
            owner: "octo".to_owned(),
            name: "demo".to_owned(),
            api_url: String::new(),
            graphql_url: String::new(),
        };
        for (status, message, remedy) in [
            (307, "Moved Permanently", "[repository]"),
            (401, "Bad credentials", "expired"),
            (403, "Resource not accessible by integration", "`actions: write` in octo/demo"),
            (404, "Not Found", "init --github-actions"),
            (422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow", "enable agent-session.yml"),
            (422, "No ref found for: main", "correct `ref`"),
            (422, "Unexpected inputs provided: [\"slot\"]", "renew it"),
            (422, "Required input 'model' not provided", "renew it"),
            (422, "Workflow does not have 'workflow_dispatch' trigger", "renew it"),
            (409, "", "GitHub answered 409; the run was not started"),
        ] {
            let sentence = refusal(status, message, &settings, &repository);
            assert!(sentence.contains(remedy) && sentence.contains(message), "{sentence}");
        }
    }
}
