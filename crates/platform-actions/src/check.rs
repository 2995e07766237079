//! `doctor`: whether sessions can be kept as runs of the session workflow. Nothing here starts any.

use std::time::{Duration, SystemTime};

use super::Actions;
use super::ActionsSettings;
use coordinator_core::finding::{Finding, Grade};
use coordinator_core::platform::Platform;
use coordinator_github::Error;
use coordinator_github::actions::{RequestsLeft, WorkflowFile};

impl Actions {
    /// Whether sessions can be kept as runs of the session workflow.
    pub async fn check(&self) -> Vec<Finding> {
        findings(&self.settings.actions, self).await
    }

    /// Whether the session workflow is there and active.
    async fn workflow_file(&self) -> Result<WorkflowFile, Error> {
        self.workflow.state().await
    }

    /// Whether the branch is there whose workflow file and code the sessions use.
    async fn has_branch(&self) -> Result<bool, Error> {
        self.workflow.has_branch(&self.settings.actions.git_ref).await
    }

    /// The token's remaining requests, by GitHub's last answer.
    fn requests_left(&self) -> Option<RequestsLeft> {
        self.workflow.requests_left()
    }
}

async fn findings(settings: &ActionsSettings, actions: &Actions) -> Vec<Finding> {
    let mut findings = vec![workflow(settings, actions).await];
    if findings[0].grade != Grade::Fail {
        findings.push(branch(settings, actions).await);
        findings.push(list(actions).await);
        let now = SystemTime::now();
        findings.extend(actions.requests_left().map(|left| requests(settings, left, now)));
        findings
            .push(Finding::ok("not checked: whether the token may start runs (`actions: write`)"));
    }
    findings
}

fn stops_all(error: &impl std::fmt::Display) -> Finding {
    Finding::fail(format!("{error:#}"), "no session is listed or started until then")
}

async fn workflow(settings: &ActionsSettings, actions: &Actions) -> Finding {
    let file = &settings.workflow;
    match actions.workflow_file().await {
        Ok(WorkflowFile::Active) => Finding::ok(format!("the session workflow {file} is active")),
        Ok(WorkflowFile::Inactive(word)) => Finding::fail(
            format!("the state of the session workflow {file} is {word}"),
            "enable it in the repository's Actions tab",
        ),
        Ok(WorkflowFile::Absent) => Finding::fail(
            format!(
                "the default branch has no session workflow {file}, or the token may not see it"
            ),
            "write it with `coordinator init --github-actions` and merge it; \
             the token needs `actions: read`",
        ),
        Err(error) => stops_all(&error),
    }
}

async fn branch(settings: &ActionsSettings, actions: &Actions) -> Finding {
    let branch = &settings.git_ref;
    match actions.has_branch().await {
        Ok(true) => {
            Finding::ok(format!("sessions run the code of the branch {branch}, which exists"))
        }
        Ok(false) => Finding::fail(
            format!("branch {branch} does not exist, or the token may not see it"),
            "correct `ref` in [platform.github-actions]; the token needs `contents: read`",
        ),
        Err(error) => stops_all(&error),
    }
}

async fn list(actions: &Actions) -> Finding {
    match actions.list().await {
        Ok(listing) => {
            let live = listing.slots.values().filter(|record| record.live.is_some()).count();
            Finding::ok(format!(
                "runs and their jobs can be read: {live} live, {} slots known",
                listing.slots.len()
            ))
        }
        Err(error) => Finding::fail(format!("{error:#}"), "the inventory fails until then"),
    }
}

fn requests(settings: &ActionsSettings, left: RequestsLeft, now: SystemTime) -> Finding {
    let RequestsLeft { requests, limit, resets_at } = left;
    let limit = limit.map_or_else(String::new, |limit| format!(" of {limit}"));
    let reset = resets_at.map_or_else(String::new, |time| {
        let seconds = time.duration_since(now).unwrap_or_default().as_secs();
        format!(", until the reset in {}", humantime::format_duration(Duration::from_secs(seconds)))
    });
    let what = format!("{requests}{limit} requests are left for the token{reset}");
    if requests < u64::from(settings.max_requests) {
        let remedy = format!(
            "a cycle may send {}: use a GitHub App, or start cycles less often",
            settings.max_requests
        );
        return Finding::warn(what, remedy);
    }
    Finding::ok(what)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::Settings;
    use coordinator_core::fleet::FleetName;
    use coordinator_github::fake::{self, Reply, Sent};

    async fn asked(script: impl FnMut(&Sent) -> Reply + Send + 'static) -> Vec<(Grade, String)> {
        let settings = ActionsSettings {
            workflow: "agent-session.yml".to_owned(),
            git_ref: "main".to_owned(),
            ticket: Duration::from_secs(300),
            start_timeout: Duration::from_secs(900),
            max_requests: 80,
        };
        let fleet = FleetName::parse("demo").expect("a valid name");
        let (github, journal) = fake::github(script);
        let of_fleet = Settings {
            fleet,
            longest: Duration::ZERO,
            time_limits: BTreeMap::new(),
            actions: settings.clone(),
        };
        let actions = Actions::new(of_fleet, github);
        let findings = findings(&settings, &actions).await;
        let journal = journal.lock().expect("no test panics with the lock");
        assert!(journal.iter().all(|sent| sent.method == "GET"), "it starts nothing");
        findings
            .into_iter()
            .map(|found| {
                (found.grade, format!("{}; {}", found.what, found.remedy.unwrap_or_default()))
            })
            .collect()
    }

    fn well(sent: &Sent) -> Reply {
        let body = match sent.url.as_str() {
            url if url.contains("/runs?") => json!({ "total_count": 0, "workflow_runs": [] }),
            url if url.contains("/branches/") => json!({ "name": "main" }),
            _ => json!({ "state": "active" }),
        };
        Reply::json(200, &body)
            .with("x-ratelimit-remaining", "900")
            .with("x-ratelimit-limit", "1000")
    }

    #[tokio::test]
    async fn where_all_is_well_every_finding_is_good_and_the_limit_is_told() {
        let findings = asked(well).await;
        assert!(findings.iter().all(|(grade, _)| *grade == Grade::Ok), "{findings:?}");
        assert!(
            findings.iter().any(|(_, text)| text.starts_with("900 of 1000 requests are left")),
            "{findings:?}"
        );
    }

    #[tokio::test]
    async fn what_stands_in_the_way_is_named_with_its_remedy() {
        let not_found = || Reply::json(404, &json!({ "message": "Not Found" }));
        let denied =
            || Reply::json(403, &json!({ "message": "Resource not accessible by integration" }));
        let scripts = [
            ("/agent-session.yml", not_found(), "init --github-actions"),
            ("/agent-session.yml", denied(), "Resource not accessible"),
            (
                "/agent-session.yml",
                Reply::json(200, &json!({ "state": "disabled_inactivity" })),
                "disabled_inactivity; enable it",
            ),
            ("/branches/main", not_found(), "correct `ref`"),
            ("page=1", Reply::json(500, &Value::Null), "the inventory fails"),
        ];
        for (end, reply, words) in scripts {
            let mut reply = Some(reply);
            let findings = asked(move |sent| match reply.take_if(|_| sent.url.ends_with(end)) {
                Some(reply) => reply,
                None => well(sent),
            })
            .await;
            let failed: Vec<_> =
                findings.iter().filter(|(grade, _)| *grade == Grade::Fail).collect();
            assert!(failed.len() == 1 && failed[0].1.contains(words), "{words}: {findings:?}");
        }
    }

    #[tokio::test]
    async fn a_limit_that_is_nearly_used_up_is_a_warning() {
        let findings = asked(|sent| well(sent).with("x-ratelimit-resource", "core")).await;
        assert!(findings.iter().all(|(grade, _)| *grade == Grade::Ok), "{findings:?}");
        let settings = ActionsSettings {
            workflow: String::new(),
            git_ref: String::new(),
            ticket: Duration::ZERO,
            start_timeout: Duration::ZERO,
            max_requests: 80,
        };
        let left = |requests| RequestsLeft { requests, limit: None, resets_at: None };
        assert_eq!(requests(&settings, left(79), SystemTime::UNIX_EPOCH).grade, Grade::Warn);
        assert_eq!(requests(&settings, left(80), SystemTime::UNIX_EPOCH).grade, Grade::Ok);
    }
}
